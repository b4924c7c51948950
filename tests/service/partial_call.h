#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>

namespace assertion::service {

// A unary call that sends its headers and never its message.
class PartialCall {
 public:
  PartialCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method) : stub_(channel) {
    call_ = stub_.PrepareCall(&context_, method, &queue_);
    call_->StartCall(nullptr);
    call_->Finish(&status_, &status_);
  }

  // The status that ends the call.
  grpc::Status Finish() {
    void* tag = nullptr;
    bool ok = false;
    while (tag != &status_) {
      if (queue_.AsyncNext(&tag, &ok, std::chrono::system_clock::now() + std::chrono::seconds(30)) !=
          grpc::CompletionQueue::GOT_EVENT) {
        return {grpc::StatusCode::UNKNOWN, "the call has not ended after 30 s"};
      }
    }
    return status_;
  }

 private:
  grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub_;
  grpc::CompletionQueue queue_;
  grpc::ClientContext context_;
  grpc::Status status_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

}  // namespace assertion::service
