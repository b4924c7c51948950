#include "x509/pem.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <memory>
#include <optional>
#include <utility>

#include "x509/openssl.h"

namespace assertion::x509 {
namespace {

constexpr std::string_view kBegin = "-----BEGIN ";

struct FreeMemory {
  void operator()(void* memory) const { OPENSSL_free(memory); }
};

// Unset after the last block.
Result<std::optional<PemBlock>> NextBlock(BIO* bio) {
  char* type = nullptr;
  char* headers = nullptr;
  unsigned char* content = nullptr;
  long size = 0;
  if (PEM_read_bio(bio, &type, &headers, &content, &size) != 1) {
    const auto error = ERR_peek_last_error();
    auto detail = "PEM_read_bio: " + TakeErrors();
    if (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE) {
      return std::nullopt;
    }
    return Fail(Code::kInvalidArgument, "a PEM block is cut off, or not base64", std::move(detail));
  }
  const std::unique_ptr<char, FreeMemory> owned_type(type);
  const std::unique_ptr<char, FreeMemory> owned_headers(headers);
  const std::unique_ptr<unsigned char, FreeMemory> owned_content(content);
  return PemBlock{.type = type, .has_headers = *headers != '\0', .content = Bytes(content, content + size)};
}

std::size_t CountBegins(std::string_view text) {
  std::size_t count = 0;
  for (auto at = text.find(kBegin); at != std::string_view::npos; at = text.find(kBegin, at + 1)) {
    ++count;
  }
  return count;
}

}  // namespace

Result<std::vector<PemBlock>> ReadPem(std::string_view text) {
  ERR_clear_error();  // the end is told by the last error
  const BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  std::vector<PemBlock> blocks;
  while (bio) {
    ASSIGN_OR_RETURN(auto block, NextBlock(bio.get()));
    if (!block) {
      break;
    }
    blocks.push_back(std::move(*block));
  }
  if (blocks.size() != CountBegins(text)) {
    return Fail(Code::kInvalidArgument, "a PEM block must begin at the start of a line");
  }
  return blocks;
}

std::string WritePem(const char* type, BytesView content) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio(bio.get(), type, "", content.data(), static_cast<long>(content.size()));
  char* text = nullptr;
  const auto size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

}  // namespace assertion::x509
