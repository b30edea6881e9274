// Checks stored partitions without a server and without changing anything: every checksum of metadata and data, the
// sequence of offsets, the chain of segments. Reads one window at a time; its memory does not grow with the log.
#pragma once

#include <functional>

#include "log/partition_log.h"

namespace weft::log {

struct Damage {
  std::string file;
  uint64_t position = 0;
  std::string reason;
};

struct PartitionVerification {
  std::string topic;  // "" where only directories were given
  uint32_t partition = 0;
  std::string directory;  // of the metadata
  bool ok = false;
  uint64_t events = 0;  // whole and good
  uint64_t batches = 0;
  uint64_t metadata_bytes = 0;
  uint64_t data_bytes = 0;
  uint64_t first_offset = 0;
  uint64_t end_offset = 0;
  std::optional<Damage> first_damage;
  uint64_t damage_count = 0;  // one for each run of bad records, one for each bad extent
  // Bytes behind the last good record of the last segment that no checkpoint vouches for: a batch that was being
  // written when the server ended, or is being written now. Recovery cuts them; they are no damage.
  uint64_t unfinished_bytes = 0;
};

// One partition from its two directories. An error only where reading itself is impossible (no such directory,
// WEFT_FORMAT_NEWER); damage is in the result.
Result<PartitionVerification> verify_partition(FileSystem& file_system, const std::string& metadata_directory,
                                               const std::string& data_directory);

// Every partition of a data directory, in order of topic and number; `report` is called after each one and stops the
// walk by returning false.
Status verify_data_directory(FileSystem& file_system, const std::string& data_directory,
                             const std::function<bool(const PartitionVerification&)>& report);

}  // namespace weft::log
