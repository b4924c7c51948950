#define OPENSSL_SUPPRESS_DEPRECATED  // gRPC knows no other way to a key in a token
#include "x509/engine.h"

#include <openssl/engine.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "assertion/mutex.h"

namespace assertion::x509 {
namespace {

using RsaPtr = std::unique_ptr<RSA, Deleter<RSA_free>>;

constexpr const char* kEngine = "assertiond";

void FreeSigner(void* /*parent*/, void* signer, CRYPTO_EX_DATA* /*data*/, int /*index*/, long /*argl*/,
                void* /*argp*/) {
  delete static_cast<MessageSigner*>(signer);
}

int SignerIndex() {
  static const int index = RSA_get_ex_new_index(0, nullptr, nullptr, nullptr, FreeSigner);
  return index;
}

// Null: none that a token is asked for.
const Algorithm* AlgorithmOf(EVP_MD_CTX* context, EVP_PKEY_CTX* signing) {
  int padding = 0;
  int salt = RSA_PSS_SALTLEN_DIGEST;
  const auto* const digest = EVP_MD_CTX_get0_md(context);
  if (digest == nullptr || EVP_PKEY_CTX_get_rsa_padding(signing, &padding) != 1) {
    return nullptr;
  }
  const bool pss = padding == RSA_PKCS1_PSS_PADDING;
  if (pss ? EVP_PKEY_CTX_get_rsa_pss_saltlen(signing, &salt) != 1 || salt != RSA_PSS_SALTLEN_DIGEST
          : padding != RSA_PKCS1_PADDING) {
    return nullptr;
  }
  const auto* const found = std::ranges::find_if(kAlgorithms, [&](const Algorithm& each) {
    return each.curve == nullptr && each.padding == (pss ? Padding::kPss : Padding::kPkcs1) &&
           EVP_MD_is_a(digest, std::string(each.digest->name).c_str()) == 1;
  });
  return found == kAlgorithms.end() ? nullptr : found;
}

// EVP_PKEY_METHOD's digestsign: 1, or 0 when there is no signature.
int Sign(EVP_MD_CTX* context, unsigned char* signature, std::size_t* size, const unsigned char* message,
         std::size_t message_size) {
  EVP_PKEY_CTX* const signing = EVP_MD_CTX_get_pkey_ctx(context);
  EVP_PKEY* const key = EVP_PKEY_CTX_get0_pkey(signing);
  if (signature == nullptr) {
    *size = static_cast<std::size_t>(EVP_PKEY_get_size(key));
    return 1;
  }
  const auto* const sign = static_cast<const MessageSigner*>(RSA_get_ex_data(EVP_PKEY_get0_RSA(key), SignerIndex()));
  const auto* const algorithm = AlgorithmOf(context, signing);
  if (sign == nullptr || algorithm == nullptr) {
    return 0;
  }
  const auto made = (*sign)(*algorithm, {reinterpret_cast<const char*>(message), message_size});
  if (!made || made->size() > *size) {
    return 0;
  }
  std::ranges::copy(*made, signature);
  *size = made->size();
  return 1;
}

int Refuse(int /*size*/, const unsigned char* /*from*/, unsigned char* /*to*/, RSA* /*rsa*/, int /*padding*/) {
  return -1;
}

// Of the keys themselves: what does not come by digestsign is refused.
const RSA_METHOD* NeverSigns() {
  static const RSA_METHOD* const method = [] {
    RSA_METHOD* const made = RSA_meth_dup(RSA_PKCS1_OpenSSL());
    if (made != nullptr) {
      RSA_meth_set_priv_enc(made, Refuse);
      RSA_meth_set_priv_dec(made, Refuse);
    }
    return made;
  }();
  return method;
}

EVP_PKEY_METHOD* SigningMethod() {
  static EVP_PKEY_METHOD* const method = [] {
    EVP_PKEY_METHOD* const made = EVP_PKEY_meth_new(EVP_PKEY_RSA, EVP_PKEY_FLAG_AUTOARGLEN);
    const EVP_PKEY_METHOD* const usual = EVP_PKEY_meth_find(EVP_PKEY_RSA);
    if (made != nullptr && usual != nullptr) {
      EVP_PKEY_meth_copy(made, usual);
      EVP_PKEY_meth_set_digestsign(made, Sign);
    }
    return made;
  }();
  return method;
}

int FindMethod(ENGINE* /*engine*/, EVP_PKEY_METHOD** method, const int** types, int type) {
  static constexpr int kType = EVP_PKEY_RSA;
  if (method == nullptr) {
    *types = &kType;
    return 1;
  }
  *method = type == kType ? SigningMethod() : nullptr;
  return *method == nullptr ? 0 : 1;
}

// The engine that the keys sign with. It is not in OpenSSL's list, so that nothing else of the process uses it.
ENGINE* SigningEngine() {
  static ENGINE* const engine = [] {
    ENGINE* const made = ENGINE_new();
    const bool usable = made != nullptr && ENGINE_set_id(made, kEngine) == 1 &&
                        ENGINE_set_name(made, "signs in a token") == 1 && ENGINE_set_pkey_meths(made, FindMethod) == 1;
    return usable ? made : nullptr;
  }();
  return engine;
}

BignumPtr Number(const Bytes& octets) {
  return BignumPtr(BN_bin2bn(octets.data(), static_cast<int>(octets.size()), nullptr));
}

Mutex published_mutex;

// Keys by name. Never freed, because gRPC may load them at any time.
std::map<std::string, KeyPtr, std::less<>>& Published() REQUIRES(published_mutex) {
  static auto& published = *new std::map<std::string, KeyPtr, std::less<>>;
  return published;
}

EVP_PKEY* Load(ENGINE* /*engine*/, const char* name, UI_METHOD* /*ui*/, void* /*ui_data*/) {
  const MutexLock lock(published_mutex);
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

Result<KeyPtr> NewRemoteKey(const RsaPublicKey& public_key, MessageSigner sign) {
  RsaPtr rsa(RSA_new());
  if (!rsa || NeverSigns() == nullptr || RSA_set_method(rsa.get(), NeverSigns()) != 1) {
    return Unusable("RSA_set_method");
  }
  auto modulus = Number(public_key.modulus);
  auto exponent = Number(public_key.exponent);
  if (!modulus || !exponent || RSA_set0_key(rsa.get(), modulus.get(), exponent.get(), nullptr) != 1) {
    return Unusable("RSA_set0_key");
  }
  static_cast<void>(modulus.release());
  static_cast<void>(exponent.release());
  auto signer = std::make_unique<MessageSigner>(std::move(sign));
  if (RSA_set_ex_data(rsa.get(), SignerIndex(), signer.get()) != 1) {
    return Unusable("RSA_set_ex_data");
  }
  static_cast<void>(signer.release());
  KeyPtr key(EVP_PKEY_new());
  if (!key || EVP_PKEY_set1_RSA(key.get(), rsa.get()) != 1 || SigningEngine() == nullptr ||
      EVP_PKEY_set1_engine(key.get(), SigningEngine()) != 1) {
    return Unusable("EVP_PKEY_set1_engine");
  }
  return key;
}

Result<std::string> PublishKey(const KeyPtr& key) {
  RETURN_IF_ERROR(AddEngine());
  const MutexLock lock(published_mutex);
  if (EVP_PKEY_up_ref(key.get()) != 1) {
    return Unusable("EVP_PKEY_up_ref");
  }
  auto name = std::to_string(Published().size() + 1);
  Published().emplace(name, key.get());
  return "engine:" + std::string(kEngine) + ":" + name;
}

}  // namespace assertion::x509
