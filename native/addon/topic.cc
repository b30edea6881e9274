// Topics and requests to the control plane.
#include "call.h"
#include "modules.h"

namespace weft::addon {
namespace {

Napi::Value control_async(const Napi::CallbackInfo& info) {
  Call call(info, "controlAsync");
  auto* job = call.native<weft_job>(0, Kind::kJob);
  uint32_t slot = call.small(1);
  std::string json = call.text(2);
  int64_t timeout_ms = call.signed_whole(3);
  uint64_t tag = call.whole(4);
  if (!call.ok()) return info.Env().Undefined();
  return call.done(weft_control_async(job, slot, json.data(), json.size(), timeout_ms, tag), job);
}

Napi::Value topic_open_async(const Napi::CallbackInfo& info) {
  Call call(info, "topicOpenAsync");
  auto* job = call.native<weft_job>(0, Kind::kJob);
  std::string name = call.text(1);
  uint64_t tag = call.whole(2);
  if (!call.ok()) return info.Env().Undefined();
  return call.done(weft_topic_open_async(job, name.c_str(), tag), job);
}

Napi::Value topic_facts(const Napi::CallbackInfo& info) {
  Call call(info, "topicFacts");
  auto* topic = call.native<weft_topic>(0, Kind::kTopic);
  if (!call.ok()) return info.Env().Undefined();
  weft_topic_facts facts{};
  facts.size = sizeof facts;
  int code = weft_topic_describe(topic, &facts);
  if (code != WEFT_OK) return call.fail(code);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("name", facts.name != nullptr ? facts.name : "");
  result.Set("partitionCount", facts.partition_count);
  result.Set("uuid", Napi::Buffer<uint8_t>::Copy(info.Env(), facts.uuid, sizeof facts.uuid));
  result.Set("storage", facts.storage);
  result.Set("durability", facts.durability);
  result.Set("serializer", facts.serializer);
  result.Set("flags", facts.flags);
  result.Set("eventDataBytesMax", static_cast<double>(facts.event_data_bytes_max));
  result.Set("json", facts.json != nullptr ? facts.json : "{}");
  return result;
}

Napi::Value topic_close(const Napi::CallbackInfo& info) {
  Call call(info, "topicClose");
  auto handle = call.handle<Handle>(0, Kind::kTopic);
  if (!call.ok()) return info.Env().Undefined();
  auto* topic = static_cast<weft_topic*>(handle->pointer);
  handle->invalidate(info.Env());
  weft_topic_close(topic);
  return info.Env().Undefined();
}

Napi::Value partition_query_async(const Napi::CallbackInfo& info) {
  Call call(info, "partitionQueryAsync");
  auto* topic = call.native<weft_topic>(0, Kind::kTopic);
  uint32_t partition = call.small(1);
  uint64_t tag = call.whole(2);
  if (!call.ok()) return info.Env().Undefined();
  return call.done(weft_partition_query_async(topic, partition, tag));
}

Napi::Value slot_local(const Napi::CallbackInfo& info) {
  Call call(info, "slotLocal");
  auto* job = call.native<weft_job>(0, Kind::kJob);
  const uint32_t slot = call.small(1);
  if (!call.ok()) return info.Env().Undefined();
  uint8_t local = 0;
  const int code = weft_slots_local(job, &slot, 1, &local);
  if (code != WEFT_OK) return call.fail(code, job);
  return Napi::Boolean::New(info.Env(), local != 0);
}

}  // namespace

void add_topic(Napi::Env env, Napi::Object exports) {
  add<control_async>(env, exports, "controlAsync");
  add<topic_open_async>(env, exports, "topicOpenAsync");
  add<topic_facts>(env, exports, "topicFacts");
  add<topic_close>(env, exports, "topicClose");
  add<partition_query_async>(env, exports, "partitionQueryAsync");
  add<slot_local>(env, exports, "slotLocal");
}

}  // namespace weft::addon
