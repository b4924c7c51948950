#include "service/assertion_stream.h"

#include <utility>

#include "service/message.h"
#include "service/status.h"

namespace assertion::service {

std::shared_ptr<AssertionStream> AssertionStream::Open(Make make) {
  const std::shared_ptr<AssertionStream> stream(new AssertionStream(std::move(make)));
  stream->self_ = stream;
  return stream;
}

void AssertionStream::End(const grpc::Status& why) {
  {
    const MutexLock lock(mutex_);
    if (!end_) {
      end_ = why;
    }
  }
  Proceed();
}

void AssertionStream::OnReadDone(bool ok) {
  if (!ok) {
    End(grpc::Status::OK);  // the caller has closed its side
    return;
  }
  silent_ = false;
  {
    const MutexLock lock(mutex_);
    if (end_) {
      return;  // requests after the end are not read
    }
  }
  v1::CreateAssertionsRequest request;
  const auto parsed = Parse(read_, request);
  read_.Clear();
  if (!parsed) {
    End(ToGrpc(parsed.error()));
    return;
  }
  StartRequest(request);
  {
    const MutexLock lock(mutex_);
    reading_ = false;
  }
  Proceed();
}

void AssertionStream::StartRequest(const v1::CreateAssertionsRequest& request) {
  std::shared_ptr<AssertionTicket> ticket;
  Tickets::iterator place;
  {
    const MutexLock lock(mutex_);
    ticket = std::make_shared<AssertionTicket>(cancelled_);
    place = unanswered_.insert(unanswered_.end(), ticket);
  }
  make_(request, std::move(ticket), [self = self_, place, tag = request.tag()](Result<grpc::ByteBuffer> outcome) {
    self->QueueAnswer(place, tag, std::move(outcome));
  });
}

std::size_t AssertionStream::Unanswered() const { return unanswered_.size() + answers_.size() + (writing_ ? 1 : 0); }

void AssertionStream::QueueAnswer(Tickets::iterator place, std::uint64_t tag, Result<grpc::ByteBuffer> outcome) {
  if (!outcome) {
    v1::CreateAssertionsResponse refusal;
    refusal.set_tag(tag);
    *refusal.mutable_error() = ToStatus(outcome.error());
    outcome = Serialize(refusal);
  }
  {
    const MutexLock lock(mutex_);
    unanswered_.erase(place);
    answers_.push_back(std::move(*outcome));
  }
  Proceed();
}

// Starts the reads and writes that are possible now. gRPC allows one of each at a time, and none after Finish.
void AssertionStream::Proceed() {
  for (;;) {
    bool write = false;
    bool read = false;
    grpc::WriteOptions options;
    std::optional<grpc::Status> finish;
    {
      const MutexLock lock(mutex_);
      if (finished_) {
        return;
      }
      if (!writing_ && !cancelled_ && !answers_.empty()) {
        writing_ = write = true;
        written_.Swap(&answers_.front());
        answers_.pop_front();
        if (!answers_.empty()) {
          options.set_buffer_hint();  // sent together with the next one
        }
      }
      if (!reading_ && !cancelled_ && !end_ && Unanswered() < kMostUnanswered) {
        reading_ = read = true;
      }
      if (write || read) {
        ++starting_;
      } else if (!writing_ && starting_ == 0 && (cancelled_ || end_) && unanswered_.empty()) {
        // A cancelled stream, too, waits for what the HSM has of it: a stop destroys the audit log after the last call.
        finished_ = true;
        finish = end_.value_or(grpc::Status(grpc::StatusCode::CANCELLED, "the caller has cancelled the stream"));
      }
    }
    if (finish) {
      Finish(*finish);
      return;
    }
    if (!write && !read) {
      return;
    }
    if (write) {
      StartWrite(&written_, options);
    }
    if (read) {
      StartRead(&read_);
    }
    const MutexLock lock(mutex_);
    --starting_;
  }
}

void AssertionStream::OnWriteDone(bool ok) {
  {
    const MutexLock lock(mutex_);
    writing_ = false;
    cancelled_ = cancelled_ || !ok;  // the caller is gone
  }
  Proceed();
}

void AssertionStream::OnCancel() {
  Tickets tickets;
  {
    const MutexLock lock(mutex_);
    cancelled_ = true;
    tickets = unanswered_;
  }
  for (const auto& ticket : tickets) {
    HsmGroup::Cancel(*ticket);
  }
  Proceed();
}

void AssertionStream::OnDone() { self_.reset(); }

}  // namespace assertion::service
