// The storage provider of a partition in files: the data segments, who writes and who reads them.
//
// Threads: the writer calls reserve … sync and remove_below; read() is for any thread. The writer has a file open for
// the current segment and for each older one that still has reserved extents or unsynced bytes; readers share at most
// kReadFilesMax open files.
#pragma once

#include <memory>
#include <mutex>

#include "log/format.h"

namespace weft::log {

class DataSegments {
 public:
  DataSegments(FileSystem& file_system, std::string directory, uint64_t segment_bytes);

  // Where the next extent goes: recovery says it.
  void start_at(uint64_t segment, uint64_t position);
  uint64_t tail_segment() const { return tail_segment_; }
  uint64_t tail_position() const { return tail_position_; }

  // ---- writer
  DataExtent reserve(uint64_t data_bytes);
  Status write(const DataExtent& extent, uint64_t at, std::span<const std::byte> bytes);
  // The extent was committed or is not wanted any more; then its room goes back to the file system, as far as that can.
  void release(const DataExtent& extent, bool committed);
  bool dirty() const;
  // fdatasync of every file written since the last one, then of the directory if files were made.
  Status sync();
  // The lowest segment that a reservation is in, kNoSegment if none.
  uint64_t min_reserved_segment() const;
  // Removes the files of all segments below `segment`.
  Status remove_below(uint64_t segment);

  // ---- any thread
  // [at, at + into) of an extent: reads and checks whole blocks.
  Status read(const DataExtent& extent, std::span<const uint32_t> block_checksums, uint64_t at,
              std::span<std::byte> into) const;
  // Every block of an extent against its checksum; used by recovery and verify.
  Status verify(const DataExtent& extent, std::span<const uint32_t> block_checksums) const;

  std::string path_of(uint64_t segment) const;

 private:
  struct WriterFile {
    uint64_t segment = 0;
    std::unique_ptr<File> file;  // made at the first write
    uint64_t reserved_count = 0;
    bool dirty = false;
  };
  WriterFile& writer_file(uint64_t segment);
  Status open_for_writing(WriterFile& writer);
  static void give_back(WriterFile& writer, const DataExtent& extent, bool is_last);
  void close_idle_writer_files();
  Result<std::shared_ptr<File>> reader_file(uint64_t segment) const;

  static constexpr size_t kReadFilesMax = 16;

  FileSystem& file_system_;
  const std::string directory_;
  const uint64_t segment_bytes_;
  uint64_t tail_segment_ = 1;
  uint64_t tail_position_ = sizeof(SegmentHeader);
  std::vector<WriterFile> writer_files_;
  bool directory_dirty_ = false;

  mutable std::mutex read_mutex_;  // read_files_
  struct ReadFile {
    uint64_t segment;
    std::shared_ptr<File> file;
  };
  mutable std::vector<ReadFile> read_files_;  // the one used last comes first
};

}  // namespace weft::log
