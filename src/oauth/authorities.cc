#include "oauth/authorities.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <cstddef>
#include <utility>

#include "x509/regular_file.h"

namespace assertion::oauth {

Result<AuthoritiesPtr> ReadAuthorities(const std::string& file) {
  constexpr std::size_t kMostOctets = std::size_t{8} << 20U;  // the system's authorities have a quarter of a MiB
  const auto text = x509::ReadRegularFile(file, kMostOctets);
  if (!text) {
    return Fail(Code::kConfigInvalid, file + ": " + text.error().message);
  }
  const x509::BioPtr reader(BIO_new_mem_buf(text->data(), static_cast<int>(text->size())));
  AuthoritiesPtr store(X509_STORE_new());
  if (!reader || !store) {
    return Fail(Code::kConfigInvalid, file + ": out of memory", x509::TakeErrors());
  }
  ERR_clear_error();  // the end is told by the last error
  std::size_t count = 0;
  while (const x509::X509Ptr authority{PEM_read_bio_X509_AUX(reader.get(), nullptr, nullptr, nullptr)}) {
    if (X509_STORE_add_cert(store.get(), authority.get()) != 1) {
      return Fail(Code::kConfigInvalid, file + ": a certificate cannot be used", x509::TakeErrors());
    }
    ++count;
  }
  const bool whole = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;  // the reader's end
  auto errors = x509::TakeErrors();
  if (!whole) {
    return Fail(Code::kConfigInvalid, file + ": a certificate is cut off, or not PEM", std::move(errors));
  }
  if (count == 0) {
    return Fail(Code::kConfigInvalid, file + ": no PEM certificate of an authority", std::move(errors));
  }
  return store;
}

}  // namespace assertion::oauth
