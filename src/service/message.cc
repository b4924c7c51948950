#include "service/message.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/unknown_field_set.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "assertion/bytes.h"
#include "assertion/utf8.h"
#include "service/large_message.h"

namespace assertion::service {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::UnknownField;
using google::protobuf::UnknownFieldSet;

// 8 KiB of claims, and room to name the error when there are more.
constexpr std::size_t kLargestRequest = std::size_t{64} << 10U;
constexpr int kMaxDepth = 100;  // protobuf's own limit

// The path of the first string field whose octets are not UTF-8. Reads the wire form without a schema, then matches
// field numbers with the descriptor's.
std::optional<std::string> FindBadString(const UnknownFieldSet& fields, const google::protobuf::Descriptor& type,
                                         int depth) {
  for (int i = 0; i < fields.field_count() && depth < kMaxDepth; ++i) {
    const auto& field = fields.field(i);
    const auto* declared = type.FindFieldByNumber(field.number());
    if (declared == nullptr || field.type() != UnknownField::TYPE_LENGTH_DELIMITED) {
      continue;
    }
    std::string name(declared->name());
    const std::string_view octets = field.length_delimited();
    if (declared->type() == FieldDescriptor::TYPE_STRING && !IsUtf8(octets)) {
      return name;
    }
    UnknownFieldSet inner;
    if (declared->type() == FieldDescriptor::TYPE_MESSAGE &&
        inner.ParseFromArray(octets.data(), static_cast<int>(octets.size()))) {
      if (auto path = FindBadString(inner, *declared->message_type(), depth + 1)) {
        return name + '.' + *path;
      }
    }
  }
  return std::nullopt;
}

std::unexpected<Error> WrongMessage(const google::protobuf::Message& message) {
  return Fail(Code::kInvalidArgument, "the request is not a " + std::string(message.GetTypeName()) + " message");
}

Status CheckSize(const grpc::ByteBuffer& wire) {
  return wire.Length() <= kLargestRequest ? Status()
                                          : Fail(Code::kResourceExhausted, "the request is larger than 64 KiB");
}

}  // namespace

Status Parse(const grpc::ByteBuffer& wire, google::protobuf::Message& message) {
  RETURN_IF_ERROR(CheckSize(wire));
  return ParseLarge(wire, message);
}

Status ParseLarge(const grpc::ByteBuffer& wire, google::protobuf::Message& message) {
  grpc::ByteBuffer copy(wire);  // the reader wants it mutable; the octets are shared
  grpc::ProtoBufferReader reader(&copy);
  if (reader.status().ok() && message.ParseFromZeroCopyStream(&reader)) {
    return {};
  }
  grpc::ProtoBufferReader again(&copy);
  UnknownFieldSet fields;
  if (again.status().ok() && fields.ParseFromZeroCopyStream(&again)) {
    if (const auto path = FindBadString(fields, *message.GetDescriptor(), 0)) {
      return Fail(Code::kInvalidArgument, *path + ": not valid UTF-8");
    }
  }
  return WrongMessage(message);
}

Status ParseAndWipe(const grpc::ByteBuffer& wire, google::protobuf::Message& message) {
  grpc::ByteBuffer copy(wire);
  bool parsed = false;
  {
    grpc::ProtoBufferReader reader(&copy);
    parsed = CheckSize(wire) && reader.status().ok() && message.ParseFromZeroCopyStream(&reader);
  }
  std::vector<grpc::Slice> slices;  // the same octets
  if (copy.Dump(&slices).ok()) {
    for (const auto& slice : slices) {
      explicit_bzero(const_cast<std::uint8_t*>(slice.begin()), slice.size());
    }
  }
  RETURN_IF_ERROR(CheckSize(wire));
  return parsed ? Status() : WrongMessage(message);
}

grpc::ByteBuffer Serialize(const google::protobuf::Message& message) {
  const grpc::Slice slice(message.ByteSizeLong());
  message.SerializeWithCachedSizesToArray(const_cast<std::uint8_t*>(slice.begin()));
  return {&slice, 1};
}

grpc::ByteBuffer SerializeSecret(const google::protobuf::Message& message) {
  const auto size = message.ByteSizeLong();
  auto octets = std::make_unique<Bytes>(size);
  message.SerializeWithCachedSizesToArray(octets->data());
  auto* const held = octets.release();
  const grpc::Slice slice(
      held->data(), size,
      [](void* sent) {
        const std::unique_ptr<Bytes> wiped(static_cast<Bytes*>(sent));
        if (!wiped->empty()) {
          explicit_bzero(wiped->data(), wiped->size());
        }
      },
      held);
  return {&slice, 1};
}

}  // namespace assertion::service
