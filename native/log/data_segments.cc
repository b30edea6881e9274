#include "log/data_segments.h"

#include <algorithm>
#include <cstring>

namespace weft::log {

namespace {
constexpr uint64_t kReadAtOnceBytes = 4 * kDataBlockBytes;

// Whole blocks for partial reads; per thread, so that readers share nothing.
std::span<std::byte> block_scratch() {
  thread_local std::vector<std::byte> scratch(kDataBlockBytes);
  return scratch;
}
}  // namespace

DataSegments::DataSegments(FileSystem& file_system, std::string directory, uint64_t segment_bytes)
    : file_system_(file_system), directory_(std::move(directory)), segment_bytes_(segment_bytes) {
  writer_files_.reserve(8);
  read_files_.reserve(kReadFilesMax + 1);
}

std::string DataSegments::path_of(uint64_t segment) const {
  return join_text(directory_, "/", segment_name(segment, kDataExtension));
}

void DataSegments::start_at(uint64_t segment, uint64_t position) {
  tail_segment_ = segment;
  tail_position_ = wire::align_up(std::max(position, uint64_t{sizeof(SegmentHeader)}), wire::kDataAlignmentBytes);
}

DataSegments::WriterFile& DataSegments::writer_file(uint64_t segment) {
  for (WriterFile& writer : writer_files_) {
    if (writer.segment == segment) return writer;
  }
  writer_files_.push_back({});
  writer_files_.back().segment = segment;
  return writer_files_.back();
}

DataExtent DataSegments::reserve(uint64_t data_bytes) {
  if (data_bytes == 0) return {};
  if (tail_position_ > sizeof(SegmentHeader) && tail_position_ + data_bytes > segment_bytes_) {
    ++tail_segment_;
    tail_position_ = sizeof(SegmentHeader);
    close_idle_writer_files();
  }
  const DataExtent extent{tail_segment_, tail_position_, data_bytes};
  tail_position_ = wire::align_up(tail_position_ + data_bytes, wire::kDataAlignmentBytes);
  ++writer_file(extent.segment).reserved_count;
  return extent;
}

Status DataSegments::open_for_writing(WriterFile& writer) {
  const std::string path = path_of(writer.segment);
  auto there = file_system_.exists(path);
  if (!there.ok()) return there.status();
  if (there.value()) {
    auto file = file_system_.open(path, OpenMode::kReadWrite);
    if (!file.ok()) return file.status();
    writer.file = file.take();
  } else {
    auto file = file_system_.open(path, OpenMode::kCreateNew);
    if (!file.ok()) return file.status();
    writer.file = file.take();
  }
  // Also where the file was there: a process that died may have made it without syncing the directory.
  directory_dirty_ = true;
  SegmentHeader header{};
  header.magic = kSegmentMagic;
  header.version = kLogFormatVersion;
  header.kind = kKindData;
  header.number = writer.segment;
  header.previous_number = kNoSegment;
  seal_header(header);
  // Written again where the file was there: the same bytes, and whole if an attempt before ended halfway.
  Status status = writer.file->write_at(0, std::as_bytes(std::span(&header, 1)));
  writer.dirty = status.ok();
  if (!status.ok()) writer.file.reset();
  return status;
}

Status DataSegments::write(const DataExtent& extent, uint64_t at, std::span<const std::byte> bytes) {
  if (at > extent.length || bytes.size() > extent.length - at) {
    return Status(Code::INVALID_ARGUMENT, join_text("writing ", bytes.size(), " bytes at ", at, " of an extent of ",
                                                    extent.length, " bytes; stay inside it"));
  }
  if (bytes.empty()) return {};
  WriterFile& writer = writer_file(extent.segment);
  if (!writer.file) WEFT_RETURN_IF_ERROR(open_for_writing(writer));
  writer.dirty = true;
  return writer.file->write_at(extent.position + at, bytes);
}

void DataSegments::release(const DataExtent& extent, bool committed) {
  if (extent.length == 0) return;
  WriterFile& writer = writer_file(extent.segment);
  WEFT_ASSERT(writer.reserved_count > 0);
  --writer.reserved_count;
  const uint64_t end = wire::align_up(extent.position + extent.length, wire::kDataAlignmentBytes);
  if (!committed) {
    // The last extent given out can be given back: nothing refers to its bytes.
    const bool is_last = extent.segment == tail_segment_ && end == tail_position_;
    if (is_last) tail_position_ = extent.position;
    give_back(writer, extent, is_last);
  }
  if (extent.segment != tail_segment_) close_idle_writer_files();
}

// One large event that found the disk full once left it full for everybody. What fails here costs room only.
void DataSegments::give_back(WriterFile& writer, const DataExtent& extent, bool is_last) {
  if (!writer.file) return;  // nothing was written
  writer.dirty = true;
  if (!is_last) {
    static_cast<void>(writer.file->punch_hole(extent.position, extent.length));
    return;
  }
  const auto size = writer.file->size();
  if (size.ok() && size.value() > extent.position) static_cast<void>(writer.file->truncate(extent.position));
}

void DataSegments::close_idle_writer_files() {
  std::erase_if(writer_files_, [this](const WriterFile& writer) {
    return writer.segment != tail_segment_ && writer.reserved_count == 0 && !writer.dirty;
  });
}

bool DataSegments::dirty() const {
  return directory_dirty_ ||
         std::any_of(writer_files_.begin(), writer_files_.end(), [](const WriterFile& writer) { return writer.dirty; });
}

Status DataSegments::sync() {
  for (WriterFile& writer : writer_files_) {
    if (!writer.dirty || !writer.file) continue;
    WEFT_RETURN_IF_ERROR(writer.file->sync_data());
    writer.dirty = false;
  }
  if (directory_dirty_) {
    WEFT_RETURN_IF_ERROR(file_system_.sync_directory(directory_));
    directory_dirty_ = false;
  }
  close_idle_writer_files();
  return {};
}

uint64_t DataSegments::min_reserved_segment() const {
  uint64_t lowest = kNoSegment;
  for (const WriterFile& writer : writer_files_) {
    if (writer.reserved_count > 0) lowest = std::min(lowest, writer.segment);
  }
  return lowest;
}

Status DataSegments::remove_below(uint64_t segment) {
  auto names = file_system_.list(directory_);
  if (!names.ok()) return names.status();
  bool removed = false;
  for (const std::string& name : names.value()) {
    uint64_t number = 0;
    if (!parse_segment_name(name, kDataExtension, number) || number >= segment) continue;
    WEFT_RETURN_IF_ERROR(file_system_.remove(join_text(directory_, "/", name)));
    removed = true;
  }
  std::erase_if(writer_files_, [segment](const WriterFile& writer) { return writer.segment < segment; });
  {
    const std::lock_guard lock(read_mutex_);
    std::erase_if(read_files_, [segment](const ReadFile& read) { return read.segment < segment; });
  }
  return removed ? file_system_.sync_directory(directory_) : Status();
}

Result<std::shared_ptr<File>> DataSegments::reader_file(uint64_t segment) const {
  {
    const std::lock_guard lock(read_mutex_);
    for (size_t at = 0; at < read_files_.size(); ++at) {
      if (read_files_[at].segment != segment) continue;
      if (at != 0)
        std::rotate(read_files_.begin(), read_files_.begin() + static_cast<ptrdiff_t>(at),
                    read_files_.begin() + static_cast<ptrdiff_t>(at) + 1);
      return read_files_.front().file;
    }
  }
  const std::string path = path_of(segment);
  auto there = file_system_.exists(path);
  if (!there.ok()) return there.status();
  if (!there.value()) return Status(Code::CORRUPT, join_text("the data segment ", path, " is missing"));
  auto opened = file_system_.open(path, OpenMode::kReadOnly);
  if (!opened.ok()) return opened.status();
  SegmentHeader header;
  WEFT_RETURN_IF_ERROR(opened.value()->read_at(0, std::as_writable_bytes(std::span(&header, 1))));
  WEFT_RETURN_IF_ERROR(check_segment_header(header, kKindData, segment, path));
  std::shared_ptr<File> file = opened.take();
  const std::lock_guard lock(read_mutex_);
  read_files_.insert(read_files_.begin(), {segment, file});
  if (read_files_.size() > kReadFilesMax) read_files_.pop_back();
  return file;
}

Status DataSegments::read(const DataExtent& extent, std::span<const uint32_t> block_checksums, uint64_t at,
                          std::span<std::byte> into) const {
  if (at > extent.length || into.size() > extent.length - at) {
    return Status(Code::SELECTION_OUTSIDE, join_text("reading ", into.size(), " bytes at ", at, " of ", extent.length,
                                                     " bytes; select within them"));
  }
  if (into.empty()) return {};
  if (block_checksums.size() != block_count_of(extent.length)) {
    return Status(Code::INVALID_ARGUMENT, "the batch does not carry the block checksums of its extent");
  }
  auto opened = reader_file(extent.segment);
  if (!opened.ok()) return opened.status();
  File& file = *opened.value();
  const auto check = [&](uint64_t block, std::span<const std::byte> bytes) {
    if (crc32c(bytes) == block_checksums[block]) return Status();
    return Status(Code::CORRUPT, join_text(path_of(extent.segment), " at ", extent.position + block * kDataBlockBytes,
                                           ": the checksum of a data block does not match; run weftline log verify"));
  };
  while (!into.empty()) {
    const uint64_t block = at / kDataBlockBytes;
    const uint64_t block_start = block * kDataBlockBytes;
    const uint64_t block_bytes = std::min(kDataBlockBytes, extent.length - block_start);
    const uint64_t skip = at - block_start;
    uint64_t take = std::min(block_bytes - skip, uint64_t{into.size()});
    if (take < block_bytes) {
      // Part of a block: the whole of it is read beside, and checked.
      const auto whole = block_scratch().first(block_bytes);
      WEFT_RETURN_IF_ERROR(file.read_at(extent.position + block_start, whole));
      WEFT_RETURN_IF_ERROR(check(block, whole));
      std::memcpy(into.data(), whole.data() + skip, take);
    } else {
      // Whole blocks, up to kReadAtOnceBytes of them in one call, straight to where they are wanted; small enough that
      // the checksum finds them in the cache.
      take = std::min({uint64_t{into.size()}, extent.length - block_start, kReadAtOnceBytes});
      if (block_start + take < extent.length) take -= take % kDataBlockBytes;
      WEFT_RETURN_IF_ERROR(file.read_at(extent.position + block_start, into.first(take)));
      for (uint64_t done = 0; done < take; done += kDataBlockBytes) {
        WEFT_RETURN_IF_ERROR(
            check(block + done / kDataBlockBytes, into.subspan(done, std::min(kDataBlockBytes, take - done))));
      }
    }
    into = into.subspan(take);
    at += take;
  }
  return {};
}

Status DataSegments::verify(const DataExtent& extent, std::span<const uint32_t> block_checksums) const {
  const auto block = block_scratch();
  for (uint64_t at = 0; at < extent.length; at += kDataBlockBytes) {
    WEFT_RETURN_IF_ERROR(read(extent, block_checksums, at, block.first(std::min(kDataBlockBytes, extent.length - at))));
  }
  return {};
}

}  // namespace weft::log
