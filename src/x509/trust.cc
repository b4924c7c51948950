#include "x509/trust.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <ranges>
#include <utility>

namespace assertion::x509 {
namespace {

constexpr std::size_t kMostAuthorities = 1000;  // each is held against each

using CrlPtr = std::unique_ptr<X509_CRL, Deleter<X509_CRL_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, Deleter<X509_STORE_CTX_free>>;

BioPtr Reader(std::string_view text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

constexpr std::time_t kNever = std::numeric_limits<std::time_t>::max();

// `otherwise` when it cannot be read or is not given.
std::time_t Seconds(const ASN1_TIME* time, std::time_t otherwise) {
  std::tm parts{};
  return time != nullptr && ASN1_TIME_to_tm(time, &parts) == 1 ? timegm(&parts) : otherwise;
}

std::string DigestOf(const std::string& text) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

Result<std::string> ReadWhole(const std::filesystem::path& path) {
  constexpr std::uintmax_t kMostCrlOctets = std::uintmax_t{64} << 20U;
  std::error_code failed;
  const auto size = std::filesystem::file_size(path, failed);
  if (!failed && size > kMostCrlOctets) {
    return Fail(Code::kInvalidArgument, path.string() + ": larger than 64 MiB");
  }
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  if (failed || !file) {
    return Fail(Code::kInvalidArgument, path.string() + ": cannot be read");
  }
  return text;
}

std::string DerOf(const X509_NAME* name) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_NAME(name, &der);
  std::string octets(reinterpret_cast<const char*>(der), static_cast<std::size_t>(std::max(size, 0)));
  OPENSSL_free(der);
  return octets;
}

// Adds CRLs to the store, what they say of their own validity to `boundaries`, and the last end of each issuer's to
// `until`.
class CrlReader {
 public:
  CrlReader(X509_STORE* store, std::vector<std::time_t>& boundaries, std::map<std::string, std::time_t>& until)
      : store_(store), boundaries_(boundaries), until_(until) {}

  // PEM may hold several; an unreadable one fails the whole.
  Status Add(const std::string& text, const std::filesystem::path& path) {
    bool good = true;
    int count = 0;
    const auto reader = Reader(text);
    if (text.find("-----BEGIN") != std::string::npos) {
      while (const CrlPtr crl{PEM_read_bio_X509_CRL(reader.get(), nullptr, nullptr, nullptr)}) {
        good = good && Add(crl.get());
        ++count;
      }
      good = good && count > 0 && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;  // the reader's end
    } else {
      const CrlPtr crl(d2i_X509_CRL_bio(reader.get(), nullptr));
      good = crl && Add(crl.get());
    }
    const auto errors = TakeErrors();
    return good ? Status()
                : Fail(Code::kInvalidArgument, path.string() + ": not a certificate revocation list", errors);
  }

 private:
  bool Add(X509_CRL* crl) {
    boundaries_.push_back(Seconds(X509_CRL_get0_lastUpdate(crl), 0));
    boundaries_.push_back(Seconds(X509_CRL_get0_nextUpdate(crl), kNever));
    auto& until = until_[DerOf(X509_CRL_get_issuer(crl))];
    until = std::max(until, boundaries_.back());
    return X509_STORE_add_crl(store_, crl) == 1;
  }

  X509_STORE* store_;
  std::vector<std::time_t>& boundaries_;
  std::map<std::string, std::time_t>& until_;
};

bool SelfIssued(X509* certificate) { return X509_check_issued(certificate, certificate) == X509_V_OK; }

// A certificate whose issuer is not among the authorities ends a chain as a root does: gRPC hands over only the first
// certificate of a client's chain, so an authority's issuer may well be unknown here. Authorities whose issuer is known
// end none, so that the issuer's CRL is asked for them.
bool EndChainsAtUnknownIssuers(const std::vector<X509Ptr>& authorities) {
  return std::ranges::all_of(authorities, [&](const X509Ptr& authority) {
    const bool issuer_known = std::ranges::any_of(authorities, [&](const X509Ptr& issuer) {
      return X509_check_issued(issuer.get(), authority.get()) == X509_V_OK;
    });
    return issuer_known || X509_add1_trust_object(authority.get(), OBJ_nid2obj(NID_client_auth)) == 1;
  });
}

// No CRL can be had for an authority at a chain's end whose issuer is unknown; every other one needs its CRL. If there
// is a CRL of the unknown issuer, it may well say that the authority is revoked, but cannot be verified: refused.
int AcceptTheEndWithoutCrl(int ok, X509_STORE_CTX* context) {
  const auto* chain = X509_STORE_CTX_get0_chain(context);
  const int depth = X509_STORE_CTX_get_error_depth(context);
  const bool excused = ok == 0 && X509_STORE_CTX_get_error(context) == X509_V_ERR_UNABLE_TO_GET_CRL && depth > 0 &&
                       depth == sk_X509_num(chain) - 1 && !SelfIssued(sk_X509_value(chain, depth));
  if (excused) {
    X509_STORE_CTX_set_error(context, X509_V_OK);
  }
  return excused ? 1 : ok;
}

std::string Refusal(X509_STORE_CTX* context) {
  const int depth = X509_STORE_CTX_get_error_depth(context);
  const std::string why = X509_verify_cert_error_string(X509_STORE_CTX_get_error(context));
  return "the certificate is not accepted: " + (depth > 0 ? "an authority above it: " : std::string()) + why;
}

}  // namespace

Result<Trust> Trust::Load(std::string_view authorities, const std::string& crl_directory) {
  Trust trust{StorePtr(X509_STORE_new())};
  auto* store = trust.store_.get();
  std::vector<X509Ptr> certificates;
  const auto reader = Reader(authorities);
  ERR_clear_error();  // what other code left behind would be told as the cause
  while (X509Ptr certificate{PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr)}) {
    certificates.push_back(std::move(certificate));
  }
  const bool whole = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;  // the reader's end
  const auto errors = TakeErrors();
  if (certificates.empty()) {
    return Fail(Code::kInvalidArgument, "no PEM certificate of an authority", errors);
  }
  if (!whole) {
    return Fail(Code::kInvalidArgument,
                "the PEM block after certificate " + std::to_string(certificates.size()) + " cannot be read", errors);
  }
  if (certificates.size() > kMostAuthorities) {
    return Fail(Code::kInvalidArgument, "more than " + std::to_string(kMostAuthorities) + " authorities");
  }
  bool added = EndChainsAtUnknownIssuers(certificates);
  for (const auto& certificate : certificates) {
    added = added && X509_STORE_add_cert(store, certificate.get()) == 1;
  }
  if (!added) {
    return Fail(Code::kInvalidArgument, "an authority's certificate cannot be used", TakeErrors());
  }
  trust.authorities_until_ = kNever;
  for (const auto& certificate : certificates) {
    trust.authorities_until_ = std::min(trust.authorities_until_, Seconds(X509_get0_notAfter(certificate.get()), 0));
  }
  trust.text_ = DigestOf(std::string(authorities));
  if (!crl_directory.empty()) {
    std::error_code failed;
    std::vector<std::filesystem::path> files;
    for (auto entry = std::filesystem::directory_iterator(crl_directory, failed);
         !failed && entry != std::filesystem::directory_iterator(); entry.increment(failed)) {
      std::error_code gone;
      if (entry->is_regular_file(gone) || gone) {
        files.push_back(entry->path());
      }
    }
    if (failed) {
      return Fail(Code::kInvalidArgument, crl_directory + ": " + failed.message());
    }
    std::ranges::sort(files);
    CrlReader crls(store, trust.boundaries_, trust.crls_until_);
    for (const auto& path : files) {
      ASSIGN_OR_RETURN(const auto text, ReadWhole(path));
      RETURN_IF_ERROR(crls.Add(text, path));
      trust.text_ += DigestOf(text);
    }
    std::ranges::sort(trust.boundaries_);
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    X509_STORE_set_verify_cb(store, AcceptTheEndWithoutCrl);
  }
  return trust;
}

std::optional<std::time_t> Trust::crls_until() const {
  const auto first = std::ranges::min_element(crls_until_, {}, [](const auto& of_issuer) { return of_issuer.second; });
  return first == crls_until_.end() ? std::nullopt : std::optional(first->second);
}

Trust Trust::Nobody(std::string reason) {
  Trust trust(nullptr);
  trust.reason_ = std::move(reason);
  return trust;
}

Result<std::time_t> Trust::Verify(std::string_view certificate) const {
  if (!store_) {
    return Fail(Code::kUnauthenticated, reason_);
  }
  const auto now = std::time(nullptr);
  const auto reader = Reader(certificate);
  const X509Ptr leaf(PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr));
  const StoreContextPtr context(X509_STORE_CTX_new());
  if (!leaf || !context || X509_STORE_CTX_init(context.get(), store_.get(), leaf.get(), nullptr) != 1 ||
      X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_CLIENT) != 1) {
    return Fail(Code::kUnauthenticated, "the certificate cannot be read", TakeErrors());
  }
  if (X509_verify_cert(context.get()) != 1) {
    TakeErrors();
    const int why = X509_STORE_CTX_get_error(context.get());
    const bool unverified = why == X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER || why == X509_V_ERR_CRL_SIGNATURE_FAILURE;
    return Fail(Code::kUnauthenticated, Refusal(context.get()),
                unverified ? "tls.client_ca must hold the issuer of each CRL that concerns it" : "");
  }
  const auto boundary = std::ranges::upper_bound(boundaries_, now);
  auto until = boundary == boundaries_.end() ? kNever : *boundary;
  const auto* chain = X509_STORE_CTX_get0_chain(context.get());
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    until = std::min(until, Seconds(X509_get0_notAfter(sk_X509_value(chain, i)), 0));
  }
  return until;
}

}  // namespace assertion::x509
