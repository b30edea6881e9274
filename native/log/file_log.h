// A partition in files: puts the log provider (MetadataLog) and the storage provider (DataSegments) together with the
// producers, the checkpoint and recovery. See partition_log.h for what each call promises.
#pragma once

#include "log/checkpoint.h"
#include "log/data_segments.h"
#include "log/metadata_log.h"
#include "log/partition_owner.h"
#include "log/recovery.h"

namespace weft::log {

class FileLog final : public PartitionLog {
 public:
  explicit FileLog(const FileLogOptions& options);
  Status open(RecoveryReport& report);
  // After a failed sync: the next opening must not take what is there for all that was. Best effort, and enough
  // without a sync: under another boot nothing is taken for granted anyway.
  void mark_suspect();

  Result<DataExtent> reserve(uint64_t data_bytes) override;
  std::byte* memory(const DataExtent&) override { return nullptr; }
  Status write_data(const DataExtent& extent, uint64_t at, std::span<const std::byte> bytes) override;
  void abandon(const DataExtent& extent) override;
  Result<AppendResult> append(const AppendRequest& request) override;
  Status sync() override;
  void fence(const wire::ProducerId& id, uint32_t epoch) override { producers_.begin_epoch(id, epoch, last_time_ns_); }
  Status sync_fences() override;
  Status remove_below(uint64_t offset) override;
  const ProducerState* producer(const wire::ProducerId& id) const override { return producers_.find(id); }
  Status close() override;

  PartitionState state() const override;
  Status read_batch(uint64_t offset, StoredBatch& into, ReadAhead* ahead) const override {
    return metadata_.read_batch(offset, into, ahead);
  }
  Status read_data(const StoredBatch& batch, uint64_t at, std::span<std::byte> into) const override {
    return data_.read(batch.extent, batch.block_checksums, at, into);
  }
  const std::byte* data_memory(const StoredBatch&) const override { return nullptr; }
  uint64_t offset_within(uint64_t bytes) const override { return metadata_.offset_within(bytes); }
  Result<uint64_t> offset_at_time(uint64_t time_ns) const override { return metadata_.offset_at_time(time_ns); }

 private:
  Status check_writable() const;
  // Read-only from now on, unless it is a full disk, which passes by itself. Returns the status.
  Status stopped_by(Status status);
  Status check_request(const AppendRequest& request) const;
  // Checkpoints and rolls that must come before the next record.
  Status prepare_append(uint64_t record_bytes, uint32_t event_count, const DataExtent& extent, uint64_t time_ns);
  Status sync_files();
  // As sync_files, for those who asked for a sync: whatever fails, pages are lost.
  Status sync_asked();
  Status save_checkpoint(bool clean, uint64_t events_ahead);

  FileLogOptions options_;
  FileSystem& file_system_;
  Clock& clock_;
  const std::string boot_id_;
  std::vector<std::unique_ptr<DirectoryLock>> locks_;  // before the files, so that it is let go after them

  // ---- writer
  MetadataLog metadata_;
  DataSegments data_;
  ProducerTable producers_;
  std::vector<std::byte> checkpoint_scratch_;
  uint64_t last_time_ns_ = 0;
  uint64_t lease_end_ = 0;  // 0: no checkpoint of this run is durable yet
  uint64_t bytes_since_checkpoint_ = 0;
  std::vector<uint64_t> forgotten_;      // metadata segments out of the log, whose files are still there
  uint64_t data_segment_committed_ = 0;  // the highest that a record names
  bool closed_ = false;

  // ---- shared
  std::atomic<uint64_t> synced_offset_{0};
  std::atomic<uint32_t> epoch_{0};
  std::atomic<bool> read_only_{false};
  mutable std::mutex reason_mutex_;
  std::string read_only_reason_;
};

}  // namespace weft::log
