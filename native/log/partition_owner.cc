#include "log/partition_owner.h"

#include "log/text_file.h"

namespace weft::log {

namespace {

std::string owner_path(const std::string& directory) { return join_text(directory, "/", kOwnerName); }

// `owned`: it says that the directory is this owner's already.
Status check_owner(FileSystem& file_system, const std::string& directory, const std::string& owner, bool& owned) {
  owned = false;
  auto there = file_system.exists(owner_path(directory));
  if (!there.ok()) return there.status();
  if (!there.value()) return {};
  auto text = read_text(file_system, owner_path(directory));
  if (!text.ok()) return text.status();
  std::string_view found = text.value();
  if (found.ends_with('\n')) found.remove_suffix(1);
  owned = found == owner;
  if (owned) return {};
  return Status(Code::TOPIC_EXISTS, join_text(directory, " belongs to partition ", found, ", not to ", owner,
                                              ": another topic of this name keeps its files there; choose another "
                                              "name or another directory"));
}

}  // namespace

Result<std::vector<std::unique_ptr<DirectoryLock>>> claim_directories(const FileLogOptions& options,
                                                                      FileSystem& file_system) {
  std::vector<std::string> directories = {options.metadata_directory};
  if (options.data_directory != options.metadata_directory) directories.push_back(options.data_directory);
  bool owned = false;
  // Before the lock files are made, so that nothing is left where somebody else lives.
  for (const auto& directory : directories) {
    WEFT_RETURN_IF_ERROR(check_owner(file_system, directory, options.owner, owned));
  }
  std::vector<std::unique_ptr<DirectoryLock>> locks;
  if (&file_system == &FileSystem::real()) {
    for (const auto& directory : directories) {
      auto lock = DirectoryLock::take(directory, options.owner, options.force_lock);
      if (!lock.ok()) return lock.status();
      locks.push_back(lock.take());
    }
  }
  // Again, now that nobody else can be writing it.
  for (const auto& directory : directories) {
    WEFT_RETURN_IF_ERROR(check_owner(file_system, directory, options.owner, owned));
    if (owned) continue;
    WEFT_RETURN_IF_ERROR(replace_text(file_system, directory, owner_path(directory), join_text(options.owner, "\n")));
  }
  return locks;
}

}  // namespace weft::log
