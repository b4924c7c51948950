#include "config/document.h"

#include <gtest/gtest.h>

namespace assertion {
namespace {

TEST(Document, KnowsTheLineOfAPath) {
  const auto document = ParseDocument(R"({
  "hsm": "pkcs11:",
  "clients": [
    {"client_id": "orders"},
    {
      "tokens": {
        "audience": "https://is.example",
        "resources": ["urn:a",
                      "urn:b"]
      }
    }
  ]
})");
  ASSERT_TRUE(document) << document.error();
  for (const auto& [path, line] : {std::pair("hsm", 2),
                                   {"clients", 3},
                                   {"clients[0].client_id", 4},
                                   {"clients[1].tokens.audience", 7},
                                   {"clients[1].tokens.resources[1]", 9},
                                   {"clients[1].tokens.scopes", 6},       // is not there
                                   {"clients[2]", 3},                     // nor is this
                                   {"clients[99999999999999999999]", 3},  // no index
                                   {"clients[x]", 3},
                                   {"hsm.module[0]", 2},
                                   {"hsm.", 2},
                                   {"two_person_rule.methods", 0},
                                   {"client 'orders'", 0},
                                   {"[0]", 0},
                                   {".", 0},
                                   {"", 0}}) {
    EXPECT_EQ(LineOf(*document, path), line) << path;
  }
}

}  // namespace
}  // namespace assertion
