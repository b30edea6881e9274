// Consumers: frames are copied out of the library's ring and released at once, so JavaScript never holds memory that a
// server writes into; the copy of a frame of metadata costs 3 % of decoding it.
#include <cstring>

#include "call.h"
#include "frame_text.h"
#include "modules.h"

namespace weft::addon {
namespace {

// What consumerPoll writes into the scratch memory (src/consumer/frame-layout.ts).
struct FrameHeader {
  uint32_t partition;
  uint32_t count;
  uint32_t skip;
  uint32_t partition_epoch;
  uint32_t flags;  // 1: has data
  uint32_t reserved;
  uint64_t first_offset;
  uint64_t base_time_ns;
  uint64_t append_time_ns;
  uint64_t visible_end;
  uint64_t metadata_bytes;
};
static_assert(sizeof(FrameHeader) == 64);
constexpr uint32_t kEventsMax = 1u << 16;
constexpr size_t kMetadataEndAt = sizeof(FrameHeader);
constexpr size_t kTimeDeltaAt = kMetadataEndAt + kEventsMax * sizeof(uint32_t);
constexpr size_t kDataLengthAt = kTimeDeltaAt + kEventsMax * sizeof(uint32_t);
constexpr size_t kScratchBytes = kDataLengthAt + kEventsMax * sizeof(uint64_t);

Napi::Value consumer_open_async(const Napi::CallbackInfo& info) {
  Call call(info, "consumerOpenAsync");
  auto* topic = call.native<weft_topic>(0, Kind::kTopic);
  Napi::Object object = call.object(1);
  weft_consumer_options options = WEFT_CONSUMER_OPTIONS_DEFAULT;
  std::string name;
  std::vector<uint32_t> partitions;
  call.member(object, "from", options.from);
  call.member(object, "fromValue", options.from_value);
  call.member(object, "name", name, options.name);
  call.member(object, "partitions", partitions);
  call.member(object, "prefetchBytes", options.prefetch_bytes);
  call.member(object, "prefetchEvents", options.prefetch_events);
  uint64_t tag = call.whole(2);
  if (!call.ok()) return info.Env().Undefined();
  if (!partitions.empty()) {
    options.partitions = partitions.data();
    options.partition_count = static_cast<uint32_t>(partitions.size());
  }
  return call.done(weft_consumer_open_async(topic, &options, tag));
}

Napi::Value consumer_close_async(const Napi::CallbackInfo& info) {
  Call call(info, "consumerCloseAsync");
  auto consumer = call.handle<Handle>(0, Kind::kConsumer);
  uint64_t tag = call.whole(1);
  if (!call.ok()) return info.Env().Undefined();
  auto* native = static_cast<weft_consumer*>(consumer->pointer);
  int code = weft_consumer_close_async(native, tag);
  if (code != WEFT_OK) return call.fail(code);
  consumer->invalidate(info.Env());
  return info.Env().Undefined();
}

// From here on a string for each event is faster than one of the frame that is cut: one that is too long for V8's
// ordinary pages gets pages of the system, which are new each time.
constexpr uint64_t kLongMetadataBytes = 1024;

// The frame's metadata for JavaScript; for text the ends in the scratch memory are rewritten.
Napi::Value take_metadata(Napi::Env env, const weft_frame& frame, uint32_t* ends, bool json) {
  const bool text = json && frame.metadata_bytes < kLongMetadataBytes * frame.count;
  napi_value value = nullptr;
  const auto* characters = reinterpret_cast<const char*>(frame.metadata);
  if (text && is_ascii(frame.metadata, frame.metadata_bytes)) {
    napi_create_string_latin1(env, characters, frame.metadata_bytes, &value);
    return {env, value};
  }
  if (text && utf16_ends(frame.metadata, frame.metadata_end, frame.count, ends)) {
    napi_create_string_utf8(env, characters, frame.metadata_bytes, &value);
    return {env, value};
  }
  if (text) std::memcpy(ends, frame.metadata_end, frame.count * sizeof *ends);  // no UTF-8: as it was
  Napi::Uint8Array copy = Napi::Uint8Array::New(env, frame.metadata_bytes);
  if (!copy.IsEmpty() && frame.metadata_bytes != 0) std::memcpy(copy.Data(), frame.metadata, frame.metadata_bytes);
  return copy;
}

Napi::Value consumer_poll(const Napi::CallbackInfo& info) {
  Call call(info, "consumerPoll");
  Napi::Env env = info.Env();
  auto* consumer = call.native<weft_consumer>(0, Kind::kConsumer);
  auto scratch = call.bytes(1);
  if (call.ok() && scratch.size() < kScratchBytes) call.bad(1, std::to_string(kScratchBytes) + " bytes");
  bool text = call.flag(2);
  if (!call.ok()) return env.Undefined();
  auto* header = reinterpret_cast<FrameHeader*>(scratch.data());
  weft_frame frame{};
  frame.size = sizeof frame;
  int found = 0;
  int code = weft_consumer_poll(consumer, &frame, &found);
  if (code != WEFT_OK) {
    header->partition = frame.partition;
    return call.fail(code);
  }
  if (found == 0) return env.Null();
  if (frame.count > kEventsMax) {
    (void)weft_frame_release(consumer, frame.partition, frame.id);
    return call.fail(WEFT_INTERNAL, "consumerPoll: a frame of " + std::to_string(frame.count) + " events");
  }
  uint32_t has_data = frame.data_length != nullptr ? 1 : 0;
  *header = {frame.partition,
             frame.count,
             frame.skip,
             frame.partition_epoch,
             has_data,
             0,
             frame.first_offset,
             frame.base_time_ns,
             frame.append_time_ns,
             frame.visible_end,
             frame.metadata_bytes};
  auto* ends = reinterpret_cast<uint32_t*>(scratch.data() + kMetadataEndAt);
  std::memcpy(ends, frame.metadata_end, frame.count * sizeof *ends);
  std::memcpy(scratch.data() + kTimeDeltaAt, frame.time_delta_us, frame.count * sizeof(uint32_t));
  if (has_data != 0) std::memcpy(scratch.data() + kDataLengthAt, frame.data_length, frame.count * sizeof(uint64_t));
  Napi::Value metadata = take_metadata(env, frame, ends, text);
  code = weft_frame_release(consumer, frame.partition, frame.id);
  if (env.IsExceptionPending()) return env.Undefined();
  return code == WEFT_OK ? metadata : call.fail(code);
}

Napi::Value consumer_position(const Napi::CallbackInfo& info) {
  Call call(info, "consumerPosition");
  auto* consumer = call.native<weft_consumer>(0, Kind::kConsumer);
  uint32_t partition = call.small(1);
  if (!call.ok()) return info.Env().Undefined();
  uint64_t start_offset = 0;
  uint64_t visible_end = 0;
  int had_cursor = 0;
  int code = weft_consumer_position(consumer, partition, &start_offset, &had_cursor, &visible_end);
  if (code != WEFT_OK) return call.fail(code);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("startOffset", static_cast<double>(start_offset));
  result.Set("hadCursor", had_cursor != 0);
  result.Set("visibleEnd", static_cast<double>(visible_end));
  return result;
}

Napi::Value consumer_seek_async(const Napi::CallbackInfo& info) {
  Call call(info, "consumerSeekAsync");
  auto* consumer = call.native<weft_consumer>(0, Kind::kConsumer);
  Napi::Object object = call.object(1);
  std::vector<uint32_t> partitions;
  uint32_t from = 0;
  uint64_t from_value = 0;
  call.member(object, "partitions", partitions);
  call.member(object, "from", from);
  call.member(object, "fromValue", from_value);
  uint64_t tag = call.whole(2);
  if (!call.ok()) return info.Env().Undefined();
  const uint32_t* list = partitions.empty() ? nullptr : partitions.data();
  return call.done(
      weft_consumer_seek_async(consumer, list, static_cast<uint32_t>(partitions.size()), from, from_value, tag));
}

// Reads the packed selections (binding.ts) into C structs; false if they are not well formed. The library checks what
// they mean.
class Selections {
 public:
  bool read(std::span<const double> numbers, uint32_t count) {
    numbers_ = numbers;
    selections_.resize(count);
    // The pointers are set last: the vectors move while they grow.
    std::vector<size_t> first_run(count);
    for (uint32_t index = 0; index < count; index++) {
      selections_[index].offset = take();
      selections_[index].destination_at = take();
      selections_[index].run_count = static_cast<uint32_t>(take());
      first_run[index] = runs_.size();
      for (uint32_t run = 0; good_ && run < selections_[index].run_count; run++) read_run();
      if (!good_) return false;
    }
    size_t level = 0;
    for (weft_run& run : runs_) {
      run.levels = levels_.data() + level;
      level += run.level_count;
    }
    for (uint32_t index = 0; index < count; index++) selections_[index].runs = runs_.data() + first_run[index];
    return at_ == numbers_.size();
  }
  const weft_selection* data() const { return selections_.data(); }

 private:
  uint64_t take() {
    double value = at_ < numbers_.size() ? numbers_[at_] : -1;
    at_++;
    if (!(value >= 0 && value <= 9007199254740991.0)) {
      good_ = false;
      return 0;
    }
    return static_cast<uint64_t>(value);
  }
  void read_run() {
    weft_run run{};
    run.start = take();
    run.length = take();
    run.level_count = static_cast<uint32_t>(take());
    for (uint32_t level = 0; good_ && level < run.level_count; level++) {
      uint64_t stride = take();
      levels_.push_back({stride, take()});
    }
    runs_.push_back(run);
  }

  std::span<const double> numbers_;
  size_t at_ = 0;
  bool good_ = true;
  std::vector<weft_selection> selections_;
  std::vector<weft_run> runs_;
  std::vector<weft_run_level> levels_;
};

Napi::Value data_fetch_async(const Napi::CallbackInfo& info) {
  Call call(info, "dataFetchAsync");
  auto* consumer = call.native<weft_consumer>(0, Kind::kConsumer);
  uint32_t partition = call.small(1);
  auto numbers = call.bytes(2);
  uint32_t count = call.small(3);
  auto destination = call.bytes(4);
  weft_region* region = call.missing(5) ? nullptr : call.native<weft_region>(5, Kind::kRegion);
  uint64_t tag = call.whole(6);
  if (call.ok() && reinterpret_cast<uintptr_t>(numbers.data()) % alignof(double) != 0) call.bad(2, "a Float64Array");
  if (!call.ok()) return info.Env().Undefined();
  Selections selections;
  std::span<const double> doubles(reinterpret_cast<const double*>(numbers.data()), numbers.size() / sizeof(double));
  if (count > doubles.size() || !selections.read(doubles, count)) {
    call.bad(2, "whole selections, as many as argument 3 says");
    return info.Env().Undefined();
  }
  return call.done(weft_data_fetch_async(consumer, partition, selections.data(), count, destination.data(),
                                         destination.size(), region, tag));
}

Napi::Value data_fetch_parts_async(const Napi::CallbackInfo& info) {
  Call call(info, "dataFetchPartsAsync");
  auto* consumer = call.native<weft_consumer>(0, Kind::kConsumer);
  auto partitions = call.bytes(1);
  auto numbers = call.bytes(2);
  auto destination = call.bytes(3);
  uint64_t tag = call.whole(4);
  if (call.ok() && reinterpret_cast<uintptr_t>(partitions.data()) % alignof(uint32_t) != 0)
    call.bad(1, "a Uint32Array");
  if (call.ok() && reinterpret_cast<uintptr_t>(numbers.data()) % alignof(double) != 0) call.bad(2, "a Float64Array");
  if (!call.ok()) return info.Env().Undefined();
  Selections selections;
  std::span<const double> doubles(reinterpret_cast<const double*>(numbers.data()), numbers.size() / sizeof(double));
  auto count = static_cast<uint32_t>(partitions.size() / sizeof(uint32_t));
  if (count > doubles.size() || !selections.read(doubles, count)) {
    call.bad(2, "whole selections, one for each partition of argument 1");
    return info.Env().Undefined();
  }
  return call.done(weft_data_fetch_parts_async(consumer, reinterpret_cast<const uint32_t*>(partitions.data()),
                                               selections.data(), count, destination.data(), destination.size(),
                                               nullptr, tag));
}

Napi::Value commit_async(const Napi::CallbackInfo& info) {
  Call call(info, "commitAsync");
  auto* consumer = call.native<weft_consumer>(0, Kind::kConsumer);
  uint32_t partition = call.small(1);
  uint64_t offset = call.whole(2);
  uint64_t tag = call.whole(3);
  if (!call.ok()) return info.Env().Undefined();
  return call.done(weft_commit_async(consumer, partition, offset, tag));
}

}  // namespace

void add_consumer(Napi::Env env, Napi::Object exports) {
  add<consumer_open_async>(env, exports, "consumerOpenAsync");
  add<consumer_close_async>(env, exports, "consumerCloseAsync");
  add<consumer_poll>(env, exports, "consumerPoll");
  add<consumer_position>(env, exports, "consumerPosition");
  add<consumer_seek_async>(env, exports, "consumerSeekAsync");
  add<data_fetch_async>(env, exports, "dataFetchAsync");
  add<data_fetch_parts_async>(env, exports, "dataFetchPartsAsync");
  add<commit_async>(env, exports, "commitAsync");
}

}  // namespace weft::addon
