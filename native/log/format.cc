// Names and checks of the log's format. No I/O, any thread.
#include "log/format.h"

#include <algorithm>
#include <cstring>

namespace weft::log {

namespace {
constexpr size_t kNumberDigits = 20;  // of the largest 64-bit number
}

std::string segment_name(uint64_t number, std::string_view extension) {
  std::string digits = std::to_string(number);
  return std::string(kNumberDigits - digits.size(), '0') + digits + std::string(extension);
}

bool parse_segment_name(std::string_view name, std::string_view extension, uint64_t& number) {
  if (name.size() != kNumberDigits + extension.size() || name.substr(kNumberDigits) != extension) return false;
  uint64_t value = 0;
  for (const char digit : name.substr(0, kNumberDigits)) {
    if (digit < '0' || digit > '9') return false;
    const uint64_t add = static_cast<uint64_t>(digit - '0');
    if (value > (~uint64_t{0} - add) / 10) return false;
    value = value * 10 + add;
  }
  number = value;
  return true;
}

Status check_segment_header(const SegmentHeader& header, uint16_t kind, uint64_t number, const std::string& path) {
  if (header.magic != kSegmentMagic) return Status(Code::CORRUPT, join_text(path, ": the magic number is wrong"));
  if (header.checksum != checksum_of(header)) {
    return Status(Code::CORRUPT, join_text(path, ": the segment header's checksum does not match"));
  }
  if (header.version > kLogFormatVersion) {
    return Status(Code::FORMAT_NEWER, join_text(path, " has format ", header.version, ", this build knows ",
                                                kLogFormatVersion, "; use the version that wrote it"));
  }
  if (header.kind != kind || header.number != number) {
    return Status(Code::CORRUPT, join_text(path, ": the header is of another segment (kind ", header.kind, ", number ",
                                           header.number, ")"));
  }
  return {};
}

Status parse_record_headers(std::span<const std::byte> bytes, RecordHeader& record, wire::BatchHeader& batch) {
  if (bytes.size() < kRecordFixedBytes) return Status(Code::CORRUPT, "the file ends inside a record header");
  std::memcpy(&record, bytes.data(), sizeof record);
  std::memcpy(&batch, bytes.data() + sizeof record, sizeof batch);
  if (record.magic != kRecordMagic) return Status(Code::CORRUPT, "no record starts here");
  if (record.checksum != checksum_of(record))
    return Status(Code::CORRUPT, "the record header's checksum does not match");
  WEFT_RETURN_IF_ERROR(wire::BatchView::check_header(batch));
  if (record.batch_header_checksum != batch.header_checksum) {
    return Status(Code::CORRUPT, "the batch header is not the one of this record");
  }
  if (record.data_length != batch.data_bytes || record.block_count != block_count_of(record.data_length) ||
      record.record_bytes != record_bytes_of(batch.body_bytes, record.block_count)) {
    return Status(Code::CORRUPT, "the lengths in the record do not add up");
  }
  if (record.first_offset > ~uint64_t{0} - batch.event_count) {
    return Status(Code::CORRUPT, "the offset in the record is out of range");
  }
  return {};
}

Status check_record_rest(const RecordHeader& record, const wire::BatchHeader& batch, std::span<const std::byte> bytes) {
  if (bytes.size() < record.record_bytes) return Status(Code::CORRUPT, "the file ends inside a record");
  if (crc32c(bytes.subspan(kRecordFixedBytes, batch.body_bytes)) != batch.body_checksum) {
    return Status(Code::CORRUPT, "the checksum of the batch's body does not match");
  }
  const auto blocks = bytes.subspan(kRecordFixedBytes + batch.body_bytes, record.block_count * sizeof(uint32_t));
  if (crc32c(blocks) != record.blocks_checksum) {
    return Status(Code::CORRUPT, "the checksum of the block checksums does not match");
  }
  // In no checksum, and known all the same: a change here is a disk that changes bytes.
  const auto padding = bytes.first(record.record_bytes).subspan(kRecordFixedBytes + batch.body_bytes + blocks.size());
  if (std::any_of(padding.begin(), padding.end(), [](std::byte byte) { return byte != std::byte{0}; })) {
    return Status(Code::CORRUPT, "the padding behind the block checksums is not zero");
  }
  return {};
}

}  // namespace weft::log
