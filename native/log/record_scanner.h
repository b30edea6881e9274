// Reads the records of one metadata segment one after another, for recovery, for rebuilding an index, for verifying
// and for the short walk from an index entry. Owned by one thread. Its memory is one window, which grows to the largest
// record only.
#pragma once

#include "log/format.h"

namespace weft::log {

// Where a sequence of records stands: offsets are contiguous within an epoch; they may jump where the epoch grows.
struct RecordOrder {
  uint64_t next_offset = 0;
  uint32_t epoch = 0;
  uint64_t time_ns = 0;

  Status check(const RecordHeader& record) const;
  void advance(const RecordHeader& record, const wire::BatchHeader& batch);
};

class RecordScanner {
 public:
  struct Record {
    uint64_t position = 0;
    RecordHeader header{};
    wire::BatchHeader batch{};
    std::span<const std::byte> bytes;  // all of it; valid until the next call
  };
  enum class Outcome { kRecord, kEnd, kBad };

  // Reads [position, end) of the file, in windows of window_bytes.
  RecordScanner(File& file, uint64_t position, uint64_t end, uint64_t window_bytes);

  // kBad: problem() says why; WEFT_CORRUPT, or another code when the file could not be read.
  Outcome next(Record& record, bool check_body);
  // After kBad: goes to the next place where a record's headers are whole; false when there is none up to the end. A
  // bad record whose own headers are whole says itself where it ends.
  bool step_over();
  // Of the next record, or of the bad one.
  uint64_t position() const { return position_; }
  const Status& problem() const { return problem_; }

 private:
  Status fill(uint64_t bytes);

  File& file_;
  uint64_t position_;
  const uint64_t end_;
  const uint64_t window_bytes_;
  std::vector<std::byte> window_;
  uint64_t window_position_ = 0;
  uint64_t window_length_ = 0;
  Status problem_;
};

}  // namespace weft::log
