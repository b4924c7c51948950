#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "p11/hsm_token.h"

namespace assertion {

// What a token may be without and still serve.
enum class Lack {
  kStoredObjects,  // no C_CreateObject: the ledger is a file then, and certificates come from elsewhere
  kPss,            // offers RSASSA-PSS, but signs so only with keys that decrypt
  kProvider,       // pkcs11-provider makes no right RSA signature with it
  kP521,           // offers P-521, but shows a CKA_EC_POINT of it that is no OCTET STRING
};

// An empty token of some kind, into which this process has logged in; gone with the object.
class FreshToken {
 public:
  FreshToken() = default;
  virtual ~FreshToken() = default;
  FreshToken(const FreshToken&) = delete;
  FreshToken& operator=(const FreshToken&) = delete;

  virtual p11::HsmToken& token() = 0;
};

// A kind of token that the contract is held against.
struct TokenUnderTest {
  std::string name;  // letters and digits: it stands in the name of every test
  std::string module_path;
  std::function<std::unique_ptr<FreshToken>()> make;
  std::set<Lack> lacks = {};

  friend std::ostream& operator<<(std::ostream& out, const TokenUnderTest& token) { return out << token.name; }
};

// All kinds. Another one is another entry here.
std::vector<TokenUnderTest> TokensUnderTest();

}  // namespace assertion
