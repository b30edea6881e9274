// What events of c_driver.cc are made of: metadata as bench/driver/payload.ts makes it, a number, when it was due, and
// filling. As JSON short of the facts of a simulation; a packed record is the struct of the schema there.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/checksum.h"
#include "weftline/weftline.h"

namespace weft::bench {

// Numbers of equal length, as payload.ts has them.
constexpr uint64_t kStepBase = 100'000'000;
constexpr double kDueBase = 1e14;

class Metadata {
 public:
  Metadata(const std::string& encoding, uint64_t bytes)
      : encoding_(encoding == "json"     ? kJson
                  : encoding == "packed" ? kPacked
                                         : kRaw) {
    if (encoding_ == kJson) {
      text_ = R"({"step":100000000,"due":100000000000000,"note":")";
      text_.append(bytes - text_.size() - 2, 'x');
      text_ += "\"}";
    } else if (encoding_ == kPacked) {
      Record record{};
      record.rank = 100;
      std::memcpy(record.field, "temperature", 11);
      record.min = 273.15;
      record.valid = 1;
      record.note_bytes = static_cast<uint32_t>(bytes - sizeof record);
      text_.assign(reinterpret_cast<const char*>(&record), sizeof record);
      text_.append(record.note_bytes, 'x');
    } else {
      text_.assign(bytes, 'x');
    }
  }

  // `due_us`: of the common clock; 0 where latency is not measured.
  const std::string& at(uint64_t step, double due_us) {
    if (encoding_ == kJson) {
      write_digits(kStepAt, 9, kStepBase + step);
      // Nine of fifteen digits are the same all the time: of an event that is due at no time they are written already.
      if (due_us != 0) write_digits(kDueAt, 15, static_cast<uint64_t>(kDueBase) + static_cast<uint64_t>(due_us));
      return text_;
    }
    const auto number = static_cast<uint32_t>(encoding_ == kPacked ? kStepBase + step : step);
    const double due = encoding_ == kPacked ? kDueBase + std::round(due_us) : due_us;
    std::memcpy(text_.data(), &number, sizeof number);
    std::memcpy(text_.data() + kRecordDueAt, &due, sizeof due);
    return text_;
  }

  // `checksum`: joined with that of bytes that nothing else reads.
  uint64_t step_of(const weft_event& event, uint32_t* checksum) const {
    if (encoding_ == kJson) {
      return std::strtoull(reinterpret_cast<const char*>(event.metadata) + kStepAt, nullptr, 10) - kStepBase;
    }
    *checksum ^= weft::crc32c(event.metadata, event.metadata_length);
    uint32_t step = 0;
    std::memcpy(&step, event.metadata, sizeof step);
    return encoding_ == kPacked ? step - kStepBase : step;
  }
  double due_of(const weft_event& event) const {
    if (encoding_ == kJson) {
      const auto* text = reinterpret_cast<const char*>(event.metadata);
      return static_cast<double>(std::strtoull(text + kDueAt, nullptr, 10)) - kDueBase;
    }
    double due = 0;
    std::memcpy(&due, event.metadata + kRecordDueAt, sizeof due);
    return encoding_ == kPacked ? due - kDueBase : due;
  }

 private:
  struct Record {
    uint32_t step, rank;
    double due;
    char field[16];
    uint32_t origin[3], shape[3];
    double min;
    uint8_t valid;
    uint32_t note_bytes;
  };
  static constexpr size_t kRecordDueAt = 8;  // raw bytes have it at the same place
  static_assert(sizeof(Record) == 72 && offsetof(Record, due) == kRecordDueAt);
  enum Kind { kJson, kPacked, kRaw };
  static constexpr size_t kStepAt = 8;  // behind {"step":
  static constexpr size_t kDueAt = 24;  // behind {"step":100000000,"due":

  void write_digits(size_t at, size_t count, uint64_t value) {
    char digits[24];
    std::snprintf(digits, sizeof digits, "%0*llu", static_cast<int>(count), static_cast<unsigned long long>(value));
    std::memcpy(text_.data() + at, digits, count);
  }

  Kind encoding_;
  std::string text_;
};

}  // namespace weft::bench
