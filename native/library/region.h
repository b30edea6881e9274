// Memory that events may be pushed from and selections fetched into without a copy.
#pragma once

#include <condition_variable>

#include "library/job.h"

struct weft_region {
  static constexpr auto kKind = weft::library::Kind::kRegion;
  std::atomic<weft::library::Kind> kind{kKind};
  weft_job* job = nullptr;
  std::byte* memory = nullptr;
  uint64_t length = 0;
  bool owned = false;
  std::unique_ptr<weft::fabric::Region> registration;

  std::mutex mutex;
  std::condition_variable changed;
  uint64_t uses = 0;  // batches and fetches that a peer may still touch the memory for
};

namespace weft::library {

// A use begins when the memory may be shown to a peer and ends when no peer can reach it any more.
void begin_use(weft_region* region);
void end_use(weft_region* region);
bool holds(const weft_region* region, const void* address, uint64_t length);
// At the end of a job: all that are left, or those of the caller's own memory, where ours must stay mapped.
void close_regions(weft_job* job, bool of_the_caller_only);
// At the end of a shared job, whose lane goes on: those that a peer may still touch are kept away from use, and
// counted.
void close_shared_regions(weft_job* job);

}  // namespace weft::library
