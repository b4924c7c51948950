#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "assertion/v1/key_admin.grpc.pb.h"
#include "keys/key_ring.h"
#include "policy/policy.h"

namespace assertion::service {

using RawKeyAdminService = v1::KeyAdminService::WithRawCallbackMethod_GenerateKey<
    v1::KeyAdminService::WithRawCallbackMethod_ListKeys<v1::KeyAdminService::Service>>;

// assertion.v1.KeyAdminService. Changes run one after the other on a thread of their own: making a key takes seconds,
// and gRPC's threads are the callers'. The core must outlive it.
class KeyAdminService final : public RawKeyAdminService {
 public:
  KeyAdminService(const Policy& policy, KeyRing& keys);
  ~KeyAdminService() override;
  KeyAdminService(const KeyAdminService&) = delete;
  KeyAdminService& operator=(const KeyAdminService&) = delete;

  grpc::ServerUnaryReactor* GenerateKey(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ListKeys(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;

 private:
  Result<GenerateKeyRequest> Vet(const grpc::CallbackServerContext& context, const grpc::ByteBuffer& wire) const;
  Status Enqueue(std::move_only_function<void()> change);
  void Work();

  const Policy& policy_;
  KeyRing& keys_;
  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<std::move_only_function<void()>> changes_;
  bool closing_ = false;
  std::jthread worker_;
};

}  // namespace assertion::service
