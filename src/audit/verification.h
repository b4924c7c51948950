#pragma once

#include <cstdint>
#include <istream>
#include <optional>
#include <string>
#include <vector>

#include "audit/checkpoint.h"

namespace assertion::audit {

// kSignedByAnother: a checkpoint names a key that was not given, so nothing is known of the log.
// kReplaced: the line that was noted elsewhere is another one here, so the log was cut off and written on, or
// exchanged.
enum class Tampering { kChanged, kRemoved, kInserted, kDuplicated, kReordered, kCut, kSignedByAnother, kReplaced };

// The first place where a log differs from what was written.
struct Fault {
  Tampering kind;
  std::string file;
  std::size_t line;  // from 1
  std::string text;  // explanation for an operator
};

struct Span {
  std::uint64_t first;
  std::uint64_t last;
};

struct Verification {
  std::optional<Fault> fault;
  std::uint64_t first = 0;  // sequence; all members describe the log up to the fault
  std::uint64_t last = 0;
  std::uint64_t proven = 0;  // last sequence that a checkpoint proves; 0: none
  std::uint64_t checkpoints = 0;
  std::string kid;             // of the key that signed the last checkpoint; empty: there is none
  std::vector<Span> doubtful;  // left by a process that ended before its checkpoint, as a proven LogOpened says
  Head head;                   // after the last line
};

struct Source {
  std::string name;
  std::istream* stream;  // seekable
};

struct Extent {
  std::uint64_t first = 1;     // the sequence that the log must begin with; 0: any
  std::uint64_t last = 0;      // the sequence that it must reach; 0: unknown
  std::string last_hash = {};  // of the line with the sequence `last`; empty: unknown
};

// Reads the files of one log in the order of their first lines and finds the first line that was changed, removed,
// reordered or inserted. Lines at the end can be cut off unnoticed unless `extent` tells how far the log went, and the
// log written on or exchanged for another of the same key unless it tells the hash of that line, too.
Verification Verify(std::vector<Source> sources, const PublicKeys& keys, const Extent& extent);

}  // namespace assertion::audit
