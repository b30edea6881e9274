// The batch codec: builds shapes, seals, and rejects everything that does not add up. No I/O, no state, any thread.
#include "wire/batch.h"

#include <cstring>

#include "base/checksum.h"

namespace weft::wire {

namespace {

// Unaligned loads: a body may lie anywhere in a network buffer.
template <typename Number>
Number load(std::span<const std::byte> bytes, uint64_t at) {
  Number value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

uint32_t header_checksum(const BatchHeader& header) { return crc32c(&header, offsetof(BatchHeader, header_checksum)); }

Status corrupt(std::string message) { return Status(Code::CORRUPT, "batch: " + std::move(message)); }

}  // namespace

BatchShape batch_shape(uint32_t event_count, bool has_data, uint64_t metadata_bytes) {
  BatchShape shape{};
  const uint64_t words_bytes = align_up(uint64_t{event_count} * sizeof(uint32_t), 8);
  shape.metadata_end_at = 0;
  shape.time_delta_at = words_bytes;
  shape.data_length_at = 2 * words_bytes;
  shape.metadata_at = shape.data_length_at + (has_data ? uint64_t{event_count} * sizeof(uint64_t) : 0);
  shape.body_bytes = shape.metadata_at + align_up(metadata_bytes, 8);
  return shape;
}

void seal_batch(BatchHeader& header, std::span<const std::byte> body) {
  header.magic = kBatchMagic;
  header.version = kBatchVersion;
  header.reserved0 = 0;
  header.reserved1[0] = 0;
  header.reserved1[1] = 0;
  header.reserved2 = 0;
  header.body_bytes = body.size();
  header.body_checksum = crc32c(body);
  header.header_checksum = header_checksum(header);
}

Status BatchView::check_header(const BatchHeader& header) {
  if (header.magic != kBatchMagic) return corrupt("the magic number is wrong");
  // Before the version: a flipped bit must not look like a newer format.
  if (header.header_checksum != header_checksum(header)) return corrupt("the header's checksum does not match");
  if (header.version != kBatchVersion) {
    return Status(Code::FORMAT_NEWER, join_text("batch: version ", header.version, " is not known, this build knows ",
                                                kBatchVersion, "; use the version that wrote it"));
  }
  constexpr uint16_t kKnownFlags = kBatchHasData | kBatchMetadataMask;
  if ((header.flags & ~kKnownFlags) != 0) return corrupt(join_text("unknown flags ", header.flags));
  if (header.reserved0 != 0 || header.reserved1[0] != 0 || header.reserved1[1] != 0 || header.reserved2 != 0) {
    return corrupt("a reserved field is not 0");
  }
  if (header.event_count == 0 || header.event_count > kBatchEventsMax) {
    return corrupt(join_text("it has ", header.event_count, " events, allowed are 1 to ", kBatchEventsMax));
  }
  const bool has_data = (header.flags & kBatchHasData) != 0;
  const BatchShape smallest = batch_shape(header.event_count, has_data, 0);
  if (header.body_bytes < smallest.body_bytes || header.body_bytes > kBatchBodyBytesMax || header.body_bytes % 8 != 0) {
    return corrupt(join_text("a body of ", header.body_bytes, " bytes; for ", header.event_count,
                             " events it must be a multiple of 8 from ", smallest.body_bytes, " to ",
                             kBatchBodyBytesMax));
  }
  if (header.data_bytes > kBatchDataBytesMax) {
    return corrupt(join_text("a data extent of ", header.data_bytes, " bytes, the limit is ", kBatchDataBytesMax));
  }
  if (header.data_bytes != 0 && !has_data) return corrupt("it has data bytes but not the data flag");
  return {};
}

Result<BatchView> BatchView::parse(std::span<const std::byte> header_bytes, std::span<const std::byte> body,
                                   bool check_body_checksum) {
  if (header_bytes.size() < sizeof(BatchHeader)) {
    return corrupt(join_text("a header of ", header_bytes.size(), " bytes, needed are ", sizeof(BatchHeader)));
  }
  if (reinterpret_cast<uintptr_t>(header_bytes.data()) % alignof(BatchHeader) != 0) {
    return Status(Code::INVALID_ARGUMENT, "batch: the header must lie at a multiple of 8 bytes in memory");
  }
  BatchView view;
  view.header_ = reinterpret_cast<const BatchHeader*>(header_bytes.data());
  const BatchHeader& header = *view.header_;
  WEFT_RETURN_IF_ERROR(check_header(header));
  if (body.size() != header.body_bytes) {
    return corrupt(join_text("a body of ", body.size(), " bytes, the header says ", header.body_bytes));
  }
  if (check_body_checksum && crc32c(body) != header.body_checksum) {
    return corrupt("the body's checksum does not match");
  }
  view.body_ = body;
  const uint32_t count = header.event_count;
  const uint64_t last_end = load<uint32_t>(body, uint64_t{count - 1} * sizeof(uint32_t));
  view.shape_ = batch_shape(count, view.has_data(), last_end);
  if (view.shape_.body_bytes != body.size()) {
    return corrupt(join_text("its metadata ends at ", last_end, ", so the body must have ", view.shape_.body_bytes,
                             " bytes, it has ", body.size()));
  }
  uint64_t metadata_end = 0;
  uint64_t data_end = 0;
  for (uint32_t event = 0; event < count; ++event) {
    const uint64_t end = load<uint32_t>(body, uint64_t{event} * sizeof(uint32_t));
    if (end < metadata_end || end - metadata_end > kMetadataBytesMax) {
      return corrupt(join_text("event ", event, " has its metadata from ", metadata_end, " to ", end));
    }
    metadata_end = end;
    if (!view.has_data()) continue;
    const uint64_t length = view.data_length(event);
    // Checked one by one, so that the sum cannot overflow: both terms stay below 2^45.
    if (length > kBatchDataBytesMax) return corrupt(join_text("event ", event, " has ", length, " bytes of data"));
    if (length > 0) data_end = align_up(data_end, kDataAlignmentBytes) + length;  // empty events take no room
    if (data_end > kBatchDataBytesMax) return corrupt("the data of its events passes the limit of one extent");
  }
  if (data_end != header.data_bytes) {
    return corrupt(join_text("the data of its events ends at ", data_end, ", the header says ", header.data_bytes));
  }
  return view;
}

std::span<const std::byte> BatchView::metadata(uint32_t event) const {
  WEFT_ASSERT(event < count());
  const uint64_t begin = event == 0 ? 0 : load<uint32_t>(body_, uint64_t{event - 1} * sizeof(uint32_t));
  const uint64_t end = load<uint32_t>(body_, uint64_t{event} * sizeof(uint32_t));
  return body_.subspan(shape_.metadata_at + begin, end - begin);
}

uint64_t BatchView::time_ns(uint32_t event) const {
  WEFT_ASSERT(event < count());
  const uint64_t delta_us = load<uint32_t>(body_, shape_.time_delta_at + uint64_t{event} * sizeof(uint32_t));
  return header_->base_time_ns + delta_us * 1000;
}

uint64_t BatchView::data_length(uint32_t event) const {
  WEFT_ASSERT(event < count());
  if (!has_data()) return 0;
  return load<uint64_t>(body_, shape_.data_length_at + uint64_t{event} * sizeof(uint64_t));
}

uint64_t BatchView::data_position(uint32_t event) const {
  WEFT_ASSERT(event < count());
  if (!has_data()) return 0;
  uint64_t end = 0;
  for (uint32_t before = 0; before < event; ++before) {
    const uint64_t length = data_length(before);
    if (length > 0) end = align_up(end, kDataAlignmentBytes) + length;
  }
  return align_up(end, kDataAlignmentBytes);
}

}  // namespace weft::wire
