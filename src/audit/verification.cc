#include "audit/verification.h"

#include <algorithm>
#include <cstddef>
#include <deque>
#include <iterator>
#include <utility>

#include "audit/raw_line.h"

namespace assertion::audit {
namespace {

struct Entry {
  std::string file;
  std::size_t number = 0;
  std::string text;
  bool ended = true;  // with a line feed
  std::optional<Line> line;

  bool Links(const std::string& hash) const { return line && line->prev == hash; }
};

// The lines of all files, one after the other.
class Lines {
 public:
  explicit Lines(std::vector<Source> sources) : sources_(std::move(sources)) { Order(); }

  std::optional<Entry> Next() {
    while (at_ < sources_.size()) {
      if (auto entry = ReadLine(*sources_[at_].stream)) {
        entry->file = sources_[at_].name;
        entry->number = ++number_;
        return entry;
      }
      ++at_;
      number_ = 0;
    }
    return std::nullopt;
  }

 private:
  std::optional<Entry> ReadLine(std::istream& stream) {
    auto raw = ReadRawLine(stream, buffer_);
    if (!raw) {
      return std::nullopt;
    }
    Entry entry;
    entry.text = std::move(raw->text);
    entry.ended = raw->ended;
    if (auto line = ParseLine(entry.text)) {
      entry.line = std::move(*line);
    }
    return entry;
  }

  void Order() {
    std::vector<std::pair<std::uint64_t, Source>> ordered;
    for (auto& source : sources_) {
      const auto first = ReadLine(*source.stream);
      source.stream->clear();
      source.stream->seekg(0);
      ordered.emplace_back(first && first->line ? first->line->sequence : 0, std::move(source));
    }
    std::ranges::stable_sort(ordered, {}, &std::pair<std::uint64_t, Source>::first);
    sources_.clear();
    for (auto& [first, source] : ordered) {
      sources_.push_back(std::move(source));
    }
  }

  std::vector<Source> sources_;
  std::string buffer_;
  std::size_t at_ = 0;
  std::size_t number_ = 0;
};

Fault At(const Entry& entry, Tampering kind, std::string text) {
  return {.kind = kind, .file = entry.file, .line = entry.number, .text = std::move(text)};
}

std::string Sequences(std::uint64_t first, std::uint64_t last) {
  return first == last ? "sequence " + std::to_string(first)
                       : "sequences " + std::to_string(first) + " to " + std::to_string(last);
}

std::string Missing(std::uint64_t first, std::uint64_t last) {
  return Sequences(first, last) + (first == last ? " is missing" : " are missing");
}

// Explains why `found` does not follow `before`. The lines before and after tell a changed line from an inserted one;
// the rest of the log tells a removed line from a moved one.
class Explanation {
 public:
  // `earlier` precedes `before`. Either may be virtual: a hash and a sequence only.
  Explanation(const std::optional<Entry>& earlier, const Entry& before, const Entry& found, Lines& lines,
              const PublicKeys& keys)
      : earlier_(earlier), before_(before), found_(found), lines_(lines), keys_(keys), next_(lines.Next()) {}

  Fault Explain() const {
    const auto& hash = before_.line->hash;
    const auto expected = before_.line->sequence + 1;
    if (!found_.ended && !next_) {
      return At(found_, Tampering::kCut, "the line has no end: cut, or just being written");
    }
    if (found_.text == before_.text) {
      return At(found_, Tampering::kDuplicated, "repeats the line before it");
    }
    const bool next_follows = next_ && next_->Links(hash);
    if (!found_.line) {
      return next_follows ? At(found_, Tampering::kInserted, "is no line of this log")
                          : At(found_, Tampering::kChanged, "is no line of an audit log");
    }
    if (found_.line->sequence == expected) {
      return next_follows ? At(found_, Tampering::kInserted, "is between two consecutive lines") : BrokenLink();
    }
    if (found_.Links(hash)) {
      return At(found_, Tampering::kChanged, "its sequence is not " + std::to_string(expected));
    }
    return found_.line->sequence < expected ? TooEarly() : TooLate(expected, next_follows);
  }

 private:
  // The sequence is right, but prev is not the hash of the line before: one of the two lines was changed.
  Fault BrokenLink() const {
    const auto changed = [](const Entry& entry) {
      return At(entry, Tampering::kChanged, "its hash is not what the line after it says");
    };
    const auto by_prev = At(found_, Tampering::kChanged, "its prev is not the hash of the line before it");
    if (next_) {
      return next_->Links(found_.line->hash) ? changed(before_) : by_prev;
    }
    if (found_.line->event == kCheckpoint) {
      const auto checkpoint = CheckCheckpoint(found_.text, *found_.line, keys_);
      return checkpoint && checkpoint->covered.hash == found_.line->prev ? changed(before_) : by_prev;
    }
    return At(found_, Tampering::kChanged,
              "its prev is not the hash of the line before it: one of the two was changed");
  }

  Fault TooEarly() const {
    if (earlier_ && found_.Links(earlier_->line->hash) && found_.line->sequence == before_.line->sequence) {
      return At(before_, Tampering::kInserted, "is between two consecutive lines");
    }
    return At(found_, Tampering::kInserted,
              Sequences(found_.line->sequence, found_.line->sequence) + " was here before");
  }

  Fault TooLate(std::uint64_t expected, bool next_follows) const {
    bool again = false;  // the same line follows later
    bool later = false;  // the expected line follows later
    for (auto entry = next_; entry; entry = lines_.Next()) {
      again = again || entry->text == found_.text;
      later = later || (entry->line && entry->line->sequence == expected);
    }
    if (next_follows && again) {
      return At(found_, Tampering::kInserted, "is a copy of a later line");
    }
    if (later) {
      return At(found_, Tampering::kReordered, "is where sequence " + std::to_string(expected) + " belongs");
    }
    return At(found_, Tampering::kRemoved, Missing(expected, found_.line->sequence - 1) + " before it");
  }

  const std::optional<Entry>& earlier_;
  const Entry& before_;
  const Entry& found_;
  Lines& lines_;
  const PublicKeys& keys_;
  std::optional<Entry> next_;
};

Entry Virtual(Head head) {
  Entry entry;
  entry.line = Line{.sequence = head.sequence, .prev = {}, .event = {}, .hash = std::move(head.hash), .members = {}};
  return entry;
}

bool Follows(const Entry& before, const Entry& entry) {
  return entry.ended && entry.Links(before.line->hash) && entry.line->sequence == before.line->sequence + 1;
}

// The hashes of the lines that no checkpoint covers yet, of the line before them, and what a LogOpened among them says.
class Uncovered {
 public:
  explicit Uncovered(Head before) : first_(before.sequence), hashes_{std::move(before.hash)} {}

  void Add(std::string hash) { hashes_.push_back(std::move(hash)); }

  // A LogOpened says that the process before it left these lines unproven.
  void Doubt(Span span) { doubted_.push_back(span); }

  // What the lines up to `proven` say. A LogOpened that no checkpoint covers may be anybody's.
  std::vector<Span> TakeDoubted(std::uint64_t proven) {
    const auto covered = std::ranges::partition_point(doubted_, [&](const Span& span) { return span.last < proven; });
    std::vector<Span> spans(doubted_.begin(), covered);
    doubted_.erase(doubted_.begin(), covered);
    return spans;
  }

  // True when the line at `head` has that hash; the lines up to it are then covered and dropped. Lines before the first
  // one that was read are unknown and stay unproven.
  bool Cover(const Head& head) {
    if (head.sequence < first_ || (head.sequence == first_ && covered_)) {
      return !covered_;
    }
    const auto place = head.sequence - first_;
    if (place >= hashes_.size() || hashes_[place] != head.hash) {
      return false;
    }
    hashes_.erase(hashes_.begin(), hashes_.begin() + static_cast<std::ptrdiff_t>(place));
    first_ = head.sequence;
    covered_ = true;
    return true;
  }

 private:
  std::uint64_t first_;
  std::deque<std::string> hashes_;
  std::vector<Span> doubted_;
  bool covered_ = false;  // a checkpoint that was read covers the first hash
};

// Adds a line that follows the chain to `result`. A checkpoint must hold; lines that a crash left unproven are noted.
std::optional<Fault> AddLine(const Entry& entry, const PublicKeys& keys, Uncovered& uncovered, Verification& result) {
  const auto& line = *entry.line;
  const auto first = result.first == 0 ? line.sequence : result.first;
  if (line.event == kCheckpoint) {
    const auto checkpoint = CheckCheckpoint(entry.text, line, keys);
    if (!checkpoint) {
      return At(entry, checkpoint.error().code == Code::kNotFound ? Tampering::kSignedByAnother : Tampering::kChanged,
                "the checkpoint does not hold: " + checkpoint.error().message);
    }
    const auto& covered = checkpoint->covered;
    if (!uncovered.Cover(covered)) {
      return At(entry, Tampering::kChanged,
                "the checkpoint does not hold: sequence " + std::to_string(covered.sequence) +
                    " is not what it covers, or was covered before");
    }
    if (const auto proven = ProvenBy(covered.sequence, line.sequence); proven >= first) {
      result.proven = proven;
      std::ranges::copy(uncovered.TakeDoubted(proven), std::back_inserter(result.doubtful));
    }
    result.kid = checkpoint->kid;
    ++result.checkpoints;
  }
  uncovered.Add(line.hash);
  const auto unproven = line.members.find("unproven");
  if (line.event == kOpened && unproven != line.members.end() && unproven->is_number_unsigned()) {
    const auto count = unproven->get<std::uint64_t>();
    const auto last = line.sequence - 1;
    if (count > 0 && count < line.sequence && result.proven < last) {  // what a checkpoint covers is beyond doubt
      // The server counts in its last file only, and what that began with may be forged. Lines that were not read here
      // are known by the count alone.
      uncovered.Doubt(
          {.first = result.proven != 0 ? result.proven + 1 : std::min(first, line.sequence - count), .last = last});
    }
  }
  result.first = first;
  result.last = line.sequence;
  result.head = {.sequence = line.sequence, .hash = line.hash};
  return std::nullopt;
}

// Nothing: the line has the hash that was noted, or none was.
std::optional<Fault> CompareWithNoted(const Entry& entry, const Extent& extent) {
  if (extent.last_hash.empty() || entry.line->hash == extent.last_hash) {
    return std::nullopt;
  }
  return At(entry, Tampering::kReplaced,
            "is another line than the one that was noted: the log was cut off and written on, or exchanged");
}

}  // namespace

Verification Verify(std::vector<Source> sources, const PublicKeys& keys, const Extent& extent) {
  Verification result;
  result.head = Genesis();
  Lines lines(std::move(sources));
  auto entry = lines.Next();
  std::optional<Entry> earlier;
  auto before = Virtual(Genesis());
  if (entry && entry->line && extent.first != 1 && (extent.first == 0 || entry->line->sequence == extent.first)) {
    before = Virtual({.sequence = entry->line->sequence - 1, .hash = entry->line->prev});
  } else if (extent.first > 1) {
    before = Virtual({.sequence = extent.first - 1, .hash = {}});
  }
  Uncovered uncovered({.sequence = before.line->sequence, .hash = before.line->hash});
  for (; entry; entry = lines.Next()) {
    if (!Follows(before, *entry)) {
      result.fault = Explanation(earlier, before, *entry, lines, keys).Explain();
      return result;
    }
    result.fault = AddLine(*entry, keys, uncovered, result);
    if (!result.fault && entry->line->sequence == extent.last) {
      result.fault = CompareWithNoted(*entry, extent);
    }
    if (result.fault) {
      return result;
    }
    earlier = std::exchange(before, *std::move(entry));
  }
  if (!extent.last_hash.empty() && extent.last < result.first) {
    result.fault = At(before, Tampering::kRemoved,
                      Sequences(extent.last, extent.last) + ", which was noted, is before what these files have");
  } else if (result.last < extent.last) {
    result.fault = At(before, Tampering::kRemoved, Missing(result.last + 1, extent.last) + " after it");
  }
  return result;
}

}  // namespace assertion::audit
