#include "log/checkpoint.h"

#include <cstring>

namespace weft::log {

Status write_checkpoint(FileSystem& file_system, const std::string& directory, CheckpointHeader header,
                        const ProducerTable& producers, std::vector<std::byte>& scratch) {
  scratch.clear();
  producers.save(scratch);
  header.magic = kCheckpointMagic;
  header.version = kLogFormatVersion;
  header.producer_count = producers.size();
  header.body_bytes = scratch.size();
  header.body_checksum = crc32c(scratch);
  seal_header(header);
  const std::string path = join_text(directory, "/", kCheckpointName);
  const std::string beside = path + ".new";
  WEFT_RETURN_IF_ERROR(file_system.remove(beside));
  auto file = file_system.open(beside, OpenMode::kCreateNew);
  if (!file.ok()) return file.status();
  const std::span<const std::byte> pieces[] = {std::as_bytes(std::span(&header, 1)), scratch};
  WEFT_RETURN_IF_ERROR(file.value()->write_vector_at(0, pieces));
  WEFT_RETURN_IF_ERROR(file.value()->sync_data());
  WEFT_RETURN_IF_ERROR(file_system.rename(beside, path));
  return file_system.sync_directory(directory);
}

Status read_checkpoint(FileSystem& file_system, const std::string& directory, CheckpointHeader& header,
                       ProducerTable& producers, bool& found) {
  const std::string path = join_text(directory, "/", kCheckpointName);
  auto there = file_system.exists(path);
  if (!there.ok()) return there.status();
  found = there.value();
  if (!found) return {};
  auto file = file_system.open(path, OpenMode::kReadOnly);
  if (!file.ok()) return file.status();
  WEFT_RETURN_IF_ERROR(file.value()->read_at(0, std::as_writable_bytes(std::span(&header, 1))));
  if (header.magic != kCheckpointMagic || header.checksum != checksum_of(header)) {
    return Status(Code::CORRUPT, join_text(path, ": the header's checksum does not match"));
  }
  if (header.version > kLogFormatVersion) {
    return Status(Code::FORMAT_NEWER, join_text(path, " has format ", header.version, ", this build knows ",
                                                kLogFormatVersion, "; use the version that wrote it"));
  }
  constexpr uint64_t kBodyBytesMax =
      kProducersMax * (sizeof(CheckpointProducer) + kRecentBatchesMax * sizeof(CheckpointRecent));
  if (header.body_bytes > kBodyBytesMax) return Status(Code::CORRUPT, join_text(path, ": its length is impossible"));
  std::vector<std::byte> body(header.body_bytes);
  WEFT_RETURN_IF_ERROR(file.value()->read_at(sizeof header, body));
  if (crc32c(body) != header.body_checksum) {
    return Status(Code::CORRUPT, join_text(path, ": the checksum of the producers does not match"));
  }
  return producers.load(header.producer_count, body).with_context(path);
}

std::string current_boot_id() {
  auto file = FileSystem::real().open("/proc/sys/kernel/random/boot_id", OpenMode::kReadOnly);
  constexpr size_t kBootIdBytes = 36;
  std::string id(kBootIdBytes, '\0');
  // Without it every unclean start counts as one after a power loss: correct, with ids skipped.
  if (!file.ok() || !file.value()->read_at(0, std::as_writable_bytes(std::span(id))).ok()) return "";
  return id;
}

}  // namespace weft::log
