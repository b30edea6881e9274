// Small text files, read and replaced whole. Any thread; one writer at a time.
#pragma once

#include <string>
#include <string_view>

#include "log/file.h"

namespace weft::log {

constexpr uint64_t kTextFileBytesMax = 4096;

// WEFT_CORRUPT when it is longer than kTextFileBytesMax.
Result<std::string> read_text(FileSystem& file_system, const std::string& path);
// Durable when it returns, whole or not at all. `path` lies in `directory`; `<path>.new` is used on the way.
Status replace_text(FileSystem& file_system, const std::string& directory, const std::string& path,
                    std::string_view text);

}  // namespace weft::log
