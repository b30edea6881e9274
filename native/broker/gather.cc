#include "broker/gather.h"

#include <algorithm>

namespace weft::broker {

void GatherWalk::begin(const wire::SelectionView* selection) {
  *this = GatherWalk();
  selection_ = selection;
}

// Like an odometer: the first level turns fastest.
void GatherWalk::advance_run() {
  const auto& view = selection_->runs[run_];
  for (size_t level = 0; level < view.levels.size(); ++level) {
    if (++index_[level] < view.levels[level].count) return;
    index_[level] = 0;
  }
  ++run_;
  run_begun_ = false;
}

bool GatherWalk::load() {
  while (run_ < selection_->runs.size()) {
    const auto& view = selection_->runs[run_];
    if (!run_begun_) {
      std::fill(std::begin(index_), std::end(index_), 0);
      bool empty = view.run->length == 0;
      for (const wire::RunLevel& level : view.levels) empty = empty || level.count == 0;
      if (empty) {
        ++run_;
        continue;
      }
      run_begun_ = true;
    }
    uint64_t at = view.run->start;
    for (size_t level = 0; level < view.levels.size(); ++level) at += index_[level] * view.levels[level].stride;
    pending_ = {at, view.run->length};
    advance_run();
    return true;
  }
  return false;
}

GatherWalk::Piece GatherWalk::next(uint64_t length_max) {
  Piece piece{0, 0};
  while (piece.length < length_max) {
    if (pending_.length == 0 && !load()) break;
    if (piece.length == 0) {
      piece.at = pending_.at;
    } else if (piece.at + piece.length != pending_.at) {
      break;
    }
    const uint64_t taken = std::min(length_max - piece.length, pending_.length);
    piece.length += taken;
    pending_.at += taken;
    pending_.length -= taken;
  }
  bytes_given_ += piece.length;
  return piece;
}

}  // namespace weft::broker
