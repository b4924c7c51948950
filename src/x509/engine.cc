#define OPENSSL_SUPPRESS_DEPRECATED  // gRPC knows no other way to a key in a token
#include "x509/engine.h"

#include <openssl/engine.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

namespace assertion::x509 {
namespace {

using RsaPtr = std::unique_ptr<RSA, Deleter<RSA_free>>;

constexpr const char* kEngine = "assertiond";

void FreeOperation(void* /*parent*/, void* operation, CRYPTO_EX_DATA* /*data*/, int /*index*/, long /*argl*/,
                   void* /*argp*/) {
  delete static_cast<RsaOperation*>(operation);
}

int OperationIndex() {
  static const int index = RSA_get_ex_new_index(0, nullptr, nullptr, nullptr, FreeOperation);
  return index;
}

// The block that OpenSSL wants signed; empty: none.
Bytes Padded(BytesView from, std::size_t size, int padding) {
  if (padding == RSA_NO_PADDING) {  // RSASSA-PSS: padded by OpenSSL
    return from.size() == size ? Bytes(from.begin(), from.end()) : Bytes();
  }
  Bytes block(size);
  const bool done =
      padding == RSA_PKCS1_PADDING && RSA_padding_add_PKCS1_type_1(block.data(), static_cast<int>(size), from.data(),
                                                                   static_cast<int>(from.size())) == 1;
  return done ? block : Bytes();
}

// RSA_METHOD's rsa_priv_enc: the octets written, or -1.
int Sign(int size, const unsigned char* from, unsigned char* to, RSA* rsa, int padding) {
  const auto* const operation = static_cast<const RsaOperation*>(RSA_get_ex_data(rsa, OperationIndex()));
  const auto modulus = static_cast<std::size_t>(RSA_size(rsa));
  const auto block = Padded({from, static_cast<std::size_t>(size)}, modulus, padding);
  if (operation == nullptr || block.empty()) {
    return -1;
  }
  const auto signature = (*operation)(block);
  if (!signature || signature->size() != modulus) {
    return -1;
  }
  // A faulty signature of RSA-CRT would give the key away.
  Bytes opened(modulus);
  if (RSA_public_decrypt(static_cast<int>(modulus), signature->data(), opened.data(), rsa, RSA_NO_PADDING) !=
          static_cast<int>(modulus) ||
      opened != block) {
    return -1;
  }
  std::ranges::copy(*signature, to);
  return static_cast<int>(modulus);
}

int Refuse(int /*size*/, const unsigned char* /*from*/, unsigned char* /*to*/, RSA* /*rsa*/, int /*padding*/) {
  return -1;
}

const RSA_METHOD* Method() {
  static const RSA_METHOD* const method = [] {
    RSA_METHOD* const made = RSA_meth_dup(RSA_PKCS1_OpenSSL());
    if (made != nullptr) {
      RSA_meth_set1_name(made, "a key in a token");
      RSA_meth_set_flags(made, RSA_meth_get_flags(made) | RSA_METHOD_FLAG_NO_CHECK | RSA_FLAG_EXT_PKEY);
      RSA_meth_set_priv_enc(made, Sign);
      RSA_meth_set_priv_dec(made, Refuse);
    }
    return made;
  }();
  return method;
}

BignumPtr Number(const Bytes& octets) {
  return BignumPtr(BN_bin2bn(octets.data(), static_cast<int>(octets.size()), nullptr));
}

std::mutex published_mutex;

// By name. Never freed: gRPC loads them when it likes.
std::map<std::string, KeyPtr, std::less<>>& Published() {
  static auto& published = *new std::map<std::string, KeyPtr, std::less<>>;
  return published;
}

EVP_PKEY* Load(ENGINE* /*engine*/, const char* name, UI_METHOD* /*ui*/, void* /*ui_data*/) {
  const std::lock_guard lock(published_mutex);
  const auto found = Published().find(name);
  if (found == Published().end() || EVP_PKEY_up_ref(found->second.get()) != 1) {
    return nullptr;
  }
  return found->second.get();
}

std::unexpected<Error> Unusable(const char* call) {
  return Fail(Code::kTlsUnusable, "OpenSSL does not take a key that is in a token",
              std::string(call) + ": " + TakeErrors());
}

Status AddEngine() {
  static const bool added = [] {
    ENGINE* const engine = ENGINE_new();
    return engine != nullptr && ENGINE_set_id(engine, kEngine) == 1 &&
           ENGINE_set_name(engine, "keys that stay in their token") == 1 &&
           ENGINE_set_load_privkey_function(engine, Load) == 1 && ENGINE_add(engine) == 1;
  }();
  return added ? Status() : Unusable("ENGINE_add");
}

}  // namespace

Result<KeyPtr> NewRemoteKey(const RsaPublicKey& public_key, RsaOperation sign) {
  RsaPtr rsa(RSA_new());
  if (!rsa || Method() == nullptr || RSA_set_method(rsa.get(), Method()) != 1) {
    return Unusable("RSA_set_method");
  }
  auto modulus = Number(public_key.modulus);
  auto exponent = Number(public_key.exponent);
  if (!modulus || !exponent || RSA_set0_key(rsa.get(), modulus.get(), exponent.get(), nullptr) != 1) {
    return Unusable("RSA_set0_key");
  }
  static_cast<void>(modulus.release());
  static_cast<void>(exponent.release());
  auto operation = std::make_unique<RsaOperation>(std::move(sign));
  if (RSA_set_ex_data(rsa.get(), OperationIndex(), operation.get()) != 1) {
    return Unusable("RSA_set_ex_data");
  }
  static_cast<void>(operation.release());
  KeyPtr key(EVP_PKEY_new());
  if (!key || EVP_PKEY_set1_RSA(key.get(), rsa.get()) != 1) {
    return Unusable("EVP_PKEY_set1_RSA");
  }
  return key;
}

Result<std::string> PublishKey(const KeyPtr& key) {
  if (auto added = AddEngine(); !added) {
    return std::unexpected(added.error());
  }
  const std::lock_guard lock(published_mutex);
  if (EVP_PKEY_up_ref(key.get()) != 1) {
    return Unusable("EVP_PKEY_up_ref");
  }
  auto name = std::to_string(Published().size() + 1);
  Published().emplace(name, key.get());
  return "engine:" + std::string(kEngine) + ":" + name;
}

}  // namespace assertion::x509
