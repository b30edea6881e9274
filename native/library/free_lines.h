// Where a producer without order (WEFT_ORDERING_LOOSE) sends its next batch: to the partition that has the fewest under
// way, in turn among equals. Once a batch, under the producer's lock. A partition that owes an answer for long, as that
// of a stopped server, or whose last batch failed, is passed over as long as another one answers: else the partition
// that loses everything would have the freest line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace weft::library {

class FreeLines {
 public:
  FreeLines() = default;
  explicit FreeLines(const std::vector<uint32_t>& partitions);
  bool empty() const { return lines_.empty(); }

  uint32_t choose(uint64_t now_ns) const;
  // Of other partitions nothing is noted.
  void sent(uint32_t partition, uint64_t now_ns);
  void answered(uint32_t partition, uint64_t now_ns, bool stored);

 private:
  struct Line {
    uint32_t partition;
    uint32_t under_way = 0;
    uint64_t owes_since_ns = 0;
    uint64_t failed_at_ns = 0;  // 0: its last batch was stored
  };
  Line* find(uint32_t partition);
  std::vector<Line> lines_;  // in order of the partitions
  size_t next_ = 0;
};

}  // namespace weft::library
