// The checkpoint file of a partition: how far everything is synced, the epoch, the lease of offsets, the producers.
// Replaced atomically: written beside, synced, renamed, directory synced. Writer thread only.
#pragma once

#include "log/format.h"
#include "log/producer_table.h"

namespace weft::log {

// Durable when it returns. `scratch` is kept by the caller, so that it does not allocate each time.
Status write_checkpoint(FileSystem& file_system, const std::string& directory, CheckpointHeader header,
                        const ProducerTable& producers, std::vector<std::byte>& scratch);

// found = false: there is none. WEFT_CORRUPT: it cannot be used. WEFT_FORMAT_NEWER: it must not be touched.
Status read_checkpoint(FileSystem& file_system, const std::string& directory, CheckpointHeader& header,
                       ProducerTable& producers, bool& found);

// Of the running kernel: under the same one, the page cache of a process that died is still there.
std::string current_boot_id();

}  // namespace weft::log
