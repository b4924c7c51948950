#include "observe/status_page.h"

#include <gtest/gtest.h>

#include <string>

namespace assertion {
namespace {

TEST(StatusPage, ShowsWhatIsWrongAndNoMarkupOfOthers) {
  const StatusPage page{.shows_readiness = true,
                        .reasons = {{"audit", "the disk <b>is</b> full & \"slow\""}},
                        .warnings = {{"crl_directory", "old"}},
                        .shows_publications = true,
                        .client_ids = {"<script>alert(1)</script>", "a/b?"}};
  const auto html = page.Html();
  EXPECT_NE(html.find("Not ready"), std::string::npos);
  EXPECT_NE(html.find("audit: the disk \\x3cb\\x3eis\\x3c/b\\x3e full \\x26 \\x22slow\\x22"), std::string::npos)
      << html;
  EXPECT_NE(html.find("crl_directory: old"), std::string::npos);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_NE(html.find("href=\"/clients/%3Cscript%3Ealert%281%29%3C%2Fscript%3E/jwks.json\""), std::string::npos)
      << html;
  EXPECT_NE(html.find("href=\"/clients/a%2Fb%3F/certificate.pem\""), std::string::npos);
}

TEST(StatusPage, ListsSoManyClientsAndCountsTheRest) {
  const StatusPage page{.shows_publications = true, .client_ids = std::vector<std::string>(700, "orders")};
  EXPECT_NE(page.Html().find("and 200 more."), std::string::npos);
}

}  // namespace
}  // namespace assertion
