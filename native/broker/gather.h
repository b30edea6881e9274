// Walks the bytes of one selection in order, as pieces that are contiguous in the event's data; neighbours are joined.
// Pure arithmetic over a checked wire::SelectionView; any thread.
#pragma once

#include <cstdint>

#include "wire/messages.h"

namespace weft::broker {

class GatherWalk {
 public:
  // `selection` must stay alive and unchanged during the walk.
  void begin(const wire::SelectionView* selection);

  struct Piece {
    uint64_t at;      // in the event's data
    uint64_t length;  // 0: the walk is over
  };
  // At most `length_max` bytes (> 0).
  Piece next(uint64_t length_max);
  // The piece that next() would give.
  Piece peek(uint64_t length_max) const {
    GatherWalk copy = *this;
    return copy.next(length_max);
  }
  uint64_t bytes_given() const { return bytes_given_; }

 private:
  bool load();  // the next single run into pending_; false at the end
  void advance_run();

  const wire::SelectionView* selection_ = nullptr;
  size_t run_ = 0;
  bool run_begun_ = false;
  uint64_t index_[wire::kRunLevelsMax] = {};
  Piece pending_{0, 0};
  uint64_t bytes_given_ = 0;
};

}  // namespace weft::broker
