// The lock on a data directory, with its owner on record, so that two servers never write the same files.
// Any thread. The lock ends with the object, or with the process however it ends (it is the kernel's).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"

namespace weft::log {

struct LockOwner {
  std::string host;
  std::string boot_id;
  uint64_t pid = 0;
  uint64_t start_time = 0;  // of the process, in clock ticks since boot: a pid is used again
  std::string job;
};

class DirectoryLock {
 public:
  // Makes the directory if it is missing. WEFT_DATA_DIRECTORY_LOCKED names the live owner. Where the file system has
  // no locks: WEFT_UNSUPPORTED, unless `force` (then nothing keeps a second server away, and the caller answers for
  // it). WEFT_NOT_WRITABLE.
  static Result<std::unique_ptr<DirectoryLock>> take(const std::string& data_directory, const std::string& job,
                                                     bool force);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

  // False: taken by force on a file system without locks.
  bool locked() const { return locked_; }
  // Who held it when it was taken over, "" host for nobody: a process that ended without letting go.
  const LockOwner& previous_owner() const { return previous_owner_; }

 private:
  DirectoryLock(int descriptor, bool locked, LockOwner previous_owner)
      : descriptor_(descriptor), locked_(locked), previous_owner_(std::move(previous_owner)) {}
  const int descriptor_;
  const bool locked_;
  const LockOwner previous_owner_;
};

}  // namespace weft::log
