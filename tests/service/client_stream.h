#pragma once

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "assertion/v1/assertion.grpc.pb.h"

namespace assertion::service {

inline v1::CreateAssertionsRequest RequestWithTag(std::uint64_t tag, const std::string& client_id = "orders") {
  v1::CreateAssertionsRequest request;
  request.set_tag(tag);
  request.mutable_assertion()->set_client_id(client_id);
  return request;
}

// Requests with the tags 0 to count - 1.
inline std::vector<v1::CreateAssertionsRequest> Requests(std::size_t count) {
  std::vector<v1::CreateAssertionsRequest> requests;
  for (std::uint64_t tag = 0; tag < count; ++tag) {
    requests.push_back(RequestWithTag(tag));
  }
  return requests;
}

struct StreamAnswers {
  std::map<std::uint64_t, v1::CreateAssertionsResponse> by_tag;
  std::size_t count = 0;
  grpc::Status status;  // of the stream

  int CodeOf(std::uint64_t tag) const { return by_tag.at(tag).error().code(); }
};

// A CreateAssertions call. Its own thread writes the requests; after the last, it closes the client's side if `close`.
class ClientStream {
 public:
  ClientStream(v1::AssertionService::Stub& stub, std::vector<v1::CreateAssertionsRequest> requests, bool close = true)
      : stream_(stub.CreateAssertions(&context_)), writer_([this, close, requests = std::move(requests)] {
          if (std::ranges::all_of(requests, [this](const auto& one) { return stream_->Write(one); }) && close) {
            stream_->WritesDone();
          }
        }) {}

  grpc::ClientContext& context() { return context_; }

  // Waits for one answer; none when the stream has ended.
  std::optional<v1::CreateAssertionsResponse> Next() {
    v1::CreateAssertionsResponse one;
    return stream_->Read(&one) ? std::optional(std::move(one)) : std::nullopt;
  }

  // Reads to the end of the stream.
  StreamAnswers Finish() {
    StreamAnswers answers;
    for (v1::CreateAssertionsResponse one; stream_->Read(&one); ++answers.count) {
      answers.by_tag[one.tag()] = one;
    }
    writer_.join();
    answers.status = stream_->Finish();
    return answers;
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::CreateAssertionsRequest, v1::CreateAssertionsResponse>> stream_;
  std::jthread writer_;
};

}  // namespace assertion::service
