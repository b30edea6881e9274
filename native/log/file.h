// The seam below the log: every byte that is stored goes through a File, so that tests can put a failing one in its
// place. Real files: posix_file.h. Files with faults from a seed: fault_file.h.
//
// What may fail here, and must be handled above: any call, at any time, with WEFT_IO; a write with WEFT_NO_SPACE,
// partly done; a sync with WEFT_SYNC_FAILED, after which the kernel may have dropped the pages (never retried). What
// was written and not synced may after a power loss be there, be missing, be torn at any 512-byte sector, in any order,
// in any file. A file created, renamed or removed is durable only after sync of its directory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace weft::log {

class File {
 public:
  virtual ~File() = default;
  // Fills `into` completely, or WEFT_CORRUPT when the file ends before (a short file), or WEFT_IO.
  virtual Status read_at(uint64_t position, std::span<std::byte> into) = 0;
  // All of it or an error; after an error any part may have been written.
  virtual Status write_at(uint64_t position, std::span<const std::byte> from) = 0;
  // The pieces one after another from `position`: one system call where possible.
  virtual Status write_vector_at(uint64_t position, std::span<const std::span<const std::byte>> pieces) = 0;
  virtual Status sync_data() = 0;
  virtual Status truncate(uint64_t length) = 0;
  // Gives the room of [position, position + length) back to the file system; it reads as zeros, the size stays. Where
  // the file system cannot do that, nothing happens.
  virtual Status punch_hole(uint64_t position, uint64_t length) = 0;
  virtual Result<uint64_t> size() = 0;
};

enum class OpenMode { kReadOnly, kReadWrite, kCreateNew };

// Paths are absolute or relative to the process; any thread.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  virtual Status remove(const std::string& path) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status make_directories(const std::string& path) = 0;
  // Makes creations, renames and removals in this directory durable.
  virtual Status sync_directory(const std::string& path) = 0;
  // Names (not paths) in the directory, sorted.
  virtual Result<std::vector<std::string>> list(const std::string& path) = 0;
  virtual Result<bool> exists(const std::string& path) = 0;

  static FileSystem& real();
};

}  // namespace weft::log
