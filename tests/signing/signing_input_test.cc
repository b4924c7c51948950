// What was not vetted cannot be signed: the compiler refuses a string wherever the signing path takes its input.

#include "assertion/signing_input.h"

#include <gtest/gtest.h>

#include <string_view>
#include <type_traits>
#include <utility>

#include "signing/hsm_group.h"
#include "signing/signing_queue.h"
#include "test_input.h"

namespace assertion {
namespace {

template <typename Input>
concept FitsJob = requires(Input input) { SigningJob{.key = {}, .input = std::move(input)}; };

template <typename Input>
concept FitsSignNow = requires(SigningQueue& queue, Input input) { queue.SignNow({}, std::move(input), {}); };

template <typename Claims>
concept FitsAssertionJob = requires(Claims claims) { AssertionJob{.claims = std::move(claims)}; };

template <typename Claims>
concept FitsAssertionInput = requires(const SigningKey& key, Claims claims) { AssertionInput(key, claims); };

template <typename Text>
constexpr bool kFitsNowhere =
    !FitsJob<Text> && !FitsSignNow<Text> && !FitsAssertionJob<Text> && !FitsAssertionInput<Text> &&
    !std::is_constructible_v<SigningInput, Text> && !std::is_constructible_v<ApprovedClaims, Text>;

static_assert(FitsJob<SigningInput> && FitsSignNow<SigningInput>);
static_assert(FitsAssertionJob<ApprovedClaims> && FitsAssertionInput<ApprovedClaims>);
static_assert(kFitsNowhere<std::string> && kFitsNowhere<std::string_view> && kFitsNowhere<const char*>);
static_assert(!std::is_default_constructible_v<SigningInput> && !std::is_default_constructible_v<ApprovedClaims>);
static_assert(!FitsAssertionJob<SigningInput> && !FitsJob<ApprovedClaims>);

TEST(SigningInputTest, TextIsTakenWithoutACopy) {
  auto input = TestInput::Of(std::string(1000, 'x'));
  const auto* const octets = input.text().data();
  const auto text = std::move(input).TakeText();
  EXPECT_EQ(text.data(), octets);
  EXPECT_EQ(text, std::string(1000, 'x'));
}

}  // namespace
}  // namespace assertion
