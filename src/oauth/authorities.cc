#include "oauth/authorities.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <system_error>
#include <utility>

#include "x509/regular_file.h"

namespace assertion::oauth {

namespace {

// As OpenSSL looks.
std::string DefaultPlace(const char* variable, const char* otherwise) {
  const char* const named = secure_getenv(variable);
  return named == nullptr ? otherwise : named;
}

// OpenSSL takes only files with such names, HHHHHHHH.N, from a folder.
bool IsNamedByHash(const std::string& name) {
  constexpr std::size_t kDigits = 8;
  const auto of = [&](std::size_t from, const char* allowed) { return name.find_first_not_of(allowed, from); };
  return of(0, "0123456789abcdef") == kDigits && name[kDigits] == '.' && name.size() > kDigits + 1 &&
         of(kDigits + 1, "0123456789") == std::string::npos;
}

// `folders`: with ':' between them.
bool AnyHasAuthorities(const std::string& folders) {
  std::istringstream list(folders);
  for (std::string folder; std::getline(list, folder, ':');) {
    std::error_code failed;
    for (std::filesystem::directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed)) {
      if (IsNamedByHash(at->path().filename())) {
        return true;
      }
    }
  }
  return false;
}

}  // namespace

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

Status CheckAuthorities(const std::string& file) {
  if (!file.empty()) {
    const auto authorities = ReadAuthorities(file);
    return authorities ? Status() : std::unexpected(authorities.error());
  }
  const auto system = DefaultPlace(X509_get_default_cert_file_env(), X509_get_default_cert_file());
  const auto folders = DefaultPlace(X509_get_default_cert_dir_env(), X509_get_default_cert_dir());
  if (AnyHasAuthorities(folders) || ReadAuthorities(system)) {
    return {};
  }
  return Fail(Code::kConfigInvalid, "is absent, and this machine trusts no authority (" + system + " and " + folders +
                                        " have none): install ca-certificates, or name a file");
}

}  // namespace assertion::oauth
