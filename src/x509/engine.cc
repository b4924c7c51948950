#define OPENSSL_SUPPRESS_DEPRECATED  // gRPC knows no other way to a key in a token
#include "x509/engine.h"

#include <openssl/engine.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <set>

namespace assertion::x509 {
namespace {

std::atomic<ENGINE_PKEY_METHS_PTR> all_methods = nullptr;  // the same for every engine of libp11

// The engine's methods for a key that it loaded itself; to the question which kinds of key it takes over: none.
int MethodsOfItsKeys(ENGINE* engine, EVP_PKEY_METHOD** method, const int** kinds, int kind) {
  if (method == nullptr) {
    static constexpr int kNone = 0;
    *kinds = &kNone;
    return 0;
  }
  return all_methods.load()(engine, method, kinds, kind);
}

}  // namespace

Result<std::string> LoadEngineForKeysOnly(unsigned epoch) {
  static std::set<std::string, std::less<>> names;  // OpenSSL keeps pointers to them
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  auto name = "pkcs11-" + std::to_string(epoch);
  if (names.contains(name)) {
    return name;
  }
  ENGINE_load_dynamic();
  const ENGINE* libp11 = ENGINE_by_id("pkcs11");  // in OpenSSL's list from now on; never freed
  if (libp11 == nullptr) {
    return Fail(Code::kTlsUnusable, "OpenSSL cannot load its engine 'pkcs11': install libengine-pkcs11-openssl",
                "ENGINE_by_id: " + TakeErrors());
  }
  all_methods = ENGINE_get_pkey_meths(libp11);
  ENGINE* engine = ENGINE_new();
  const bool added = engine != nullptr && all_methods != nullptr &&
                     ENGINE_set_id(engine, names.insert(name).first->c_str()) == 1 &&
                     ENGINE_set_name(engine, ENGINE_get_name(libp11)) == 1 &&
                     ENGINE_set_init_function(engine, ENGINE_get_init_function(libp11)) == 1 &&
                     ENGINE_set_finish_function(engine, ENGINE_get_finish_function(libp11)) == 1 &&
                     ENGINE_set_ctrl_function(engine, ENGINE_get_ctrl_function(libp11)) == 1 &&
                     ENGINE_set_load_privkey_function(engine, ENGINE_get_load_privkey_function(libp11)) == 1 &&
                     ENGINE_set_pkey_meths(engine, MethodsOfItsKeys) == 1 && ENGINE_add(engine) == 1;
  if (!added) {
    names.erase(name);
    return Fail(Code::kTlsUnusable, "OpenSSL's engine 'pkcs11' cannot be used", "ENGINE_add: " + TakeErrors());
  }
  return name;
}

Result<KeyPtr> LoadEngineKey(const std::string& engine_id, const std::string& uri) {
  const std::unique_ptr<ENGINE, Deleter<ENGINE_free>> engine(ENGINE_by_id(engine_id.c_str()));
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
