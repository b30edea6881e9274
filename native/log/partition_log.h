// One partition's events: the log provider (metadata records) and the storage provider (data) behind one door.
// open_file_log: on disk, in two directories. open_memory_log: in preallocated memory.
//
// Threads: one writer thread calls everything that changes; the readers' calls (marked "any thread") may run on any
// number of threads at the same time as the writer. Offsets count events from 0 and are never used twice.
//
// The write path, in this order (docs/formats/log.md says what a crash after each line leaves behind):
//   reserve → write_data … → append (the metadata record is the commit) → sync (data first, then metadata) →
//   acknowledge.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "log/file.h"
#include "wire/batch.h"

namespace weft::log {

// A place for one batch's data. Lies in one segment; a segment grows past its nominal size for a larger extent.
struct DataExtent {
  uint64_t segment = 0;
  uint64_t position = 0;  // a multiple of 64
  uint64_t length = 0;    // 0: no data
};

constexpr uint64_t kDataBlockBytes = 64 * 1024;  // one CRC32C each, counted from the start of the extent

struct AppendRequest {
  const wire::BatchHeader* header = nullptr;
  std::span<const std::byte> body;
  DataExtent extent;
  // CRC32C of each 64 KiB block of the extent; the last one may be shorter.
  std::span<const uint32_t> block_checksums;
};

struct AppendResult {
  uint64_t first_offset = 0;
  uint64_t append_time_ns = 0;  // the server's, monotone in the partition
  uint32_t partition_epoch = 0;
};

// One stored batch, as read back.
struct StoredBatch {
  uint64_t first_offset = 0;
  uint64_t append_time_ns = 0;
  uint32_t partition_epoch = 0;
  DataExtent extent;
  wire::BatchHeader header{};
  std::vector<std::byte> body;  // reused by the caller to avoid allocation
  std::vector<uint32_t> block_checksums;
};

struct PartitionState {
  uint32_t epoch = 0;           // grows when recovery cut events off, and at each start of a memory partition
  uint64_t first_offset = 0;    // of the first event still there
  uint64_t next_offset = 0;     // of the next event to come
  uint64_t synced_offset = 0;   // events below it survive a power loss
  uint64_t metadata_bytes = 0;  // stored
  uint64_t data_bytes = 0;
  bool read_only = false;  // after a failed write or sync; `read_only_reason` says why
  std::string read_only_reason;
};

// What recovery did, for the log line and for tests.
struct RecoveryReport {
  bool truncated = false;
  uint64_t truncated_at_offset = 0;  // first offset that is gone
  uint64_t metadata_bytes_cut = 0;
  std::string reason;  // why the first bad batch was bad, with file and position
  uint64_t batches_verified = 0;
  // Ids were skipped, because events that were given out may be gone: the epoch grew, and offsets go on at
  // PartitionState::next_offset. Also without `truncated`: after a power loss the lost tail may leave no trace.
  bool ids_skipped = false;
};

// The last accepted batch of a producer, and the ones before it that may be repeated.
struct ProducerState {
  wire::ProducerId id{};
  uint32_t epoch = 0;
  uint64_t next_sequence = 0;
  uint64_t last_append_time_ns = 0;
  struct Recent {
    uint64_t sequence;
    uint64_t first_offset;
    uint32_t event_count;
  };
  // Oldest first, at most kRecentBatchesMax. While nothing was stored under this epoch it is the last batch of an
  // earlier one alone, with kEarlierEpoch in the place of its sequence: that is where a producer that comes back goes
  // on.
  std::vector<Recent> recent;
};
constexpr uint64_t kEarlierEpoch = UINT64_MAX;
constexpr size_t kRecentBatchesMax = 64;  // >= the batches a producer may have in flight
constexpr size_t kProducersMax = 4096;    // per partition; first forgotten: with one batch, idle longest

// What was read of a metadata file behind a batch that was asked for, so that those that follow need no read of their
// own. For one reader, and for batches that are visible when it begins: forget() before the next use, since what is not
// visible yet may still be cut and written anew.
class ReadAhead {
 public:
  void forget() {
    file_.reset();
    length_ = 0;
  }

 private:
  friend class MetadataLog;
  std::shared_ptr<const void> file_;
  uint64_t position_ = 0;  // in the file
  uint64_t length_ = 0;
  std::vector<std::byte> bytes_;
};

class PartitionLog {
 public:
  virtual ~PartitionLog() = default;

  // ---- writer thread
  // A place for data; touches no file yet. WEFT_NO_SPACE (memory full), WEFT_EVENT_TOO_LARGE (larger than the partition
  // can ever hold), WEFT_PARTITION_READ_ONLY.
  virtual Result<DataExtent> reserve(uint64_t data_bytes) = 0;
  // Where RMA may place the extent's bytes directly (memory storage), else nullptr. Stable until the extent is removed.
  virtual std::byte* memory(const DataExtent& extent) = 0;
  // Part of a reserved extent, at `at` bytes from its start. File storage only.
  virtual Status write_data(const DataExtent& extent, uint64_t at, std::span<const std::byte> bytes) = 0;
  // Gives a reserved extent up; its bytes are a hole that nothing refers to.
  virtual void abandon(const DataExtent& extent) = 0;
  // The commit. Gives offsets. The bytes are in the page cache (or memory) when it returns.
  virtual Result<AppendResult> append(const AppendRequest& request) = 0;
  // Everything appended before is durable when it returns: data, then metadata, then the directory if files were made.
  // A failure makes the partition read-only for good (WEFT_SYNC_FAILED).
  virtual Status sync() = 0;
  // The producer is at this epoch, which is newer than its last one, and has stored nothing in it. Durable when
  // sync_fences() has returned: one checkpoint for all fences before it. Where nothing outlives the process, nothing
  // needs doing.
  virtual void fence(const wire::ProducerId&, uint32_t /*epoch*/) {}
  // As sync(); WEFT_NO_SPACE may be tried again.
  virtual Status sync_fences() { return {}; }
  // Removes whole segments below the offset. Open reads keep what they read. After WEFT_NO_SPACE their events are out
  // of the log and the files still there; the next call removes them.
  virtual Status remove_below(uint64_t offset) = 0;
  // nullptr if unknown. Valid until the next call of the writer.
  virtual const ProducerState* producer(const wire::ProducerId& id) const = 0;
  // A clean end: syncs, writes the checkpoint, closes files.
  virtual Status close() = 0;

  // ---- any thread
  virtual PartitionState state() const = 0;
  // The batch that holds the offset. WEFT_END_OF_STREAM when offset == next_offset, WEFT_TRUNCATED beyond it (naming
  // next_offset), WEFT_OFFSET_GONE below first_offset, WEFT_CORRUPT when the stored bytes are bad.
  //
  // Gaps: after a recovery that may have lost events that somebody saw, offsets go on at a higher number a → b, and
  // nothing is ever stored in [a, b). A reader whose next offset is exactly a lost nothing and needs to do nothing:
  // it gets WEFT_END_OF_STREAM until there is a batch at b, then that batch (into.first_offset = b > a). So a reader
  // always goes on at into.first_offset + event_count. A reader inside the gap (a < offset < b) has seen events that
  // are gone: WEFT_TRUNCATED. With WEFT_TRUNCATED and WEFT_OFFSET_GONE into.first_offset holds where to go on.
  // `ahead`: of a reader that goes on behind this batch.
  virtual Status read_batch(uint64_t offset, StoredBatch& into, ReadAhead* ahead = nullptr) const = 0;
  // Part of the data of a stored batch: `at` from the start of its extent. Reads and verifies whole blocks.
  virtual Status read_data(const StoredBatch& batch, uint64_t at, std::span<std::byte> into) const = 0;
  // Memory storage: the stored data itself (registered memory of the partition), so that it can be sent without a copy.
  virtual const std::byte* data_memory(const StoredBatch& batch) const = 0;
  // The lowest offset from which on at most so many bytes (metadata and data) are stored, in whole segments on disk, in
  // whole batches in memory; what is written at the moment always stays.
  virtual uint64_t offset_within(uint64_t bytes) const = 0;
  // The first offset whose append time is >= time_ns; next_offset if none.
  virtual Result<uint64_t> offset_at_time(uint64_t time_ns) const = 0;
};

struct FileLogOptions {
  std::string metadata_directory;
  std::string data_directory;
  uint64_t segment_bytes = uint64_t{256} << 20;  // both kinds roll at this size
  FileSystem* file_system = nullptr;             // nullptr: FileSystem::real()
  Clock* clock = nullptr;                        // nullptr: Clock::system()
  // A sync that finds this many bytes behind the last checkpoint writes one.
  uint64_t checkpoint_bytes = uint64_t{64} << 20;
  // Offsets that may be given out under one checkpoint; also how far ids jump after a loss.
  uint64_t offset_lease = uint64_t{1} << 24;
  // Of the running kernel ("" = ask it). Under the same one an unclean end was the process's alone: nothing that was
  // written is lost, and ids are not skipped.
  std::string boot_id;
  // Who the directories belong to, "<topic uuid>/<partition>": recorded in both at the first opening, and they are
  // locked while the log is open. "": neither, the caller keeps everybody else away.
  std::string owner;
  bool force_lock = false;  // goes on where the file system has no locks
};
// WEFT_TOPIC_EXISTS when a directory belongs to another owner, WEFT_DATA_DIRECTORY_LOCKED when another process has it
// open. Opens or creates. Recovers: verifies everything behind the checkpoint, cuts at the first bad batch.
Result<std::unique_ptr<PartitionLog>> open_file_log(const FileLogOptions& options, RecoveryReport* report);

struct MemoryLogOptions {
  uint64_t data_limit_bytes = uint64_t{256} << 20;     // preallocated and touched
  uint64_t metadata_limit_bytes = uint64_t{64} << 20;  // preallocated and touched
  uint32_t epoch = 1;                                  // the caller passes a larger one at each start
  Clock* clock = nullptr;
};
Result<std::unique_ptr<PartitionLog>> open_memory_log(const MemoryLogOptions& options);
// The memory of a memory log's data area, for registration with the fabric. Empty for a file log.
std::span<std::byte> data_area(PartitionLog& log);

}  // namespace weft::log
