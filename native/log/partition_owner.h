// Whose the two directories of a partition are. They may lie anywhere (a topic's dataDirectory), where the lock of a
// server's data directory does not reach: two jobs with a topic of one name and one dataDirectory would write, and
// delete, each other's files. A file `owner` in each names the partition for good; a lock keeps a second process out
// while one has it open. Used once, on the thread that opens.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "log/directory_lock.h"
#include "log/partition_log.h"

namespace weft::log {

constexpr std::string_view kOwnerName = "owner";

// Both directories must be there. They are options.owner's when it returns, durably, and locked as long as the locks
// live (files of the operating system only). A directory without an owner is taken over. WEFT_TOPIC_EXISTS when one is
// another partition's, and nothing was changed; what DirectoryLock::take fails with.
Result<std::vector<std::unique_ptr<DirectoryLock>>> claim_directories(const FileLogOptions& options,
                                                                      FileSystem& file_system);

}  // namespace weft::log
