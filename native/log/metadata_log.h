// The log provider of a partition in files: the list of metadata segments, the one that is written, and the reads.
//
// Threads: one writer; read_batch, offset_at_time and the getters are for any thread. Readers hold the mutex only to
// find the segment and to look into the position cache; files are opened and read outside it. The getters take none.
// Memory: 64 bytes per sealed segment, the index of the written segment, the indexes of at most kOpenSegmentsMax
// sealed ones, and the position cache of 4,096 entries.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "log/metadata_segment.h"

namespace weft::log {

// What is kept in memory of a sealed segment.
struct SealedSegment {
  uint64_t first_offset = 0;
  uint64_t end_offset = 0;
  uint64_t end_position = 0;
  uint64_t first_time_ns = 0;
  uint64_t data_bytes = 0;
  uint64_t min_data_segment = kNoSegment;
  uint64_t previous_number = kNoSegment;
  uint64_t previous_end_offset = 0;
};

// Where a record lies; bytes = 0: its length is not known yet.
struct RecordPlace {
  uint64_t position = 0;
  uint64_t bytes = 0;
};

// A small direct-mapped table from an offset to the record that starts with it. Any thread.
class PositionCache {
 public:
  void put(uint64_t offset, RecordPlace place);
  bool get(uint64_t offset, RecordPlace& place) const;
  void clear();

 private:
  static constexpr size_t kEntries = 4096;
  struct Entry {
    uint64_t offset = kNoSegment;
    RecordPlace place;
  };
  static size_t slot_of(uint64_t offset) { return (offset * 0x9E3779B97F4A7C15u) >> 52; }

  mutable std::mutex mutex_;
  std::vector<Entry> entries_ = std::vector<Entry>(kEntries);
};

class MetadataLog {
 public:
  MetadataLog(FileSystem& file_system, std::string directory, uint64_t segment_bytes);

  // ---- writer, and recovery
  // Hands over what recovery found. active may be null: the first append makes a segment.
  void adopt(std::vector<SealedSegment> sealed, std::shared_ptr<MetadataSegment> active, uint64_t first_offset,
             uint64_t end_offset, uint64_t next_offset);
  bool needs_roll(uint64_t record_bytes) const;
  // Seals the written segment, whose records must be synced, and makes the next one durable.
  Status roll(uint64_t first_offset, uint64_t time_ns, uint32_t epoch);
  // Writes one record at the end, in one system call, and shows it to readers.
  Status append(const RecordHeader& record, const wire::BatchHeader& batch, std::span<const std::byte> body,
                std::span<const uint32_t> block_checksums);
  bool dirty() const { return dirty_; }
  Status sync();
  // Drops the sealed segments that end at or below `offset` from the list, and says which; the caller removes their
  // files after the checkpoint no longer names them.
  std::vector<uint64_t> forget_below(uint64_t offset);
  Status remove_files(std::span<const uint64_t> segments);
  uint64_t min_data_segment() const;
  const MetadataSegment* active() const { return active_.get(); }
  uint64_t first_segment() const;
  Status write_active_index() const;

  // ---- any thread
  uint64_t first_offset() const { return first_offset_.load(std::memory_order_acquire); }
  uint64_t end_offset() const { return end_offset_.load(std::memory_order_acquire); }
  uint64_t next_offset() const { return next_offset_.load(std::memory_order_acquire); }
  uint64_t stored_bytes() const;
  uint64_t stored_data_bytes() const;
  Status read_batch(uint64_t offset, StoredBatch& into, ReadAhead* ahead = nullptr) const;
  uint64_t offset_within(uint64_t bytes) const;
  Result<uint64_t> offset_at_time(uint64_t time_ns) const;

 private:
  static constexpr size_t kOpenSegmentsMax = 8;

  // The open segment that holds the offset, or the Status that the reader gets; for an offset at the start of a gap
  // `offset` is moved to the end of the gap.
  Status find_segment(uint64_t& offset, std::shared_ptr<MetadataSegment>& segment, uint64_t& continue_at) const;
  // `lock` holds the mutex; it is given up while a file is opened and read.
  Result<std::shared_ptr<MetadataSegment>> open_sealed(SealedSegment sealed, std::unique_lock<std::mutex>& lock) const;
  Status locate(const MetadataSegment& segment, uint64_t& offset, RecordPlace& place, uint64_t& continue_at) const;
  Status read_record(const std::shared_ptr<MetadataSegment>& segment, RecordPlace place, StoredBatch& into,
                     ReadAhead* ahead) const;
  static Status fill(ReadAhead& from, const std::shared_ptr<MetadataSegment>& segment, uint64_t position,
                     uint64_t length);

  FileSystem& file_system_;
  const std::string directory_;
  const uint64_t segment_bytes_;

  mutable std::mutex mutex_;  // sealed_, active_ (the pointer), open_
  std::vector<SealedSegment> sealed_;
  std::shared_ptr<MetadataSegment> active_;
  mutable std::vector<std::shared_ptr<MetadataSegment>> open_;  // sealed ones, the one used last comes first
  std::atomic<uint64_t> first_offset_{0};
  std::atomic<uint64_t> end_offset_{0};   // behind the last stored event
  std::atomic<uint64_t> next_offset_{0};  // larger than end_offset_ after ids were skipped
  std::atomic<uint64_t> sealed_bytes_{0};
  std::atomic<uint64_t> sealed_data_bytes_{0};
  std::atomic<uint64_t> active_bytes_{0};
  std::atomic<uint64_t> active_data_bytes_{0};
  mutable PositionCache cache_;

  bool dirty_ = false;  // writer
};

}  // namespace weft::log
