// The batch: the unit that a producer sends, the log stores and a consumer receives, byte for byte the same.
// Layout (little-endian, every part 8-aligned), see docs/formats/batch.md:
//
//   BatchHeader                       96 bytes, written by the producer
//   u32 metadata_end[event_count]     cumulative ends in the metadata bytes; padded to 8
//   u32 time_delta_us[event_count]    producer's time stamp minus base_time_ns, microseconds; padded to 8
//   u64 data_length[event_count]      only with kBatchHasData: bytes of each event's data
//   bytes metadata                    all events' metadata, one after another; padded to 8
//
// The data of the events is not in the body. It forms one extent: each event's data starts at the next multiple of 64
// bytes behind the one before (so typed views work); BatchHeader::data_bytes is the extent's length (end of the last).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/status.h"

namespace weft::wire {

static_assert(std::endian::native == std::endian::little, "the layouts are used in place: little-endian hosts only");

constexpr uint32_t kBatchMagic = 0x54424657;  // "WFBT"
constexpr uint16_t kBatchVersion = 1;
constexpr uint16_t kBatchHasData = 1u << 0;
// Bits 1-2: how metadata is encoded. Stored for tools that have no catalogue.
constexpr uint16_t kBatchMetadataJson = 0u << 1;
constexpr uint16_t kBatchMetadataRaw = 1u << 1;
constexpr uint16_t kBatchMetadataMask = 3u << 1;

constexpr uint64_t kDataAlignmentBytes = 64;
constexpr uint32_t kBatchEventsMax = 1u << 16;
constexpr uint64_t kBatchBodyBytesMax = uint64_t{2} << 20;
// One event's metadata.
constexpr uint64_t kMetadataBytesMax = uint64_t{1} << 20;
// One batch's data extent: 2^44 = 16 TiB.
constexpr uint64_t kBatchDataBytesMax = uint64_t{1} << 44;

struct ProducerId {
  uint8_t bytes[16];
  bool operator==(const ProducerId&) const = default;
};

struct BatchHeader {
  uint32_t magic;
  uint16_t version;
  uint16_t flags;
  uint32_t event_count;
  uint32_t body_checksum;  // CRC32C of the body
  uint64_t body_bytes;     // everything behind this header
  uint64_t data_bytes;     // the data extent, 0 if none
  ProducerId producer_id;
  uint64_t sequence;  // of this batch in (producer_id, producer_epoch, partition); from 0
  uint64_t base_time_ns;
  uint32_t producer_epoch;
  uint32_t reserved0;
  uint64_t reserved1[2];
  uint32_t reserved2;
  uint32_t header_checksum;  // CRC32C of the bytes before it
};
static_assert(sizeof(BatchHeader) == 96);
static_assert(offsetof(BatchHeader, body_bytes) == 16);
static_assert(offsetof(BatchHeader, producer_id) == 32);
static_assert(offsetof(BatchHeader, sequence) == 48);
static_assert(offsetof(BatchHeader, producer_epoch) == 64);
static_assert(offsetof(BatchHeader, header_checksum) == 92);

constexpr uint64_t align_up(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

// Where the parts of a body of this shape lie, and how long it is.
struct BatchShape {
  uint64_t metadata_end_at;
  uint64_t time_delta_at;
  uint64_t data_length_at;
  uint64_t metadata_at;
  uint64_t body_bytes;
};
BatchShape batch_shape(uint32_t event_count, bool has_data, uint64_t metadata_bytes);

// Sets magic, version, checksums; the other fields and the body are the caller's.
void seal_batch(BatchHeader& header, std::span<const std::byte> body);

// A checked view of a header and its body; both must stay alive. Holds no memory of its own.
class BatchView {
 public:
  // Checks everything that can be wrong: lengths, monotone ends, sums, checksums (WEFT_CORRUPT naming which).
  // check_body_checksum = false where the bytes were checked before.
  static Result<BatchView> parse(std::span<const std::byte> header, std::span<const std::byte> body,
                                 bool check_body_checksum);
  // Checks the header alone.
  static Status check_header(const BatchHeader& header);

  const BatchHeader& header() const { return *header_; }
  std::span<const std::byte> body() const { return body_; }
  uint32_t count() const { return header_->event_count; }
  std::span<const std::byte> metadata(uint32_t event) const;
  uint64_t time_ns(uint32_t event) const;
  uint64_t data_length(uint32_t event) const;
  // Position of the event's data in the batch's extent: a sum over the events before it.
  uint64_t data_position(uint32_t event) const;
  bool has_data() const { return (header_->flags & kBatchHasData) != 0; }

 private:
  const BatchHeader* header_ = nullptr;
  std::span<const std::byte> body_;
  BatchShape shape_{};
};

}  // namespace weft::wire
