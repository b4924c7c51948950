#include "observe/tls_expiry.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <sstream>
#include <string>

namespace assertion {
namespace {

using std::chrono::days;
using std::chrono::hours;

class TlsExpiryTest : public testing::Test {
 protected:
  TlsExpiryTest() {
    auto log = std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(lines_));
    log->set_pattern("%l %v");
    spdlog::set_default_logger(std::move(log));
  }

  ~TlsExpiryTest() override { spdlog::set_default_logger(before_); }

  std::string News() {
    lines_.str("");
    expiry_.WarnOfNews(now_);
    return lines_.str();
  }

  const std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
  std::ostringstream lines_;
  Time now_{std::chrono::seconds(1'800'000'000)};
  TlsExpiry expiry_;
};

TEST_F(TlsExpiryTest, WithoutTlsItIsSilent) { EXPECT_EQ(News(), ""); }

TEST_F(TlsExpiryTest, WarnsThirtyDaysBeforeOnceADayAndAfterAChange) {
  expiry_.SetCertificate(now_ + days(30));
  EXPECT_EQ(News(), "");
  now_ += days(1);
  const std::string expires = "warning TLS: the certificate of tls.certificate expires on 2027-02-14T08:00:00Z\n";
  EXPECT_EQ(News(), expires);
  now_ += hours(23);
  EXPECT_EQ(News(), "");
  now_ += hours(1);
  EXPECT_EQ(News(), expires);
  expiry_.SetCertificate(now_ + days(2));
  EXPECT_EQ(News(), "warning TLS: the certificate of tls.certificate expires on 2027-01-19T08:00:00Z\n");
  EXPECT_EQ(News(), "");
  now_ += days(3);
  EXPECT_EQ(News(), "warning TLS: the certificate of tls.certificate expired on 2027-01-19T08:00:00Z\n");
  expiry_.SetCertificate(now_ + days(90));
  EXPECT_EQ(News(), "");
}

TEST_F(TlsExpiryTest, ThatACertificateHasExpiredIsToldAtOnce) {
  expiry_.SetCertificate(now_ + hours(2));
  EXPECT_EQ(News(), "warning TLS: the certificate of tls.certificate expires on 2027-01-15T10:00:00Z\n");
  now_ += hours(2);
  EXPECT_EQ(News(), "");
  now_ += std::chrono::seconds(1);
  EXPECT_EQ(News(), "warning TLS: the certificate of tls.certificate expired on 2027-01-15T10:00:00Z\n");
}

TEST_F(TlsExpiryTest, ACrlThatIsRenewedIsNoNews) {
  expiry_.SetTrust(now_ + days(5), now_ + hours(1));
  EXPECT_NE(News(), "");
  expiry_.SetTrust(now_ + days(5), now_ + hours(2));
  EXPECT_EQ(News(), "");
}

TEST_F(TlsExpiryTest, AReloadTellsItEachTime) {
  expiry_.SetCertificate(now_ + days(5));
  const auto news = News();
  EXPECT_NE(news, "");
  lines_.str("");
  expiry_.Warn(now_);
  EXPECT_EQ(lines_.str(), news);
}

TEST_F(TlsExpiryTest, WarnsOfAuthoritiesAndOfCrlsThatAreOutOfDate) {
  expiry_.SetTrust(now_ + days(5), now_ + hours(1));
  EXPECT_EQ(News(), "warning TLS: an authority of tls.client_ca expires on 2027-01-20T08:00:00Z\n");
  now_ += hours(2);
  EXPECT_EQ(News(),
            "warning TLS: an authority of tls.client_ca expires on 2027-01-20T08:00:00Z\n"
            "warning TLS: an authority's CRL in tls.crl_directory is out of date since 2027-01-15T09:00:00Z: callers "
            "that it certified are refused\n");
}

}  // namespace
}  // namespace assertion
