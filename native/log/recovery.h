// Brings a partition's files into a state that can be written on, when it is opened. Runs once, on the thread that
// opens; what it does to the files is in docs/formats/log.md.
#pragma once

#include "log/checkpoint.h"
#include "log/data_segments.h"
#include "log/metadata_log.h"

namespace weft::log {

struct RecoveredLog {
  std::vector<SealedSegment> sealed;
  std::shared_ptr<MetadataSegment> active;  // null: no segment yet
  uint64_t first_offset = 0;
  uint64_t end_offset = 0;
  uint64_t next_offset = 0;
  uint32_t epoch = 1;
  uint64_t last_time_ns = 0;
  uint64_t data_segment = 1;
  uint64_t data_position = sizeof(SegmentHeader);
  // The new checkpoint must be durable before anything else is done: ids were skipped or records are to be cut.
  bool checkpoint_required = false;
  // Where the records of the active segment end, when its file is longer; and what is to be removed after the
  // checkpoint.
  bool cut_active = false;
  std::vector<std::string> remove_metadata;
  std::vector<std::string> remove_data;
};

// Reads and verifies; syncs what it found behind the old checkpoint; changes nothing else.
Result<RecoveredLog> recover_log(const FileLogOptions& options, FileSystem& file_system, const std::string& boot_id,
                                 const DataSegments& data, ProducerTable& producers, RecoveryReport& report);
// After the new checkpoint: cuts and removes what `recovered` says.
Status finish_recovery(const FileLogOptions& options, FileSystem& file_system, const RecoveredLog& recovered);

}  // namespace weft::log
