#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstdint>
#include <string>

#include "assertion/bytes.h"
#include "assertion/secret.h"
#include "x509/openssl.h"

namespace assertion {

// A private key that OpenSSL made, as another party would.
class MadePrivateKey {
 public:
  // `kind`: a curve of OpenSSL's, "ED25519", or RSA with this many bits.
  explicit MadePrivateKey(const std::string& kind) : key_(Make(kind)) {}
  explicit MadePrivateKey(unsigned bits) : key_(EVP_RSA_gen(bits)) {}

  // PKCS#8 in DER.
  Secret Pkcs8() const {
    auto* info = EVP_PKEY2PKCS8(key_.get());
    std::uint8_t* der = nullptr;
    const auto size = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
    Secret secret(BytesView(der, static_cast<std::size_t>(size)));
    OPENSSL_free(der);
    PKCS8_PRIV_KEY_INFO_free(info);
    return secret;
  }

  // `passphrase` empty: not encrypted. `traditional`: PKCS#1 or SEC 1.
  std::string Pem(std::string passphrase = {}, bool traditional = false) const {
    const x509::BioPtr bio(BIO_new(BIO_s_mem()));
    const auto* cipher = passphrase.empty() ? nullptr : EVP_aes_256_cbc();
    if (traditional) {
      PEM_write_bio_PrivateKey_traditional(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
    } else {
      PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), cipher, passphrase.data(),
                                    static_cast<int>(passphrase.size()), nullptr, nullptr);
    }
    char* text = nullptr;
    const auto size = BIO_get_mem_data(bio.get(), &text);
    return {text, static_cast<std::size_t>(size)};
  }

 private:
  static EVP_PKEY* Make(const std::string& kind) {
    return kind.starts_with("ED") ? EVP_PKEY_Q_keygen(nullptr, nullptr, kind.c_str()) : EVP_EC_gen(kind.c_str());
  }

  x509::KeyPtr key_;
};

}  // namespace assertion
