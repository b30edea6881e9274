#include "log/fault_file.h"

#include <algorithm>
#include <cstring>

namespace weft::log {

namespace {
std::string folder_of(const std::string& path) { return path.substr(0, path.find_last_of('/')); }
std::string name_of(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }
}  // namespace

class FaultFile final : public File {
 public:
  FaultFile(FaultFileSystem& system, FaultFileSystem::NodePointer node, std::string path, bool writable)
      : system_(system),
        node_(std::move(node)),
        path_(std::move(path)),
        writable_(writable),
        generation_(system.generation_) {}

  Status read_at(uint64_t position, std::span<std::byte> into) override {
    const std::lock_guard lock(system_.mutex_);
    WEFT_RETURN_IF_ERROR(admit("reading"));
    const auto& seen = node_->seen;
    if (position > seen.size() || into.size() > seen.size() - position) {
      return Status(Code::CORRUPT, join_text(path_, " ends at ", seen.size()));
    }
    if (!into.empty()) std::memcpy(into.data(), seen.data() + position, into.size());
    return {};
  }
  Status write_at(uint64_t position, std::span<const std::byte> from) override {
    const std::lock_guard lock(system_.mutex_);
    WEFT_ASSERT(writable_);
    if (system_.generation_ == generation_ && system_.calls_left_ == 0) {
      // The call that fails may have done a part.
      const uint64_t part = from.empty() ? 0 : system_.random_.below(from.size());
      static_cast<void>(system_.write(*node_, path_, position, from.first(part)));
    }
    WEFT_RETURN_IF_ERROR(admit("writing"));
    return system_.write(*node_, path_, position, from);
  }
  Status write_vector_at(uint64_t position, std::span<const std::span<const std::byte>> pieces) override {
    std::vector<std::byte> all;
    for (const auto& piece : pieces) all.insert(all.end(), piece.begin(), piece.end());
    return write_at(position, all);
  }
  Status sync_data() override {
    const std::lock_guard lock(system_.mutex_);
    if (!admit("syncing").ok()) return Status(Code::SYNC_FAILED, path_ + ": the device does not answer");
    return system_.sync(*node_, path_);
  }
  Status truncate(uint64_t length) override {
    const std::lock_guard lock(system_.mutex_);
    WEFT_RETURN_IF_ERROR(admit("truncating"));
    const uint64_t old_size = node_->seen.size();
    node_->seen.resize(length);
    node_->hole_sectors.erase(node_->hole_sectors.lower_bound(length / FaultFileSystem::kSectorBytes),
                              node_->hole_sectors.end());
    for (uint64_t at = std::min(old_size, length) / FaultFileSystem::kSectorBytes;
         at * FaultFileSystem::kSectorBytes < std::max(old_size, length); ++at) {
      node_->unsynced_sectors.insert(at);
    }
    return {};
  }
  Status punch_hole(uint64_t position, uint64_t length) override {
    const std::lock_guard lock(system_.mutex_);
    WEFT_ASSERT(writable_);
    WEFT_RETURN_IF_ERROR(admit("giving back room of"));
    constexpr uint64_t kSector = FaultFileSystem::kSectorBytes;
    const uint64_t end = std::min<uint64_t>(position + length, node_->seen.size());
    if (position >= end) return {};
    std::memset(node_->seen.data() + position, 0, end - position);
    for (uint64_t at = position / kSector; at * kSector < end; ++at) {
      node_->unsynced_sectors.insert(at);
      if (at * kSector >= position && (at + 1) * kSector <= end) node_->hole_sectors.insert(at);
    }
    return {};
  }
  Result<uint64_t> size() override {
    const std::lock_guard lock(system_.mutex_);
    WEFT_RETURN_IF_ERROR(admit("asking the size of"));
    return static_cast<uint64_t>(node_->seen.size());
  }

 private:
  Status admit(const char* what) {
    if (system_.generation_ != generation_) {
      return Status(Code::IO, join_text(what, " ", path_, ": the process that opened it has ended"));
    }
    return system_.admit(join_text(what, " ", path_));
  }

  FaultFileSystem& system_;
  const FaultFileSystem::NodePointer node_;
  const std::string path_;
  const bool writable_;
  const uint64_t generation_;
};

Status FaultFileSystem::admit(const std::string& what) {
  if (calls_left_ == kNever) return {};
  if (calls_left_ == 0) return Status(Code::IO, what + ": a fault that was asked for");
  --calls_left_;
  return {};
}

FaultFileSystem::Directory* FaultFileSystem::directory_of(const std::string& path) {
  const auto found = directories_.find(folder_of(path));
  return found == directories_.end() ? nullptr : &found->second;
}

void FaultFileSystem::changed(Directory& directory) { directory.history.push_back(directory.seen); }

void FaultFileSystem::crash_process() {
  const std::lock_guard lock(mutex_);
  ++generation_;
}

void FaultFileSystem::lose(Node& node) {
  const uint64_t old_size = node.durable.size();
  const uint64_t new_size = node.seen.size();
  std::vector<std::byte> left = node.durable;
  if (!node.unsynced_sectors.empty()) {
    const uint64_t low = std::min(old_size, new_size);
    const uint64_t high = std::max(old_size, new_size);
    const uint64_t choice = random_.below(3);
    const uint64_t size = choice == 0 ? old_size : choice == 1 ? new_size : low + random_.below(high - low + 1);
    left.resize(size);
    // All, none, or each for itself.
    const uint64_t kept_of_four = random_.below(4) == 0 ? 4 : random_.below(4);
    for (const uint64_t sector : node.unsynced_sectors) {
      if (!random_.chance(kept_of_four, 4)) continue;
      const uint64_t begin = sector * kSectorBytes;
      const uint64_t end = std::min({begin + kSectorBytes, size, new_size});
      if (begin < end) std::memcpy(left.data() + begin, node.seen.data() + begin, end - begin);
    }
  }
  node.seen = left;
  node.durable = std::move(left);
  node.unsynced_sectors.clear();
  node.hole_sectors.clear();
}

void FaultFileSystem::lose_power() {
  const std::lock_guard lock(mutex_);
  ++generation_;
  for (auto& [path, directory] : directories_) {
    directory.seen = directory.history[random_.below(directory.history.size())];
    directory.history.assign(1, directory.seen);
    for (auto& [name, node] : directory.seen) lose(*node);
  }
}

void FaultFileSystem::fail_after(uint64_t calls) {
  const std::lock_guard lock(mutex_);
  calls_left_ = calls;
}

void FaultFileSystem::set_capacity(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  capacity_bytes_ = bytes;
}

void FaultFileSystem::fail_sync_after(uint64_t syncs) {
  const std::lock_guard lock(mutex_);
  syncs_left_ = syncs;
}

void FaultFileSystem::allow_all() {
  const std::lock_guard lock(mutex_);
  calls_left_ = kNever;
  syncs_left_ = kNever;
  capacity_bytes_ = kNever;
  sync_failed_ = false;
}

void FaultFileSystem::flip_bit(const std::string& path, uint64_t bit) {
  const std::lock_guard lock(mutex_);
  Node& node = *directory_of(path)->seen.at(name_of(path));
  for (auto* content : {&node.seen, &node.durable}) {
    if (bit / 8 < content->size()) (*content)[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
  }
}

uint64_t FaultFileSystem::used_bytes_locked() const {
  uint64_t used = 0;
  for (const auto& [path, directory] : directories_) {
    for (const auto& [name, node] : directory.seen) {
      used += node->seen.size() - node->hole_sectors.size() * kSectorBytes;
    }
  }
  return used;
}

uint64_t FaultFileSystem::used_bytes() {
  const std::lock_guard lock(mutex_);
  return used_bytes_locked();
}

Status FaultFileSystem::write(Node& node, const std::string& path, uint64_t position, std::span<const std::byte> from) {
  uint64_t end = position + from.size();
  bool full = false;
  if (capacity_bytes_ != kNever && end > node.seen.size()) {
    const uint64_t used = used_bytes_locked();
    const uint64_t room = node.seen.size() + (capacity_bytes_ > used ? capacity_bytes_ - used : 0);
    full = end > room;
    if (full) end = std::max(position, room);
  }
  const uint64_t length = end - position;
  if (length > 0) {
    if (end > node.seen.size()) {
      // A hole in front of the write is unsynced too.
      for (uint64_t at = node.seen.size() / kSectorBytes; at * kSectorBytes < position; ++at) {
        node.unsynced_sectors.insert(at);
      }
      node.seen.resize(end);
    }
    std::memcpy(node.seen.data() + position, from.data(), length);
    for (uint64_t at = position / kSectorBytes; at * kSectorBytes < end; ++at) {
      node.unsynced_sectors.insert(at);
      node.hole_sectors.erase(at);
    }
  }
  return full ? Status(Code::NO_SPACE, join_text("writing ", path, ": no space left")) : Status();
}

Status FaultFileSystem::sync(Node& node, const std::string& path) {
  if (syncs_left_ != kNever && syncs_left_-- == 0) {
    syncs_left_ = kNever;
    sync_failed_ = true;
    for (const uint64_t sector : node.unsynced_sectors) {
      const uint64_t begin = sector * kSectorBytes;
      const uint64_t end = std::min<uint64_t>(begin + kSectorBytes, node.seen.size());
      if (begin >= end || random_.chance(1, 2)) continue;
      for (uint64_t at = begin; at < end; ++at) {
        node.seen[at] = at < node.durable.size() ? node.durable[at] : std::byte{0};
      }
    }
    node.unsynced_sectors.clear();
    return Status(Code::SYNC_FAILED, join_text("fdatasync of ", path, ": a fault that was asked for"));
  }
  node.durable.resize(node.seen.size());
  for (const uint64_t sector : node.unsynced_sectors) {
    const uint64_t begin = sector * kSectorBytes;
    const uint64_t end = std::min<uint64_t>(begin + kSectorBytes, node.seen.size());
    if (begin < end) std::memcpy(node.durable.data() + begin, node.seen.data() + begin, end - begin);
  }
  node.unsynced_sectors.clear();
  return {};
}

Result<std::unique_ptr<File>> FaultFileSystem::open(const std::string& path, OpenMode mode) {
  const std::lock_guard lock(mutex_);
  WEFT_RETURN_IF_ERROR(admit("opening " + path));
  Directory* directory = directory_of(path);
  if (directory == nullptr) return Status(Code::IO, path + ": no such directory");
  const std::string name = name_of(path);
  const auto found = directory->seen.find(name);
  NodePointer node;
  if (mode == OpenMode::kCreateNew) {
    if (found != directory->seen.end()) return Status(Code::IO, path + ": it exists");
    node = std::make_shared<Node>();
    directory->seen[name] = node;
    changed(*directory);
  } else {
    if (found == directory->seen.end()) return Status(Code::IO, path + ": no such file");
    node = found->second;
  }
  return std::unique_ptr<File>(std::make_unique<FaultFile>(*this, node, path, mode != OpenMode::kReadOnly));
}

Status FaultFileSystem::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  WEFT_RETURN_IF_ERROR(admit("removing " + path));
  Directory* directory = directory_of(path);
  if (directory != nullptr && directory->seen.erase(name_of(path)) > 0) changed(*directory);
  return {};
}

Status FaultFileSystem::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  WEFT_RETURN_IF_ERROR(admit("renaming " + from));
  Directory* directory = directory_of(from);
  WEFT_ASSERT(directory != nullptr && directory == directory_of(to));
  const auto found = directory->seen.find(name_of(from));
  if (found == directory->seen.end()) return Status(Code::IO, from + ": no such file");
  const NodePointer node = found->second;
  directory->seen.erase(found);
  directory->seen[name_of(to)] = node;
  changed(*directory);
  return {};
}

Status FaultFileSystem::make_directories(const std::string& path) {
  const std::lock_guard lock(mutex_);
  WEFT_RETURN_IF_ERROR(admit("making " + path));
  static_cast<void>(directories_[path]);
  return {};
}

Status FaultFileSystem::sync_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!admit("syncing " + path).ok()) return Status(Code::SYNC_FAILED, path + ": the device does not answer");
  Directory& directory = directories_[path];
  directory.history.assign(1, directory.seen);
  return {};
}

Result<std::vector<std::string>> FaultFileSystem::list(const std::string& path) {
  const std::lock_guard lock(mutex_);
  WEFT_RETURN_IF_ERROR(admit("listing " + path));
  std::vector<std::string> names;
  for (const auto& [name, node] : directories_[path].seen) names.push_back(name);
  return names;
}

Result<bool> FaultFileSystem::exists(const std::string& path) {
  const std::lock_guard lock(mutex_);
  WEFT_RETURN_IF_ERROR(admit("looking for " + path));
  Directory* directory = directory_of(path);
  return directory != nullptr && directory->seen.contains(name_of(path));
}

}  // namespace weft::log
