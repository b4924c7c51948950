#include "x509/pkcs11_provider.h"

#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <openssl/ui.h>

#include <cctype>
#include <string_view>
#include <vector>

#include "assertion/real_file_name.h"

namespace assertion::x509 {
namespace {

using SigningContextPtr = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>>;

// p11-kit's proxy and client return another list of functions from each C_GetFunctionList, which C_Initialize and
// C_Finalize begin and end alone. The proxy keeps a lost connection for as long as one of its lists is not ended. Its
// file is the library's own: p11-kit-proxy.so is a link to libp11-kit.so.0.
bool EndsOnlyItsOwnList(const std::string& module_path) {
  const auto file = RealFileName(module_path);
  return file == "p11-kit-proxy.so" || file == "p11-kit-client.so" || file.starts_with("libp11-kit.so");
}

// A value for OpenSSL's configuration, in which a backslash makes any other character than a letter plain.
std::string Quoted(std::string_view text) {
  std::string quoted;
  for (const unsigned char c : text) {
    quoted.append(std::isalnum(c) != 0 || c >= 0x80 ? "" : "\\").push_back(static_cast<char>(c));
  }
  return quoted;
}

// no-deinit: the provider would finalise the module under the other users of this process. cache-keys: it would copy
// private keys into session objects.
std::string ProviderConfiguration(const std::string& module_path, const std::string& init_args) {
  const std::string quirks = EndsOnlyItsOwnList(module_path) ? "" : "pkcs11-module-quirks = no-deinit\n";
  return "openssl_conf = init\n"
         "[init]\n"
         "providers = provider_list\n"
         "[provider_list]\n"
         "default = default_provider\n"
         "pkcs11 = pkcs11_provider\n"
         "[default_provider]\n"
         "activate = 1\n"
         "[pkcs11_provider]\n"
         "activate = 1\n" +
         quirks + "pkcs11-module-cache-keys = false\n" +
         (init_args.empty() ? "" : "pkcs11-module-init-args = " + Quoted(init_args) + "\n") +
         "pkcs11-module-path = " + module_path + "\n";
}

// A module may give the provider a connection of its own, without our login. The provider (0.3 to 1.2) then asks the
// caller's UI for a PIN and, when that fails, the process's default UI, which is the terminal. A default UI that cannot
// be opened ends both without C_Login. An empty PIN instead might count as a wrong one.
bool ForbidPrompts() {
  static UI_METHOD* const no_prompt = [] {
    auto* method = UI_create_method("no prompt");
    if (method != nullptr && UI_method_set_opener(method, [](UI* /*ui*/) { return 0; }) == 0) {
      UI_set_default_method(method);
      return method;
    }
    UI_destroy_method(method);
    return static_cast<UI_METHOD*>(nullptr);
  }();
  return no_prompt != nullptr;
}

std::unexpected<Error> ProviderError(const char* call) {
  return Fail(Code::kInternal, "pkcs11-provider could not sign", std::string(call) + ": " + TakeErrors());
}

Result<std::vector<KeyPtr>> LoadPrivateKeys(OSSL_LIB_CTX* context, const std::string& uri) {
  const std::unique_ptr<OSSL_STORE_CTX, Deleter<OSSL_STORE_close>> store(
      OSSL_STORE_open_ex(uri.c_str(), context, "provider=pkcs11", nullptr, nullptr, nullptr, nullptr, nullptr));
  if (!store) {
    return ProviderError("OSSL_STORE_open_ex");
  }
  std::vector<KeyPtr> keys;
  while (OSSL_STORE_eof(store.get()) == 0) {
    const std::unique_ptr<OSSL_STORE_INFO, Deleter<OSSL_STORE_INFO_free>> info(OSSL_STORE_load(store.get()));
    if (info && OSSL_STORE_INFO_get_type(info.get()) == OSSL_STORE_INFO_PKEY) {
      keys.emplace_back(OSSL_STORE_INFO_get1_PKEY(info.get()));
    }
  }
  if (keys.empty()) {
    return ProviderError("OSSL_STORE_load");
  }
  return keys;
}

}  // namespace

Result<Pkcs11Provider> Pkcs11Provider::Load(const std::string& module_path, const std::string& init_args) {
  ContextPtr context(OSSL_LIB_CTX_new());
  const std::unique_ptr<CONF, Deleter<NCONF_free>> conf(NCONF_new_ex(context.get(), nullptr));
  const auto text = ProviderConfiguration(module_path, init_args);
  const BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  long line = 0;
  if (!ForbidPrompts() || !context || !conf || !bio || NCONF_load_bio(conf.get(), bio.get(), &line) != 1 ||
      CONF_modules_load(conf.get(), nullptr, 0) <= 0 || OSSL_PROVIDER_available(context.get(), "pkcs11") != 1) {
    return Fail(Code::kModuleUnusable, "OpenSSL cannot load its provider 'pkcs11': install pkcs11-provider",
                "CONF_modules_load: " + TakeErrors());
  }
  return Pkcs11Provider(std::move(context), EndsOnlyItsOwnList(module_path));
}

Result<Bytes> Pkcs11Provider::Sign(const std::string& uri, const Algorithm& algorithm, BytesView octets,
                                   const Verifier& verifier) const {
  ASSIGN_OR_RETURN(const auto keys, LoadPrivateKeys(context_.get(), uri));
  auto signature = Result<Bytes>(Fail(Code::kInternal, "pkcs11-provider could not sign"));
  for (const auto& key : keys) {
    signature = SignWith(key.get(), algorithm, octets);
    if (signature && verifier.VerifyX509(octets, *signature)) {
      return signature;
    }
  }
  return signature ? Fail(Code::kInternal, "pkcs11-provider made a wrong signature",
                          "EVP_DigestSign: the signature does not verify with the public key")
                   : signature;
}

Result<Bytes> Pkcs11Provider::SignWith(EVP_PKEY* key, const Algorithm& algorithm, BytesView octets) const {
  const SigningContextPtr signing(EVP_MD_CTX_new());
  const std::string digest(algorithm.digest == nullptr ? "" : algorithm.digest->name);
  EVP_PKEY_CTX* parameters = nullptr;
  if (!signing ||
      EVP_DigestSignInit_ex(signing.get(), &parameters, digest.empty() ? nullptr : digest.c_str(), context_.get(),
                            nullptr, key, nullptr) != 1 ||
      !Prepare(parameters, algorithm)) {
    return ProviderError("EVP_DigestSignInit_ex");
  }
  std::size_t size = 0;
  if (EVP_DigestSign(signing.get(), nullptr, &size, octets.data(), octets.size()) != 1) {
    return ProviderError("EVP_DigestSign");
  }
  Bytes signature(size);
  if (EVP_DigestSign(signing.get(), signature.data(), &size, octets.data(), octets.size()) != 1) {
    return ProviderError("EVP_DigestSign");
  }
  signature.resize(size);
  return signature;
}

}  // namespace assertion::x509
