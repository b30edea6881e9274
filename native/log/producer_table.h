// The last batches of each producer of one partition, so that a repeated batch is recognised. Writer thread only.
// Bounded: kProducersMax producers (of those with one batch the one idle longest is forgotten first), kRecentBatchesMax
// batches each.
#pragma once

#include <cstring>
#include <unordered_map>

#include "log/format.h"

namespace weft::log {

class ProducerTable {
 public:
  const ProducerState* find(const wire::ProducerId& id) const;
  // After a commit, and for each record at recovery. Allocates only for a producer that is new.
  void note(const wire::BatchHeader& batch, uint64_t first_offset, uint64_t append_time_ns);
  // A new epoch without batches. `now_ns`: so that it is not the one idle longest.
  void begin_epoch(const wire::ProducerId& id, uint32_t epoch, uint64_t now_ns);
  void clear() { states_.clear(); }

  // The body of a checkpoint.
  uint32_t size() const { return static_cast<uint32_t>(states_.size()); }
  void save(std::vector<std::byte>& into) const;
  Status load(uint32_t count, std::span<const std::byte> from);

 private:
  struct IdHash {
    size_t operator()(const wire::ProducerId& id) const {
      uint64_t halves[2];
      std::memcpy(halves, id.bytes, sizeof halves);
      // Multiplied and mixed: ids may be small numbers given by hand.
      uint64_t mixed = (halves[0] ^ (halves[1] * 0x9E3779B97F4A7C15u)) * 0xBF58476D1CE4E5B9u;
      return mixed ^ (mixed >> 31);
    }
  };
  ProducerState& state_of(const wire::ProducerId& id);

  std::unordered_map<wire::ProducerId, ProducerState, IdHash> states_;
};

}  // namespace weft::log
