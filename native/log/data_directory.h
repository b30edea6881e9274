// The layout of a server's data directory: its paths, its format file, its slot. docs/formats/log.md has the tree.
// Any thread; the directory must be locked first (directory_lock.h).
#pragma once

#include <string>
#include <string_view>

#include "log/file.h"

namespace weft::log {

constexpr uint32_t kDataDirectoryFormat = 1;
constexpr size_t kTopicNameBytesMax = 200;
constexpr uint64_t kAnySlot = ~uint64_t{0};

// [A-Za-z0-9._-]{1,200}, not starting with '.': usable as a directory name everywhere.
Status check_topic_name(std::string_view name);

struct PartitionPaths {
  std::string directory;
  std::string metadata_directory;  // segments, indexes, checkpoint, cursors
  std::string data_directory;
};
std::string topics_directory(const std::string& data_directory);
std::string topic_directory(const std::string& data_directory, std::string_view topic);
PartitionPaths partition_paths(const std::string& data_directory, std::string_view topic, uint32_t partition);
std::string lock_path(const std::string& data_directory);

struct DataDirectoryInfo {
  uint64_t slot = 0;
  uint64_t slot_epoch = 0;  // of this start: larger than at any start before
};
// Opens the directory, or makes it for `slot` (kAnySlot: whatever it has, 0 for a new one), and raises the slot epoch
// durably. WEFT_FORMAT_NEWER; WEFT_NOT_WRITABLE; WEFT_INVALID_ARGUMENT when it belongs to another slot; WEFT_CORRUPT.
Result<DataDirectoryInfo> open_data_directory(FileSystem& file_system, const std::string& path, uint64_t slot);
// The same without changing anything; slot_epoch is that of the last start.
Result<DataDirectoryInfo> read_data_directory(FileSystem& file_system, const std::string& path);

}  // namespace weft::log
