#include "library/free_lines.h"

#include <algorithm>

#include "base/clock.h"

namespace weft::library {

namespace {
constexpr uint64_t kSilentNs = 500 * kNsPerMs;
// Then a partition that failed is tried again.
constexpr uint64_t kTryAgainNs = 1000 * kNsPerMs;
}  // namespace

FreeLines::FreeLines(const std::vector<uint32_t>& partitions) {
  for (const uint32_t partition : partitions) lines_.push_back({partition});
}

FreeLines::Line* FreeLines::find(uint32_t partition) {
  const auto found = std::lower_bound(lines_.begin(), lines_.end(), partition,
                                      [](const Line& line, uint32_t wanted) { return line.partition < wanted; });
  return found != lines_.end() && found->partition == partition ? &*found : nullptr;
}

uint32_t FreeLines::choose(uint64_t now_ns) const {
  const auto rank_of = [now_ns](const Line& line) {
    if (line.failed_at_ns != 0 && now_ns < line.failed_at_ns + kTryAgainNs) return 2;
    return line.under_way > 0 && now_ns > line.owes_since_ns + kSilentNs ? 1 : 0;
  };
  const Line* best = nullptr;
  int best_rank = 0;
  for (size_t step = 0; step < lines_.size(); ++step) {
    const Line& line = lines_[(next_ + step) % lines_.size()];
    const int rank = rank_of(line);
    if (best != nullptr && (rank > best_rank || (rank == best_rank && line.under_way >= best->under_way))) continue;
    best = &line;
    best_rank = rank;
  }
  return best->partition;
}

void FreeLines::sent(uint32_t partition, uint64_t now_ns) {
  Line* line = find(partition);
  if (line == nullptr) return;
  if (line->under_way++ == 0) line->owes_since_ns = now_ns;
  next_ = (static_cast<size_t>(line - lines_.data()) + 1) % lines_.size();
}

void FreeLines::answered(uint32_t partition, uint64_t now_ns, bool stored) {
  Line* line = find(partition);
  if (line == nullptr || line->under_way == 0) return;
  --line->under_way;
  line->owes_since_ns = now_ns;
  line->failed_at_ns = stored ? 0 : now_ns;
}

}  // namespace weft::library
