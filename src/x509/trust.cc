#include "x509/trust.h"

#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

namespace assertion::x509 {
namespace {

using CrlPtr = std::unique_ptr<X509_CRL, Deleter<X509_CRL_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, Deleter<X509_STORE_CTX_free>>;

BioPtr Reader(std::string_view text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

// PEM may hold several; an unreadable one fails the whole.
Status AddCrls(X509_STORE* store, const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  int count = 0;
  if (text.find("-----BEGIN") != std::string::npos) {
    const auto reader = Reader(text);
    while (const CrlPtr crl{PEM_read_bio_X509_CRL(reader.get(), nullptr, nullptr, nullptr)}) {
      count += X509_STORE_add_crl(store, crl.get());
    }
  } else {
    const auto reader = Reader(text);
    const CrlPtr crl(d2i_X509_CRL_bio(reader.get(), nullptr));
    count = crl ? X509_STORE_add_crl(store, crl.get()) : 0;
  }
  if (count == 0) {
    return Fail(Code::kInvalidArgument, path.string() + ": not a certificate revocation list", TakeErrors());
  }
  TakeErrors();  // the reader's end
  return {};
}

}  // namespace

Result<Trust> Trust::Load(std::string_view authorities, const std::string& crl_directory) {
  StorePtr store(X509_STORE_new());
  const auto reader = Reader(authorities);
  int count = 0;
  while (const X509Ptr certificate{PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr)}) {
    count += X509_STORE_add_cert(store.get(), certificate.get());
  }
  if (count == 0) {
    return Fail(Code::kInvalidArgument, "no PEM certificate of an authority", TakeErrors());
  }
  TakeErrors();
  // What gRPC hands over of a client's chain is its first certificate: its issuer must be enough.
  unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;
  if (!crl_directory.empty()) {
    flags |= X509_V_FLAG_CRL_CHECK;
    std::error_code failed;
    for (const auto& entry : std::filesystem::directory_iterator(crl_directory, failed)) {
      if (entry.is_regular_file()) {
        if (const auto added = AddCrls(store.get(), entry.path()); !added) {
          return std::unexpected(added.error());
        }
      }
    }
    if (failed) {
      return Fail(Code::kInvalidArgument, crl_directory + ": " + failed.message());
    }
  }
  X509_STORE_set_flags(store.get(), flags);
  return Trust(std::move(store));
}

Status Trust::Verify(std::string_view certificate) const {
  const auto reader = Reader(certificate);
  const X509Ptr leaf(PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr));
  const StoreContextPtr context(X509_STORE_CTX_new());
  if (!leaf || !context || X509_STORE_CTX_init(context.get(), store_.get(), leaf.get(), nullptr) != 1 ||
      X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_CLIENT) != 1) {
    return Fail(Code::kUnauthenticated, "the certificate cannot be read", TakeErrors());
  }
  if (X509_verify_cert(context.get()) != 1) {
    TakeErrors();
    return Fail(Code::kUnauthenticated, std::string("the certificate is not accepted: ") +
                                            X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get())));
  }
  return {};
}

}  // namespace assertion::x509
