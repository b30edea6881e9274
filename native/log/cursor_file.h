// The durable consumer cursors of one partition: an append-only file of fixed-size, checksummed records, the last one
// of a name counts; rewritten when it has grown to kCursorFileBytesMax.
//
// Threads: owned by one thread. Promises: after write() a cursor survives the end of the process, after sync() that of
// the node. A torn tail is cut at opening; what is damaged before it is passed over, kept beside and reported. A cursor
// that points to events which recovery cut off is moved at opening and reported. What can fail: a full disk (what was
// set stays pending for the next write()), and a sync, after which nothing is written any more.
#pragma once

#include <map>

#include "log/partition_log.h"

namespace weft::log {

constexpr size_t kCursorsMax = 8192;         // of one partition: consumers, and registered producers
constexpr size_t kCursorNameBytesMax = 201;  // at least 1; one more than a name has, for a mark before it
constexpr uint64_t kCursorFileBytesMax = uint64_t{4} << 20;

struct Cursor {
  uint32_t epoch = 0;   // of the partition when the offset was reached
  uint64_t offset = 0;  // of the next event to read
  bool operator==(const Cursor&) const = default;
};

struct CursorMove {
  std::string name;
  Cursor from;
  Cursor to;
};

class CursorFile {
 public:
  // Opens or creates `directory`/cursors. `moved` (may be nullptr): cursors whose events are gone and where they are
  // now. `damage` (may be nullptr): what of the file could not be read, "" for nothing; cursors may be older or missing
  // then.
  static Result<std::unique_ptr<CursorFile>> open(FileSystem& file_system, const std::string& directory,
                                                  const PartitionLog& log, std::vector<CursorMove>* moved,
                                                  std::string* damage = nullptr);

  // In memory, until write(). WEFT_LIMIT for one name too many, WEFT_INVALID_ARGUMENT for a name that is empty or too
  // long.
  Status set(std::string_view name, Cursor cursor);
  std::optional<Cursor> get(std::string_view name) const;
  const std::map<std::string, Cursor, std::less<>>& list() const { return cursors_; }
  // Appends what was set since the last one: one system call.
  Status write();
  Status sync();

 private:
  CursorFile(FileSystem& file_system, std::string directory);
  Status load(std::string& damage);
  Status keep_damaged();
  Status compact();
  void note_pending(const std::string& name, const Cursor& cursor);

  FileSystem& file_system_;
  const std::string directory_;
  const std::string path_;
  std::unique_ptr<File> file_;
  uint64_t end_ = 0;
  std::map<std::string, Cursor, std::less<>> cursors_;
  std::vector<std::byte> pending_;
  bool usable_ = false;   // the file can be gone on in
  bool damaged_ = false;  // the file has damage, and no copy was kept yet
  bool dirty_ = false;
  bool directory_dirty_ = false;  // the file was put in place, and its directory not synced since
  std::string failed_;            // why nothing is written any more
};

}  // namespace weft::log
