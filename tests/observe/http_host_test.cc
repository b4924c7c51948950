#include "observe/http_host.h"

#include <gtest/gtest.h>

namespace assertion {
namespace {

TEST(HttpHost, OfThisMachineIsAnAddressOrLocalhostOrTheConfiguredName) {
  for (const auto* host :
       {"127.0.0.1:8090", "127.0.0.1", "127.1.2.3:1", "10.0.0.1:80", "[::1]:8090", "[::1]", "localhost",
        "localhost:8090", "LocalHost.:8090", "orders.localhost:80", "", "Signer.Example:8090"}) {
    EXPECT_TRUE(NamesThisMachine(host, "signer.example")) << host;
  }
}

TEST(HttpHost, OfAnotherMachineIsAnyOtherName) {
  for (const auto* host :
       {"evil.example", "evil.example:8090", "127.0.0.1.evil.example:8090", "localhost.evil.example", "notlocalhost:80",
        "127.0.0.1,evil.example", "evil.example,127.0.0.1", "evil.example:80:80", "[evil.example]:80", "[]",
        "x@localhost", "0x7f.1.evil.example", "evil.localhost.example", "localhost:80/evil"}) {
    EXPECT_FALSE(NamesThisMachine(host, "signer.example")) << host;
  }
  EXPECT_FALSE(NamesThisMachine("evil.example", ""));
}

}  // namespace
}  // namespace assertion
