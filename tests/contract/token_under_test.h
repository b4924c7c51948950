#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "p11/hsm_token.h"

namespace assertion {

// A token may lack these and still serve; the tests see each refused. The token itself says which algorithms it offers.
enum class Lack {
  kKeys,          // makes no key that custody accepts
  kCertificates,  // stores no certificate: it comes from elsewhere
  kDataObjects,   // stores no private data object: the ledger is a file
  kProvider,      // pkcs11-provider makes no right RSA signature with it
  kP521,          // offers P-521, but shows a CKA_EC_POINT of it that cannot be read
};

// An empty token of some kind, into which this process has logged in; gone with the object.
class FreshToken {
 public:
  FreshToken() = default;
  virtual ~FreshToken() = default;
  FreshToken(const FreshToken&) = delete;
  FreshToken& operator=(const FreshToken&) = delete;

  virtual p11::HsmToken& token() = 0;
  virtual bool refuses_read_only() const { return false; }  // so far
};

// A kind of token that the contract is held against.
struct TokenUnderTest {
  std::string name;  // letters and digits: it stands in the name of every test
  std::string module_path;
  std::function<std::unique_ptr<FreshToken>()> make;
  std::set<Lack> lacks = {};
  AttributeNames accept_unshown = {};
  std::size_t largest_data = 16'000;  // octets of a data object; one of twice that size is refused if this is smaller
  std::string init_args = {};
  bool many_objects = true;  // false: too slow, or too small, for hundreds

  friend std::ostream& operator<<(std::ostream& out, const TokenUnderTest& token) { return out << token.name; }
};

// All kinds. Another one is another entry here.
std::vector<TokenUnderTest> TokensUnderTest();

}  // namespace assertion
