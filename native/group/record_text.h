// The text form of a group directory's files: a title line, "key value" lines, and a last line "crc32c XXXXXXXX" over
// all before it. Small, readable with cat, and a half-written or foreign file is recognised.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace weft::group {

class RecordText {
 public:
  explicit RecordText(std::string title) : title_(std::move(title)) {}
  // `source` names the file in errors. WEFT_GROUP_UNREADABLE when it is not such a record or of another title.
  static Result<RecordText> parse(std::string_view text, std::string_view title, std::string_view source);

  void put(const std::string& key, std::string value) { values_[key] = std::move(value); }
  void put_number(const std::string& key, uint64_t value) { values_[key] = std::to_string(value); }
  void put_bytes(const std::string& key, std::span<const uint8_t> bytes);  // as hexadecimal digits

  // "" when the key is not there.
  const std::string& get(const std::string& key) const;
  Result<uint64_t> get_number(const std::string& key) const;
  // Fills `into` completely or fails.
  Status get_bytes(const std::string& key, std::span<uint8_t> into) const;
  Result<std::string> get_bytes(const std::string& key) const;

  std::string text() const;

 private:
  Status missing(const std::string& key, const char* what) const;

  std::string title_;
  std::string source_;
  std::map<std::string, std::string> values_;  // sorted: the same record is always the same text
};

}  // namespace weft::group
