// Linked with src/daemon/wiped_memory.cc, as assertiond is. Looks at memory that was freed, which no other test may do.

#include <gtest/gtest.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>

namespace assertion {
namespace {

constexpr std::size_t kSize = 4096;    // of no list that malloc keeps for each thread
constexpr std::size_t kOfMalloc = 32;  // octets of a free block that malloc uses for itself

// Whether the block at `address`, which is free, still has the octets that Fill wrote, past what malloc writes there.
bool HoldsSecret(std::uintptr_t address) {
  const auto* const octets = reinterpret_cast<const volatile char*>(address);
  return std::any_of(octets + kOfMalloc, octets + kSize, [](char octet) { return octet == 's'; });
}

std::uintptr_t Fill(void* memory) {
  std::memset(memory, 's', kSize);
  return reinterpret_cast<std::uintptr_t>(memory);
}

TEST(WipedMemory, OfOpensslWhenItIsFreed) {
  void* const guard = OPENSSL_malloc(kSize);
  void* const memory = OPENSSL_malloc(kSize);
  void* const end = OPENSSL_malloc(kSize);  // neither neighbour is free: the blocks are not joined
  const auto address = Fill(memory);
  ASSERT_TRUE(HoldsSecret(address));
  OPENSSL_free(memory);
  EXPECT_FALSE(HoldsSecret(address));
  OPENSSL_free(end);
  OPENSSL_free(guard);
}

TEST(WipedMemory, OfOpensslWhenItMoves) {
  void* const memory = OPENSSL_malloc(kSize);
  void* const end = OPENSSL_malloc(kSize);
  const auto address = Fill(memory);
  auto* const moved = static_cast<char*>(OPENSSL_realloc(memory, 16 * kSize));
  ASSERT_NE(reinterpret_cast<std::uintptr_t>(moved), address);
  EXPECT_TRUE(std::all_of(moved, moved + kSize, [](char octet) { return octet == 's'; }));
  EXPECT_FALSE(HoldsSecret(address));
  OPENSSL_free(moved);
  OPENSSL_free(end);
}

TEST(WipedMemory, OfOpensslKeepsItsPlaceWhenItShrinks) {
  void* const memory = OPENSSL_malloc(kSize);
  const auto address = Fill(memory);
  void* const shorter = OPENSSL_realloc(memory, 16);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(shorter), address);
  OPENSSL_free(shorter);
  EXPECT_FALSE(HoldsSecret(address));
}

TEST(WipedMemory, OfCppWhenItIsDeleted) {
  auto memory = std::make_unique<char[]>(kSize);
  const auto end = std::make_unique<char[]>(kSize);
  const auto address = Fill(memory.get());
  memory.reset();
  EXPECT_FALSE(HoldsSecret(address));
}

}  // namespace
}  // namespace assertion
