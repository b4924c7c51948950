#include "cli/html.h"

#include <gtest/gtest.h>

namespace assertion::cli {
namespace {

TEST(Html, MarkupIsText) {
  EXPECT_EQ(Escaped("<script>alert('1')</script> & \"x\""),
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot;");
}

TEST(Html, ControlsAreVisible) {
  EXPECT_EQ(Escaped("a\x1b[2J\r\n\tb\x7f"), "a\\x1b[2J\\x0d\n\tb\\x7f");
  EXPECT_EQ(Escaped("\xC2\x9B"), "\\u009b");
  EXPECT_EQ(Escaped(std::string_view("\0", 1)), "\\x00");
}

TEST(Html, WhatReordersOrHidesTextIsVisible) {
  EXPECT_EQ(Escaped("a\u202Eb\u2066c\u200Bd\uFEFF"), "a\\u202eb\\u2066c\\u200bd\\ufeff");
  EXPECT_EQ(Escaped("\U000E0041"), "\\u{0e0041}");
}

TEST(Html, WhatIsNoUtf8IsVisible) {
  EXPECT_EQ(Escaped("\xC2"), "\\xc2");
  EXPECT_EQ(Escaped("\xC0\xBC"), "\\xc0\\xbc") << "an overlong <";
}

TEST(Html, OtherTextStays) { EXPECT_EQ(Escaped("größer 漢 😀"), "größer 漢 😀"); }

}  // namespace
}  // namespace assertion::cli
