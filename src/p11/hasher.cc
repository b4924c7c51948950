#include "p11/hasher.h"

#include <openssl/err.h>

#include <algorithm>
#include <string>

namespace assertion::p11 {

Result<BytesView> Hasher::Hash(const Digest& digest, std::string_view prefix, std::string_view message) {
  if (digest_ != &digest) {
    digest_ = &digest;
    method_.reset(EVP_MD_fetch(nullptr, std::string(digest.name).c_str(), nullptr));
    context_.reset(EVP_MD_CTX_new());
  }
  unsigned size = 0;
  std::ranges::copy(AsBytes(prefix), octets_.begin());
  if (!method_ || !context_ || EVP_DigestInit_ex2(context_.get(), method_.get(), nullptr) != 1 ||
      EVP_DigestUpdate(context_.get(), message.data(), message.size()) != 1 ||
      EVP_DigestFinal_ex(context_.get(), octets_.data() + prefix.size(), &size) != 1) {
    ERR_clear_error();
    digest_ = nullptr;
    return Fail(Code::kInternal, "OpenSSL could not make a digest", "EVP_Digest: " + std::string(digest.name));
  }
  return BytesView(octets_).first(prefix.size() + size);
}

}  // namespace assertion::p11
