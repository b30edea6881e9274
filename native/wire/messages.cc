#include "wire/messages.h"

namespace weft::wire {

void MessageWriter::begin(MessageType type, uint64_t session, uint64_t request_id, uint16_t flags) {
  MessageHeader header{};
  header.type = type;
  header.flags = flags;
  header.request_id = request_id;
  header.session = session;
  // not clear() and append(): g++ 12 sees an overflow in that (stringop-overflow) where there is none
  const auto* start = reinterpret_cast<const std::byte*>(&header);
  buffer_.assign(start, start + sizeof header);
}

void MessageWriter::append(const void* bytes, size_t length) {
  const auto* start = static_cast<const std::byte*>(bytes);
  buffer_.insert(buffer_.end(), start, start + length);
}

void MessageWriter::pad() { buffer_.resize(align_up(buffer_.size(), 8)); }

std::span<const std::byte> MessageWriter::finish(size_t bytes_behind) {
  const auto length = static_cast<uint32_t>(buffer_.size() + bytes_behind);
  std::memcpy(buffer_.data() + offsetof(MessageHeader, length), &length, sizeof length);
  return buffer_;
}

Result<MessageReader> MessageReader::open(std::span<const std::byte> message) {
  if (message.size() < sizeof(MessageHeader)) {
    return Status(Code::INVALID_ARGUMENT,
                  join_text("a message of ", message.size(), " bytes is shorter than its header"));
  }
  if (reinterpret_cast<uintptr_t>(message.data()) % 8 != 0) {
    return Status(Code::INVALID_ARGUMENT, "a message is not 8-aligned");
  }
  MessageReader reader;
  reader.header_ = reinterpret_cast<const MessageHeader*>(message.data());
  if (reader.header_->length != message.size()) {
    return Status(Code::INVALID_ARGUMENT,
                  join_text("a message says ", reader.header_->length, " bytes and has ", message.size()));
  }
  reader.rest_ = message.subspan(sizeof(MessageHeader));
  return reader;
}

const std::byte* MessageReader::take_bytes(size_t length) {
  if (length > rest_.size()) return nullptr;
  const std::byte* start = rest_.data();
  rest_ = rest_.subspan(length);
  return start;
}

namespace {
Status selection_error(const char* what) {
  return Status(Code::INVALID_ARGUMENT, join_text("a data request is malformed: ", what));
}

// The bytes of one run and the end of the last one it touches; false on overflow.
bool measure_run(const SelectionView::RunView& view, uint64_t* bytes, uint64_t* end) {
  uint64_t total = view.run->length;
  uint64_t last = view.run->start;
  for (const RunLevel& level : view.levels) {
    if (level.count == 0) {
      total = 0;
      continue;
    }
    uint64_t reach = 0;
    if (__builtin_mul_overflow(total, level.count, &total) ||
        __builtin_mul_overflow(level.stride, level.count - 1, &reach) || __builtin_add_overflow(last, reach, &last)) {
      return false;
    }
  }
  *bytes = total;
  if (total == 0) {
    *end = 0;
    return true;
  }
  return !__builtin_add_overflow(last, view.run->length, end);
}
}  // namespace

Status take_selection(MessageReader& reader, SelectionView& into) {
  into.runs.clear();
  into.bytes = 0;
  into.end = 0;
  into.selection = reader.take<Selection>();
  if (into.selection == nullptr) return selection_error("a selection is cut off");
  if (into.selection->run_count > kRunsMax) return selection_error("more runs than the limit of 1024");
  for (uint32_t i = 0; i < into.selection->run_count; ++i) {
    SelectionView::RunView view{};
    view.run = reader.take<Run>();
    if (view.run == nullptr) return selection_error("a run is cut off");
    if (view.run->level_count > kRunLevelsMax) return selection_error("more levels than the limit of 8");
    view.levels = reader.take_array<RunLevel>(view.run->level_count);
    if (view.levels.size() != view.run->level_count) return selection_error("a level is cut off");
    uint64_t bytes = 0;
    uint64_t end = 0;
    if (!measure_run(view, &bytes, &end) || __builtin_add_overflow(into.bytes, bytes, &into.bytes)) {
      return selection_error("its size overflows 64 bits");
    }
    into.end = std::max(into.end, end);
    into.runs.push_back(view);
  }
  return {};
}

Status check_name(std::string_view what, std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  bool good = !name.empty() && name.size() <= kNameBytesMax && name.front() != '.';
  for (const char c : name) good = good && allowed(c);
  if (good) return {};
  return Status(Code::INVALID_ARGUMENT,
                join_text("the name '", name.substr(0, kNameBytesMax), "' of a ", what,
                          " is not 1 to 200 of the characters A-Z a-z 0-9 . _ - (no dot first)"));
}

}  // namespace weft::wire
