// Whatever is done to a log of 10,000 lines is found, and named.

#include "audit/verification.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <sstream>
#include <utility>

#include "audit_signer.h"

namespace assertion::audit {
namespace {

constexpr std::size_t kLines = 10000;
constexpr std::size_t kCheckpointEvery = 500;
constexpr std::size_t kLate = 7;  // lines that every other checkpoint comes after what it covers

using Texts = std::vector<std::string>;

struct Written {
  SoftwareSigner signer;
  Texts lines;
};

std::string LateCheckpoint(Head& head, const Head& covered, const SoftwareSigner& signer) {
  const auto payload = CheckpointPayload(covered, {});
  return Chain(head, CheckpointBody(payload, *signer.Sign(payload)));
}

std::string Checkpoint(Head& head, const SoftwareSigner& signer) { return LateCheckpoint(head, Head(head), signer); }

// Every 500th line is a checkpoint, the last one too.
const Written& Log() {
  static const Written log = [] {
    Written written;
    auto head = Genesis();
    auto covered = head;
    const auto now = std::chrono::system_clock::time_point();
    for (std::size_t i = 1; i <= kLines; ++i) {
      if (i % kCheckpointEvery == 0) {
        const bool late = i % (2 * kCheckpointEvery) != 0;
        written.lines.push_back(LateCheckpoint(head, late ? covered : Head(head), written.signer));
        continue;
      }
      Event event;
      event.name = "CreateAssertion";
      event.caller = "uid:1000";
      event.client_id = "client-" + std::to_string(i % 7);
      event.jti = std::to_string(i);
      event.outcome = "OK";
      written.lines.push_back(Chain(head, Body(event, now)));
      covered = i % kCheckpointEvery == kCheckpointEvery - kLate ? head : covered;
    }
    return written;
  }();
  return log;
}

std::string Join(const Texts& lines) {
  std::string text;
  for (const auto& line : lines) {
    text.append(line).push_back('\n');
  }
  return text;
}

Verification Check(const std::string& text, const Extent& extent = {.first = 1, .last = kLines}) {
  std::istringstream stream(text);
  return Verify({{.name = "log", .stream = &stream}}, Log().signer.keys(), extent);
}

void ExpectFault(const std::string& text, Tampering kind, std::size_t line, const std::string& what) {
  const auto found = Check(text);
  ASSERT_TRUE(found.fault) << what;
  EXPECT_EQ(found.fault->kind, kind) << what << ": " << found.fault->text;
  EXPECT_EQ(found.fault->line, line) << what << ": " << found.fault->text;
}

TEST(Verification, AnUntouchedLogIsProvenToItsEnd) {
  const auto found = Check(Join(Log().lines));
  EXPECT_FALSE(found.fault) << found.fault->text;
  EXPECT_EQ(found.first, 1U);
  EXPECT_EQ(found.last, kLines);
  EXPECT_EQ(found.proven, kLines);
  EXPECT_EQ(found.checkpoints, kLines / kCheckpointEvery);
  EXPECT_TRUE(found.doubtful.empty());
}

std::string HashOf(std::size_t sequence) { return ParseLine(Log().lines.at(sequence - 1))->hash; }

TEST(Verification, TheLineThatWasNotedHasItsHash) {
  EXPECT_FALSE(Check(Join(Log().lines), {.first = 1, .last = kLines - 5, .last_hash = HashOf(kLines - 5)}).fault);
}

// By who may write the log and have a server go on with it: all of it holds, and it is as long as it has to be.
TEST(Verification, ALogThatWasCutOffAndWrittenOnIsAnotherThanTheNotedOne) {
  constexpr std::size_t kLeft = kLines - kCheckpointEvery;
  Texts lines(Log().lines.begin(), Log().lines.begin() + kLeft);
  auto head = Head{.sequence = kLeft, .hash = HashOf(kLeft)};
  for (std::size_t i = 0; i < 2 * kCheckpointEvery; ++i) {
    Event event;
    event.name = "CreateAssertion";
    lines.push_back(Chain(head, Body(event, {})));
  }
  lines.push_back(Checkpoint(head, Log().signer));
  EXPECT_FALSE(Check(Join(lines)).fault) << "its length alone says nothing";
  const auto found = Check(Join(lines), {.first = 1, .last = kLines, .last_hash = HashOf(kLines)});
  ASSERT_TRUE(found.fault);
  EXPECT_EQ(found.fault->kind, Tampering::kReplaced);
  EXPECT_EQ(found.fault->line, kLines);
}

TEST(Verification, ANotedLineBeforeTheFilesIsMissed) {
  const auto tail = Join({Log().lines.begin() + 3000, Log().lines.end()});
  EXPECT_FALSE(Check(tail, {.first = 0, .last = 3001, .last_hash = HashOf(3001)}).fault);
  const auto found = Check(tail, {.first = 0, .last = 3000, .last_hash = HashOf(3000)});
  ASSERT_TRUE(found.fault);
  EXPECT_EQ(found.fault->kind, Tampering::kRemoved);
}

enum class Deed { kEdit, kDelete, kSwap, kInsert, kTruncate, kDuplicate };

class TamperTest : public testing::TestWithParam<Deed> {
 protected:
  std::size_t Pick(std::size_t least, std::size_t most) {
    return std::uniform_int_distribution<std::size_t>(least, most)(random_);
  }

  // `at` counts from 0, faults from 1.
  void Edit(Texts lines, std::size_t at) {
    auto& line = lines[at];
    const auto place = Pick(0, line.size() - 1);
    const auto before = line[place];
    while (line[place] == before || line[place] == '\n') {
      line[place] = static_cast<char>(Pick(0x20, 0x7E));
    }
    ExpectFault(Join(lines), Tampering::kChanged, at + 1,
                "octet " + std::to_string(place) + " of line " + std::to_string(at + 1) + ": " + line);
  }

  void Delete(Texts lines, std::size_t at) {
    lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(at));
    ExpectFault(Join(lines), Tampering::kRemoved, std::min(at + 1, lines.size()), "delete " + std::to_string(at + 1));
  }

  void Swap(Texts lines, std::size_t at) {
    const auto other = Pick(0, kLines - 1);
    if (other != at) {
      std::swap(lines[at], lines[other]);
      ExpectFault(Join(lines), Tampering::kReordered, std::min(at, other) + 1,
                  "swap " + std::to_string(at + 1) + " and " + std::to_string(other + 1));
    }
  }

  // A copy of another line, or a line forged to fit where it stands.
  void Insert(Texts lines, std::size_t at) {
    const auto place = lines.begin() + static_cast<std::ptrdiff_t>(at);
    if (Pick(0, 1) == 0) {
      const auto other = Pick(0, kLines - 1);
      if (other == at || other + 1 == at) {
        return;  // that is to duplicate
      }
      lines.insert(place, Log().lines[other]);
    } else {
      auto head = Genesis();
      if (at > 0) {
        const auto before = ParseLine(lines[at - 1]);
        head = {.sequence = before->sequence, .hash = before->hash};
      }
      lines.insert(place, Chain(head, R"("event":"CreateAssertion","jti":"forged"})"));
    }
    ExpectFault(Join(lines), Tampering::kInserted, at + 1, "insert at " + std::to_string(at + 1));
  }

  void Truncate(const Texts& lines, std::size_t /*at*/) {
    auto text = Join(lines);
    text.resize(Pick(1, text.size() - 1));
    const bool whole = text.ends_with('\n');
    const auto left = static_cast<std::size_t>(std::ranges::count(text, '\n'));
    ExpectFault(text, whole ? Tampering::kRemoved : Tampering::kCut, whole ? left : left + 1,
                "truncate to " + std::to_string(text.size()));
  }

  void Duplicate(Texts lines, std::size_t at) {
    lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(at), Log().lines[at]);
    ExpectFault(Join(lines), Tampering::kDuplicated, at + 2, "duplicate " + std::to_string(at + 1));
  }

  std::mt19937_64 random_{20261124};
};

TEST_P(TamperTest, IsFoundAndNamed) {
  for (int i = 0; i < TAMPER_TIMES; ++i) {
    // The ends are where a rule is most easily wrong.
    const auto at = i == 0 ? 0 : i == 1 ? kLines - 1 : Pick(0, kLines - 1);
    switch (GetParam()) {
      case Deed::kEdit:
        Edit(Log().lines, at);
        break;
      case Deed::kDelete:
        Delete(Log().lines, at);
        break;
      case Deed::kSwap:
        Swap(Log().lines, at);
        break;
      case Deed::kInsert:
        Insert(Log().lines, at);
        break;
      case Deed::kTruncate:
        Truncate(Log().lines, at);
        break;
      case Deed::kDuplicate:
        Duplicate(Log().lines, at);
        break;
    }
  }
}

std::string DeedName(const testing::TestParamInfo<Deed>& parameter) {
  static constexpr std::array kNames = {"Edit", "Delete", "Swap", "Insert", "Truncate", "Duplicate"};
  return kNames.at(static_cast<std::size_t>(parameter.param));
}

INSTANTIATE_TEST_SUITE_P(Deeds, TamperTest,
                         testing::Values(Deed::kEdit, Deed::kDelete, Deed::kSwap, Deed::kInsert, Deed::kTruncate,
                                         Deed::kDuplicate),
                         DeedName);

// Who rewrites everything after his change, hashes and all, still cannot sign.
TEST(Verification, AChainThatWasMadeAnewFailsAtItsNextCheckpoint) {
  Texts lines(Log().lines.begin(), Log().lines.begin() + 100);
  auto head = Genesis();
  for (const auto& line : lines) {
    const auto parsed = ParseLine(line);
    head = {.sequence = parsed->sequence, .hash = parsed->hash};
  }
  for (std::size_t i = 100; i < kLines; ++i) {
    const auto& line = Log().lines[i];
    if ((i + 1) % kCheckpointEvery == 0) {
      auto copied = line;
      const auto prev = ParseLine(line)->prev;
      copied.replace(copied.find(prev), prev.size(), head.hash);
      head = {.sequence = head.sequence + 1, .hash = ParseLine(copied)->hash};
      lines.push_back(copied);
    } else {
      lines.push_back(Chain(head, R"("event":"CreateAssertion","jti":"forged"})"));
    }
  }
  ExpectFault(Join(lines), Tampering::kChanged, kCheckpointEvery, "made anew");
}

TEST(Verification, ACheckpointOfAnotherKeyDoesNotCount) {
  const SoftwareSigner other;
  auto head = Genesis();
  ExpectFault(Checkpoint(head, other) + "\n", Tampering::kSignedByAnother, 1, "another key");
}

TEST(Verification, NorDoesOneThatOnlyNamesTheRightKey) {
  SoftwareSigner forger;
  forger.Claim(Log().signer.kid());
  auto head = Genesis();
  ExpectFault(Checkpoint(head, forger) + "\n", Tampering::kChanged, 1, "forged signature");
}

TEST(Verification, ALineThatLinksButCountsWrongIsChanged) {
  Texts lines(Log().lines.begin(), Log().lines.begin() + 600);
  const auto last = ParseLine(lines.back());
  Head head{.sequence = last->sequence + 5, .hash = last->hash};
  lines.push_back(Chain(head, R"("event":"CreateAssertion","jti":"forged"})"));
  ExpectFault(Join(lines), Tampering::kChanged, 601, "counts wrong");
}

TEST(Verification, FilesAreReadInTheirOrderAndAMissingOneIsMissed) {
  const auto& lines = Log().lines;
  std::istringstream first(Join({lines.begin(), lines.begin() + 3000}));
  std::istringstream second(Join({lines.begin() + 3000, lines.begin() + 7000}));
  std::istringstream third(Join({lines.begin() + 7000, lines.end()}));
  const auto keys = Log().signer.keys();
  const auto all =
      Verify({{.name = "c", .stream = &third}, {.name = "a", .stream = &first}, {.name = "b", .stream = &second}}, keys,
             {.first = 1, .last = kLines});
  EXPECT_FALSE(all.fault) << all.fault->file << ": " << all.fault->text;
  for (auto* stream : {&first, &second, &third}) {
    stream->clear();
    stream->seekg(0);
  }
  const auto gap = Verify({{.name = "c", .stream = &third}, {.name = "a", .stream = &first}}, keys, {});
  ASSERT_TRUE(gap.fault);
  EXPECT_EQ(gap.fault->kind, Tampering::kRemoved);
  EXPECT_EQ(gap.fault->file, "c");
  EXPECT_EQ(gap.fault->line, 1U);
}

TEST(Verification, OlderLinesMayBeElsewhereIfThatIsSaid) {
  const auto tail = Join({Log().lines.begin() + 3000, Log().lines.end()});
  EXPECT_TRUE(Check(tail).fault);
  EXPECT_FALSE(Check(tail, {.first = 3001, .last = 0}).fault);
  EXPECT_FALSE(Check(tail, {.first = 0, .last = 0}).fault);
  EXPECT_TRUE(Check(tail, {.first = 2999, .last = 0}).fault);
}

TEST(Verification, LinesAfterTheLastCheckpointAreNotProven) {
  const auto found = Check(Join({Log().lines.begin(), Log().lines.begin() + 1200}), {});
  EXPECT_FALSE(found.fault);
  EXPECT_EQ(found.proven, 1000U);
  EXPECT_EQ(found.last, 1200U);
}

// Anybody who may write the file can add a LogOpened that says of proven lines that they are not.
TEST(Verification, NoLineIsDoubtfulThatACheckpointCovers) {
  const auto opened = [](std::uint64_t unproven) {
    Texts lines(Log().lines.begin(), Log().lines.begin() + 1200);  // proven up to 1000
    Head head{.sequence = 1200, .hash = ParseLine(lines.back())->hash};
    lines.push_back(Chain(head, Body({{"version", 2}, {"unproven", unproven}}, kOpened, {})));
    return std::pair(lines, head);
  };
  for (const std::uint64_t unproven : {1U, 200U, 1200U}) {
    auto [lines, head] = opened(unproven);
    const auto forged = Check(Join(lines), {});
    EXPECT_FALSE(forged.fault);
    EXPECT_TRUE(forged.doubtful.empty()) << "no checkpoint covers what says so";
    lines.push_back(Checkpoint(head, Log().signer));
    const auto doubtful = Check(Join(lines), {}).doubtful;
    ASSERT_EQ(doubtful.size(), 1U);
    EXPECT_EQ(doubtful.front().first, 1001U) << "whatever it counts";
    EXPECT_EQ(doubtful.front().last, 1200U);
  }
}

// After a crash, all lines that no checkpoint covers but the last are put into a file that was rotated: the next start
// reads the last file alone, and counts one.
TEST(Verification, LinesThatWereMovedOutOfTheLastFileAreDoubtful) {
  const Texts lines(Log().lines.begin(), Log().lines.begin() + 1199);  // proven up to 1000
  Head head{.sequence = 1199, .hash = HashOf(1199)};
  Texts last = {Chain(head, R"("event":"CreateAssertion","jti":"forged"})"),
                Chain(head, Body({{"version", 2}, {"unproven", 1}}, kOpened, {}))};
  last.push_back(Checkpoint(head, Log().signer));
  const auto doubtful_of = [](const std::vector<std::string>& files) {
    std::vector<std::istringstream> streams(files.begin(), files.end());
    std::vector<Source> sources;
    for (auto& stream : streams) {
      sources.push_back({.name = "log", .stream = &stream});
    }
    const auto found = Verify(std::move(sources), Log().signer.keys(), {.first = 0});
    EXPECT_FALSE(found.fault) << found.fault->text;
    EXPECT_EQ(found.doubtful.size(), 1U);
    return found.doubtful.empty() ? std::pair<std::uint64_t, std::uint64_t>()
                                  : std::pair(found.doubtful.front().first, found.doubtful.front().last);
  };
  EXPECT_EQ(doubtful_of({Join(lines), Join(last)}), std::pair(1001UL, 1200UL));
  EXPECT_EQ(doubtful_of({Join({lines.begin() + 1100, lines.end()}), Join(last)}), std::pair(1101UL, 1200UL));
  EXPECT_EQ(doubtful_of({Join(last)}), std::pair(1200UL, 1200UL)) << "older lines are elsewhere";
  EXPECT_EQ(doubtful_of({Join({last.begin() + 1, last.end()})}), std::pair(1200UL, 1200UL)) << "known by the count";
}

TEST(Verification, OfLinesThatCameWhileACheckpointWasSignedTheNextOneProves) {
  const auto late = Check(Join({Log().lines.begin(), Log().lines.begin() + 1500}), {});
  EXPECT_FALSE(late.fault);
  EXPECT_EQ(late.proven, 1500U - kLate);
  EXPECT_EQ(late.checkpoints, 3U);
}

TEST(Verification, ACheckpointProvesOnlyWhatItCovers) {
  Texts lines(Log().lines.begin(), Log().lines.begin() + 600);
  Head head{.sequence = 600, .hash = ParseLine(lines.back())->hash};
  const auto with = [&](const Head& covered) {
    auto last = head;
    auto all = lines;
    all.push_back(LateCheckpoint(last, covered, Log().signer));
    return Join(all);
  };
  EXPECT_EQ(Check(with({.sequence = 599, .hash = ParseLine(lines[598])->hash}), {}).proven, 599U);
  ExpectFault(with({.sequence = 598, .hash = ParseLine(lines[598])->hash}), Tampering::kChanged, 601, "another line");
  ExpectFault(with({.sequence = 601, .hash = ParseLine(lines[598])->hash}), Tampering::kChanged, 601, "itself");
  ExpectFault(with({.sequence = 492, .hash = ParseLine(lines[491])->hash}), Tampering::kChanged, 601, "an old one");
}

// No later line links to it.
TEST(Verification, TheLastCheckpointSaysWhatWasSignedAndNothingElse) {
  const auto ending_in = [](std::string_view from, std::string_view to) {
    Texts lines(Log().lines.begin(), Log().lines.begin() + kCheckpointEvery);
    const auto at = lines.back().find(from);
    lines.back().replace(at, from.size(), to);
    return Join(lines);
  };
  EXPECT_FALSE(Check(ending_in("1970", "1970"), {}).fault);
  ExpectFault(ending_in("1970", "1971"), Tampering::kChanged, kCheckpointEvery, "another time");
  ExpectFault(ending_in(R"(,"jws")", R"(,"note":"","jws")"), Tampering::kChanged, kCheckpointEvery, "one more member");
}

// As one would who has cut the log's end off and has no key: an old signature, at a new place.
TEST(Verification, ACheckpointCountsOnce) {
  Texts lines(Log().lines.begin(), Log().lines.begin() + 600);
  const auto copied = lines[499].substr(lines[499].find(R"("time")"));
  Head head{.sequence = 600, .hash = ParseLine(lines.back())->hash};
  lines.push_back(Chain(head, copied));
  ExpectFault(Join(lines), Tampering::kChanged, 601, "once more");
}

}  // namespace
}  // namespace assertion::audit
