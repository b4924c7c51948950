#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <string_view>

#include "assertion/error.h"

namespace assertion {

// Reads the callers of one configuration and returns them in the form of Caller::identities():
//
//   uid:1000           processes of that user on this machine, 0 to 4294967294
//   user:NAME          the same user by name; it must exist, and becomes uid:…
//   dns:host.example   a certificate's subject alternative name, in lower case
//   spiffe://td/path   a SPIFFE ID as a subject alternative name; or a prefix of IDs: spiffe://td/ns/*
//
// Nothing else can match a caller, so everything else is an error. The overflow uid (/proc/sys/kernel/overflowuid, and
// 65534) is an error too: the kernel shows all processes of other user namespaces under that number.
class Identities {
 public:
  Identities();

  // INVALID_ARGUMENT says what is wrong, and suggests the identity that was probably meant.
  Result<std::string> Parse(std::string_view text);

 private:
  Result<std::string> ParseUser(std::string_view name);
  Result<std::string> ParseUid(std::string_view number) const;

  uid_t overflow_;
  std::map<std::string, Result<std::string>, std::less<>> users_;  // by name, so that each is looked up once
};

}  // namespace assertion
