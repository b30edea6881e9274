#include "log/text_file.h"

namespace weft::log {

Result<std::string> read_text(FileSystem& file_system, const std::string& path) {
  auto file = file_system.open(path, OpenMode::kReadOnly);
  if (!file.ok()) return file.status();
  auto size = file.value()->size();
  if (!size.ok()) return size.status();
  if (size.value() > kTextFileBytesMax) return Status(Code::CORRUPT, join_text(path, " is too long"));
  std::string text(size.value(), '\0');
  WEFT_RETURN_IF_ERROR(file.value()->read_at(0, std::as_writable_bytes(std::span(text))));
  return text;
}

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

}  // namespace weft::log
