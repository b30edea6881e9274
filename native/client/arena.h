// The memory of one batch: columns, metadata and copied data, mapped once, registered once, reused for the producer's
// life. Layout: [metadata_end][time_delta][data_length] as the caller fills them, then room in front of the metadata so
// that the body (columns compacted, metadata) becomes one contiguous piece without moving the metadata, then the copied
// data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/status.h"
#include "fabric/fabric.h"
#include "wire/batch.h"

namespace weft::client {

struct ArenaShape {
  uint32_t events;
  uint64_t metadata_bytes;
  uint64_t data_bytes;
};

class Arena {
 public:
  static Result<std::unique_ptr<Arena>> create(fabric::Lane& lane, const ArenaShape& shape);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  const ArenaShape& shape() const { return shape_; }
  uint32_t* metadata_end() { return reinterpret_cast<uint32_t*>(memory_); }
  uint32_t* time_delta() { return metadata_end() + shape_.events; }
  uint64_t* data_length() { return reinterpret_cast<uint64_t*>(memory_ + data_length_at_); }
  std::byte* metadata() { return memory_ + metadata_at_; }
  std::byte* data() { return memory_ + data_at_; }
  const fabric::Region& region() const { return *region_; }
  bool registered() const { return region_ != nullptr; }

  // Compacts the columns in front of the metadata and pads; the body for these many events.
  std::span<std::byte> make_body(uint32_t count, uint64_t metadata_bytes, bool has_data);
  // Registers the memory anew, so that a peer that was given the old key cannot reach it any more. On an error it has
  // no key, until renew() works.
  Status renew(fabric::Lane& lane);
  // For memory that a lost peer may read for ever: its addresses are never used for anything else.
  void keep_mapped() { keeps_mapped_ = true; }

 private:
  Arena() = default;

  ArenaShape shape_{};
  std::byte* memory_ = nullptr;
  uint64_t length_ = 0;
  uint64_t data_length_at_ = 0;
  uint64_t metadata_at_ = 0;
  uint64_t data_at_ = 0;
  bool keeps_mapped_ = false;
  std::unique_ptr<fabric::Region> region_;
};

}  // namespace weft::client
