#include "log/recovery.h"

#include <algorithm>
#include <map>

#include "log/record_scanner.h"

namespace weft::log {

namespace {

constexpr uint64_t kScanWindowBytes = 1 << 20;
// Without a checkpoint the lease is not known; ids jump over this many of them.
constexpr uint64_t kUnknownLeases = 256;

class Recovery {
 public:
  Recovery(const FileLogOptions& options, FileSystem& file_system, const std::string& boot_id, const DataSegments& data,
           ProducerTable& producers, RecoveryReport& report)
      : options_(options),
        file_system_(file_system),
        boot_id_(boot_id),
        data_(data),
        producers_(producers),
        report_(report) {}

  Result<RecoveredLog> run() {
    WEFT_RETURN_IF_ERROR(load_names_and_checkpoint());
    WEFT_RETURN_IF_ERROR(load_sealed());
    WEFT_RETURN_IF_ERROR(replay());
    decide_offsets();
    WEFT_RETURN_IF_ERROR(place_data_tail());
    WEFT_RETURN_IF_ERROR(sync_found());
    return std::move(log_);
  }

 private:
  Status load_names_and_checkpoint();
  Status load_sealed();
  Status replay();
  Status replay_segment(MetadataSegment& segment, uint64_t from, bool& good);
  Status prepare_first(MetadataSegment& segment, uint64_t& from, bool& whole);
  Status check_record(const RecordScanner::Record& record) const;
  void note_producers(MetadataSegment& segment);
  void cut(const std::string& where, const std::string& why);
  void seal_active();
  void decide_offsets();
  Status place_data_tail();
  Status sync_found();
  static Status rewrite(File& file, uint64_t begin, uint64_t end);
  Status sync_segment(MetadataSegment& segment, uint64_t end);
  Result<std::shared_ptr<MetadataSegment>> open_segment(uint64_t number, OpenMode mode) {
    return MetadataSegment::open(file_system_, options_.metadata_directory, number, mode, options_.segment_bytes);
  }

  const FileLogOptions& options_;
  FileSystem& file_system_;
  const std::string& boot_id_;
  const DataSegments& data_;
  ProducerTable& producers_;
  RecoveryReport& report_;

  RecoveredLog log_;
  std::vector<uint64_t> numbers_;  // of the metadata segment files, rising
  CheckpointHeader checkpoint_{};
  bool have_checkpoint_ = false;
  bool suspect_ = false;
  size_t replay_from_ = 0;  // index into numbers_: the first segment that is replayed
  RecordOrder order_;
  bool clean_ = false;         // nothing came behind the checkpoint, and nothing is damaged
  bool maybe_cached_ = false;  // what is read may be in the page cache only
  std::map<uint64_t, std::pair<uint64_t, uint64_t>> data_ranges_;  // by segment: what replayed records name
  uint64_t data_segment_max_ = 0;
  uint64_t data_end_max_ = 0;  // in that segment
};

Status Recovery::load_names_and_checkpoint() {
  Status read = read_checkpoint(file_system_, options_.metadata_directory, checkpoint_, producers_, have_checkpoint_);
  if (!read.ok()) {
    if (read.code() != Code::CORRUPT) return read;
    have_checkpoint_ = false;
    producers_.clear();
    report_.reason = read.message();
  }
  auto names = file_system_.list(options_.metadata_directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : names.value()) {
    uint64_t number = 0;
    if (name == kSuspectName) suspect_ = true;
    const bool segment = parse_segment_name(name, kMetadataExtension, number);
    const bool index = !segment && parse_segment_name(name, kIndexExtension, number);
    if (!segment && !index) continue;
    // Retention had taken it out of the log before the process ended.
    if (have_checkpoint_ && checkpoint_.first_segment != kNoSegment && number < checkpoint_.first_segment) {
      log_.remove_metadata.push_back(name);
      continue;
    }
    if (segment) numbers_.push_back(number);
  }
  return {};
}

Status Recovery::load_sealed() {
  // With a checkpoint everything before it was synced; without one everything before the last segment was, since a roll
  // syncs. What was synced is not verified here but when it is read, so that opening a long log is quick.
  if (have_checkpoint_) {
    const uint64_t at = checkpoint_.metadata_segment;
    replay_from_ = at == kNoSegment
                       ? 0
                       : static_cast<size_t>(std::lower_bound(numbers_.begin(), numbers_.end(), at) - numbers_.begin());
  } else {
    replay_from_ = numbers_.empty() ? 0 : numbers_.size() - 1;
  }
  for (size_t at = 0; at < replay_from_; ++at) {
    auto opened = open_segment(numbers_[at], OpenMode::kReadOnly);
    if (!opened.ok()) {
      // Its events are damaged, the others are not: reads of its offsets say so.
      if (opened.status().code() != Code::CORRUPT) return opened.status();
      continue;
    }
    MetadataSegment& segment = *opened.value();
    auto size = segment.file().size();
    if (!size.ok()) return size.status();
    const bool indexed = segment.load_index(file_system_, size.value());
    if (!indexed) segment.forget_all();
    if (segment.end_position() < size.value()) {
      static_cast<void>(segment.extend_index(size.value()));
      static_cast<void>(segment.write_index(file_system_));
    }
    if (!have_checkpoint_) note_producers(segment);
    order_.epoch = std::max(order_.epoch, segment.last_epoch());
    order_.time_ns = std::max(order_.time_ns, segment.last_time_ns());
    if (!log_.sealed.empty() && segment.header().previous_number == log_.sealed.back().first_offset) {
      log_.sealed.back().end_offset = segment.header().previous_end_offset;
    }
    log_.sealed.push_back({segment.first_offset(), segment.end_offset(), segment.end_position(),
                           segment.header().first_append_time_ns, segment.data_bytes(), segment.min_data_segment(),
                           segment.header().previous_number, segment.header().previous_end_offset});
  }
  if (!log_.sealed.empty()) order_.next_offset = log_.sealed.back().end_offset;
  if (have_checkpoint_) {
    order_ = {checkpoint_.next_offset, checkpoint_.epoch, checkpoint_.last_time_ns};
    log_.end_offset = checkpoint_.end_offset;
    log_.first_offset = checkpoint_.first_offset;
    data_segment_max_ = checkpoint_.data_segment;
    data_end_max_ = checkpoint_.data_position;
  } else {
    log_.end_offset = order_.next_offset;
    log_.first_offset = numbers_.empty() ? 0 : numbers_.front();
  }
  return {};
}

void Recovery::note_producers(MetadataSegment& segment) {
  RecordScanner scanner(segment.file(), sizeof(SegmentHeader), segment.end_position(), kScanWindowBytes);
  RecordScanner::Record record;
  while (scanner.next(record, false) == RecordScanner::Outcome::kRecord) {
    producers_.note(record.batch, record.header.first_offset, record.header.append_time_ns);
  }
}

void Recovery::cut(const std::string& where, const std::string& why) {
  if (report_.truncated) return;
  report_.truncated = true;
  report_.reason = join_text(where, ": ", why);
}

// The active segment has a successor: what it needs from now on is its summary.
void Recovery::seal_active() {
  const MetadataSegment& segment = *log_.active;
  static_cast<void>(segment.write_index(file_system_));
  log_.sealed.push_back({segment.first_offset(), segment.end_offset(), segment.end_position(),
                         segment.header().first_append_time_ns, segment.data_bytes(), segment.min_data_segment(),
                         segment.header().previous_number, segment.header().previous_end_offset});
}

Status Recovery::replay() {
  const bool expected = have_checkpoint_ && checkpoint_.metadata_segment != kNoSegment;
  const bool first_missing =
      expected && (replay_from_ >= numbers_.size() || numbers_[replay_from_] != checkpoint_.metadata_segment);
  if (first_missing) {
    cut(join_text(options_.metadata_directory, "/", segment_name(checkpoint_.metadata_segment, kMetadataExtension)),
        "the file is missing");
    log_.end_offset = log_.sealed.empty() ? log_.first_offset : log_.sealed.back().end_offset;
  }
  for (size_t at = replay_from_; at < numbers_.size(); ++at) {
    const uint64_t number = numbers_[at];
    const std::string name = segment_name(number, kMetadataExtension);
    std::shared_ptr<MetadataSegment> segment;
    if (!report_.truncated) {
      auto opened = open_segment(number, OpenMode::kReadWrite);
      if (opened.ok()) {
        segment = opened.take();
      } else if (opened.status().code() == Code::CORRUPT) {
        cut(name, opened.status().message());
      } else {
        return opened.status();
      }
    }
    const bool first = at == replay_from_ && (expected || !have_checkpoint_);
    if (segment && !first) {
      const uint64_t previous = log_.active ? log_.active->first_offset() : kNoSegment;
      const SegmentHeader& header = segment->header();
      if (header.previous_number != previous || header.previous_end_offset != log_.end_offset ||
          header.number != order_.next_offset) {
        cut(name, "it does not follow the segment before it: a segment file is missing");
      }
    }
    if (report_.truncated) {
      log_.remove_metadata.push_back(name);
      log_.remove_metadata.push_back(segment_name(number, kIndexExtension));
      auto file = file_system_.open(join_text(options_.metadata_directory, "/", name), OpenMode::kReadOnly);
      if (!file.ok()) continue;
      // For the report only: a size that cannot be had leaves it smaller.
      const auto size = file.value()->size();
      if (size.ok()) report_.metadata_bytes_cut += size.value();
      continue;
    }
    if (log_.active) seal_active();
    log_.active = segment;
    uint64_t from = sizeof(SegmentHeader);
    bool good = true;
    if (first && have_checkpoint_) {
      WEFT_RETURN_IF_ERROR(prepare_first(*segment, from, good));
    } else if (first) {
      order_.next_offset = number;
      order_.epoch = std::max(order_.epoch, segment->header().partition_epoch);
      order_.time_ns = segment->header().first_append_time_ns;
    }
    WEFT_RETURN_IF_ERROR(replay_segment(*segment, from, good));
  }
  if (!log_.active && !log_.sealed.empty()) {
    // The segments to replay are gone: the last sealed one is written on.
    auto opened = open_segment(log_.sealed.back().first_offset, OpenMode::kReadWrite);
    if (!opened.ok()) return opened.status();
    log_.active = opened.take();
    auto size = log_.active->file().size();
    if (!size.ok()) return size.status();
    static_cast<void>(log_.active->extend_index(size.value()));
    if (log_.active->end_position() < size.value())
      log_.active->resume_at(size.value(), log_.sealed.back().end_offset, order_.time_ns, order_.epoch);
    log_.sealed.pop_back();
  }
  return {};
}

// The segment that holds the checkpoint: brings its index up to there. `whole` is false when the file is shorter.
Status Recovery::prepare_first(MetadataSegment& segment, uint64_t& from, bool& whole) {
  auto size = segment.file().size();
  if (!size.ok()) return size.status();
  const uint64_t position = checkpoint_.metadata_position;
  if (size.value() < position) {
    whole = false;
    cut(segment.path(), join_text("the file has ", size.value(), " bytes, ", position, " were synced"));
    // From its start: what is left of it is verified again. Offsets stay where they are; the order starts anew.
    order_ = {segment.first_offset(), segment.header().partition_epoch, segment.header().first_append_time_ns};
    log_.end_offset = segment.first_offset();
    return {};
  }
  if (!segment.load_index(file_system_, position)) segment.forget_all();
  Status extended = segment.extend_index(position);
  if (!extended.ok() && extended.code() != Code::CORRUPT) return extended;
  if (segment.end_position() != position) {
    segment.resume_at(position, checkpoint_.end_offset, checkpoint_.last_time_ns, checkpoint_.epoch);
  }
  from = position;
  return {};
}

Status Recovery::check_record(const RecordScanner::Record& record) const {
  WEFT_RETURN_IF_ERROR(order_.check(record.header));
  if (record.header.data_length == 0) return {};
  // Read in place: the record lies 8-aligned in the window's vector, the checksums may start at any multiple of 8.
  const auto* checksums =
      reinterpret_cast<const uint32_t*>(record.bytes.data() + kRecordFixedBytes + record.batch.body_bytes);
  return data_.verify({record.header.data_segment, record.header.data_position, record.header.data_length},
                      {checksums, record.header.block_count});
}

Status Recovery::replay_segment(MetadataSegment& segment, uint64_t from, bool& good) {
  auto size = segment.file().size();
  if (!size.ok()) return size.status();
  RecordScanner scanner(segment.file(), from, size.value(), kScanWindowBytes);
  RecordScanner::Record record;
  while (true) {
    const uint64_t position = scanner.position();
    const auto outcome = scanner.next(record, true);
    if (outcome == RecordScanner::Outcome::kEnd) break;
    Status status = outcome == RecordScanner::Outcome::kBad ? scanner.problem() : check_record(record);
    if (!status.ok()) {
      // A newer version is whole, for the build that wrote it: cutting it off would destroy events.
      if (status.code() != Code::CORRUPT) {
        return status.with_context(join_text(segment.path(), " at ", position));
      }
      cut(join_text(segment.path(), " at ", position), status.message());
      report_.metadata_bytes_cut += size.value() - position;
      log_.cut_active = true;
      good = false;
      return {};
    }
    order_.advance(record.header, record.batch);
    log_.end_offset = order_.next_offset;
    segment.note(record.header, record.batch.event_count);
    // Behind the old checkpoint only: a file cut below it is replayed with producers that are known already.
    if (!have_checkpoint_ || record.header.first_offset >= checkpoint_.next_offset) {
      producers_.note(record.batch, record.header.first_offset, record.header.append_time_ns);
    }
    ++report_.batches_verified;
    if (record.header.data_length == 0) continue;
    const uint64_t end = record.header.data_position + record.header.data_length;
    auto& range = data_ranges_.try_emplace(record.header.data_segment, record.header.data_position, end).first->second;
    range.first = std::min(range.first, record.header.data_position);
    range.second = std::max(range.second, end);
    if (record.header.data_segment > data_segment_max_) {
      data_segment_max_ = record.header.data_segment;
      data_end_max_ = end;
    } else if (record.header.data_segment == data_segment_max_) {
      data_end_max_ = std::max(data_end_max_, end);
    }
  }
  return {};
}

void Recovery::decide_offsets() {
  const bool anything = have_checkpoint_ || !numbers_.empty();
  const bool clean = have_checkpoint_ && checkpoint_.clean != 0 && !suspect_;
  const bool booted = have_checkpoint_ && !boot_id_.empty() && boot_id_ == checkpoint_.boot_id;
  const bool same_boot = booted && !suspect_;
  clean_ = clean && !report_.truncated;
  maybe_cached_ = !have_checkpoint_ || booted || suspect_;
  log_.epoch = std::max({order_.epoch, have_checkpoint_ ? checkpoint_.epoch : 0u, 1u});
  log_.last_time_ns = std::max(order_.time_ns, have_checkpoint_ ? checkpoint_.last_time_ns : 0);
  log_.next_offset = std::max(order_.next_offset, have_checkpoint_ ? checkpoint_.next_offset : 0);
  if (report_.truncated) report_.truncated_at_offset = log_.end_offset;
  // Nothing that was given out can be gone after a clean end, or when only the process ended and nothing is damaged.
  if (!anything || (!report_.truncated && (clean || same_boot))) return;
  log_.next_offset = have_checkpoint_ ? std::max(log_.next_offset, checkpoint_.lease_end)
                                      : log_.next_offset + kUnknownLeases * options_.offset_lease;
  ++log_.epoch;
  report_.ids_skipped = true;
  log_.checkpoint_required = true;
}

Status Recovery::place_data_tail() {
  auto names = file_system_.list(options_.data_directory);
  if (!names.ok()) return names.status();
  uint64_t highest = 0;
  for (const std::string& name : names.value()) {
    uint64_t number = 0;
    if (!parse_segment_name(name, kDataExtension, number)) continue;
    highest = std::max(highest, number);
    // Made for batches that were never committed. Without a checkpoint nobody knows, not even whose it is: it stays.
    if (number > data_segment_max_ && have_checkpoint_) log_.remove_data.push_back(name);
  }
  const bool fresh = report_.truncated || highest > data_segment_max_ || data_segment_max_ == 0;
  if (fresh) {
    log_.data_segment = std::max(highest, data_segment_max_) + 1;
    return {};
  }
  log_.data_segment = data_segment_max_;
  log_.data_position = data_end_max_;
  if (highest == data_segment_max_) {
    // Behind everything that was ever written there, committed or not.
    auto file = file_system_.open(data_.path_of(highest), OpenMode::kReadOnly);
    if (!file.ok()) return file.status();
    auto size = file.value()->size();
    if (!size.ok()) return size.status();
    log_.data_position = std::max(log_.data_position, size.value());
  }
  return {};
}

// A sync that failed before the process ended may have left pages marked clean without being durable: a sync alone
// would pass them over, and say that it did its work. Writing the same bytes again makes them dirty. After another boot
// what is read comes from the device.
Status Recovery::rewrite(File& file, uint64_t begin, uint64_t end) {
  std::vector<std::byte> window(std::min(kScanWindowBytes, end - begin));
  for (uint64_t at = begin; at < end; at += kScanWindowBytes) {
    const auto bytes = std::span(window).first(std::min(kScanWindowBytes, end - at));
    WEFT_RETURN_IF_ERROR(file.read_at(at, bytes));
    WEFT_RETURN_IF_ERROR(file.write_at(at, bytes));
  }
  return {};
}

// What was found behind the old checkpoint may be in the page cache only; the new checkpoint says that it is durable.
Status Recovery::sync_found() {
  if (clean_) return {};
  for (const auto& [segment, range] : data_ranges_) {
    auto file = file_system_.open(data_.path_of(segment), OpenMode::kReadWrite);
    if (!file.ok()) return file.status();
    if (maybe_cached_) {
      WEFT_RETURN_IF_ERROR(rewrite(*file.value(), 0, sizeof(SegmentHeader)));
      WEFT_RETURN_IF_ERROR(rewrite(*file.value(), range.first, range.second));
    }
    WEFT_RETURN_IF_ERROR(file.value()->sync_data());
  }
  if (!data_ranges_.empty()) WEFT_RETURN_IF_ERROR(file_system_.sync_directory(options_.data_directory));
  for (const SealedSegment& sealed : log_.sealed) {
    if (replay_from_ >= numbers_.size() || sealed.first_offset < numbers_[replay_from_]) continue;
    auto opened = open_segment(sealed.first_offset, OpenMode::kReadWrite);
    if (!opened.ok()) return opened.status();
    WEFT_RETURN_IF_ERROR(sync_segment(*opened.value(), sealed.end_position));
  }
  if (!log_.active) return {};
  WEFT_RETURN_IF_ERROR(sync_segment(*log_.active, log_.active->end_position()));
  return file_system_.sync_directory(options_.metadata_directory);
}

Status Recovery::sync_segment(MetadataSegment& segment, uint64_t end) {
  const bool partly = have_checkpoint_ && segment.first_offset() == checkpoint_.metadata_segment;
  const uint64_t begin = partly ? std::min(checkpoint_.metadata_position, end) : 0;
  if (maybe_cached_) WEFT_RETURN_IF_ERROR(rewrite(segment.file(), begin, end));
  return segment.file().sync_data();
}

}  // namespace

Result<RecoveredLog> recover_log(const FileLogOptions& options, FileSystem& file_system, const std::string& boot_id,
                                 const DataSegments& data, ProducerTable& producers, RecoveryReport& report) {
  return Recovery(options, file_system, boot_id, data, producers, report).run();
}

Status finish_recovery(const FileLogOptions& options, FileSystem& file_system, const RecoveredLog& recovered) {
  if (recovered.cut_active) {
    WEFT_RETURN_IF_ERROR(recovered.active->file().truncate(recovered.active->end_position()));
    WEFT_RETURN_IF_ERROR(recovered.active->file().sync_data());
  }
  // From the last one down: a crash in between leaves a log that ends earlier, never one with a hole.
  for (auto name = recovered.remove_metadata.rbegin(); name != recovered.remove_metadata.rend(); ++name) {
    WEFT_RETURN_IF_ERROR(file_system.remove(join_text(options.metadata_directory, "/", *name)));
  }
  for (const std::string& name : recovered.remove_data) {
    WEFT_RETURN_IF_ERROR(file_system.remove(join_text(options.data_directory, "/", name)));
  }
  WEFT_RETURN_IF_ERROR(file_system.remove(join_text(options.metadata_directory, "/", kSuspectName)));
  if (!recovered.remove_data.empty()) WEFT_RETURN_IF_ERROR(file_system.sync_directory(options.data_directory));
  return file_system.sync_directory(options.metadata_directory);
}

}  // namespace weft::log
