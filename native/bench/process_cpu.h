// Processor time of a process, all its threads: beside a limit's seconds, so that both can be compared with ours.
#pragma once

#include <sys/types.h>
#include <time.h>

namespace weft::bench {

// Of the process `pid` so far; 0: this one. Nothing for one that is gone.
inline double process_cpu_seconds(pid_t pid = 0) {
  clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
  timespec used{};
  if (pid != 0 && clock_getcpuclockid(pid, &clock) != 0) return 0;
  if (clock_gettime(clock, &used) != 0) return 0;
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

}  // namespace weft::bench
