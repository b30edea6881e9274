// A file system in memory for tests, which fails as real ones do, from a seed. Any thread (one mutex).
//
// It keeps two contents of every file: what a reader sees (the page cache), and what is durable. A power loss makes the
// durable one from both: each unsynced 512-byte sector, of every file, is there or not, in any combination; a size that
// was not synced may be the old one, the new one or one between; files made, renamed or removed since the last sync of
// their directory are as before from some operation on. A failed sync drops pages as Linux does: each is from then on
// clean, and either back to its durable content or still to be seen and never to become durable.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "base/random.h"
#include "log/file.h"

namespace weft::log {

class FaultFileSystem final : public FileSystem {
 public:
  explicit FaultFileSystem(uint64_t seed) : random_(seed) {}

  // ---- what goes wrong
  // The process ends: what was written stays to be seen. Files that were open answer WEFT_IO from now on.
  void crash_process();
  // The node goes down. Files that were open answer WEFT_IO from now on.
  void lose_power();
  // Every call after the next `calls` fails with WEFT_IO, until allow_all().
  void fail_after(uint64_t calls);
  // All files together can hold so many bytes; a write past it is partly done and answers WEFT_NO_SPACE.
  void set_capacity(uint64_t bytes);
  // The sync_data after the next `syncs` ones fails and drops pages.
  void fail_sync_after(uint64_t syncs);
  void allow_all();
  void flip_bit(const std::string& path, uint64_t bit);
  bool sync_failed() const { return sync_failed_; }  // since the last allow_all()
  uint64_t used_bytes();

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Status remove(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status make_directories(const std::string& path) override;
  Status sync_directory(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& path) override;
  Result<bool> exists(const std::string& path) override;

 private:
  friend class FaultFile;
  static constexpr uint64_t kSectorBytes = 512;
  static constexpr uint64_t kNever = ~uint64_t{0};

  struct Node {
    std::vector<std::byte> seen;
    std::vector<std::byte> durable;
    std::set<uint64_t> unsynced_sectors;
    std::set<uint64_t> hole_sectors;  // given back: they take no room
  };
  using NodePointer = std::shared_ptr<Node>;
  using Names = std::map<std::string, NodePointer>;
  struct Directory {
    Names seen;
    // What the directory was after each change since its last sync; the first one is durable.
    std::vector<Names> history = std::vector<Names>(1);
  };

  Status admit(const std::string& what);
  Directory* directory_of(const std::string& path);
  void changed(Directory& directory);
  Status write(Node& node, const std::string& path, uint64_t position, std::span<const std::byte> from);
  Status sync(Node& node, const std::string& path);
  void lose(Node& node);
  uint64_t used_bytes_locked() const;

  std::mutex mutex_;
  SeededRandom random_;
  std::map<std::string, Directory> directories_;
  uint64_t generation_ = 0;
  uint64_t calls_left_ = kNever;
  uint64_t syncs_left_ = kNever;
  uint64_t capacity_bytes_ = kNever;
  bool sync_failed_ = false;
};

}  // namespace weft::log
