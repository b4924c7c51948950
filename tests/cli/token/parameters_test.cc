#include "cli/token/parameters.h"

#include <gtest/gtest.h>

namespace assertion::cli {
namespace {

TEST(Parameters, AreSentAsTheyAre) {
  const auto fields = ParametersOf({"audience=https://api.example.com/?a=b&c", "x-y_z.1= \n"});
  ASSERT_TRUE(fields) << fields.error().message;
  EXPECT_EQ(*fields, (oauth::FormFields{{"audience", "https://api.example.com/?a=b&c"}, {"x-y_z.1", " \n"}}));
  EXPECT_EQ(oauth::EncodeForm(*fields), "audience=https%3a%2f%2fapi.example.com%2f%3fa%3db%26c&x-y_z.1=%20%0a");
}

TEST(Parameters, OneThatAFlagSetsNamesTheFlag) {
  for (const auto& [name, flag] : std::vector<std::pair<std::string, std::string>>{
           {"grant_type", "--grant"},
           {"client_id", "--client-id"},
           {"scope", "--scope"},
           {"resource", "--resource"},
           {"code", "--code"},
           {"redirect_uri", "--redirect-uri"},
           {"code_verifier", "--code-verifier"},
           {"code_challenge", "--code-verifier"},
           {"code_challenge_method", "--code-verifier"},
           {"response_type", "--par"},
           {"request_uri", "--par"},
           {"client_assertion", "assertiond makes"},
           {"client_assertion_type", "assertiond makes"},
           {"assertion", "assertiond makes"},
           {"client_secret", "is what the assertion replaces"},
           {"password", "secret"},
           {"refresh_token", "secret"},
           {"device_code", "secret"},
           {"pre-authorized_code", "secret"},
           {"tx_code", "secret"},
           {"auth_req_id", "secret"},
           {"id_token_hint", "secret"},
           {"request", "RFC 9101"},
           {"subject_token", "secret"},
           {"actor_token", "secret"},
           {"Client_ID", "--client-id"},
       }) {
    const auto fields = ParametersOf({name + "=x"});
    ASSERT_FALSE(fields) << name;
    EXPECT_TRUE(fields.error().message.contains(flag)) << fields.error().message;
  }
}

TEST(Parameters, HaveAPlainNameAndAValueEach) {
  for (const auto* wrong : {"", "=", "=x", "audience", "audience=", "a b=c", "a&b=c", "\xC3\xA4=x", "a\n=x", "a[]=x"}) {
    const auto fields = ParametersOf({wrong});
    ASSERT_FALSE(fields) << wrong;
    EXPECT_EQ(fields.error().code, Code::kInvalidArgument);
    EXPECT_EQ(fields.error().message.find('\n'), std::string::npos);
  }
  EXPECT_FALSE(ParametersOf({"audience=a", "audience=b"}));
  EXPECT_TRUE(ParametersOf({"audience=a", "Audience=b"}));
  // The value may be a secret after all.
  EXPECT_FALSE(ParametersOf({"client_secret=hunter2"}).error().message.contains("hunter2"));
  EXPECT_FALSE(ParametersOf({"a b=hunter2"}).error().message.contains("hunter2"));
}

}  // namespace
}  // namespace assertion::cli
