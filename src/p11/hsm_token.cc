#include "p11/hsm_token.h"

#include <p11-kit/uri.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "p11/attribute.h"
#include "p11/custody_trial.h"
#include "p11/hsm_signing_session.h"
#include "p11/key_import.h"
#include "p11/key_pair.h"
#include "p11/objects.h"
#include "p11/token_contents.h"

namespace assertion::p11 {
namespace {

// Sets the epoch in which the objects were read.
void SetEpoch(auto& objects, unsigned epoch) {
  for (auto& object : objects) {
    object.handle.epoch = epoch;
  }
}

}  // namespace

Result<std::unique_ptr<HsmToken>> HsmToken::LogIn(std::shared_ptr<Module> module, TokenInfo info,
                                                  const std::string& pin_path, const std::string& state_directory,
                                                  const std::string& lock_directory, AttributeNames accept_unshown) {
  const auto slot = info.slot;
  ASSIGN_OR_RETURN(auto login, Login::LogIn(module, std::move(info), pin_path, state_directory));
  ASSIGN_OR_RETURN(auto mechanisms, SigningMechanisms::Read(*module, slot));
  return std::unique_ptr<HsmToken>(new HsmToken(std::move(module), std::move(login), mechanisms,
                                                lock_directory.empty() ? state_directory + "/lock" : lock_directory,
                                                std::move(accept_unshown)));
}

std::shared_ptr<void> HsmToken::Hold() { return Module::Hold(module_); }

Status HsmToken::Check() { return login_->Check(); }

Status HsmToken::Reconnect(Reconnection how) { return login_->Reconnect(how); }

std::chrono::steady_clock::time_point HsmToken::HeldUntil() const {
  return std::max(module_->ObjectsOf(login_->info().slot).HeldReadersUntil(), login_->HeldUntil());
}

bool HsmToken::IsChanging() const { return module_->ObjectsOf(login_->info().slot).IsWriting(); }

std::string HsmToken::MechanismOf(const Algorithm& algorithm) const {
  const auto* found = mechanisms_->Find(algorithm);
  return found == nullptr ? "" : std::string(found->mechanism.name);
}

Result<TokenContents> HsmToken::Read(const std::set<std::string, std::less<>>& labels, const std::set<Bytes>& ids) {
  ASSIGN_OR_RETURN(auto session, login_->OpenSession(0));
  const auto epoch = login_->epoch();
  auto contents = RetryWhileObjectsVanish([&] { return ReadTokenContents(session, labels, ids); });
  if (contents) {
    for (auto& key : contents->keys) {
      key.private_key.epoch = epoch;
      MarkAccepted(key.attributes, accept_unshown_);
    }
    SetEpoch(contents->public_keys, epoch);
    SetEpoch(contents->certificates, epoch);
    SetEpoch(contents->unguarded, epoch);
  }
  return contents;
}

Result<std::vector<ListedObject>> HsmToken::List(std::span<const std::string_view> applications) {
  ASSIGN_OR_RETURN(auto session, login_->OpenSession(0));
  const auto epoch = login_->epoch();
  auto objects = RetryWhileObjectsVanish([&] { return ListObjectsAndPublicData(session, applications); });
  if (objects) {
    SetEpoch(*objects, epoch);
  }
  return objects;
}

Result<TokenKey> HsmToken::GenerateKeyPair(const NewKey& key) {
  if (!Supports(*key.algorithm)) {
    return Fail(Code::kFailedPrecondition, "algorithm: the HSM makes no keys for " + std::string(key.algorithm->name) +
                                               "; it makes them for " + mechanisms_->Names());
  }
  RETURN_IF_ERROR(CheckCustody(*key.algorithm));
  ASSIGN_OR_RETURN(auto session, login_->OpenSession(CKF_RW_SESSION));
  const auto epoch = login_->epoch();
  const auto& type = key.algorithm->key_type();
  ASSIGN_OR_RETURN(auto birth, GenerateTokenKey(session, key, LearntOf(type).left_out, accept_unshown_));
  birth.key.not_asked = CustodyAttributeNames(birth.left_out);
  {
    const MutexLock lock(learnt_mutex_);
    learnt_[&type].left_out = std::move(birth.left_out);
  }
  birth.key.private_key.epoch = epoch;
  return std::move(birth.key);
}

Result<TokenKey> HsmToken::ImportKeyPair(const NewKey& key, const PrivateKey& private_key) {
  if (MechanismOf(*key.algorithm).empty()) {
    return Fail(Code::kFailedPrecondition,
                "algorithm: the HSM has no mechanism that signs for " + std::string(key.algorithm->name));
  }
  ASSIGN_OR_RETURN(const auto trial, TryCustody(*key.algorithm));
  RETURN_IF_ERROR(CheckTrial(trial, accept_unshown_));
  ASSIGN_OR_RETURN(auto session, login_->OpenSession(CKF_RW_SESSION));
  const auto epoch = login_->epoch();
  ASSIGN_OR_RETURN(auto birth, ImportTokenKey(session, key, private_key, accept_unshown_));
  birth.key.not_asked = CustodyAttributeNames(birth.left_out);
  birth.key.private_key.epoch = epoch;
  return std::move(birth.key);
}

HsmToken::Learnt HsmToken::LearntOf(const KeyType& type) const {
  const MutexLock lock(learnt_mutex_);
  const auto found = learnt_.find(&type);
  return found == learnt_.end() ? Learnt() : found->second;
}

Result<CustodyTrial> HsmToken::TryCustody(const Algorithm& algorithm) {
  const auto& type = algorithm.key_type();
  const MutexLock alone(trial_mutex_);
  auto learnt = LearntOf(type);
  if (!learnt.trial) {
    {
      ASSIGN_OR_RETURN(auto session, login_->OpenSession(CKF_RW_SESSION));
      ASSIGN_OR_RETURN(auto uses, login_->OpenSession(CKF_RW_SESSION));
      ASSIGN_OR_RETURN(auto tried, p11::TryCustody(session, uses, algorithm, learnt.left_out));
      learnt = {.left_out = std::move(tried.left_out), .trial = std::move(tried.trial)};
      const MutexLock lock(learnt_mutex_);
      learnt_[&type] = learnt;
    }
    if (module_->faults().spoils_handles) {
      // At a start. During a change of keys it is not reloaded, and its handles are compared with what they show.
      static_cast<void>(login_->Reconnect(Reconnection::kReload));
    }
  }
  return std::move(*learnt.trial);
}

Status HsmToken::CheckCustody(const Algorithm& algorithm) {
  if (!Supports(algorithm)) {
    return {};
  }
  ASSIGN_OR_RETURN(const auto trial, TryCustody(algorithm));
  return CheckTrial(trial, accept_unshown_);
}

Status HsmToken::StoreCertificate(std::string_view label, BytesView id, BytesView subject, BytesView der) {
  ASSIGN_OR_RETURN(auto session, login_->OpenSession(CKF_RW_SESSION));
  return StoreCertificateObject(session, label, id, subject, der);
}

Status HsmToken::SetLabel(BytesView id, std::string_view label) {
  ASSIGN_OR_RETURN(auto session, login_->OpenSession(CKF_RW_SESSION));
  return LabelKeyObjects(session, id, label);
}

Status HsmToken::DestroyKey(BytesView id) {
  ASSIGN_OR_RETURN(auto session, login_->OpenSession(CKF_RW_SESSION));
  return DestroyKeyObjects(session, id);
}

Status HsmToken::DestroyObject(ObjectHandle object) {
  RETURN_IF_ERROR(Check());  // while the login stands a handle means the same object
  if (object.epoch != login_->epoch()) {
    return Fail(Code::kUnavailable, "the HSM was reconnected; try again",
                "C_DestroyObject: the handle is from before the reconnection");
  }
  ASSIGN_OR_RETURN(auto session, login_->OpenSession(CKF_RW_SESSION));
  return session.Destroy(object.value);
}

Result<std::vector<TokenData>> HsmToken::FindData(std::string_view application, std::string_view label) {
  ASSIGN_OR_RETURN(auto session, login_->OpenSession(0));
  const auto epoch = login_->epoch();
  auto objects = RetryWhileObjectsVanish([&] { return FindDataObjects(session, application, label); });
  if (objects) {
    SetEpoch(*objects, epoch);
  }
  return objects;
}

Status HsmToken::StoreData(std::string_view application, std::string_view label, std::string_view value) {
  ASSIGN_OR_RETURN(auto session, login_->OpenSession(CKF_RW_SESSION));
  return StoreDataObject(session, application, label, value);
}

AttributeNames HsmToken::not_asked() const {
  AttributeNames names;
  const MutexLock lock(learnt_mutex_);
  for (const auto& [type, learnt] : learnt_) {
    names.merge(CustodyAttributeNames(learnt.left_out));
  }
  return names;
}

std::map<std::string_view, CustodyTrial> HsmToken::trials() const {
  std::map<std::string_view, CustodyTrial> trials;
  const MutexLock lock(learnt_mutex_);
  for (const auto& [type, learnt] : learnt_) {
    if (learnt.trial) {
      trials.emplace(type->name, *learnt.trial);
    }
  }
  return trials;
}

TokenDescription HsmToken::Describe() const {
  static constexpr std::array kFlags = {
      std::pair{CKF_RNG, "CKF_RNG"},
      std::pair{CKF_WRITE_PROTECTED, "CKF_WRITE_PROTECTED"},
      std::pair{CKF_LOGIN_REQUIRED, "CKF_LOGIN_REQUIRED"},
      std::pair{CKF_USER_PIN_INITIALIZED, "CKF_USER_PIN_INITIALIZED"},
      std::pair{CKF_PROTECTED_AUTHENTICATION_PATH, "CKF_PROTECTED_AUTHENTICATION_PATH"},
      std::pair{CKF_DUAL_CRYPTO_OPERATIONS, "CKF_DUAL_CRYPTO_OPERATIONS"},
      std::pair{CKF_TOKEN_INITIALIZED, "CKF_TOKEN_INITIALIZED"},
      std::pair{CKF_USER_PIN_FINAL_TRY, "CKF_USER_PIN_FINAL_TRY"},
      std::pair{CKF_USER_PIN_LOCKED, "CKF_USER_PIN_LOCKED"},
      std::pair{CKF_USER_PIN_TO_BE_CHANGED, "CKF_USER_PIN_TO_BE_CHANGED"},
  };
  const auto info = login_->info();
  TokenDescription description{.label = info.label,
                               .manufacturer = info.manufacturer,
                               .model = info.model,
                               .serial = info.serial,
                               .firmware = info.firmware,
                               .module = module_->Name(),
                               .flags = {},
                               .not_asked = not_asked(),
                               .trials = trials(),
                               .accepts_unproven_custody = accept_unshown_.contains(kCustody)};
  for (const auto& [flag, name] : kFlags) {
    if ((info.flags & flag) != 0) {
      description.flags.emplace_back(name);
    }
  }
  return description;
}

Result<PrivateKeyReference> HsmToken::PrivateKeyOf(BytesView id) {
  const std::unique_ptr<P11KitUri, decltype(&p11_kit_uri_free)> uri(p11_kit_uri_new(), p11_kit_uri_free);
  *p11_kit_uri_get_token_info(uri.get()) = login_->info().raw;
  const CK_OBJECT_CLASS object_class = CKO_PRIVATE_KEY;
  auto with_class = Attribute(CKA_CLASS, object_class);
  auto with_id = Attribute(CKA_ID, id);
  char* text = nullptr;
  if (p11_kit_uri_set_attribute(uri.get(), &with_class) != P11_KIT_URI_OK ||
      p11_kit_uri_set_attribute(uri.get(), &with_id) != P11_KIT_URI_OK ||
      p11_kit_uri_format(uri.get(), P11_KIT_URI_FOR_OBJECT_ON_TOKEN, &text) != P11_KIT_URI_OK) {
    return Fail(Code::kInternal, "the key's PKCS#11 URI cannot be written", "p11_kit_uri_format");
  }
  struct Hold {
    Hold(const Module& module, CK_SLOT_ID slot) : use(module.Enter()), reading(module.ObjectsOf(slot)) {}
    Module::Use use;
    ObjectGate::Reader reading;
  };
  auto hold = std::make_shared<Hold>(
      *module_, login_->info().slot);  // before the generation is read, which cannot change from here on
  PrivateKeyReference reference{.uri = text, .generation = module_->generation(), .hold = std::move(hold)};
  std::free(text);
  return reference;
}

Result<std::unique_ptr<SigningSession>> HsmToken::OpenSigningSession() {
  ASSIGN_OR_RETURN(auto session, login_->OpenSession(0));
  return std::make_unique<HsmSigningSession>(std::move(session), mechanisms_);
}

}  // namespace assertion::p11
