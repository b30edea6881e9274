#include "log/data_directory.h"

#include <charconv>

namespace weft::log {

namespace {

constexpr std::string_view kFormatWords = "weftline data directory, format ";
constexpr std::string_view kSlotWords = ", slot ";
constexpr std::string_view kEpochWords = "epoch ";
constexpr uint64_t kTextBytesMax = 4096;

std::string format_path(const std::string& path) { return path + "/weftline.format"; }
std::string slot_path(const std::string& path) { return path + "/slot"; }

Result<std::string> read_text(FileSystem& file_system, const std::string& path) {
  auto file = file_system.open(path, OpenMode::kReadOnly);
  if (!file.ok()) return file.status();
  auto size = file.value()->size();
  if (!size.ok()) return size.status();
  if (size.value() > kTextBytesMax) return Status(Code::CORRUPT, join_text(path, " is too long"));
  std::string text(size.value(), '\0');
  WEFT_RETURN_IF_ERROR(file.value()->read_at(0, std::as_writable_bytes(std::span(text))));
  return text;
}

// Durable when it returns, whole or not at all.
Status replace_text(FileSystem& file_system, const std::string& directory, const std::string& path,
                    std::string_view text) {
  const std::string beside = path + ".new";
  WEFT_RETURN_IF_ERROR(file_system.remove(beside));
  auto file = file_system.open(beside, OpenMode::kCreateNew);
  if (!file.ok()) return file.status();
  WEFT_RETURN_IF_ERROR(file.value()->write_at(0, std::as_bytes(std::span(text))));
  WEFT_RETURN_IF_ERROR(file.value()->sync_data());
  WEFT_RETURN_IF_ERROR(file_system.rename(beside, path));
  return file_system.sync_directory(directory);
}

// Takes `words` and the number behind them off the text.
bool take_number(std::string_view& text, std::string_view words, uint64_t& number) {
  if (!text.starts_with(words)) return false;
  text.remove_prefix(words.size());
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

}  // namespace

Status check_topic_name(std::string_view name) {
  const auto allowed = [](char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9') ||
           letter == '.' || letter == '_' || letter == '-';
  };
  bool good = !name.empty() && name.size() <= kTopicNameBytesMax && name.front() != '.';
  for (const char letter : name) good = good && allowed(letter);
  if (good) return {};
  return Status(Code::INVALID_ARGUMENT,
                join_text("'", name.substr(0, kTopicNameBytesMax), "' is no topic name; use 1 to ", kTopicNameBytesMax,
                          " of A-Z a-z 0-9 . _ - and do not start with a dot"));
}

std::string topics_directory(const std::string& data_directory) { return data_directory + "/topics"; }

std::string topic_directory(const std::string& data_directory, std::string_view topic) {
  return join_text(topics_directory(data_directory), "/", topic);
}

PartitionPaths partition_paths(const std::string& data_directory, std::string_view topic, uint32_t partition) {
  PartitionPaths paths;
  paths.directory = join_text(topic_directory(data_directory, topic), "/", partition);
  paths.metadata_directory = paths.directory + "/metadata";
  paths.data_directory = paths.directory + "/data";
  return paths;
}

std::string lock_path(const std::string& data_directory) { return data_directory + "/lock"; }

Result<DataDirectoryInfo> read_data_directory(FileSystem& file_system, const std::string& path) {
  auto text = read_text(file_system, format_path(path));
  if (!text.ok()) return text.status();
  std::string_view rest = text.value();
  uint64_t format = 0;
  DataDirectoryInfo info;
  if (!take_number(rest, kFormatWords, format)) {
    return Status(Code::CORRUPT, join_text(format_path(path), " is not what Weftline writes; give another directory"));
  }
  if (format > kDataDirectoryFormat) {
    return Status(Code::FORMAT_NEWER, join_text(path, " has format ", format, ", this build knows ",
                                                kDataDirectoryFormat, "; use the version that wrote it"));
  }
  if (!take_number(rest, kSlotWords, info.slot)) {
    return Status(Code::CORRUPT, join_text(format_path(path), " names no slot"));
  }
  auto there = file_system.exists(slot_path(path));
  if (!there.ok()) return there.status();
  if (!there.value()) return info;  // made, and never started
  auto slot_text = read_text(file_system, slot_path(path));
  if (!slot_text.ok()) return slot_text.status();
  rest = slot_text.value();
  if (!take_number(rest, kEpochWords, info.slot_epoch)) {
    return Status(Code::CORRUPT, join_text(slot_path(path), " holds no epoch"));
  }
  return info;
}

Result<DataDirectoryInfo> open_data_directory(FileSystem& file_system, const std::string& path, uint64_t slot) {
  WEFT_RETURN_IF_ERROR(file_system.make_directories(topics_directory(path)));
  auto there = file_system.exists(format_path(path));
  if (!there.ok()) return there.status();
  if (!there.value()) {
    WEFT_RETURN_IF_ERROR(
        replace_text(file_system, path, format_path(path),
                     join_text(kFormatWords, kDataDirectoryFormat, kSlotWords, slot == kAnySlot ? 0 : slot, "\n")));
  }
  auto read = read_data_directory(file_system, path);
  if (!read.ok()) return read;
  DataDirectoryInfo info = read.value();
  if (slot != kAnySlot && info.slot != slot) {
    return Status(Code::INVALID_ARGUMENT, join_text(path, " belongs to slot ", info.slot, ", not to slot ", slot,
                                                    "; start slot ", info.slot, " on it or give another directory"));
  }
  ++info.slot_epoch;
  WEFT_RETURN_IF_ERROR(replace_text(file_system, path, slot_path(path), join_text(kEpochWords, info.slot_epoch, "\n")));
  return info;
}

}  // namespace weft::log
