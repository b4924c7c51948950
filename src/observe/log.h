#pragma once

namespace assertion {

// Sends the log to standard error, one line an event, UTC.
void StartLog();

}  // namespace assertion
