#define OPENSSL_SUPPRESS_DEPRECATED  // gRPC knows no other way to a key in a token
#include "x509/engine.h"

#include <openssl/engine.h>

namespace assertion::x509 {
namespace {

ENGINE_PKEY_METHS_PTR all_methods = nullptr;  // set once, before any thread

// The engine's methods for a key that it loaded itself; to the question which kinds of key it takes over: none.
int MethodsOfItsKeys(ENGINE* engine, EVP_PKEY_METHOD** method, const int** kinds, int kind) {
  if (method == nullptr) {
    static constexpr int kNone = 0;
    *kinds = &kNone;
    return 0;
  }
  return all_methods(engine, method, kinds, kind);
}

}  // namespace

Status LoadEngineForKeysOnly() {
  ENGINE_load_dynamic();
  ENGINE* engine = ENGINE_by_id("pkcs11");  // now in OpenSSL's list, where gRPC finds it; never freed
  if (engine == nullptr) {
    return Fail(Code::kTlsUnusable, "OpenSSL cannot load its engine 'pkcs11': install libengine-pkcs11-openssl",
                "ENGINE_by_id: " + TakeErrors());
  }
  if (ENGINE_get_pkey_meths(engine) != MethodsOfItsKeys) {
    all_methods = ENGINE_get_pkey_meths(engine);
  }
  const bool emptied = ENGINE_set_RSA(engine, nullptr) == 1 && ENGINE_set_EC(engine, nullptr) == 1 &&
                       ENGINE_set_pkey_asn1_meths(engine, nullptr) == 1 && all_methods != nullptr &&
                       ENGINE_set_pkey_meths(engine, MethodsOfItsKeys) == 1;
  return emptied ? Status() : Fail(Code::kTlsUnusable, "OpenSSL's engine 'pkcs11' cannot be used", "ENGINE_set_RSA");
}

Result<KeyPtr> LoadEngineKey(const std::string& uri) {
  const std::unique_ptr<ENGINE, Deleter<ENGINE_free>> engine(ENGINE_by_id("pkcs11"));
  if (!engine || ENGINE_init(engine.get()) != 1) {
    return Fail(Code::kTlsUnusable, "OpenSSL's engine 'pkcs11' cannot be used", "ENGINE_init: " + TakeErrors());
  }
  KeyPtr key(ENGINE_load_private_key(engine.get(), uri.c_str(), nullptr, nullptr));
  ENGINE_finish(engine.get());  // a key keeps its engine itself
  if (!key) {
    return Fail(Code::kTlsUnusable, "OpenSSL's engine 'pkcs11' does not find the TLS key in the token",
                "ENGINE_load_private_key: " + TakeErrors());
  }
  return key;
}

}  // namespace assertion::x509
