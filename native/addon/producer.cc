// Producers and their batches. An arena's ArrayBuffers are made once; one call opens a batch, one sends it.
#include "call.h"
#include "modules.h"

namespace weft::addon {
namespace {

constexpr uint32_t kPiecesMax = 65536;

Napi::Value producer_open_async(const Napi::CallbackInfo& info) {
  Call call(info, "producerOpenAsync");
  auto* topic = call.native<weft_topic>(0, Kind::kTopic);
  Napi::Object object = call.object(1);
  weft_producer_options options = WEFT_PRODUCER_OPTIONS_DEFAULT;
  std::string name;
  call.member(object, "name", name, options.name);
  call.member(object, "batchEvents", options.batch_events);
  call.member(object, "batchBytes", options.batch_bytes);
  call.member(object, "batchDataBytes", options.batch_data_bytes);
  call.member(object, "batchesInFlight", options.batches_in_flight);
  uint64_t tag = call.whole(2);
  if (!call.ok()) return info.Env().Undefined();
  return call.done(weft_producer_open_async(topic, &options, tag));
}

Napi::Value producer_stored_before(const Napi::CallbackInfo& info) {
  Call call(info, "producerStoredBefore");
  auto producer = call.handle<Producer>(0, Kind::kProducer);
  uint32_t partition = call.small(1);
  if (!call.ok()) return info.Env().Undefined();
  uint64_t next_offset = 0;
  int code = weft_producer_stored_before(static_cast<weft_producer*>(producer->pointer), partition, &next_offset);
  if (code != WEFT_OK) return call.fail(code);
  return Napi::Number::New(info.Env(), static_cast<double>(next_offset));
}

Napi::Value producer_sync_async(const Napi::CallbackInfo& info) {
  Call call(info, "producerSyncAsync");
  auto producer = call.handle<Producer>(0, Kind::kProducer);
  uint64_t tag = call.whole(1);
  if (!call.ok()) return info.Env().Undefined();
  return call.done(weft_sync_async(static_cast<weft_producer*>(producer->pointer), tag));
}

Napi::Value producer_close_async(const Napi::CallbackInfo& info) {
  Call call(info, "producerCloseAsync");
  auto producer = call.handle<Producer>(0, Kind::kProducer);
  uint64_t tag = call.whole(1);
  if (!call.ok()) return info.Env().Undefined();
  auto* native = static_cast<weft_producer*>(producer->pointer);
  // Open batches go back first: after this call only the library knows the producer.
  for (auto& [address, arena] : producer->arenas) {
    if (arena.batch->pointer != nullptr) (void)weft_batch_cancel(static_cast<weft_batch*>(arena.batch->pointer));
    arena.batch->pointer = nullptr;
  }
  int code = weft_producer_close_async(native, tag);
  if (code != WEFT_OK) return call.fail(code);
  producer->invalidate(info.Env());
  return info.Env().Undefined();
}

// The JavaScript face of an arena: five ArrayBuffers over the library's memory.
bool make_face(Napi::Env env, const std::shared_ptr<Producer>& producer, const weft_batch_memory& memory,
               Arena& arena) {
  arena.batch = std::make_shared<Batch>(nullptr);
  producer->adopt(arena.batch);
  Napi::Object face = Napi::Object::New(env);
  face.Set("handle", wrap(env, arena.batch));
  face.Set("eventCapacity", memory.event_capacity);
  size_t events = memory.event_capacity;
  face.Set("metadataEnd", expose(env, memory.metadata_end, events * sizeof(uint32_t)));
  face.Set("timeDeltaUs", expose(env, memory.time_delta_us, events * sizeof(uint32_t)));
  face.Set("dataLength", expose(env, memory.data_length, events * sizeof(uint64_t)));
  face.Set("metadata", expose(env, memory.metadata, memory.metadata_capacity));
  face.Set("data", expose(env, memory.data, memory.data_capacity));
  if (env.IsExceptionPending()) return false;
  arena.face = Napi::Persistent(face);
  return true;
}

Napi::Value batch_open(const Napi::CallbackInfo& info) {
  Call call(info, "batchOpen");
  Napi::Env env = info.Env();
  auto producer = call.handle<Producer>(0, Kind::kProducer);
  if (!call.ok()) return env.Undefined();
  weft_batch* batch = nullptr;
  int code = weft_batch_open(static_cast<weft_producer*>(producer->pointer), &batch);
  if (code == WEFT_BUSY) return env.Null();
  if (code != WEFT_OK) return call.fail(code);
  weft_batch_memory memory{};
  memory.size = sizeof memory;
  code = weft_batch_describe(batch, &memory);
  if (code != WEFT_OK) return call.fail(code);
  auto [found, fresh] = producer->arenas.try_emplace(memory.metadata);
  if (fresh && !make_face(env, producer, memory, found->second)) {
    producer->arenas.erase(found);
    (void)weft_batch_cancel(batch);
    return env.Undefined();
  }
  found->second.batch->pointer = batch;
  return found->second.face.Value();
}

Napi::Value batch_cancel(const Napi::CallbackInfo& info) {
  Call call(info, "batchCancel");
  auto batch = call.handle<Batch>(0, Kind::kBatch);
  if (!call.ok()) return info.Env().Undefined();
  int code = weft_batch_cancel(static_cast<weft_batch*>(batch->pointer));
  batch->pointer = nullptr;
  return call.done(code);
}

// Turns sources and numbers into pieces; false with an error thrown.
bool read_pieces(Call& call, const weft_batch_memory& memory, Napi::Value sources_value, Napi::Value numbers_value,
                 std::vector<weft_batch_piece>& pieces) {
  if (!sources_value.IsArray() || !numbers_value.IsTypedArray() ||
      numbers_value.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
    call.bad(5, "a list of sources with a Float64Array of numbers");
    return false;
  }
  Napi::Array sources = sources_value.As<Napi::Array>();
  Napi::Float64Array numbers = numbers_value.As<Napi::Float64Array>();
  uint32_t count = sources.Length();
  if (count > kPiecesMax || numbers.ElementLength() < size_t{3} * count) {
    call.bad(6, "three numbers for each of at most 65,536 sources");
    return false;
  }
  pieces.reserve(count);
  for (uint32_t index = 0; index < count; index++) {
    double at = numbers[3 * index];
    double length = numbers[3 * index + 1];
    double extent_at = numbers[3 * index + 2];
    uint8_t* base = memory.data;
    auto room = static_cast<double>(memory.data_capacity);
    weft_region* region = nullptr;
    Napi::Value source = sources.Get(index);
    if (source.IsTypedArray()) {
      auto bytes = call.bytes_of(source, 5);
      base = bytes.data();
      room = static_cast<double>(bytes.size());
    } else if (!source.IsNull()) {
      auto handle = call.open_handle(source, Kind::kRegion, 5);
      if (handle == nullptr) return false;
      region = static_cast<weft_region*>(handle->pointer);
      base = static_cast<uint8_t*>(weft_region_memory(region));
      room = static_cast<double>(weft_region_length(region));
    }
    if (!call.ok()) return false;
    // Written so that NaN fails too.
    if (!(at >= 0 && length >= 0 && extent_at >= 0 && at + length <= room)) {
      call.bad(6, "pieces that lie in their sources");
      return false;
    }
    pieces.push_back(
        {base + static_cast<uint64_t>(at), static_cast<uint64_t>(length), static_cast<uint64_t>(extent_at), region});
  }
  return true;
}

Napi::Value batch_submit(const Napi::CallbackInfo& info) {
  Call call(info, "batchSubmit");
  auto batch = call.handle<Batch>(0, Kind::kBatch);
  uint32_t partition = call.small(1);
  uint32_t count = call.small(2);
  uint64_t metadata_bytes = call.whole(3);
  uint64_t base_time_ns = call.wide(4);
  uint64_t tag = call.whole(7);
  if (!call.ok()) return info.Env().Undefined();
  auto* native = static_cast<weft_batch*>(batch->pointer);
  weft_batch_memory memory{};
  memory.size = sizeof memory;
  int code = weft_batch_describe(native, &memory);
  if (code != WEFT_OK) return call.fail(code);
  if (count > memory.event_capacity || metadata_bytes > memory.metadata_capacity) {
    return call.fail(WEFT_INVALID_ARGUMENT, "batchSubmit: more events or metadata than the batch's memory holds");
  }
  std::vector<weft_batch_piece> pieces;
  if (!call.missing(5) && !read_pieces(call, memory, call.at(5), call.at(6), pieces)) return info.Env().Undefined();
  code = weft_batch_submit(native, partition, count, metadata_bytes, base_time_ns,
                           pieces.empty() ? nullptr : pieces.data(), static_cast<uint32_t>(pieces.size()), tag);
  // Refused: the batch stays the caller's, to be cancelled.
  if (code != WEFT_OK) return call.fail(code);
  batch->pointer = nullptr;
  return info.Env().Undefined();
}

}  // namespace

void add_producer(Napi::Env env, Napi::Object exports) {
  add<producer_open_async>(env, exports, "producerOpenAsync");
  add<producer_stored_before>(env, exports, "producerStoredBefore");
  add<producer_sync_async>(env, exports, "producerSyncAsync");
  add<producer_close_async>(env, exports, "producerCloseAsync");
  add<batch_open>(env, exports, "batchOpen");
  add<batch_cancel>(env, exports, "batchCancel");
  add<batch_submit>(env, exports, "batchSubmit");
}

}  // namespace weft::addon
