// Hosting a server's data plane.
#include <cstring>

#include "call.h"
#include "modules.h"

namespace weft::addon {
namespace {

Napi::Value server_start(const Napi::CallbackInfo& info) {
  Call call(info, "serverStart");
  auto job = call.handle<Job>(0, Kind::kJob);
  Napi::Object object = call.object(1);
  weft_server_options options = WEFT_SERVER_OPTIONS_DEFAULT;
  std::string data;
  std::string group;
  call.member(object, "slot", options.slot);
  call.member(object, "data", data, options.data);
  call.member(object, "group", group, options.group);
  call.member(object, "forceLock", options.force_lock);
  call.member(object, "threads", options.threads);
  call.member(object, "slabBytes", options.slab_bytes);
  call.member(object, "dataBytesInFlightMax", options.data_bytes_in_flight_max);
  if (!call.ok()) return info.Env().Undefined();
  weft_server* native = nullptr;
  int code = weft_server_start(job->native(), &options, &native);
  if (code != WEFT_OK) return call.fail(code, job->native());
  auto server = std::make_shared<Handle>(Kind::kServer, native);
  job->adopt(server);
  return wrap(info.Env(), server);
}

Napi::Value server_stop_async(const Napi::CallbackInfo& info) {
  Call call(info, "serverStopAsync");
  auto server = call.handle<Handle>(0, Kind::kServer);
  int64_t timeout_ms = call.signed_whole(1);
  uint64_t tag = call.whole(2);
  if (!call.ok()) return info.Env().Undefined();
  auto job = job_of(server);
  if (job == nullptr) return call.fail(WEFT_CLOSED, "serverStopAsync: the job was closed");
  // The handle stays open meanwhile: control requests are answered to the end.
  int code = weft_server_stop_async(static_cast<weft_server*>(server->pointer), timeout_ms, tag);
  if (code != WEFT_OK) return call.fail(code);
  job->closing[tag] = server;
  return info.Env().Undefined();
}

Napi::Value server_facts(const Napi::CallbackInfo& info) {
  Call call(info, "serverFacts");
  auto* server = call.native<weft_server>(0, Kind::kServer);
  if (!call.ok()) return info.Env().Undefined();
  weft_server_facts facts{};
  facts.size = sizeof facts;
  int code = weft_server_describe(server, &facts);
  if (code != WEFT_OK) return call.fail(code);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("slot", facts.slot);
  result.Set("slotEpoch", facts.slot_epoch);
  result.Set("sessionCount", facts.session_count);
  result.Set("data", facts.data != nullptr ? facts.data : "");
  result.Set("group", facts.group != nullptr ? facts.group : "");
  return result;
}

Napi::Value server_topic_put(const Napi::CallbackInfo& info) {
  Call call(info, "serverTopicPut");
  auto* server = call.native<weft_server>(0, Kind::kServer);
  Napi::Object object = call.object(1);
  weft_server_topic topic{};
  topic.size = sizeof topic;
  std::string name;
  std::string json;
  std::vector<uint32_t> slots;
  call.member(object, "name", name, topic.name);
  call.member(object, "json", json, topic.json);
  call.member_uuid(object, "uuid", topic.uuid);
  call.member(object, "slots", slots);
  call.member(object, "storage", topic.storage);
  call.member(object, "durability", topic.durability);
  call.member(object, "serializer", topic.serializer);
  call.member(object, "flags", topic.flags);
  call.member(object, "eventDataBytesMax", topic.event_data_bytes_max);
  if (!call.ok()) return info.Env().Undefined();
  topic.partition_count = static_cast<uint32_t>(slots.size());
  topic.slots = slots.data();
  return call.done(weft_server_topic_put(server, &topic));
}

Napi::Value server_topic_remove(const Napi::CallbackInfo& info) {
  Call call(info, "serverTopicRemove");
  auto* server = call.native<weft_server>(0, Kind::kServer);
  std::string name = call.text(1);
  if (!call.ok()) return info.Env().Undefined();
  return call.done(weft_server_topic_remove(server, name.c_str()));
}

// The texts that the rules point into stay in `consumed_by`.
void read_rules(Call& call, const Napi::Object& object, weft_partition_rules& rules, std::string& consumed_by) {
  call.member(object, "sealed", rules.sealed);
  call.member(object, "producers", rules.producers);
  call.member(object, "producerTimeoutMs", rules.producer_timeout_ms);
  call.member(object, "retentionBytes", rules.retention_bytes);
  call.member(object, "retentionMs", rules.retention_ms);
  call.member(object, "retentionConsumedBy", consumed_by, rules.retention_consumed_by);
}

Napi::Value server_partition_open_async(const Napi::CallbackInfo& info) {
  Call call(info, "serverPartitionOpenAsync");
  auto* server = call.native<weft_server>(0, Kind::kServer);
  Napi::Object object = call.object(1);
  weft_server_partition partition{};
  partition.size = sizeof partition;
  std::string topic;
  std::string metadata_directory;
  std::string data_directory;
  call.member(object, "topic", topic, partition.topic);
  call.member_uuid(object, "uuid", partition.uuid);
  call.member(object, "partition", partition.partition);
  call.member(object, "storage", partition.storage);
  call.member(object, "durability", partition.durability);
  call.member(object, "metadataDirectory", metadata_directory, partition.metadata_directory);
  call.member(object, "dataDirectory", data_directory, partition.data_directory);
  call.member(object, "segmentBytes", partition.segment_bytes);
  call.member(object, "memoryDataBytes", partition.memory_data_bytes);
  call.member(object, "memoryMetadataBytes", partition.memory_metadata_bytes);
  weft_partition_rules rules = WEFT_PARTITION_RULES_DEFAULT;
  std::string consumed_by;
  read_rules(call, object, rules, consumed_by);
  partition.rules = &rules;
  uint64_t tag = call.whole(2);
  if (!call.ok()) return info.Env().Undefined();
  return call.done(weft_server_partition_open_async(server, &partition, tag));
}

// The 16 bytes of a uuid; false with an error thrown.
bool read_uuid(Call& call, size_t index, uint8_t (&uuid)[16]) {
  auto bytes = call.bytes(index);
  if (call.ok() && bytes.size() != sizeof uuid) call.bad(static_cast<int>(index), "16 bytes");
  if (call.ok()) std::memcpy(uuid, bytes.data(), sizeof uuid);
  return call.ok();
}

Napi::Value server_partition_alter_async(const Napi::CallbackInfo& info) {
  Call call(info, "serverPartitionAlterAsync");
  auto* server = call.native<weft_server>(0, Kind::kServer);
  uint8_t uuid[16];
  uint32_t partition = call.small(2);
  Napi::Object object = call.object(3);
  weft_partition_rules rules = WEFT_PARTITION_RULES_DEFAULT;
  std::string consumed_by;
  read_rules(call, object, rules, consumed_by);
  uint64_t tag = call.whole(4);
  if (!read_uuid(call, 1, uuid)) return info.Env().Undefined();
  return call.done(weft_server_partition_alter_async(server, uuid, partition, &rules, tag));
}

Napi::Value server_partition_close_async(const Napi::CallbackInfo& info) {
  Call call(info, "serverPartitionCloseAsync");
  auto* server = call.native<weft_server>(0, Kind::kServer);
  uint8_t uuid[16];
  uint32_t partition = call.small(2);
  bool remove = call.flag(3);
  uint64_t tag = call.whole(4);
  if (!read_uuid(call, 1, uuid)) return info.Env().Undefined();
  return call.done(weft_server_partition_close_async(server, uuid, partition, remove ? 1 : 0, tag));
}

Napi::Value server_partition_describe(const Napi::CallbackInfo& info) {
  Call call(info, "serverPartitionDescribe");
  auto* server = call.native<weft_server>(0, Kind::kServer);
  uint8_t uuid[16];
  uint32_t partition = call.small(2);
  if (!read_uuid(call, 1, uuid)) return info.Env().Undefined();
  char* json = nullptr;
  int code = weft_server_partition_describe(server, uuid, partition, &json);
  if (code != WEFT_OK) return call.fail(code);
  Napi::Value text = Napi::String::New(info.Env(), json);
  weft_free(json);
  return text;
}

Napi::Value server_control_reply(const Napi::CallbackInfo& info) {
  Call call(info, "serverControlReply");
  auto* server = call.native<weft_server>(0, Kind::kServer);
  uint64_t request = call.wide(1);
  auto code = static_cast<int32_t>(call.signed_whole(2));
  std::string text = call.text(3);
  if (!call.ok()) return info.Env().Undefined();
  return call.done(weft_server_control_reply(server, request, code, text.data(), text.size()));
}

}  // namespace

void add_server(Napi::Env env, Napi::Object exports) {
  add<server_start>(env, exports, "serverStart");
  add<server_stop_async>(env, exports, "serverStopAsync");
  add<server_facts>(env, exports, "serverFacts");
  add<server_topic_put>(env, exports, "serverTopicPut");
  add<server_topic_remove>(env, exports, "serverTopicRemove");
  add<server_partition_open_async>(env, exports, "serverPartitionOpenAsync");
  add<server_partition_alter_async>(env, exports, "serverPartitionAlterAsync");
  add<server_partition_close_async>(env, exports, "serverPartitionCloseAsync");
  add<server_partition_describe>(env, exports, "serverPartitionDescribe");
  add<server_control_reply>(env, exports, "serverControlReply");
}

}  // namespace weft::addon
