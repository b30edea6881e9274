#include "log/data_directory.h"

#include <charconv>

#include "log/text_file.h"

namespace weft::log {

namespace {

constexpr std::string_view kFormatWords = "weftline data directory, format ";
constexpr std::string_view kSlotWords = ", slot ";
constexpr std::string_view kEpochWords = "epoch ";

std::string format_path(const std::string& path) { return path + "/weftline.format"; }
std::string slot_path(const std::string& path) { return path + "/slot"; }

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
