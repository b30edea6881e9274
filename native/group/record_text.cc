#include "group/record_text.h"

#include <sodium.h>

#include <charconv>
#include <cstdio>

#include "base/checksum.h"

namespace weft::group {

namespace {
const std::string kNothing;

std::string checksum_line(std::string_view text) {
  char line[32];
  std::snprintf(line, sizeof line, "crc32c %08x\n", crc32c(text.data(), text.size()));
  return line;
}

// Takes one line off the front, without its newline.
std::string_view take_line(std::string_view& text) {
  const size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}
}  // namespace

Result<RecordText> RecordText::parse(std::string_view text, std::string_view title, std::string_view source) {
  const auto bad = [&](std::string_view why) {
    return Status(Code::GROUP_UNREADABLE, join_text("the file '", source, "' of the group directory ", why,
                                                    "; remove it if its job has ended"));
  };
  constexpr size_t kChecksumLineBytes = sizeof("crc32c 00000000\n") - 1;
  if (text.size() < kChecksumLineBytes) return bad("is cut off");
  std::string_view body = text.substr(0, text.size() - kChecksumLineBytes);
  if (text.substr(body.size()) != checksum_line(body)) return bad("does not match its checksum");
  RecordText record{std::string(title)};
  record.source_ = source;
  const std::string_view first = take_line(body);
  if (first != title) return bad(join_text("begins with '", first.substr(0, 40), "' instead of '", title, "'"));
  while (!body.empty()) {
    const std::string_view line = take_line(body);
    const size_t space = line.find(' ');
    if (space == std::string_view::npos) return bad("has a line without a value");
    record.values_[std::string(line.substr(0, space))] = std::string(line.substr(space + 1));
  }
  return record;
}

void RecordText::put_bytes(const std::string& key, std::span<const uint8_t> bytes) {
  std::string digits(bytes.size() * 2 + 1, '\0');
  sodium_bin2hex(digits.data(), digits.size(), bytes.data(), bytes.size());
  digits.pop_back();
  values_[key] = std::move(digits);
}

const std::string& RecordText::get(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? kNothing : found->second;
}

Status RecordText::missing(const std::string& key, const char* what) const {
  return Status(Code::GROUP_UNREADABLE,
                join_text("the file '", source_, "' of the group directory has no ", what, " '", key, "'"));
}

Result<uint64_t> RecordText::get_number(const std::string& key) const {
  const std::string& value = get(key);
  uint64_t number = 0;
  const auto end = value.data() + value.size();
  const auto parsed = std::from_chars(value.data(), end, number);
  if (value.empty() || parsed.ec != std::errc() || parsed.ptr != end) return missing(key, "number");
  return number;
}

Status RecordText::get_bytes(const std::string& key, std::span<uint8_t> into) const {
  Result<std::string> bytes = get_bytes(key);
  if (!bytes.ok()) return bytes.status();
  if (bytes.value().size() != into.size()) return missing(key, "bytes of the right length in");
  std::copy(bytes.value().begin(), bytes.value().end(), into.begin());
  return {};
}

Result<std::string> RecordText::get_bytes(const std::string& key) const {
  const std::string& digits = get(key);
  std::string bytes(digits.size() / 2, '\0');
  size_t length = 0;
  const int failed = sodium_hex2bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), digits.data(),
                                    digits.size(), nullptr, &length, nullptr);
  if (failed != 0 || length != bytes.size() || bytes.empty()) return missing(key, "bytes");
  return bytes;
}

std::string RecordText::text() const {
  std::string text = title_ + "\n";
  for (const auto& [key, value] : values_) text += key + " " + value + "\n";
  return text + checksum_line(text);
}

}  // namespace weft::group
