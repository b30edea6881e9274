// The memory that a consumer lends to one partition's server for metadata frames. The server writes, the consumer
// releases frames in any order, memory is granted again in order. Used by the progress thread (frames come) and the
// consumer's callers (frames are released) under the consumer's lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>

#include "base/status.h"
#include "fabric/fabric.h"

namespace weft::client {

class Ring {
 public:
  static Result<std::shared_ptr<Ring>> create(fabric::Lane& lane, uint64_t length);
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  const fabric::Region& region() const { return *region_; }
  std::byte* memory() { return memory_; }
  uint64_t length() const { return length_; }

  // A frame of so many wanted events that is now the caller's; ring_end as the server counted it.
  void hold(uint64_t frame, uint64_t ring_end, uint32_t events);
  // True if the frame was held. Moves what may be granted.
  bool release(uint64_t frame);
  bool holds_any() const { return !held_.empty(); }
  // Cumulative bytes that the server may use again, and what it was told last.
  uint64_t released_end() const { return released_end_; }
  uint64_t credited_end = 0;
  // The same of events, modulo 2^32.
  uint32_t released_events() const { return released_events_; }
  uint32_t credited_events = 0;
  // Ends the peer's access; the memory stays mapped.
  void close_access() { region_.reset(); }
  // Lends the same memory again under a new key. Only when no frame is held and no peer can write into it any more.
  Status lend_again(fabric::Lane& lane);
  // For memory that a lost peer may write into for ever: never lent again, its addresses never used for anything else.
  void keep_mapped() { keeps_mapped_ = true; }
  bool reusable() const { return !keeps_mapped_ && held_.empty(); }

 private:
  Ring() = default;
  struct Held {
    uint64_t frame;
    uint64_t ring_end;
    uint32_t events;
    bool released;
  };

  std::byte* memory_ = nullptr;
  uint64_t length_ = 0;
  std::unique_ptr<fabric::Region> region_;
  std::deque<Held> held_;  // in the order of the ring
  uint64_t released_end_ = 0;
  uint32_t released_events_ = 0;
  bool keeps_mapped_ = false;
};

}  // namespace weft::client
