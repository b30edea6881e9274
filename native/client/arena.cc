#include "client/arena.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

namespace weft::client {

Result<std::unique_ptr<Arena>> Arena::create(fabric::Lane& lane, const ArenaShape& shape) {
  std::unique_ptr<Arena> arena(new Arena);
  arena->shape_ = shape;
  const uint64_t events = shape.events;
  arena->data_length_at_ = wire::align_up(events * 8, 64);
  const uint64_t columns_end = arena->data_length_at_ + events * 8;
  // Compacted columns need at most 16 bytes an event and two paddings.
  arena->metadata_at_ = wire::align_up(columns_end + events * 16 + 16, wire::kDataAlignmentBytes);
  arena->data_at_ = wire::align_up(arena->metadata_at_ + shape.metadata_bytes + 8, 4096);
  arena->length_ = wire::align_up(arena->data_at_ + shape.data_bytes, 4096);
  void* memory = mmap(nullptr, arena->length_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return Status(Code::OUT_OF_MEMORY,
                  join_text("mapping ", arena->length_, " bytes for a batch failed: ", errno_text(errno)));
  }
  arena->memory_ = static_cast<std::byte*>(memory);
  WEFT_RETURN_IF_ERROR(arena->renew(lane));
  return arena;
}

Arena::~Arena() {
  region_.reset();
  if (memory_ == nullptr) return;
  // Only the pages go back when the addresses must stay ours.
  const int failed = keeps_mapped_ ? madvise(memory_, length_, MADV_DONTNEED) : munmap(memory_, length_);
  static_cast<void>(failed);  // then the memory stays: nothing better can be done with it
}

Status Arena::renew(fabric::Lane& lane) {
  region_.reset();
  Result<std::unique_ptr<fabric::Region>> region = lane.register_memory(memory_, length_, fabric::kRemoteRead);
  if (!region.ok()) return region.status();
  region_ = region.take();
  return {};
}

std::span<std::byte> Arena::make_body(uint32_t count, uint64_t metadata_bytes, bool has_data) {
  const wire::BatchShape body = wire::batch_shape(count, has_data, metadata_bytes);
  std::byte* start = metadata() - body.metadata_at;
  WEFT_ASSERT(start >= reinterpret_cast<std::byte*>(data_length() + shape_.events));
  std::memset(start, 0, body.metadata_at);
  std::memcpy(start + body.metadata_end_at, metadata_end(), count * sizeof(uint32_t));
  std::memcpy(start + body.time_delta_at, time_delta(), count * sizeof(uint32_t));
  if (has_data) std::memcpy(start + body.data_length_at, data_length(), count * sizeof(uint64_t));
  std::memset(metadata() + metadata_bytes, 0, body.body_bytes - body.metadata_at - metadata_bytes);
  return {start, body.body_bytes};
}

}  // namespace weft::client
