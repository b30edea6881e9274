#include "log/record_scanner.h"

#include <algorithm>

namespace weft::log {

Status RecordOrder::check(const RecordHeader& record) const {
  if (record.partition_epoch < epoch) {
    return Status(Code::CORRUPT, join_text("a record of epoch ", record.partition_epoch, " behind epoch ", epoch,
                                           ": left over from before a truncation"));
  }
  const bool contiguous = record.first_offset == next_offset;
  const bool skipped = record.first_offset > next_offset && record.partition_epoch > epoch;
  if (!contiguous && !skipped) {
    return Status(Code::CORRUPT,
                  join_text("a record with offset ", record.first_offset, " where ", next_offset, " was expected"));
  }
  if (record.append_time_ns < time_ns) return Status(Code::CORRUPT, "the append time goes back");
  return {};
}

void RecordOrder::advance(const RecordHeader& record, const wire::BatchHeader& batch) {
  next_offset = record.first_offset + batch.event_count;
  epoch = record.partition_epoch;
  time_ns = record.append_time_ns;
}

RecordScanner::RecordScanner(File& file, uint64_t position, uint64_t end, uint64_t window_bytes)
    : file_(file), position_(position), end_(end), window_bytes_(window_bytes) {}

Status RecordScanner::fill(uint64_t bytes) {
  if (position_ >= window_position_ && position_ + bytes <= window_position_ + window_length_) return {};
  const uint64_t length = std::min(std::max(bytes, window_bytes_), end_ - position_);
  if (window_.size() < length) window_.resize(length);
  window_length_ = 0;
  WEFT_RETURN_IF_ERROR(file_.read_at(position_, std::span(window_).first(length)));
  window_position_ = position_;
  window_length_ = length;
  return {};
}

RecordScanner::Outcome RecordScanner::next(Record& record, bool check_body) {
  if (position_ >= end_) return Outcome::kEnd;
  const uint64_t left = end_ - position_;
  const auto window = [this] { return std::span<const std::byte>(window_).subspan(position_ - window_position_); };
  problem_ = fill(std::min(left, kRecordFixedBytes));
  if (!problem_.ok()) return Outcome::kBad;
  problem_ = parse_record_headers(window().first(std::min(left, kRecordFixedBytes)), record.header, record.batch);
  if (!problem_.ok()) return Outcome::kBad;
  if (record.header.record_bytes > left) {
    problem_ =
        Status(Code::CORRUPT, join_text("the file ends inside a record of ", record.header.record_bytes, " bytes"));
    return Outcome::kBad;
  }
  problem_ = fill(record.header.record_bytes);
  if (!problem_.ok()) return Outcome::kBad;
  record.position = position_;
  record.bytes = window().first(record.header.record_bytes);
  if (check_body) {
    problem_ = check_record_rest(record.header, record.batch, record.bytes);
    if (!problem_.ok()) return Outcome::kBad;
  }
  position_ += record.header.record_bytes;
  return Outcome::kRecord;
}

bool RecordScanner::step_over() {
  RecordHeader header{};
  wire::BatchHeader batch{};
  bool behind = false;  // the bad one
  for (; position_ + kRecordFixedBytes <= end_; position_ += kRecordAlignment) {
    if (!fill(kRecordFixedBytes).ok()) return false;
    const auto bytes = std::span<const std::byte>(window_).subspan(position_ - window_position_, kRecordFixedBytes);
    const bool whole = parse_record_headers(bytes, header, batch).ok() && header.record_bytes <= end_ - position_;
    if (whole && behind) return true;
    if (whole) position_ += header.record_bytes - kRecordAlignment;
    behind = true;
  }
  position_ = end_;
  return false;
}

}  // namespace weft::log
