#pragma once

#include "assertion/token.h"

namespace assertion {

// Forwards every call to the real token. Derived classes change single calls.
class WrappedToken : public Token {
 public:
  explicit WrappedToken(Token& real) : real_(real) {}

  using Token::Read;
  Result<TokenContents> Read(const std::set<std::string, std::less<>>& labels, const std::set<Bytes>& ids) override {
    return real_.Read(labels, ids);
  }
  Result<std::vector<ListedObject>> List(std::span<const std::string_view> applications) override {
    return real_.List(applications);
  }
  Result<TokenKey> GenerateKeyPair(const NewKey& key) override { return real_.GenerateKeyPair(key); }
  Result<TokenKey> ImportKeyPair(const NewKey& key, const PrivateKey& private_key) override {
    return real_.ImportKeyPair(key, private_key);
  }
  Status CheckCustody(const Algorithm& algorithm) override { return real_.CheckCustody(algorithm); }
  Status StoreCertificate(std::string_view label, BytesView id, BytesView subject, BytesView der) override {
    return real_.StoreCertificate(label, id, subject, der);
  }
  Status SetLabel(BytesView id, std::string_view label) override { return real_.SetLabel(id, label); }
  Status DestroyKey(BytesView id) override { return real_.DestroyKey(id); }
  Status DestroyObject(ObjectHandle object) override { return real_.DestroyObject(object); }
  Result<std::vector<TokenData>> FindData(std::string_view application, std::string_view label) override {
    return real_.FindData(application, label);
  }
  Status StoreData(std::string_view application, std::string_view label, std::string_view value) override {
    return real_.StoreData(application, label, value);
  }
  Result<PrivateKeyReference> PrivateKeyOf(BytesView id) override { return real_.PrivateKeyOf(id); }
  TokenDescription Describe() const override { return real_.Describe(); }
  const std::string& lock_directory() const override { return real_.lock_directory(); }
  std::string MechanismOf(const Algorithm& algorithm) const override { return real_.MechanismOf(algorithm); }
  Result<std::unique_ptr<SigningSession>> OpenSigningSession() override { return real_.OpenSigningSession(); }
  Status Check() override { return real_.Check(); }
  std::chrono::steady_clock::time_point HeldUntil() const override { return real_.HeldUntil(); }
  bool IsChanging() const override { return real_.IsChanging(); }
  unsigned Epoch() const override { return real_.Epoch(); }
  std::shared_ptr<void> Hold() override { return real_.Hold(); }
  Status Reconnect(Reconnection how) override { return real_.Reconnect(how); }

 private:
  Token& real_;
};

// Reports every data object as not private, as a token without private data objects does.
class PublicDataToken final : public WrappedToken {
 public:
  using WrappedToken::WrappedToken;
  Result<std::vector<TokenData>> FindData(std::string_view application, std::string_view label) override {
    auto data = WrappedToken::FindData(application, label);
    if (data) {
      for (auto& object : *data) {
        object.is_private = false;
      }
    }
    return data;
  }
};

}  // namespace assertion
