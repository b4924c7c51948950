#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <string_view>

#include "assertion/error.h"

namespace assertion {

// Reads the callers that one configuration names, in the form that Caller::identities() has:
//
//   uid:1000           processes of that user on this machine, 0 to 4294967294
//   user:NAME          the same by name, which must exist now; becomes uid:…
//   dns:host.example   a certificate's subject alternative name, in lower case
//   spiffe://td/path   a SPIFFE ID as a subject alternative name; or a prefix of such: spiffe://td/ns/*
//
// Nothing else can match a caller, so everything else is an error. So is the user as which the kernel shows processes
// of other user namespaces (/proc/sys/kernel/overflowuid, and 65534): many are known by that number.
class Identities {
 public:
  Identities();

  // INVALID_ARGUMENT says what is wrong, and which identity was probably meant.
  Result<std::string> Parse(std::string_view text);

 private:
  Result<std::string> ParseUser(std::string_view name);
  Result<std::string> ParseUid(std::string_view number) const;

  uid_t overflow_;
  std::map<std::string, Result<std::string>, std::less<>> users_;  // by name: each is looked up once
};

}  // namespace assertion
