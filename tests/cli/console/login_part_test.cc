#include "cli/console/login_part.h"

#include <gtest/gtest.h>

namespace assertion::cli {
namespace {

TEST(LoginPart, AWordIsOneWordForTheShell) {
  EXPECT_EQ(ShellLine({"a", "--b=c:/d", "$(rm x)", "it's", ""}), "a --b=c:/d '$(rm x)' 'it'\\''s' ''");
}

TEST(LoginPart, AnIncompleteFormGivesNoCommand) {
  EXPECT_EQ(LoginPart({{"client_id", "orders"}}, "unix:/s").find("<pre>"), std::string::npos);
}

TEST(LoginPart, AValueIsNeitherAFlagNorMarkupNorALine) {
  const auto html = LoginPart({{"client_id", "--no-browser"}, {"issuer", "https://a/<b>"}}, "unix:/s");
  EXPECT_NE(html.find("oidc login --client-id=--no-browser &#39;--issuer=https://a/&lt;b&gt;&#39;"), std::string::npos)
      << html;
  EXPECT_EQ(LoginPart({{"client_id", "a\nrm -r x"}, {"issuer", "https://a"}}, "unix:/s").find("<pre>"),
            std::string::npos);
}

}  // namespace
}  // namespace assertion::cli
