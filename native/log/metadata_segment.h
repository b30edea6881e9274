// One metadata segment file and its sparse index.
//
// Threads: the writer (or recovery, before anyone reads) calls note(); any thread reads what was published before.
// Memory: one index entry of 24 bytes per kIndexStrideBytes of the segment, allocated once.
#pragma once

#include <atomic>
#include <memory>

#include "log/format.h"

namespace weft::log {

constexpr uint64_t kIndexStrideBytes = 32 * 1024;

class MetadataSegment {
 public:
  // Opens a file and reads its header. The index starts empty, with room for max(file, expected) bytes.
  static Result<std::shared_ptr<MetadataSegment>> open(FileSystem& file_system, const std::string& directory,
                                                       uint64_t number, OpenMode mode, uint64_t expected_bytes);
  // Makes the file and writes its header; nothing is synced.
  static Result<std::shared_ptr<MetadataSegment>> create(FileSystem& file_system, const std::string& directory,
                                                         const SegmentHeader& header, uint64_t expected_bytes);

  // Takes the index file where it is there, whole, and within the segment file. False: nothing was taken.
  bool load_index(FileSystem& file_system, uint64_t position_max);
  // Replaces the index file. Not synced: a short or torn one is found by its checksums and made again.
  Status write_index(FileSystem& file_system) const;
  // Goes on from end_position() through the records before `end`, without checking bodies. The first bad one stops it.
  Status extend_index(uint64_t end);

  // Publishes a record that lies at end_position(): writer only.
  void note(const RecordHeader& record, uint32_t event_count);
  // Where to start the walk to an offset or a time: the position of a record at or before it.
  uint64_t floor_of_offset(uint64_t offset) const;
  uint64_t floor_of_time(uint64_t time_ns) const;

  const SegmentHeader& header() const { return header_; }
  uint64_t first_offset() const { return header_.number; }
  const std::string& path() const { return path_; }
  File& file() const { return *file_; }
  uint64_t end_offset() const { return end_offset_.load(std::memory_order_acquire); }
  uint64_t end_position() const { return end_position_.load(std::memory_order_acquire); }

  // ---- writer only
  uint64_t last_time_ns() const { return last_time_ns_; }
  uint32_t last_epoch() const { return last_epoch_; }
  uint64_t data_bytes() const { return data_bytes_; }
  uint64_t min_data_segment() const { return min_data_segment_; }
  // ---- recovery only
  // Back to an empty index.
  void forget_all();
  // Goes on behind damage that reads will report: the records up to `position` are not indexed.
  void resume_at(uint64_t position, uint64_t end_offset, uint64_t last_time_ns, uint32_t last_epoch);

 private:
  MetadataSegment(std::string path, std::string index_path, std::unique_ptr<File> file, const SegmentHeader& header,
                  uint64_t capacity_bytes);

  const std::string path_;
  const std::string index_path_;
  const std::unique_ptr<File> file_;
  const SegmentHeader header_;
  size_t capacity_;
  std::unique_ptr<IndexEntry[]> entries_;
  std::atomic<size_t> entry_count_{0};
  std::atomic<uint64_t> end_offset_;
  std::atomic<uint64_t> end_position_{sizeof(SegmentHeader)};
  uint64_t last_time_ns_ = 0;
  uint32_t last_epoch_ = 0;
  uint64_t data_bytes_ = 0;
  uint64_t min_data_segment_ = kNoSegment;
};

}  // namespace weft::log
