#include "log/metadata_log.h"

#include <algorithm>
#include <cstring>

#include "log/record_scanner.h"

namespace weft::log {

namespace {

constexpr uint64_t kWalkWindowBytes = 64 * 1024;
// Read at first where the length of a record is not known: a whole record of common size, in one call.
constexpr uint64_t kReadGuessBytes = 48 * 1024;
// Read at once for one who goes on: small batches are many to a read, and large ones are seldom read twice in part.
constexpr uint64_t kReadAheadBytes = 256 * 1024;
// A reader's buffer that a huge record made larger than this is given back.
constexpr size_t kReadBufferKeepBytes = 4 << 20;

ReadAhead& read_buffer() {
  thread_local ReadAhead buffer;
  return buffer;
}

Status truncated_at(uint64_t offset, uint64_t continue_at) {
  return Status(Code::TRUNCATED, join_text("offset ", offset,
                                           " is not there any more: events were cut at recovery; "
                                           "continue at ",
                                           continue_at));
}

Status gone(uint64_t offset, uint64_t continue_at) {
  return Status(Code::OFFSET_GONE, join_text("offset ", offset, " was removed; continue at ", continue_at));
}

Result<std::shared_ptr<MetadataSegment>> open_indexed(FileSystem& file_system, const std::string& directory,
                                                      uint64_t number) {
  auto opened = MetadataSegment::open(file_system, directory, number, OpenMode::kReadOnly, 0);
  if (!opened.ok()) return opened.status();
  auto size = opened.value()->file().size();
  if (!size.ok()) return size.status();
  if (!opened.value()->load_index(file_system, size.value())) opened.value()->forget_all();
  // A damaged record ends the index; reads behind it say so.
  static_cast<void>(opened.value()->extend_index(size.value()));
  return opened;
}

}  // namespace

void PositionCache::put(uint64_t offset, RecordPlace place) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[slot_of(offset)];
  // A known length is not forgotten for an unknown one.
  if (place.bytes == 0 && entry.offset == offset && entry.place.position == place.position) return;
  entry = {offset, place};
}

bool PositionCache::get(uint64_t offset, RecordPlace& place) const {
  const std::lock_guard lock(mutex_);
  const Entry& entry = entries_[slot_of(offset)];
  if (entry.offset != offset) return false;
  place = entry.place;
  return true;
}

void PositionCache::clear() {
  const std::lock_guard lock(mutex_);
  std::fill(entries_.begin(), entries_.end(), Entry{});
}

MetadataLog::MetadataLog(FileSystem& file_system, std::string directory, uint64_t segment_bytes)
    : file_system_(file_system), directory_(std::move(directory)), segment_bytes_(segment_bytes) {}

void MetadataLog::adopt(std::vector<SealedSegment> sealed, std::shared_ptr<MetadataSegment> active,
                        uint64_t first_offset, uint64_t end_offset, uint64_t next_offset) {
  const std::lock_guard lock(mutex_);
  sealed_ = std::move(sealed);
  active_ = std::move(active);
  open_.reserve(kOpenSegmentsMax + 1);
  uint64_t bytes = 0;
  uint64_t data_bytes = 0;
  for (const SealedSegment& segment : sealed_) {
    bytes += segment.end_position;
    data_bytes += segment.data_bytes;
  }
  sealed_bytes_ = bytes;
  sealed_data_bytes_ = data_bytes;
  active_bytes_ = active_ ? active_->end_position() : 0;
  active_data_bytes_ = active_ ? active_->data_bytes() : 0;
  first_offset_ = first_offset;
  end_offset_ = end_offset;
  next_offset_ = next_offset;
}

bool MetadataLog::needs_roll(uint64_t record_bytes) const {
  if (!active_) return true;
  const uint64_t end = active_->end_position();
  if (end == sizeof(SegmentHeader)) return false;
  // By its data as well: only whole metadata segments are removed, and data goes with the last one that names it.
  return end + record_bytes > segment_bytes_ || active_->data_bytes() >= segment_bytes_;
}

Status MetadataLog::roll(uint64_t first_offset, uint64_t time_ns, uint32_t epoch) {
  WEFT_ASSERT(!dirty_);
  SegmentHeader header{};
  header.magic = kSegmentMagic;
  header.version = kLogFormatVersion;
  header.kind = kKindMetadata;
  header.number = first_offset;
  header.previous_number = kNoSegment;
  header.previous_end_offset = end_offset();
  header.first_append_time_ns = time_ns;
  header.partition_epoch = epoch;
  if (active_) header.previous_number = active_->first_offset();
  seal_header(header);
  auto created = MetadataSegment::create(file_system_, directory_, header, segment_bytes_);
  Status status = created.ok() ? created.value()->file().sync_data() : created.status();
  if (status.ok()) status = file_system_.sync_directory(directory_);
  if (status.ok() && active_) status = active_->write_index(file_system_);
  if (!status.ok()) {
    // Nothing refers to it yet. If it cannot be removed either, the next attempt or recovery does it.
    static_cast<void>(file_system_.remove(join_text(directory_, "/", segment_name(first_offset, kMetadataExtension))));
    return status;
  }
  const std::lock_guard lock(mutex_);
  if (active_) {
    sealed_.push_back({active_->first_offset(), active_->end_offset(), active_->end_position(),
                       active_->header().first_append_time_ns, active_->data_bytes(), active_->min_data_segment(),
                       active_->header().previous_number, active_->header().previous_end_offset});
    sealed_bytes_ += active_->end_position();
    sealed_data_bytes_ += active_->data_bytes();
    // It stays open for the readers that are just behind the writer.
    open_.insert(open_.begin(), active_);
    if (open_.size() > kOpenSegmentsMax) open_.pop_back();
  }
  active_ = created.take();
  active_bytes_ = active_->end_position();
  active_data_bytes_ = 0;
  return {};
}

Status MetadataLog::append(const RecordHeader& record, const wire::BatchHeader& batch, std::span<const std::byte> body,
                           std::span<const uint32_t> block_checksums) {
  static constexpr std::byte kPadding[8] = {};
  const uint64_t used = kRecordFixedBytes + body.size() + block_checksums.size_bytes();
  const std::span<const std::byte> pieces[] = {
      std::as_bytes(std::span(&record, 1)), std::as_bytes(std::span(&batch, 1)), body, std::as_bytes(block_checksums),
      std::span(kPadding).first(record.record_bytes - used)};
  const uint64_t position = active_->end_position();
  dirty_ = true;
  Status status = active_->file().write_vector_at(position, pieces);
  if (!status.ok()) {
    // Half a record behind the end is not in the way: the next one is written over it, and recovery would cut it.
    // Cutting it now spares recovery the doubt.
    static_cast<void>(active_->file().truncate(position));
    return status;
  }
  const uint64_t next = record.first_offset + batch.event_count;
  cache_.put(record.first_offset, {position, record.record_bytes});
  active_->note(record, batch.event_count);
  active_bytes_.store(active_->end_position(), std::memory_order_relaxed);
  active_data_bytes_.store(active_->data_bytes(), std::memory_order_relaxed);
  end_offset_.store(next, std::memory_order_release);
  next_offset_.store(next, std::memory_order_release);
  return {};
}

Status MetadataLog::sync() {
  if (!dirty_) return {};
  WEFT_RETURN_IF_ERROR(active_->file().sync_data());
  dirty_ = false;
  return {};
}

std::vector<uint64_t> MetadataLog::forget_below(uint64_t offset) {
  std::vector<uint64_t> forgotten;
  const std::lock_guard lock(mutex_);
  size_t count = 0;
  while (count < sealed_.size() && sealed_[count].end_offset <= offset) {
    sealed_bytes_ -= sealed_[count].end_position;
    sealed_data_bytes_ -= sealed_[count].data_bytes;
    forgotten.push_back(sealed_[count].first_offset);
    ++count;
  }
  if (count == 0) return forgotten;
  sealed_.erase(sealed_.begin(), sealed_.begin() + static_cast<ptrdiff_t>(count));
  const uint64_t first = !sealed_.empty() ? sealed_.front().first_offset : active_->first_offset();
  std::erase_if(open_, [first](const auto& segment) { return segment->first_offset() < first; });
  first_offset_.store(first, std::memory_order_release);
  return forgotten;
}

Status MetadataLog::remove_files(std::span<const uint64_t> segments) {
  for (const uint64_t segment : segments) {
    WEFT_RETURN_IF_ERROR(file_system_.remove(join_text(directory_, "/", segment_name(segment, kIndexExtension))));
    WEFT_RETURN_IF_ERROR(file_system_.remove(join_text(directory_, "/", segment_name(segment, kMetadataExtension))));
  }
  return segments.empty() ? Status() : file_system_.sync_directory(directory_);
}

uint64_t MetadataLog::min_data_segment() const {
  uint64_t lowest = active_ ? active_->min_data_segment() : kNoSegment;
  for (const SealedSegment& segment : sealed_) lowest = std::min(lowest, segment.min_data_segment);
  return lowest;
}

uint64_t MetadataLog::first_segment() const {
  if (!sealed_.empty()) return sealed_.front().first_offset;
  return active_ ? active_->first_offset() : kNoSegment;
}

Status MetadataLog::write_active_index() const { return active_ ? active_->write_index(file_system_) : Status(); }

// No lock: the broker's progress thread asks. While a segment rolls the sum may be off by that segment.
uint64_t MetadataLog::stored_bytes() const { return sealed_bytes_ + active_bytes_; }

uint64_t MetadataLog::stored_data_bytes() const { return sealed_data_bytes_ + active_data_bytes_; }

Result<std::shared_ptr<MetadataSegment>> MetadataLog::open_sealed(SealedSegment sealed,
                                                                  std::unique_lock<std::mutex>& lock) const {
  const auto find_open = [&] {
    for (size_t at = 0; at < open_.size(); ++at) {
      if (open_[at]->first_offset() != sealed.first_offset) continue;
      std::rotate(open_.begin(), open_.begin() + static_cast<ptrdiff_t>(at),
                  open_.begin() + static_cast<ptrdiff_t>(at) + 1);
      return open_.front();
    }
    return std::shared_ptr<MetadataSegment>();
  };
  if (auto there = find_open(); there != nullptr) return there;
  // Others read on meanwhile; two that open the same segment do the work twice, which costs less than waiting.
  lock.unlock();
  auto opened = open_indexed(file_system_, directory_, sealed.first_offset);
  lock.lock();
  if (!opened.ok()) return opened;
  if (auto there = find_open(); there != nullptr) return there;
  // Retention may have taken it away: a reader that has it finishes, nobody else is to find it.
  const bool is_listed = std::any_of(sealed_.begin(), sealed_.end(), [&](const SealedSegment& each) {
    return each.first_offset == sealed.first_offset;
  });
  if (!is_listed) return opened;
  open_.insert(open_.begin(), opened.value());
  if (open_.size() > kOpenSegmentsMax) open_.pop_back();
  return opened;
}

Status MetadataLog::find_segment(uint64_t& offset, std::shared_ptr<MetadataSegment>& segment,
                                 uint64_t& continue_at) const {
  std::unique_lock lock(mutex_);
  const auto open = [&](const SealedSegment& sealed) {
    const uint64_t sealed_end = sealed.end_offset;
    auto opened = open_sealed(sealed, lock);
    if (opened.ok()) {
      segment = opened.take();
      return Status();
    }
    if (sealed_end > first_offset()) return Status(Code::CORRUPT, opened.status().message());
    continue_at = first_offset();  // removed while it was opened
    return gone(offset, continue_at);
  };
  const uint64_t first = first_offset();
  const uint64_t end = end_offset();
  const uint64_t next = next_offset();
  if (offset < first) {
    continue_at = first;
    return gone(offset, first);
  }
  if (offset == next || offset == end) return Status(Code::END_OF_STREAM, "there are no more events");
  if (offset > end) {
    continue_at = next;
    return truncated_at(offset, next);
  }
  if (active_ && offset >= active_->first_offset()) {
    segment = active_;
    return {};
  }
  const auto after =
      std::upper_bound(sealed_.begin(), sealed_.end(), offset,
                       [](uint64_t value, const SealedSegment& sealed) { return value < sealed.first_offset; });
  const bool before_first = after == sealed_.begin();
  const uint64_t previous_end = before_first ? first : (after - 1)->end_offset;
  if (before_first || offset >= previous_end) {
    // Between two segments: ids that were skipped, or a file that is missing.
    const bool last = after == sealed_.end();
    const uint64_t following = last ? active_->first_offset() : after->first_offset;
    const uint64_t said = last ? active_->header().previous_end_offset : after->previous_end_offset;
    if (offset < said) {
      return Status(Code::CORRUPT, join_text("offset ", offset, " was in a metadata segment file of ", directory_,
                                             " that is missing; the file before offset ", following,
                                             " must be put back; events go on at ", following));
    }
    if (offset > said) {
      continue_at = following;
      return truncated_at(offset, following);
    }
    offset = following;
    if (last) {
      segment = active_;
      return {};
    }
    return open(*after);
  }
  return open(*(after - 1));
}

Status MetadataLog::locate(const MetadataSegment& segment, uint64_t& offset, RecordPlace& place,
                           uint64_t& continue_at) const {
  const uint64_t end = segment.end_position();
  RecordScanner scanner(segment.file(), segment.floor_of_offset(offset), end, kWalkWindowBytes);
  RecordScanner::Record record;
  uint64_t previous_end = segment.first_offset();
  while (true) {
    const auto outcome = scanner.next(record, false);
    if (outcome != RecordScanner::Outcome::kRecord) {
      const std::string why =
          outcome == RecordScanner::Outcome::kBad ? scanner.problem().message() : "its records end before";
      return Status(Code::CORRUPT, join_text(segment.path(), " at ", scanner.position(), ": ", why,
                                             " (looking for offset ", offset, "); run weftline log verify"));
    }
    const uint64_t record_end = record.header.first_offset + record.batch.event_count;
    if (offset < record_end) {
      place = {record.position, record.header.record_bytes};
      if (offset < record.header.first_offset && offset != previous_end) {
        continue_at = record.header.first_offset;
        return truncated_at(offset, continue_at);
      }
      cache_.put(record.header.first_offset, place);
      offset = record.header.first_offset;
      return {};
    }
    previous_end = record_end;
  }
}

// Reads the bytes at `position`.
Status MetadataLog::fill(ReadAhead& from, const std::shared_ptr<MetadataSegment>& segment, uint64_t position,
                         uint64_t length) {
  from.forget();
  if (from.bytes_.size() < length) from.bytes_.resize(std::max(length, kReadGuessBytes));
  WEFT_RETURN_IF_ERROR(segment->file().read_at(position, std::span(from.bytes_).first(length)));
  from.file_ = segment;
  from.position_ = position;
  from.length_ = length;
  return {};
}

Status MetadataLog::read_record(const std::shared_ptr<MetadataSegment>& segment, RecordPlace place, StoredBatch& into,
                                ReadAhead* ahead) const {
  ReadAhead& from = ahead != nullptr ? *ahead : read_buffer();
  if (ahead == nullptr) from.forget();
  const uint64_t left = segment->end_position() - place.position;
  const auto known = [&]() -> std::span<const std::byte> {
    const bool has_it =
        from.file_ == segment && place.position >= from.position_ && place.position < from.position_ + from.length_;
    if (!has_it) return {};
    const uint64_t skipped = place.position - from.position_;
    return std::span(from.bytes_).subspan(skipped, from.length_ - skipped);
  };
  std::span<const std::byte> bytes = known();
  if (bytes.size() < std::min(left, std::max(place.bytes, kRecordFixedBytes))) {
    const uint64_t guess = ahead != nullptr ? kReadAheadBytes : place.bytes == 0 ? kReadGuessBytes : 0;
    WEFT_RETURN_IF_ERROR(fill(from, segment, place.position, std::min(std::max(place.bytes, guess), left)));
    bytes = known();
  }
  RecordHeader record;
  Status status = parse_record_headers(bytes, record, into.header);
  if (status.ok() && record.record_bytes > left) status = Status(Code::CORRUPT, "the record is longer than its file");
  if (status.ok() && record.record_bytes > bytes.size()) {
    const uint64_t guess = ahead != nullptr ? std::min(kReadAheadBytes, left) : 0;
    WEFT_RETURN_IF_ERROR(fill(from, segment, place.position, std::max(record.record_bytes, guess)));
    bytes = known();
  }
  if (status.ok()) {
    bytes = bytes.first(record.record_bytes);
    status = check_record_rest(record, into.header, bytes);
  }
  if (!status.ok()) {
    from.forget();  // read anew the next time
    return Status(Code::CORRUPT, join_text(segment->path(), " at ", place.position, ": ", status.message(),
                                           "; run weftline log verify"));
  }
  into.first_offset = record.first_offset;
  into.append_time_ns = record.append_time_ns;
  into.partition_epoch = record.partition_epoch;
  into.extent = {record.data_segment, record.data_position, record.data_length};
  const std::byte* body = bytes.data() + kRecordFixedBytes;
  into.body.assign(body, body + into.header.body_bytes);
  into.block_checksums.resize(record.block_count);
  if (record.block_count > 0) {
    std::memcpy(into.block_checksums.data(), body + into.header.body_bytes, record.block_count * sizeof(uint32_t));
  }
  if (ahead == nullptr) from.forget();
  if (from.bytes_.size() > kReadBufferKeepBytes) {
    from.forget();
    std::vector<std::byte>().swap(from.bytes_);
  }
  return {};
}

Status MetadataLog::read_batch(uint64_t offset, StoredBatch& into, ReadAhead* ahead) const {
  std::shared_ptr<MetadataSegment> segment;
  uint64_t continue_at = 0;
  Status status = find_segment(offset, segment, continue_at);
  RecordPlace place;
  if (status.ok() && !cache_.get(offset, place)) status = locate(*segment, offset, place, continue_at);
  if (!status.ok()) {
    // Where a reader goes on, for it to use without reading the words.
    into.first_offset = continue_at;
    return status;
  }
  if (place.position >= segment->end_position()) {
    return Status(Code::INTERNAL, join_text("the position cache points behind ", segment->path()));
  }
  WEFT_RETURN_IF_ERROR(read_record(segment, place, into, ahead));
  const uint64_t after = place.position + record_bytes_of(into.header.body_bytes, into.block_checksums.size());
  cache_.put(into.first_offset, {place.position, after - place.position});
  // The next one in this segment: a sequential reader does not search.
  if (after < segment->end_position()) {
    const uint64_t next = into.first_offset + into.header.event_count;
    RecordPlace known;
    if (!cache_.get(next, known)) cache_.put(next, {after, 0});
  }
  return {};
}

uint64_t MetadataLog::offset_within(uint64_t bytes) const {
  const std::lock_guard lock(mutex_);
  uint64_t stored = stored_bytes() + stored_data_bytes();
  for (const SealedSegment& segment : sealed_) {
    if (stored <= bytes) return segment.first_offset;
    stored -= segment.end_position + segment.data_bytes;
  }
  return active_ ? active_->first_offset() : first_offset();
}

Result<uint64_t> MetadataLog::offset_at_time(uint64_t time_ns) const {
  std::shared_ptr<MetadataSegment> segment;
  uint64_t none = 0;
  {
    std::unique_lock lock(mutex_);
    none = next_offset();
    if (!active_) return none;
    // The last segment that starts before the time: the offset is in it, or it is the first one of the next.
    const auto after =
        std::lower_bound(sealed_.begin(), sealed_.end(), time_ns,
                         [](const SealedSegment& sealed, uint64_t value) { return sealed.first_time_ns < value; });
    if (active_->header().first_append_time_ns < time_ns || sealed_.empty()) {
      segment = active_;
    } else {
      none = after == sealed_.end() ? active_->first_offset() : after->first_offset;
      const SealedSegment sealed = after == sealed_.begin() ? *after : *(after - 1);
      auto opened = open_sealed(sealed, lock);
      if (!opened.ok()) {
        // Removed while it was opened: the first that is left is behind the time.
        if (sealed.end_offset <= first_offset()) return first_offset();
        return opened.status();
      }
      segment = opened.take();
    }
  }
  RecordScanner scanner(segment->file(), segment->floor_of_time(time_ns), segment->end_position(), kWalkWindowBytes);
  RecordScanner::Record record;
  while (true) {
    const auto outcome = scanner.next(record, false);
    if (outcome == RecordScanner::Outcome::kBad) {
      return Status(Code::CORRUPT, join_text(segment->path(), " at ", scanner.position(), ": ",
                                             scanner.problem().message(), "; run weftline log verify"));
    }
    if (outcome == RecordScanner::Outcome::kEnd) return none;
    if (record.header.append_time_ns >= time_ns) return record.header.first_offset;
  }
}

}  // namespace weft::log
