#include "cli/oidc/redirect_query.h"

#include <gtest/gtest.h>

namespace assertion::cli {
namespace {

TEST(RedirectQuery, NamesAndValuesAreDecoded) {
  const auto fields = QueryOf("code=a%2Bb%2f+c&state=%C3%A9&empty");
  ASSERT_TRUE(fields);
  EXPECT_EQ(FieldOf(*fields, "code"), "a+b/ c");
  EXPECT_EQ(FieldOf(*fields, "state"), "\xC3\xA9");
  EXPECT_EQ(FieldOf(*fields, "empty"), "");
}

TEST(RedirectQuery, APercentSignThatBeginsNoOctetIsRefused) {
  for (const auto* const query : {"code=%", "code=%2", "code=%zz", "code=%+2", "co%xe=1", "code=%-1"}) {
    EXPECT_FALSE(QueryOf(query)) << query;
  }
}

TEST(RedirectQuery, ANameThatComesTwiceIsRefused) { EXPECT_FALSE(QueryOf("code=1&state=2&c%6fde=3")); }

}  // namespace
}  // namespace assertion::cli
