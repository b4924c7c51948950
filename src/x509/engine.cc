#define OPENSSL_SUPPRESS_DEPRECATED  // gRPC knows no other way to a key in a token
#include "x509/engine.h"

#include <openssl/engine.h>
#include <openssl/rsa.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>

namespace assertion::x509 {
namespace {

// libp11's engine, which nobody finds by a name. Older versions bring their methods at once, newer ones with the first
// key that they load.
struct Loader {
  ENGINE* engine = nullptr;
  std::mutex loading;
};

std::mutex loaders_mutex;
std::atomic<const Loader*> newest = nullptr;  // the epochs of all others are over, and with them their sessions

// By the name of the engine that loads its keys with it. Never freed: keys live as long as they like.
std::map<std::string, Loader, std::less<>>& Loaders() {
  static auto& loaders = *new std::map<std::string, Loader, std::less<>>;
  return loaders;
}

Loader* FindLoader(const char* engine_id) {
  const std::lock_guard lock(loaders_mutex);
  const auto found = Loaders().find(engine_id);
  return found == Loaders().end() ? nullptr : &found->second;
}

using Encrypt = int (*)(int size, const unsigned char* from, unsigned char* to, RSA* rsa, int padding);
std::atomic<Encrypt> libp11_encrypt = nullptr;

int LoaderIndex() {
  static const int index = RSA_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

int EncryptWhileTheEpochLasts(int size, const unsigned char* from, unsigned char* to, RSA* rsa, int padding) {
  const auto* const loader = static_cast<const Loader*>(RSA_get_ex_data(rsa, LoaderIndex()));
  return loader != nullptr && loader != newest ? -1 : libp11_encrypt.load()(size, from, to, rsa, padding);
}

// libp11 0.4.13 forgets its keys when it finds its sessions ended, but not that it has: what signs with one after that
// reads freed memory. So keys of an epoch that is over do not get there any more. The method is libp11's own copy.
void SignWhileTheEpochLasts(EVP_PKEY* key, Loader& loader) {
  RSA* const rsa = const_cast<RSA*>(EVP_PKEY_get0_RSA(key));
  if (rsa == nullptr || RSA_get_method(rsa) == RSA_get_default_method() ||
      RSA_set_ex_data(rsa, LoaderIndex(), &loader) != 1) {
    return;
  }
  auto* const method = const_cast<RSA_METHOD*>(RSA_get_method(rsa));
  static std::mutex replacing;
  const std::lock_guard lock(replacing);
  if (const auto present = RSA_meth_get_priv_enc(method); present != EncryptWhileTheEpochLasts) {
    libp11_encrypt = present;
    RSA_meth_set_priv_enc(method, EncryptWhileTheEpochLasts);
  }
}

EVP_PKEY* LoadKey(ENGINE* engine, const char* uri, UI_METHOD* ui, void* ui_data) {
  Loader* const loader = FindLoader(ENGINE_get_id(engine));
  if (loader == nullptr) {
    return nullptr;
  }
  const std::lock_guard lock(loader->loading);
  EVP_PKEY* const key = ENGINE_get_load_privkey_function(loader->engine)(loader->engine, uri, ui, ui_data);
  if (key != nullptr) {
    SignWhileTheEpochLasts(key, *loader);
  }
  return key;
}

// A second engine like libp11's own, with a context, and so sessions, of its own; not in OpenSSL's list.
ENGINE* NewLoader(const ENGINE* libp11) {
  ENGINE* engine = ENGINE_new();
  const bool made = engine != nullptr && ENGINE_set_id(engine, ENGINE_get_id(libp11)) == 1 &&
                    ENGINE_set_name(engine, ENGINE_get_name(libp11)) == 1 &&
                    ENGINE_set_init_function(engine, ENGINE_get_init_function(libp11)) == 1 &&
                    ENGINE_set_finish_function(engine, ENGINE_get_finish_function(libp11)) == 1 &&
                    ENGINE_set_load_privkey_function(engine, ENGINE_get_load_privkey_function(libp11)) == 1 &&
                    ENGINE_set_pkey_meths(engine, ENGINE_get_pkey_meths(libp11)) == 1 && ENGINE_init(engine) == 1;
  if (!made) {
    ENGINE_free(engine);
    return nullptr;
  }
  return engine;
}

}  // namespace

Result<std::string> LoadEngineForKeysOnly(unsigned epoch) {
  const std::lock_guard lock(loaders_mutex);
  const auto [entry, is_new] = Loaders().try_emplace("pkcs11-" + std::to_string(epoch));
  if (!is_new) {
    return entry->first;
  }
  ENGINE_load_dynamic();
  const ENGINE* libp11 = ENGINE_by_id("pkcs11");  // in OpenSSL's list from now on; never freed
  if (libp11 == nullptr) {
    Loaders().erase(entry);
    return Fail(Code::kTlsUnusable, "OpenSSL cannot load its engine 'pkcs11': install libengine-pkcs11-openssl",
                "ENGINE_by_id: " + TakeErrors());
  }
  const char* name = entry->first.c_str();  // OpenSSL keeps the pointer
  entry->second.engine = NewLoader(libp11);
  ENGINE* engine = ENGINE_new();
  const bool added = entry->second.engine != nullptr && engine != nullptr && ENGINE_set_id(engine, name) == 1 &&
                     ENGINE_set_name(engine, ENGINE_get_name(libp11)) == 1 &&
                     ENGINE_set_load_privkey_function(engine, LoadKey) == 1 && ENGINE_add(engine) == 1;
  if (!added) {
    Loaders().erase(entry);
    return Fail(Code::kTlsUnusable, "OpenSSL's engine 'pkcs11' cannot be used", "ENGINE_add: " + TakeErrors());
  }
  newest = &entry->second;
  return entry->first;
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
