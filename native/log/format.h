// The bytes of the log on disk, format version 1: docs/formats/log.md describes them and is changed first.
// Little-endian, used in place. Each header ends with the CRC32C of the bytes before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/checksum.h"
#include "base/status.h"
#include "log/partition_log.h"
#include "wire/batch.h"

namespace weft::log {

constexpr uint16_t kLogFormatVersion = 1;
constexpr uint32_t kSegmentMagic = 0x47535457;     // "WTSG"
constexpr uint32_t kRecordMagic = 0x43525457;      // "WTRC"
constexpr uint32_t kIndexMagic = 0x58495457;       // "WTIX"
constexpr uint32_t kCheckpointMagic = 0x50435457;  // "WTCP"
constexpr uint16_t kKindMetadata = 1;
constexpr uint16_t kKindData = 2;
constexpr uint64_t kNoSegment = ~uint64_t{0};

// At the start of every segment file, metadata and data.
struct SegmentHeader {
  uint32_t magic;
  uint16_t version;
  uint16_t kind;
  uint64_t number;                // metadata: offset of the first event; data: the segment's number
  uint64_t previous_number;       // metadata: of the segment before, kNoSegment for the first one
  uint64_t previous_end_offset;   // metadata: behind the last event of the segment before
  uint64_t first_append_time_ns;  // metadata: of the first record
  uint32_t partition_epoch;
  uint32_t reserved0;
  uint64_t reserved1;
  uint32_t reserved2;
  uint32_t checksum;
};
static_assert(sizeof(SegmentHeader) == 64);

// One batch: this header, wire::BatchHeader, the body, u32 block checksums, padding to 8.
struct RecordHeader {
  uint32_t magic;
  uint32_t partition_epoch;
  uint64_t record_bytes;  // all of it, a multiple of 8
  uint64_t first_offset;
  uint64_t append_time_ns;
  uint64_t data_segment;
  uint64_t data_position;
  uint64_t data_length;
  uint32_t block_count;
  uint32_t blocks_checksum;        // CRC32C of the block checksums
  uint32_t batch_header_checksum;  // the one in the batch header: binds the two headers
  uint32_t checksum;
};
static_assert(sizeof(RecordHeader) == 72);
constexpr uint64_t kRecordFixedBytes = sizeof(RecordHeader) + sizeof(wire::BatchHeader);

struct IndexHeader {
  uint32_t magic;
  uint16_t version;
  uint16_t reserved0;
  uint64_t first_offset;
  uint64_t end_offset;        // behind the last event that the index covers
  uint64_t end_position;      // behind the last record that the index covers
  uint64_t last_time_ns;      // append time of that record
  uint64_t data_bytes;        // of the records covered
  uint64_t min_data_segment;  // the lowest one that they name, kNoSegment if none
  uint32_t entry_count;
  uint32_t entries_checksum;
  uint32_t last_epoch;
  uint32_t checksum;
};
static_assert(sizeof(IndexHeader) == 72);

struct IndexEntry {
  uint64_t first_offset;
  uint64_t append_time_ns;
  uint64_t position;
};
static_assert(sizeof(IndexEntry) == 24);

struct CheckpointHeader {
  uint32_t magic;
  uint16_t version;
  uint16_t clean;  // 1: written by close(), nothing came behind it
  uint64_t next_offset;
  uint64_t lease_end;      // no offset at or above it was given out under this checkpoint
  uint64_t first_segment;  // number of the first metadata segment still there, kNoSegment if none
  uint64_t first_offset;
  uint64_t metadata_segment;  // all before this place is synced
  uint64_t metadata_position;
  uint64_t data_segment;
  uint64_t data_position;
  uint64_t last_time_ns;
  uint64_t end_offset;  // behind the last stored event; below next_offset after ids were skipped
  char boot_id[40];
  uint32_t epoch;
  uint32_t producer_count;
  uint64_t body_bytes;
  uint64_t reserved;
  uint32_t body_checksum;
  uint32_t checksum;
};
static_assert(sizeof(CheckpointHeader) == 160);

// Behind the checkpoint header, each followed by recent_count CheckpointRecent.
struct CheckpointProducer {
  wire::ProducerId id;
  uint64_t next_sequence;
  uint64_t last_append_time_ns;
  uint32_t epoch;
  uint32_t recent_count;
};
static_assert(sizeof(CheckpointProducer) == 40);
struct CheckpointRecent {
  uint64_t sequence;
  uint64_t first_offset;
  uint32_t event_count;
  uint32_t reserved;
};
static_assert(sizeof(CheckpointRecent) == 24);

template <typename Header>
uint32_t checksum_of(const Header& header) {
  static_assert(offsetof(Header, checksum) == sizeof(Header) - sizeof(uint32_t));
  return crc32c(&header, offsetof(Header, checksum));
}

template <typename Header>
void seal_header(Header& header) {
  header.checksum = checksum_of(header);
}

constexpr uint64_t block_count_of(uint64_t data_length) {
  return (data_length + kDataBlockBytes - 1) / kDataBlockBytes;
}
constexpr uint64_t kRecordAlignment = 8;
constexpr uint64_t record_bytes_of(uint64_t body_bytes, uint64_t block_count) {
  return wire::align_up(kRecordFixedBytes + body_bytes + block_count * sizeof(uint32_t), kRecordAlignment);
}

// "00000000000000000042.meta"
std::string segment_name(uint64_t number, std::string_view extension);
constexpr std::string_view kMetadataExtension = ".meta";
constexpr std::string_view kIndexExtension = ".index";
constexpr std::string_view kDataExtension = ".data";
constexpr std::string_view kCheckpointName = "checkpoint";
constexpr std::string_view kSuspectName = "suspect";
// True for a name made by segment_name with this extension.
bool parse_segment_name(std::string_view name, std::string_view extension, uint64_t& number);

// Magic, checksum, version, kind and number of a segment header. WEFT_CORRUPT or WEFT_FORMAT_NEWER.
Status check_segment_header(const SegmentHeader& header, uint16_t kind, uint64_t number, const std::string& path);

// The two fixed headers at the start of a record (kRecordFixedBytes of them) and everything that ties them together.
// The reason alone is in the message: the caller adds file and position.
Status parse_record_headers(std::span<const std::byte> bytes, RecordHeader& record, wire::BatchHeader& batch);
// The rest of a record whose headers were checked: checksums of the body and of the block checksums.
Status check_record_rest(const RecordHeader& record, const wire::BatchHeader& batch, std::span<const std::byte> bytes);

}  // namespace weft::log
