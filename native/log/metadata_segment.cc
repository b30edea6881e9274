#include "log/metadata_segment.h"

#include <algorithm>

#include "log/record_scanner.h"

namespace weft::log {

namespace {
constexpr uint64_t kScanWindowBytes = 1 << 20;

template <typename Object>
std::span<std::byte> bytes_of(Object& object) {
  return std::as_writable_bytes(std::span(&object, 1));
}
}  // namespace

MetadataSegment::MetadataSegment(std::string path, std::string index_path, std::unique_ptr<File> file,
                                 const SegmentHeader& header, uint64_t capacity_bytes)
    : path_(std::move(path)),
      index_path_(std::move(index_path)),
      file_(std::move(file)),
      header_(header),
      // An entry is added only a stride behind the one before, so this is always enough.
      capacity_(capacity_bytes / kIndexStrideBytes + 2),
      entries_(std::make_unique_for_overwrite<IndexEntry[]>(capacity_)),
      end_offset_(header.number),
      last_time_ns_(header.first_append_time_ns),
      last_epoch_(header.partition_epoch) {}

Result<std::shared_ptr<MetadataSegment>> MetadataSegment::open(FileSystem& file_system, const std::string& directory,
                                                               uint64_t number, OpenMode mode,
                                                               uint64_t expected_bytes) {
  std::string path = join_text(directory, "/", segment_name(number, kMetadataExtension));
  auto file = file_system.open(path, mode);
  if (!file.ok()) return file.status();
  SegmentHeader header;
  WEFT_RETURN_IF_ERROR(file.value()->read_at(0, bytes_of(header)));
  WEFT_RETURN_IF_ERROR(check_segment_header(header, kKindMetadata, number, path));
  auto size = file.value()->size();
  if (!size.ok()) return size.status();
  return std::shared_ptr<MetadataSegment>(
      new MetadataSegment(std::move(path), join_text(directory, "/", segment_name(number, kIndexExtension)),
                          file.take(), header, std::max(size.value(), expected_bytes)));
}

Result<std::shared_ptr<MetadataSegment>> MetadataSegment::create(FileSystem& file_system, const std::string& directory,
                                                                 const SegmentHeader& header, uint64_t expected_bytes) {
  std::string path = join_text(directory, "/", segment_name(header.number, kMetadataExtension));
  // Left by an attempt that failed before it held a record.
  WEFT_RETURN_IF_ERROR(file_system.remove(path));
  auto file = file_system.open(path, OpenMode::kCreateNew);
  if (!file.ok()) return file.status();
  WEFT_RETURN_IF_ERROR(file.value()->write_at(0, std::as_bytes(std::span(&header, 1))));
  return std::shared_ptr<MetadataSegment>(
      new MetadataSegment(std::move(path), join_text(directory, "/", segment_name(header.number, kIndexExtension)),
                          file.take(), header, expected_bytes));
}

bool MetadataSegment::load_index(FileSystem& file_system, uint64_t position_max) {
  auto there = file_system.exists(index_path_);
  if (!there.ok() || !there.value()) return false;
  auto file = file_system.open(index_path_, OpenMode::kReadOnly);
  if (!file.ok()) return false;
  IndexHeader index;
  if (!file.value()->read_at(0, bytes_of(index)).ok()) return false;
  if (index.magic != kIndexMagic || index.checksum != checksum_of(index) || index.version != kLogFormatVersion) {
    return false;
  }
  if (index.first_offset != header_.number || index.end_position > position_max ||
      index.end_position < sizeof(SegmentHeader) || index.entry_count > capacity_) {
    return false;
  }
  const std::span<IndexEntry> entries(entries_.get(), index.entry_count);
  if (!file.value()->read_at(sizeof index, std::as_writable_bytes(entries)).ok()) return false;
  if (crc32c(std::as_bytes(entries)) != index.entries_checksum) return false;
  entry_count_.store(index.entry_count, std::memory_order_relaxed);
  end_offset_.store(index.end_offset, std::memory_order_relaxed);
  end_position_.store(index.end_position, std::memory_order_release);
  last_time_ns_ = index.last_time_ns;
  last_epoch_ = index.last_epoch;
  data_bytes_ = index.data_bytes;
  min_data_segment_ = index.min_data_segment;
  return true;
}

Status MetadataSegment::write_index(FileSystem& file_system) const {
  const std::span<const IndexEntry> entries(entries_.get(), entry_count_.load(std::memory_order_relaxed));
  IndexHeader index{};
  index.magic = kIndexMagic;
  index.version = kLogFormatVersion;
  index.first_offset = header_.number;
  index.end_offset = end_offset();
  index.end_position = end_position();
  index.last_time_ns = last_time_ns_;
  index.last_epoch = last_epoch_;
  index.data_bytes = data_bytes_;
  index.min_data_segment = min_data_segment_;
  index.entry_count = static_cast<uint32_t>(entries.size());
  index.entries_checksum = crc32c(std::as_bytes(entries));
  seal_header(index);
  WEFT_RETURN_IF_ERROR(file_system.remove(index_path_));
  auto file = file_system.open(index_path_, OpenMode::kCreateNew);
  if (!file.ok()) return file.status();
  const std::span<const std::byte> pieces[] = {std::as_bytes(std::span(&index, 1)), std::as_bytes(entries)};
  return file.value()->write_vector_at(0, pieces);
}

Status MetadataSegment::extend_index(uint64_t end) {
  RecordScanner scanner(*file_, end_position(), end, kScanWindowBytes);
  RecordScanner::Record record;
  RecordOrder order{end_offset(), last_epoch_, last_time_ns_};
  while (true) {
    const auto outcome = scanner.next(record, false);
    if (outcome == RecordScanner::Outcome::kEnd) return {};
    Status status = outcome == RecordScanner::Outcome::kBad ? scanner.problem() : order.check(record.header);
    if (!status.ok()) return status.with_context(join_text(path_, " at ", end_position()));
    order.advance(record.header, record.batch);
    note(record.header, record.batch.event_count);
  }
}

void MetadataSegment::note(const RecordHeader& record, uint32_t event_count) {
  const uint64_t position = end_position_.load(std::memory_order_relaxed);
  const size_t count = entry_count_.load(std::memory_order_relaxed);
  if (count == 0 || position >= entries_[count - 1].position + kIndexStrideBytes) {
    WEFT_ASSERT(count < capacity_);
    entries_[count] = {record.first_offset, record.append_time_ns, position};
    entry_count_.store(count + 1, std::memory_order_release);
  }
  last_time_ns_ = record.append_time_ns;
  last_epoch_ = record.partition_epoch;
  data_bytes_ += record.data_length;
  if (record.data_length != 0) min_data_segment_ = std::min(min_data_segment_, record.data_segment);
  // The offset last: a reader that sees it sees the position too.
  end_position_.store(position + record.record_bytes, std::memory_order_release);
  end_offset_.store(record.first_offset + event_count, std::memory_order_release);
}

uint64_t MetadataSegment::floor_of_offset(uint64_t offset) const {
  const std::span<const IndexEntry> entries(entries_.get(), entry_count_.load(std::memory_order_acquire));
  const auto after =
      std::upper_bound(entries.begin(), entries.end(), offset,
                       [](uint64_t value, const IndexEntry& entry) { return value < entry.first_offset; });
  return after == entries.begin() ? sizeof(SegmentHeader) : (after - 1)->position;
}

uint64_t MetadataSegment::floor_of_time(uint64_t time_ns) const {
  const std::span<const IndexEntry> entries(entries_.get(), entry_count_.load(std::memory_order_acquire));
  // The last entry that is earlier: everything before it is earlier too.
  const auto after =
      std::lower_bound(entries.begin(), entries.end(), time_ns,
                       [](const IndexEntry& entry, uint64_t value) { return entry.append_time_ns < value; });
  return after == entries.begin() ? sizeof(SegmentHeader) : (after - 1)->position;
}

void MetadataSegment::forget_all() {
  entry_count_.store(0, std::memory_order_relaxed);
  end_offset_.store(header_.number, std::memory_order_relaxed);
  end_position_.store(sizeof(SegmentHeader), std::memory_order_relaxed);
  last_time_ns_ = header_.first_append_time_ns;
  last_epoch_ = header_.partition_epoch;
  data_bytes_ = 0;
  min_data_segment_ = kNoSegment;
}

void MetadataSegment::resume_at(uint64_t position, uint64_t end_offset, uint64_t last_time_ns, uint32_t last_epoch) {
  last_time_ns_ = last_time_ns;
  last_epoch_ = last_epoch;
  end_position_.store(position, std::memory_order_release);
  end_offset_.store(end_offset, std::memory_order_release);
}

}  // namespace weft::log
