#include "log/verify.h"

#include <algorithm>
#include <charconv>

#include "log/checkpoint.h"
#include "log/data_directory.h"
#include "log/data_segments.h"
#include "log/metadata_segment.h"
#include "log/record_scanner.h"

namespace weft::log {

namespace {

constexpr uint64_t kVerifyWindowBytes = 1 << 20;

class Verifier {
 public:
  Verifier(FileSystem& file_system, const std::string& metadata_directory, const std::string& data_directory)
      : file_system_(file_system),
        metadata_directory_(metadata_directory),
        data_(file_system, data_directory, kVerifyWindowBytes) {
    result_.directory = metadata_directory;
  }

  Result<PartitionVerification> run() {
    WEFT_RETURN_IF_ERROR(load_checkpoint());
    auto names = file_system_.list(metadata_directory_);
    if (!names.ok()) return names.status();
    std::vector<uint64_t> numbers;
    for (const std::string& name : names.value()) {
      uint64_t number = 0;
      if (!parse_segment_name(name, kMetadataExtension, number)) continue;
      const bool removed =
          have_checkpoint_ && checkpoint_.first_segment != kNoSegment && number < checkpoint_.first_segment;
      if (!removed) numbers.push_back(number);
    }
    check_ends(numbers);
    for (size_t at = 0; at < numbers.size(); ++at) {
      WEFT_RETURN_IF_ERROR(verify_segment(numbers[at], at == 0, at + 1 == numbers.size()));
    }
    result_.ok = result_.damage_count == 0;
    result_.end_offset = order_.next_offset;
    return result_;
  }

 private:
  void damage(std::string file, uint64_t position, std::string reason) {
    ++result_.damage_count;
    if (!result_.first_damage) result_.first_damage = {std::move(file), position, std::move(reason)};
  }

  Status load_checkpoint() {
    ProducerTable producers;
    Status status = read_checkpoint(file_system_, metadata_directory_, checkpoint_, producers, have_checkpoint_);
    if (status.ok()) return {};
    have_checkpoint_ = false;
    if (status.code() != Code::CORRUPT) return status;
    damage(join_text(metadata_directory_, "/", kCheckpointName), 0, status.message());
    return {};
  }

  // The first and the last segment that the checkpoint knows are there.
  void check_ends(const std::vector<uint64_t>& numbers) {
    if (!have_checkpoint_) return;
    for (const uint64_t expected : {checkpoint_.first_segment, checkpoint_.metadata_segment}) {
      if (expected == kNoSegment || std::binary_search(numbers.begin(), numbers.end(), expected)) continue;
      damage(join_text(metadata_directory_, "/", segment_name(expected, kMetadataExtension)), 0, "the file is missing");
    }
    result_.first_offset = checkpoint_.first_offset;
  }

  Status verify_segment(uint64_t number, bool first, bool last) {
    auto opened = MetadataSegment::open(file_system_, metadata_directory_, number, OpenMode::kReadOnly, 0);
    const std::string path = join_text(metadata_directory_, "/", segment_name(number, kMetadataExtension));
    if (!opened.ok()) {
      if (opened.status().code() != Code::CORRUPT) return opened.status();
      damage(path, 0, opened.status().message());
      previous_known_ = false;
      return {};
    }
    MetadataSegment& segment = *opened.value();
    const SegmentHeader& header = segment.header();
    if (first) {
      if (!have_checkpoint_) result_.first_offset = number;
    } else if (previous_known_ && header.previous_number != previous_number_) {
      damage(join_text(metadata_directory_, "/", segment_name(header.previous_number, kMetadataExtension)), 0,
             "the file is missing");
    } else if (previous_known_ && header.previous_end_offset != order_.next_offset) {
      damage(path, 0,
             join_text("the segment before it ended at offset ", header.previous_end_offset,
                       ", what is left of it ends at ", order_.next_offset));
    }
    previous_number_ = number;
    previous_known_ = true;
    order_ = {number, header.partition_epoch, header.first_append_time_ns};
    auto size = segment.file().size();
    if (!size.ok()) return size.status();
    verify_records(segment, size.value(), last);
    return {};
  }

  void verify_records(MetadataSegment& segment, uint64_t size, bool last) {
    RecordScanner scanner(segment.file(), sizeof(SegmentHeader), size, kVerifyWindowBytes);
    RecordScanner::Record record;
    bool behind_damage = false;
    // Below it everything was acknowledged by a sync.
    const uint64_t vouched =
        have_checkpoint_ && checkpoint_.metadata_segment == segment.first_offset() ? checkpoint_.metadata_position : 0;
    while (true) {
      const uint64_t position = scanner.position();
      const auto outcome = scanner.next(record, true);
      if (outcome == RecordScanner::Outcome::kEnd) {
        if (position < vouched)
          damage(segment.path(), position, join_text("the file ends here, it had ", vouched, " bytes"));
        break;
      }
      if (outcome == RecordScanner::Outcome::kRecord && behind_damage) close_gap(record.header);
      behind_damage = false;
      Status status = outcome == RecordScanner::Outcome::kBad ? scanner.problem() : order_.check(record.header);
      if (!status.ok()) {
        if (last && have_checkpoint_ && position >= vouched) {
          result_.unfinished_bytes = size - position;
        } else {
          damage(segment.path(), position, status.message());
          behind_damage = outcome == RecordScanner::Outcome::kBad && scanner.step_over();
          if (behind_damage) continue;
          // Where the next record starts is not known; the segments behind this one are looked at all the same.
          previous_known_ = false;
        }
        break;
      }
      order_.advance(record.header, record.batch);
      result_.metadata_bytes += record.header.record_bytes;
      if (verify_data(record)) {
        ++result_.batches;
        result_.events += record.batch.event_count;
        result_.data_bytes += record.header.data_length;
      }
    }
  }

  // The first record behind a bad one says which events are gone.
  void close_gap(const RecordHeader& record) {
    if (record.first_offset < order_.next_offset || record.partition_epoch < order_.epoch) return;
    if (result_.damage_count == 1 && record.first_offset > order_.next_offset) {
      result_.first_damage->reason += join_text("; events ", order_.next_offset, " to ", record.first_offset - 1,
                                                " cannot be read, those behind them can");
    }
    order_.next_offset = record.first_offset;
  }

  bool verify_data(const RecordScanner::Record& record) {
    if (record.header.data_length == 0) return true;
    const auto* checksums =
        reinterpret_cast<const uint32_t*>(record.bytes.data() + kRecordFixedBytes + record.batch.body_bytes);
    const DataExtent extent{record.header.data_segment, record.header.data_position, record.header.data_length};
    const Status status = data_.verify(extent, {checksums, record.header.block_count});
    if (status.ok()) return true;
    damage(data_.path_of(extent.segment), extent.position, status.message());
    return false;
  }

  FileSystem& file_system_;
  const std::string metadata_directory_;
  DataSegments data_;
  PartitionVerification result_;
  CheckpointHeader checkpoint_{};
  bool have_checkpoint_ = false;
  RecordOrder order_;
  uint64_t previous_number_ = kNoSegment;
  bool previous_known_ = false;
};

bool parse_partition(const std::string& name, uint32_t& partition) {
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), partition);
  return error == std::errc() && end == name.data() + name.size();
}

}  // namespace

Result<PartitionVerification> verify_partition(FileSystem& file_system, const std::string& metadata_directory,
                                               const std::string& data_directory) {
  return Verifier(file_system, metadata_directory, data_directory).run();
}

Status verify_data_directory(FileSystem& file_system, const std::string& data_directory,
                             const std::function<bool(const PartitionVerification&)>& report) {
  auto info = read_data_directory(file_system, data_directory);
  if (!info.ok()) return info.status().with_context(join_text("verifying ", data_directory));
  auto topics = file_system.list(topics_directory(data_directory));
  if (!topics.ok()) return topics.status();
  for (const std::string& topic : topics.value()) {
    if (!check_topic_name(topic).ok()) continue;
    auto names = file_system.list(topic_directory(data_directory, topic));
    if (!names.ok()) return names.status();
    std::vector<uint32_t> partitions;
    for (const std::string& name : names.value()) {
      uint32_t partition = 0;
      if (parse_partition(name, partition)) partitions.push_back(partition);
    }
    std::sort(partitions.begin(), partitions.end());
    for (const uint32_t partition : partitions) {
      const PartitionPaths paths = partition_paths(data_directory, topic, partition);
      auto verified = verify_partition(file_system, paths.metadata_directory, paths.data_directory);
      if (!verified.ok()) return verified.status().with_context(join_text("verifying ", paths.directory));
      verified.value().topic = topic;
      verified.value().partition = partition;
      if (!report(verified.value())) return {};
    }
  }
  return {};
}

}  // namespace weft::log
