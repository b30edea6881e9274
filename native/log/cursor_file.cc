#include "log/cursor_file.h"

#include <algorithm>
#include <cstring>

#include "log/format.h"

namespace weft::log {

namespace {

constexpr uint32_t kCursorMagic = 0x55435457;        // "WTCU"
constexpr uint32_t kCursorRecordMagic = 0x52435457;  // "WTCR"
constexpr std::string_view kDamagedExtension = ".damaged";

struct CursorFileHeader {
  uint32_t magic;
  uint16_t version;
  uint16_t reserved0;
  uint64_t reserved1[6];
  uint32_t reserved2;
  uint32_t checksum;
};
static_assert(sizeof(CursorFileHeader) == 64);

struct CursorRecord {
  uint32_t magic;
  uint32_t epoch;
  uint64_t offset;
  uint32_t name_bytes;
  char name[232];
  uint32_t checksum;
};
static_assert(sizeof(CursorRecord) == 256);
static_assert(sizeof(CursorRecord::name) >= kCursorNameBytesMax);

CursorRecord record_of(std::string_view name, const Cursor& cursor) {
  CursorRecord record{};
  record.magic = kCursorRecordMagic;
  record.epoch = cursor.epoch;
  record.offset = cursor.offset;
  record.name_bytes = static_cast<uint32_t>(name.size());
  std::memcpy(record.name, name.data(), name.size());
  seal_header(record);
  return record;
}

bool good_record(const CursorRecord& record) {
  return record.magic == kCursorRecordMagic && record.checksum == checksum_of(record) && record.name_bytes >= 1 &&
         record.name_bytes <= kCursorNameBytesMax;
}

// Where the reader of this cursor goes on now.
Cursor position_in(const PartitionLog& log, const Cursor& cursor) {
  const PartitionState state = log.state();
  if (cursor.offset <= state.next_offset && cursor.epoch == state.epoch) return cursor;
  StoredBatch batch;
  const Status status = log.read_batch(cursor.offset, batch);
  // Inside a gap, or behind the end: what it had read is gone.
  if (status.code() == Code::TRUNCATED) return {state.epoch, batch.first_offset};
  return cursor;
}

}  // namespace

CursorFile::CursorFile(FileSystem& file_system, std::string directory)
    : file_system_(file_system), directory_(std::move(directory)), path_(join_text(directory_, "/cursors")) {}

Result<std::unique_ptr<CursorFile>> CursorFile::open(FileSystem& file_system, const std::string& directory,
                                                     const PartitionLog& log, std::vector<CursorMove>* moved,
                                                     std::string* damage) {
  std::unique_ptr<CursorFile> cursors(new CursorFile(file_system, directory));
  WEFT_RETURN_IF_ERROR(file_system.make_directories(directory));
  auto there = file_system.exists(cursors->path_);
  if (!there.ok()) return there.status();
  std::string found;
  if (there.value()) WEFT_RETURN_IF_ERROR(cursors->load(found));
  if (damage != nullptr) *damage = std::move(found);
  for (auto& [name, cursor] : cursors->cursors_) {
    const Cursor now = position_in(log, cursor);
    if (now == cursor) continue;
    if (moved != nullptr) moved->push_back({name, cursor, now});
    cursor = now;
  }
  // Written anew each time: what a process before left in the page cache, or could not sync, becomes durable.
  Status compacted = cursors->compact();
  if (compacted.code() == Code::NO_SPACE && cursors->usable_) return cursors;  // goes on in the old file
  WEFT_RETURN_IF_ERROR(compacted);
  return cursors;
}

// Positions that are lost make consumers read from elsewhere, so that all is taken that can be: each record stands by
// itself.
Status CursorFile::load(std::string& damage) {
  auto opened = file_system_.open(path_, OpenMode::kReadWrite);
  if (!opened.ok()) return opened.status();
  file_ = opened.take();
  auto size = file_->size();
  if (!size.ok()) return size.status();
  CursorFileHeader header{};
  // Replaced atomically: a file that is too short was not left so by a crash.
  const bool whole = size.value() >= sizeof header;
  if (whole) WEFT_RETURN_IF_ERROR(file_->read_at(0, std::as_writable_bytes(std::span(&header, 1))));
  const bool good_header = whole && header.magic == kCursorMagic && header.checksum == checksum_of(header);
  if (good_header && header.version > kLogFormatVersion) {
    return Status(Code::FORMAT_NEWER, join_text(path_, " has format ", header.version, ", this build knows ",
                                                kLogFormatVersion, "; use the version that wrote it"));
  }
  uint64_t bad_count = 0;
  uint64_t bad_at_end = 0;  // of them, behind the last good one: what a crash left of a write
  end_ = sizeof header;
  CursorRecord record;
  for (uint64_t at = end_; at + sizeof record <= size.value(); at += sizeof record) {
    WEFT_RETURN_IF_ERROR(file_->read_at(at, std::as_writable_bytes(std::span(&record, 1))));
    if (!good_record(record)) {
      ++bad_count;
      ++bad_at_end;
      continue;
    }
    bad_at_end = 0;
    end_ = at + sizeof record;
    const std::string name(record.name, record.name_bytes);
    if (cursors_.size() < kCursorsMax || cursors_.contains(name)) cursors_[name] = {record.epoch, record.offset};
  }
  usable_ = whole;
  dirty_ = true;
  directory_dirty_ = true;
  damaged_ = !good_header || bad_count > bad_at_end;
  if (!damaged_) return end_ < size.value() ? file_->truncate(end_) : Status();
  damage = join_text(path_, " is damaged (", good_header ? "" : "its header, and ", bad_count - bad_at_end,
                     " of its records): positions of consumers may be older or missing; it is kept as ", path_,
                     kDamagedExtension);
  return {};
}

Status CursorFile::keep_damaged() {
  auto size = file_->size();
  if (!size.ok()) return size.status();
  std::vector<std::byte> bytes(std::min(size.value(), kCursorFileBytesMax));
  WEFT_RETURN_IF_ERROR(file_->read_at(0, bytes));
  const std::string path = join_text(path_, kDamagedExtension);
  WEFT_RETURN_IF_ERROR(file_system_.remove(path));
  auto file = file_system_.open(path, OpenMode::kCreateNew);
  if (!file.ok()) return file.status();
  WEFT_RETURN_IF_ERROR(file.value()->write_at(0, bytes));
  WEFT_RETURN_IF_ERROR(file.value()->sync_data());
  damaged_ = false;
  return {};  // its directory is synced with that of the new file
}

Status CursorFile::set(std::string_view name, Cursor cursor) {
  if (name.empty() || name.size() > kCursorNameBytesMax) {
    return Status(Code::INVALID_ARGUMENT,
                  join_text("a consumer name of ", name.size(), " bytes; use 1 to ", kCursorNameBytesMax));
  }
  auto found = cursors_.find(name);
  if (found == cursors_.end()) {
    if (cursors_.size() >= kCursorsMax) {
      return Status(Code::LIMIT, join_text("the partition in ", directory_, " has ", kCursorsMax,
                                           " consumer names already; use one of them"));
    }
    found = cursors_.emplace(std::string(name), cursor).first;
  }
  found->second = cursor;
  note_pending(found->first, cursor);
  return {};
}

void CursorFile::note_pending(const std::string& name, const Cursor& cursor) {
  const CursorRecord record = record_of(name, cursor);
  // Set again before it was written: replaced, so that pending stays as small as the number of names.
  for (size_t at = 0; at < pending_.size(); at += sizeof record) {
    CursorRecord other;
    std::memcpy(&other, pending_.data() + at, sizeof other);
    if (std::string_view(other.name, other.name_bytes) != name) continue;
    std::memcpy(pending_.data() + at, &record, sizeof record);
    return;
  }
  const auto bytes = std::as_bytes(std::span(&record, 1));
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
}

std::optional<Cursor> CursorFile::get(std::string_view name) const {
  const auto found = cursors_.find(name);
  if (found == cursors_.end()) return std::nullopt;
  return found->second;
}

Status CursorFile::write() {
  if (!failed_.empty()) return Status(Code::PARTITION_READ_ONLY, join_text("cursors are not written since: ", failed_));
  if (pending_.empty()) return {};
  if (end_ + pending_.size() > kCursorFileBytesMax) return compact();
  dirty_ = true;
  Status status = file_->write_at(end_, pending_);
  if (!status.ok()) {
    // Written over by the next one; cut here so that a crash before it leaves a clean end.
    static_cast<void>(file_->truncate(end_));
    if (status.code() != Code::NO_SPACE) failed_ = status.message();
    return status;
  }
  end_ += pending_.size();
  pending_.clear();
  return {};
}

Status CursorFile::sync() {
  WEFT_RETURN_IF_ERROR(write());
  Status status;
  if (dirty_) status = file_->sync_data();
  if (status.ok() && directory_dirty_) status = file_system_.sync_directory(directory_);
  if (!status.ok()) {
    failed_ = status.message();
    return status;
  }
  dirty_ = false;
  directory_dirty_ = false;
  return {};
}

// Writes all cursors to a file beside, and puts it in the place of this one. Durable when it returns.
Status CursorFile::compact() {
  if (damaged_) WEFT_RETURN_IF_ERROR(keep_damaged());
  std::vector<std::byte> bytes(sizeof(CursorFileHeader));
  CursorFileHeader header{};
  header.magic = kCursorMagic;
  header.version = kLogFormatVersion;
  seal_header(header);
  std::memcpy(bytes.data(), &header, sizeof header);
  for (const auto& [name, cursor] : cursors_) {
    const CursorRecord record = record_of(name, cursor);
    const auto record_bytes = std::as_bytes(std::span(&record, 1));
    bytes.insert(bytes.end(), record_bytes.begin(), record_bytes.end());
  }
  const std::string beside = path_ + ".new";
  WEFT_RETURN_IF_ERROR(file_system_.remove(beside));
  auto file = file_system_.open(beside, OpenMode::kCreateNew);
  if (!file.ok()) return file.status();
  WEFT_RETURN_IF_ERROR(file.value()->write_at(0, bytes));
  WEFT_RETURN_IF_ERROR(file.value()->sync_data());
  WEFT_RETURN_IF_ERROR(file_system_.rename(beside, path_));
  file_ = file.take();
  end_ = bytes.size();
  pending_.clear();
  dirty_ = false;
  // Until the directory is synced a power loss may bring the old file back.
  directory_dirty_ = true;
  Status synced = file_system_.sync_directory(directory_);
  if (!synced.ok()) {
    failed_ = synced.message();
    return synced;
  }
  directory_dirty_ = false;
  return {};
}

}  // namespace weft::log
