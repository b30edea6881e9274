#include "log/file_log.h"

#include <algorithm>
#include <cstring>

namespace weft::log {

FileLog::FileLog(const FileLogOptions& options)
    : options_(options),
      file_system_(options.file_system ? *options.file_system : FileSystem::real()),
      clock_(options.clock ? *options.clock : Clock::system()),
      boot_id_((options.boot_id.empty() ? current_boot_id() : options.boot_id)
                   .substr(0, sizeof(CheckpointHeader::boot_id) - 1)),
      metadata_(file_system_, options.metadata_directory, options.segment_bytes),
      data_(file_system_, options.data_directory, options.segment_bytes) {}

Status FileLog::open(RecoveryReport& report) {
  WEFT_RETURN_IF_ERROR(file_system_.make_directories(options_.metadata_directory));
  WEFT_RETURN_IF_ERROR(file_system_.make_directories(options_.data_directory));
  if (!options_.owner.empty()) {
    auto claimed = claim_directories(options_, file_system_);
    if (!claimed.ok()) return claimed.status();
    locks_ = claimed.take();
  }
  auto found = recover_log(options_, file_system_, boot_id_, data_, producers_, report);
  if (!found.ok()) return found.status();
  RecoveredLog& recovered = found.value();
  last_time_ns_ = recovered.last_time_ns;
  epoch_ = recovered.epoch;
  data_.start_at(recovered.data_segment, recovered.data_position);
  data_segment_committed_ = recovered.data_segment;
  metadata_.adopt(recovered.sealed, recovered.active, recovered.first_offset, recovered.end_offset,
                  recovered.next_offset);
  synced_offset_ = recovered.next_offset;
  // Before anything is cut or appended: a second crash must find the new epoch and the skipped ids.
  Status saved = save_checkpoint(false, 0);
  if (!saved.ok()) {
    // On a full disk the log can still be read; the first append tries the checkpoint again.
    if (saved.code() != Code::NO_SPACE || recovered.checkpoint_required) return saved;
    return {};
  }
  return finish_recovery(options_, file_system_, recovered);
}

Status FileLog::check_writable() const {
  if (closed_) return Status(Code::CLOSED, join_text("the log in ", options_.metadata_directory, " is closed"));
  if (read_only_.load(std::memory_order_relaxed)) [[unlikely]] {
    const std::lock_guard lock(reason_mutex_);
    return Status(Code::PARTITION_READ_ONLY, join_text("the partition in ", options_.metadata_directory,
                                                       " takes no events since: ", read_only_reason_));
  }
  return {};
}

Status FileLog::stopped_by(Status status) {
  if (status.ok() || status.code() == Code::NO_SPACE) return status;
  {
    const std::lock_guard lock(reason_mutex_);
    if (read_only_reason_.empty()) read_only_reason_ = status.message();
  }
  read_only_ = true;
  if (status.code() == Code::SYNC_FAILED) mark_suspect();
  return status;
}

void FileLog::mark_suspect() {
  auto marker = file_system_.open(join_text(options_.metadata_directory, "/", kSuspectName), OpenMode::kCreateNew);
  static_cast<void>(marker.ok());
}

Result<DataExtent> FileLog::reserve(uint64_t data_bytes) {
  WEFT_RETURN_IF_ERROR(check_writable());
  if (data_bytes > wire::kBatchDataBytesMax) {
    return Status(Code::EVENT_TOO_LARGE,
                  join_text("a batch with ", data_bytes, " bytes of data; the limit is ", wire::kBatchDataBytesMax));
  }
  return data_.reserve(data_bytes);
}

Status FileLog::write_data(const DataExtent& extent, uint64_t at, std::span<const std::byte> bytes) {
  WEFT_RETURN_IF_ERROR(check_writable());
  return stopped_by(data_.write(extent, at, bytes));
}

void FileLog::abandon(const DataExtent& extent) { data_.release(extent, false); }

Status FileLog::check_request(const AppendRequest& request) const {
  if (request.header == nullptr || request.body.size() != request.header->body_bytes ||
      request.extent.length != request.header->data_bytes ||
      request.block_checksums.size() != block_count_of(request.extent.length)) {
    return Status(Code::INVALID_ARGUMENT,
                  "append: header, body, extent and block checksums do not belong together; give those of one batch");
  }
  return wire::BatchView::check_header(*request.header);
}

Status FileLog::prepare_append(uint64_t record_bytes, uint32_t event_count, const DataExtent& extent,
                               uint64_t time_ns) {
  const bool data_rolled = extent.length > 0 && extent.segment > data_segment_committed_;
  if (lease_end_ < metadata_.next_offset() + event_count) {
    WEFT_RETURN_IF_ERROR(sync_files());
    WEFT_RETURN_IF_ERROR(save_checkpoint(false, event_count));
  }
  if (metadata_.needs_roll(record_bytes)) {
    WEFT_RETURN_IF_ERROR(sync_files());
    WEFT_RETURN_IF_ERROR(metadata_.roll(metadata_.next_offset(), time_ns, epoch_));
  } else if (!data_rolled) {
    return {};
  } else {
    WEFT_RETURN_IF_ERROR(sync_files());
  }
  // A checkpoint that finds no room is made up for later: the one before it still holds.
  Status saved = save_checkpoint(false, event_count);
  if (!saved.ok() && saved.code() != Code::NO_SPACE) return saved;
  if (data_rolled) data_segment_committed_ = extent.segment;
  return {};
}

Result<AppendResult> FileLog::append(const AppendRequest& request) {
  WEFT_RETURN_IF_ERROR(check_writable());
  WEFT_RETURN_IF_ERROR(check_request(request));
  const wire::BatchHeader& batch = *request.header;
  RecordHeader record{};
  record.record_bytes = record_bytes_of(batch.body_bytes, request.block_checksums.size());
  record.append_time_ns = std::max(clock_.realtime_ns(), last_time_ns_);
  Status prepared = prepare_append(record.record_bytes, batch.event_count, request.extent, record.append_time_ns);
  if (!prepared.ok()) [[unlikely]]
    return stopped_by(std::move(prepared));
  record.magic = kRecordMagic;
  record.partition_epoch = epoch_.load(std::memory_order_relaxed);
  record.first_offset = metadata_.next_offset();
  record.data_segment = request.extent.segment;
  record.data_position = request.extent.position;
  record.data_length = request.extent.length;
  record.block_count = static_cast<uint32_t>(request.block_checksums.size());
  record.blocks_checksum = crc32c(std::as_bytes(request.block_checksums));
  record.batch_header_checksum = batch.header_checksum;
  seal_header(record);
  Status appended = metadata_.append(record, batch, request.body, request.block_checksums);
  if (!appended.ok()) [[unlikely]]
    return stopped_by(std::move(appended));
  last_time_ns_ = record.append_time_ns;
  producers_.note(batch, record.first_offset, record.append_time_ns);
  data_.release(request.extent, true);
  bytes_since_checkpoint_ += record.record_bytes + record.data_length;
  return AppendResult{record.first_offset, record.append_time_ns, record.partition_epoch};
}

Status FileLog::sync_files() {
  if (data_.dirty()) WEFT_RETURN_IF_ERROR(data_.sync());
  WEFT_RETURN_IF_ERROR(metadata_.sync());
  synced_offset_.store(metadata_.next_offset(), std::memory_order_release);
  return {};
}

Status FileLog::sync_asked() {
  Status status = sync_files();
  // A sync that found no room (a network file system, delayed allocation) has lost pages like any other.
  if (status.code() == Code::NO_SPACE) status = Status(Code::SYNC_FAILED, status.message());
  return status;
}

Status FileLog::sync_fences() {
  WEFT_RETURN_IF_ERROR(check_writable());
  Status status = sync_asked();
  if (status.ok()) status = save_checkpoint(false, 0);
  return stopped_by(std::move(status));
}

Status FileLog::sync() {
  WEFT_RETURN_IF_ERROR(check_writable());
  Status status = sync_asked();
  if (status.ok() && bytes_since_checkpoint_ >= options_.checkpoint_bytes) {
    status = save_checkpoint(false, 0);
    // What was asked for is durable; the checkpoint is made up for later.
    if (status.code() == Code::NO_SPACE) status = Status();
  }
  return stopped_by(std::move(status));
}

Status FileLog::save_checkpoint(bool clean, uint64_t events_ahead) {
  CheckpointHeader header{};
  header.clean = clean ? 1 : 0;
  header.next_offset = metadata_.next_offset();
  header.lease_end = header.next_offset + events_ahead + options_.offset_lease;
  header.first_segment = metadata_.first_segment();
  header.first_offset = metadata_.first_offset();
  header.end_offset = metadata_.end_offset();
  const MetadataSegment* active = metadata_.active();
  header.metadata_segment = active ? active->first_offset() : kNoSegment;
  header.metadata_position = active ? active->end_position() : 0;
  header.data_segment = data_.tail_segment();
  header.data_position = data_.tail_position();
  header.last_time_ns = last_time_ns_;
  header.epoch = epoch_;
  std::memcpy(header.boot_id, boot_id_.data(), boot_id_.size());
  // Spares the next opening the walk through the segment; it can do without.
  Status indexed = metadata_.write_active_index();
  if (!indexed.ok()) return indexed;
  WEFT_RETURN_IF_ERROR(
      write_checkpoint(file_system_, options_.metadata_directory, header, producers_, checkpoint_scratch_));
  lease_end_ = header.lease_end;
  bytes_since_checkpoint_ = 0;
  return {};
}

Status FileLog::remove_below(uint64_t offset) {
  WEFT_RETURN_IF_ERROR(check_writable());
  const std::vector<uint64_t> forgotten = metadata_.forget_below(offset);
  // With those of a call before that found no room for the checkpoint.
  forgotten_.insert(forgotten_.end(), forgotten.begin(), forgotten.end());
  if (forgotten_.empty()) return {};
  // The checkpoint first: a crash after it leaves files that the next opening removes.
  Status status = sync_asked();
  if (status.ok()) status = save_checkpoint(false, 0);
  if (status.ok()) status = metadata_.remove_files(forgotten_);
  if (status.ok()) {
    status = data_.remove_below(
        std::min({metadata_.min_data_segment(), data_.min_reserved_segment(), data_.tail_segment()}));
  }
  if (status.ok()) forgotten_.clear();
  return stopped_by(std::move(status));
}

Status FileLog::close() {
  if (closed_) return {};
  Status status = check_writable();
  if (status.ok()) status = stopped_by(sync_files());
  if (status.ok()) status = save_checkpoint(true, 0);
  closed_ = true;
  return status;
}

PartitionState FileLog::state() const {
  PartitionState state;
  state.epoch = epoch_;
  state.first_offset = metadata_.first_offset();
  state.synced_offset = synced_offset_;
  state.next_offset = metadata_.next_offset();
  state.metadata_bytes = metadata_.stored_bytes();
  state.data_bytes = metadata_.stored_data_bytes();
  state.read_only = read_only_;
  if (state.read_only) {
    const std::lock_guard lock(reason_mutex_);
    state.read_only_reason = read_only_reason_;
  }
  return state;
}

Result<std::unique_ptr<PartitionLog>> open_file_log(const FileLogOptions& options, RecoveryReport* report) {
  RecoveryReport ignored;
  RecoveryReport& said = report ? *report : ignored;
  said = {};
  if (options.segment_bytes < 4096) {
    return Status(Code::INVALID_ARGUMENT, join_text("segment_bytes is ", options.segment_bytes, ", the least is 4096"));
  }
  auto log = std::make_unique<FileLog>(options);
  Status status = log->open(said);
  if (status.code() == Code::SYNC_FAILED) log->mark_suspect();
  if (!status.ok()) return status.with_context(join_text("opening the partition in ", options.metadata_directory));
  return std::unique_ptr<PartitionLog>(std::move(log));
}

}  // namespace weft::log
