#include "x509/distinguished_name.h"

#include <gtest/gtest.h>

#include "assertion/bytes.h"

namespace assertion::x509 {
namespace {

// The name as OpenSSL writes it, or why there is none.
std::string Read(std::string_view text) {
  const auto name = ParseDistinguishedName(text);
  if (!name) {
    EXPECT_EQ(name.error().code, Code::kInvalidArgument);
    return name.error().message;
  }
  const BioPtr bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name->get(), 0, XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB));
  char* out = nullptr;
  const auto size = BIO_get_mem_data(bio.get(), &out);
  return {out, static_cast<std::size_t>(size)};
}

std::string Der(std::string_view text) {
  const auto name = ParseDistinguishedName(text);
  const unsigned char* der = nullptr;
  std::size_t size = 0;
  X509_NAME_get0_der(name->get(), &der, &size);
  return Hex({der, size});
}

TEST(DistinguishedName, ReadsBackAsItWasWritten) {
  for (const auto* text :
       {"", "CN=orders", "CN=orders,O=Example Ltd,C=DE", "CN=Ünïcode \xF0\x9F\x94\x91,ST=Bayern,L=München",
        "CN=a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h", "CN=\\#hash", "CN=\\ blank\\ ", "CN=a=b",
        "OU=one,OU=two,DC=example,DC=com", "serialNumber=HRB 1,emailAddress=ops@example.com"}) {
    EXPECT_EQ(Read(text), text);
  }
}

TEST(DistinguishedName, TheMostSpecificComesLastInDer) {
  // SEQUENCE { SET { C, PrintableString "DE" }, SET { CN, UTF8String "a" } }
  EXPECT_EQ(Der("CN=a,C=DE"), "3019310b3009060355040613024445310a300806035504030c0161");
  EXPECT_EQ(Der(""), "3000");
}

TEST(DistinguishedName, StringTypesAreThoseOfRfc5280) {
  EXPECT_NE(Der("DC=a").find("160161"), std::string::npos);            // IA5String
  EXPECT_NE(Der("emailAddress=a").find("160161"), std::string::npos);  // IA5String
  EXPECT_NE(Der("serialNumber=a").find("130161"), std::string::npos);  // PrintableString
  EXPECT_NE(Der("O=a").find("0c0161"), std::string::npos);             // UTF8String
}

TEST(DistinguishedName, AnyValueCanBeEscaped) {
  for (const auto* value : {"orders", "# a,b+c\"d\\e<f>g;h=i ", " ", "=,C=DE"}) {
    const auto name = ParseDistinguishedName("CN=" + EscapeValue(value));
    ASSERT_TRUE(name) << value;
    ASSERT_EQ(X509_NAME_entry_count(name->get()), 1) << value;
    const auto* entry = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name->get(), 0));
    EXPECT_EQ(reinterpret_cast<const char*>(ASN1_STRING_get0_data(entry)), std::string(value));
  }
}

TEST(DistinguishedName, EscapesOfRfc4514) {
  EXPECT_EQ(Read("CN=\\41\\c3\\A4"), "CN=Aä");
  EXPECT_EQ(Read("CN=a\\=b\\#c"), "CN=a=b#c");
  EXPECT_EQ(Read("CN=\\20a"), "CN=\\ a");
  EXPECT_EQ(Read("cn=a,Emailaddress=b"), "CN=a,emailAddress=b");
  const auto reason =
      "the value of CN: after a backslash comes one of \"+,;<>\\#= or a blank, or two hexadecimal digits";
  for (const auto* text : {"CN=a\\", "CN=a\\4", "CN=a\\4,O=b", "CN=a\\xy", "CN=a\\n", "CN=a\\0x"}) {
    EXPECT_EQ(Read(text), reason) << text;
  }
}

TEST(DistinguishedName, WhatMustBeEscapedIsNamed) {
  EXPECT_EQ(Read("CN=a;b"), "the value of CN: escape ; as \\;");
  EXPECT_EQ(Read("CN=\"a\""), "the value of CN: escape \" as \\\"");
  EXPECT_EQ(Read("CN=<a"), "the value of CN: escape < as \\<");
  EXPECT_EQ(Read("CN=a>"), "the value of CN: escape > as \\>");
  EXPECT_EQ(Read("CN=a+OU=b"), "the value of CN: two attributes joined by + are not read; escape a literal + as \\+");
  EXPECT_EQ(Read("CN=#0c0161"), "the value of CN: hexadecimal values are not read; escape a literal # as \\#");
  EXPECT_EQ(Read("CN= a"), "the value of CN: remove the blank at its beginning, or escape it with a backslash");
  EXPECT_EQ(Read("CN=a ,O=b"), "the value of CN: remove the blank at its end, or escape it with a backslash");
}

TEST(DistinguishedName, TypesAreRefusedByName) {
  EXPECT_EQ(Read("CN=a,UID=b"), "the type UID is not one of CN, O, OU, C, ST, L, DC, serialNumber, emailAddress");
  EXPECT_EQ(Read("2.5.4.3=a").substr(0, 27), "the type 2.5.4.3 is not one");
  EXPECT_EQ(Read("CN=a, O=b"), "remove the blanks around the type O");
  EXPECT_EQ(Read("CN =a"), "remove the blanks around the type CN");
  const auto shape = "write it as TYPE=value, separated by commas, for example CN=orders,O=Example Ltd,C=DE";
  for (const auto* text : {"orders", "=a", "CN=a,b", ",", ",CN=a", "CN=a,,O=b", "/CN=a", "\x1b[2J=a", " =a"}) {
    EXPECT_EQ(Read(text), shape) << text;
  }
  EXPECT_EQ(Read("CN=a,"), "remove the comma at the end");
}

TEST(DistinguishedName, ValuesKeepTheirBounds) {
  EXPECT_EQ(Read("CN="), "the value of CN: must be 1 to 64 characters");
  EXPECT_EQ(Read("O=,CN=a"), "the value of O: must be 1 to 64 characters");
  std::string wide;
  for (int i = 0; i < 64; ++i) {
    wide += "ü";  // characters count, not octets
  }
  EXPECT_EQ(Read("CN=" + wide), "CN=" + wide);
  EXPECT_EQ(Read("CN=" + wide + "ü"), "the value of CN: must be 1 to 64 characters");
  EXPECT_EQ(Read("DC=" + std::string(64, 'a')), "the value of DC: must be 1 to 63 characters");
  for (const auto* country : {"C=de", "C=D1", "C=D"}) {
    EXPECT_EQ(Read(country), "the value of C: must be two capital letters (ISO 3166)") << country;
  }
  EXPECT_EQ(Read("C=DEU"), "the value of C: must be 1 to 2 characters");
  EXPECT_EQ(Read("serialNumber=a_b"),
            "the value of serialNumber: may only hold letters, digits, blanks and '()+,-./:=?");
  EXPECT_EQ(Read("emailAddress=ü@example.com"), "the value of emailAddress: must be ASCII");
  std::string longest = "CN=a";
  while (longest.size() + 5 <= 1024) {
    longest += ",OU=b";
  }
  EXPECT_EQ(longest.size(), 1024U);
  EXPECT_EQ(Read(longest), longest);
  EXPECT_EQ(Read(longest + "b"), "must be at most 1024 octets");
}

TEST(DistinguishedName, ValuesAreUtf8WithoutControlCharacters) {
  using namespace std::string_view_literals;
  for (const auto text : {"CN=a\0b"sv, "CN=a\nb"sv, "CN=\\00"sv, "CN=\\0A"sv, "CN=\\7f"sv, "CN=\xC2\x9B"sv, "CN=\xFF"sv,
                          "CN=\xC3"sv, "CN=\xC0\xAF"sv, "CN=\xED\xA0\x80"sv, "CN=\\c3"sv, "CN=\\c3,O=\\a4"sv}) {
    EXPECT_EQ(Read(text), "the value of CN: must be UTF-8 without control characters") << text;
  }
}

}  // namespace
}  // namespace assertion::x509
