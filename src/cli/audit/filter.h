#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "assertion/clock.h"
#include "assertion/error.h"
#include "audit/line.h"

namespace assertion::cli {

// What a line must have, as typed; empty: anything.
struct WantedLines {
  std::string client_id;
  std::string caller;  // user:NAME too, the uid of that user on this machine
  std::string jti;
  std::string kid;  // whole, or at least its first kShortestKid characters
  std::string event;
  std::string outcome;
  std::string since;
  std::string until;  // the first moment that is not wanted, or the last day that is
  std::optional<std::uint64_t> after_sequence = {};
};

// Lets the lines of an audit log through that are wanted.
class LineFilter {
 public:
  // INVALID_ARGUMENT: a word that no line can have.
  static Result<LineFilter> New(WantedLines wanted);

  bool Lets(const audit::Line& line);

  // The kids of the lines that were let through because of --kid: more than one if several begin with it.
  const std::set<std::string>& kids() const { return kids_; }

 private:
  explicit LineFilter(WantedLines wanted) : wanted_(std::move(wanted)) {}

  bool IsOfEvent(const audit::Line& line) const;
  bool IsOfKid(const audit::Line& line);
  bool IsWithin(const audit::Line& line) const;

  WantedLines wanted_;
  std::optional<Time> since_;
  std::optional<Time> until_;
  std::set<std::string> kids_;
};

// Every event and every outcome that a line can have.
std::vector<std::string> EventNames();
std::vector<std::string> OutcomeNames();

}  // namespace assertion::cli
