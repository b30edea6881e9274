#include "client/ring.h"

#include <sys/mman.h>

#include <algorithm>

#include "base/pages.h"

namespace weft::client {

Result<std::shared_ptr<Ring>> Ring::create(fabric::Lane& lane, uint64_t length) {
  std::shared_ptr<Ring> ring(new Ring);
  Result<std::byte*> memory = map_pages(length, Touch::kAll);
  if (!memory.ok()) return memory.status().with_context("a consumer's frames, whose prefetch_bytes may be too large");
  ring->memory_ = memory.value();
  ring->length_ = length;
  WEFT_RETURN_IF_ERROR(ring->lend_again(lane));
  return ring;
}

Status Ring::lend_again(fabric::Lane& lane) {
  WEFT_ASSERT(reusable());
  Result<std::unique_ptr<fabric::Region>> region = lane.register_memory(memory_, length_, fabric::kRemoteWrite);
  if (!region.ok()) return region.status();
  region_ = region.take();
  released_end_ = 0;
  credited_end = 0;
  released_events_ = 0;
  credited_events = 0;
  return {};
}

Ring::~Ring() {
  region_.reset();
  if (memory_ == nullptr) return;
  // Only the pages go back when the addresses must stay ours.
  const int failed = keeps_mapped_ ? madvise(memory_, length_, MADV_DONTNEED) : munmap(memory_, length_);
  static_cast<void>(failed);  // then the memory stays: nothing better can be done with it
}

void Ring::hold(uint64_t frame, uint64_t ring_end, uint32_t events) {
  held_.push_back({frame, ring_end, events, false});
}

bool Ring::release(uint64_t frame) {
  const auto found = std::lower_bound(held_.begin(), held_.end(), frame,
                                      [](const Held& held, uint64_t wanted) { return held.frame < wanted; });
  if (found == held_.end() || found->frame != frame || found->released) return false;
  found->released = true;
  while (!held_.empty() && held_.front().released) {
    released_end_ = held_.front().ring_end;
    released_events_ += held_.front().events;
    held_.pop_front();
  }
  return true;
}

}  // namespace weft::client
