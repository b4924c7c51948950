#include "x509/general_name.h"

#include <gtest/gtest.h>

#include "assertion/bytes.h"

namespace assertion::x509 {
namespace {

using namespace std::string_view_literals;

std::string ReasonOf(std::string_view text) {
  const auto name = ParseGeneralName(text);
  return name ? "accepted" : name.error().message;
}

void ExpectAll(std::initializer_list<std::string_view> texts, std::string_view reason) {
  for (const auto text : texts) {
    EXPECT_EQ(ReasonOf(text), reason) << text;
  }
}

// The octets of the name in its certificate.
std::string OctetsOf(std::string_view text, int wanted_type) {
  const auto name = ParseGeneralName(text);
  int type = -1;
  const auto* value = static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(name->get(), &type));
  EXPECT_EQ(type, wanted_type);
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
          static_cast<std::size_t>(ASN1_STRING_length(value))};
}

std::string Labels(std::size_t count) {
  std::string name = std::string(61, 'a');
  for (std::size_t i = 1; i < count; ++i) {
    name += '.' + std::string(63, 'a');
  }
  return name;
}

TEST(GeneralName, HasTheOctetsThatWereGiven) {
  EXPECT_EQ(OctetsOf("DNS:Orders.example.com", GEN_DNS), "Orders.example.com");
  EXPECT_EQ(OctetsOf("URI:spiffe://example.com/orders", GEN_URI), "spiffe://example.com/orders");
  EXPECT_EQ(OctetsOf("email:ops@example.com", GEN_EMAIL), "ops@example.com");
  EXPECT_EQ(OctetsOf("IP:192.0.2.7", GEN_IPADD), "\xC0\x00\x02\x07"sv);
  EXPECT_EQ(Hex(AsBytes(OctetsOf("IP:2001:db8::7", GEN_IPADD))), "20010db8000000000000000000000007");
}

TEST(GeneralName, KindsAreExact) {
  ExpectAll(
      {"", "orders.example.com", "dns:a", "DNS", " DNS:a", "RID:1.2.3", "dirName:a", "otherName:1.2;UTF8:a", "\0"sv},
      "must begin with DNS:, URI:, email: or IP:");
}

TEST(GeneralName, DnsIsAHostName) {
  ExpectAll({"DNS:a", "DNS:xn--bcher-kva.example", "DNS:1a.2b-3c.com", "DNS:1.example"}, "accepted");
  EXPECT_EQ(ReasonOf("DNS:" + Labels(4)), "accepted");  // 253
  EXPECT_NE(ReasonOf("DNS:a" + Labels(4)), "accepted");
  EXPECT_EQ(ReasonOf("DNS:" + std::string(63, 'a')), "accepted");
  EXPECT_NE(ReasonOf("DNS:" + std::string(64, 'a')), "accepted");
  ExpectAll({"DNS:", "DNS:.", "DNS:a.", "DNS:.a", "DNS:a..b", "DNS:-a", "DNS:a-", "DNS:a_b", "DNS:*.example.com",
             "DNS:a b", "DNS:a,DNS:b", "DNS:a\n", "DNS:a\nb", "DNS:a\0b"sv, "DNS:bücher.example", "DNS:192.0.2.7",
             "DNS:a:443", "DNS:@section", "DNS:a/b"},
            "DNS: must be a host name, for example orders.example.com; an address goes into IP:");
}

TEST(GeneralName, UriIsAbsoluteAndNamesAHost) {
  ExpectAll({"URI:https://example.com", "URI:https://example.com:8443/a/b?c=d&e=%20#f", "URI:urn:uuid:0-0",
             "URI:https://192.0.2.7/", "URI:https://[2001:db8::7]:1/", "URI:https://[2001:db8::7]", "URI:a:b"},
            "accepted");
  ExpectAll({"URI:",
             "URI:/path",
             "URI:example.com",
             "URI:https:",
             "URI:://a",
             "URI:1a:b",
             "URI:https://",
             "URI:https:///a",
             "URI:https://u@example.com/",
             "URI:https://u:p@example.com/",
             "URI:https://a b/",
             "URI:https://a/ b",
             "URI:https://a/%2",
             "URI:https://a/%zz",
             "URI:https://a/\n",
             "URI:https://a/\0"sv,
             "URI:https://a/ü",
             "URI:https://a/<b>",
             "URI:https://a/#b#c",
             "URI:https://a:123456/",
             "URI:https://a:b/",
             "URI:https://[::1/",
             "URI:https://[192.0.2.7]/",
             "URI:https://-a/",
             "URI:https://a/[b]",
             "URI:https://a\\b/"},
            "URI: must be an absolute URI without user, for example spiffe://example.com/orders");
}

TEST(GeneralName, EmailIsAnAddressAlone) {
  ExpectAll({"email:a@b", "email:first.last+tag@example.com"}, "accepted");
  EXPECT_EQ(ReasonOf("email:" + std::string(64, 'a') + "@b"), "accepted");
  EXPECT_NE(ReasonOf("email:" + std::string(65, 'a') + "@b"), "accepted");
  ExpectAll({"email:", "email:a", "email:@b", "email:a@", "email:a@b@c", "email:a..b@c", "email:.a@c", "email:a.@c",
             "email:Ops <a@b>", "email:\"a b\"@c", "email:a@[192.0.2.7]", "email:a@b,c@d", "email:a@b\n",
             "email:a@b\0"sv, "email:ü@b", "email:copy", "email:move"},
            "email: must be an address alone, for example ops@example.com");
}

TEST(GeneralName, IpIsOneAddress) {
  ExpectAll({"IP:0.0.0.0", "IP:::", "IP:::ffff:192.0.2.7"}, "accepted");
  ExpectAll({"IP:", "IP:192.0.2", "IP:192.0.2.7/24", "IP:192.0.2.256", "IP:fe80::1%eth0", "IP:[::1]",
             "IP:192.0.2.7\0x"sv, "IP:192.0.2.7\n", "IP:example.com", "IP:0x7f000001", "IP: 192.0.2.7"},
            "IP: must be one IPv4 or IPv6 address");
}

TEST(GeneralName, AtMost255Characters) {
  const std::string uri = "URI:a:";
  EXPECT_EQ(ReasonOf(uri + std::string(253, 'b')), "accepted");
  EXPECT_EQ(ReasonOf(uri + std::string(254, 'b')), "must be at most 255 characters");
}

}  // namespace
}  // namespace assertion::x509
