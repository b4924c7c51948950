#pragma once

#include <sched.h>

namespace assertion {

// Changes this thread's scheduling policy from `from` to `to` (sched(7)); threads that it starts later have its policy.
// Another one, which somebody chose, stays. A sandbox may refuse the change.
inline void ChangeScheduling(int from, int to) {
  if (sched_getscheduler(0) == from) {
    const sched_param none{};
    sched_setscheduler(0, to, &none);
  }
}

}  // namespace assertion
