// Topics and partitions of a hosted server, and the answers of its control plane.
#include <cstring>

#include "library/server.h"

namespace weft::library {

namespace {
wire::Uuid read_uuid(const uint8_t bytes[16]) {
  wire::Uuid uuid;
  std::memcpy(uuid.data(), bytes, uuid.size());
  return uuid;
}

Status check_modes(uint32_t storage, uint32_t durability) {
  if (storage > 1)
    return Status(Code::INVALID_ARGUMENT, join_text("storage is ", storage, "; it must be 0 (disk) or 1 (memory)"));
  if (durability > 2)
    return Status(Code::INVALID_ARGUMENT, join_text("durability is ", durability, "; it must be 0, 1 or 2"));
  if (storage == 1 && durability != 0) {
    return Status(Code::INVALID_ARGUMENT, "storage memory knows only the durability memory");
  }
  return {};
}

Result<broker::PartitionRules> read_rules(const weft_partition_rules* rules) {
  const weft_partition_rules defaults = WEFT_PARTITION_RULES_DEFAULT;
  weft_partition_rules all;
  WEFT_RETURN_IF_ERROR(read_options(rules, defaults, &all));
  broker::PartitionRules read;
  read.sealed = all.sealed != 0;
  read.producers = all.producers;
  if (all.producer_timeout_ms != 0) read.producer_timeout_ms = all.producer_timeout_ms;
  read.retention_bytes = all.retention_bytes;
  read.retention_ms = all.retention_ms;
  std::string_view names = all.retention_consumed_by == nullptr ? "" : all.retention_consumed_by;
  while (!names.empty()) {
    const std::string_view name = names.substr(0, names.find(','));
    WEFT_RETURN_IF_ERROR(wire::check_name("consumer", name));
    read.retention_consumed_by.emplace_back(name);
    names.remove_prefix(std::min(names.size(), name.size() + 1));
  }
  return read;
}

Result<broker::PartitionSpec> read_spec(const weft_server* server, const weft_server_partition* given) {
  const weft_server_partition defaults{};
  weft_server_partition all;
  WEFT_RETURN_IF_ERROR(read_options(given, defaults, &all));
  if (all.topic == nullptr) return Status(Code::INVALID_ARGUMENT, "the partition's topic is NULL");
  WEFT_RETURN_IF_ERROR(wire::check_name("topic", all.topic));
  WEFT_RETURN_IF_ERROR(check_modes(all.storage, all.durability));
  broker::PartitionSpec spec;
  spec.topic = all.topic;
  spec.uuid = read_uuid(all.uuid);
  spec.partition = all.partition;
  spec.storage = static_cast<wire::Storage>(all.storage);
  spec.durability = static_cast<wire::Durability>(all.durability);
  if (all.segment_bytes != 0) spec.segment_bytes = all.segment_bytes;
  if (all.memory_data_bytes != 0) spec.memory_data_bytes = all.memory_data_bytes;
  if (all.memory_metadata_bytes != 0) spec.memory_metadata_bytes = all.memory_metadata_bytes;
  if (all.rules != nullptr) {
    Result<broker::PartitionRules> rules = read_rules(all.rules);
    if (!rules.ok()) return rules.status();
    spec.rules = rules.take();
  }
  if (spec.storage == wire::Storage::kMemory) return spec;
  spec.force_lock = server->force_lock;
  const bool needs_data = all.metadata_directory == nullptr || all.data_directory == nullptr;
  if (server->data.empty() && needs_data) {
    return Status(Code::INVALID_ARGUMENT, join_text("topic '", spec.topic,
                                                    "' is stored on disk and this server has no data directory; "
                                                    "give it one, or use storage memory"));
  }
  const log::PartitionPaths paths = log::partition_paths(server->data, spec.topic, spec.partition);
  spec.metadata_directory = all.metadata_directory != nullptr ? all.metadata_directory : paths.metadata_directory;
  spec.data_directory = all.data_directory != nullptr ? all.data_directory : paths.data_directory;
  return spec;
}
}  // namespace

}  // namespace weft::library

using namespace weft::library;
using weft::Result;
using weft::Status;

extern "C" {

int weft_server_topic_put(weft_server* server, const weft_server_topic* topic) try {
  WEFT_CHECK_HANDLE(server);
  const weft_server_topic defaults{};
  weft_server_topic all;
  Status status = read_options(topic, defaults, &all);
  if (status.ok() && (all.name == nullptr || all.slots == nullptr || all.partition_count == 0)) {
    status = Status(weft::Code::INVALID_ARGUMENT, "a topic needs a name, slots and partitions");
  }
  if (status.ok()) status = check_modes(all.storage, all.durability);
  if (!status.ok()) return report(status);
  weft::broker::TopicEntry entry;
  entry.name = all.name;
  entry.uuid = read_uuid(all.uuid);
  entry.slots.assign(all.slots, all.slots + all.partition_count);
  entry.storage = static_cast<weft::wire::Storage>(all.storage);
  entry.durability = static_cast<weft::wire::Durability>(all.durability);
  entry.serializer = static_cast<weft::wire::Serializer>(all.serializer);
  entry.flags = static_cast<uint8_t>(all.flags);
  entry.event_data_bytes_max = all.event_data_bytes_max;
  entry.json = all.json == nullptr ? "{}" : all.json;
  server->broker->put_topic(std::move(entry));
  return WEFT_OK;
}
WEFT_CATCH

int weft_server_topic_remove(weft_server* server, const char* name) try {
  WEFT_CHECK_HANDLE(server);
  WEFT_CHECK_ARGUMENT(name);
  server->broker->remove_topic(name);
  return WEFT_OK;
}
WEFT_CATCH

int weft_server_partition_open_async(weft_server* server, const weft_server_partition* partition, uint64_t tag) try {
  WEFT_CHECK_HANDLE(server);
  Result<weft::broker::PartitionSpec> spec = read_spec(server, partition);
  if (!spec.ok()) return report(spec.status());
  weft_job* job = server->job;
  server->broker->open_partition(spec.take(), [job, tag](Result<weft::broker::PartitionOpened> opened) {
    if (!opened.ok()) return job->completions.push_status(WEFT_COMPLETION_SERVER, tag, opened.status());
    weft_completion completion{};
    completion.kind = WEFT_COMPLETION_SERVER;
    completion.tag = tag;
    completion.value[0] = opened.value().first_offset;
    completion.value[1] = opened.value().next_offset;
    completion.value[2] = opened.value().epoch;
    job->completions.push(completion, opened.value().recovery);
  });
  return WEFT_OK;
}
WEFT_CATCH

int weft_server_partition_alter_async(weft_server* server, const uint8_t uuid[16], uint32_t partition,
                                      const weft_partition_rules* rules, uint64_t tag) try {
  WEFT_CHECK_HANDLE(server);
  WEFT_CHECK_ARGUMENT(rules);
  Result<weft::broker::PartitionRules> read = read_rules(rules);
  if (!read.ok()) return report(read.status());
  weft_job* job = server->job;
  server->broker->alter_partition(read_uuid(uuid), partition, read.take(), [job, tag](Status altered) {
    job->completions.push_status(WEFT_COMPLETION_SERVER, tag, altered);
  });
  return WEFT_OK;
}
WEFT_CATCH

int weft_server_partition_close_async(weft_server* server, const uint8_t uuid[16], uint32_t partition, int remove,
                                      uint64_t tag) try {
  WEFT_CHECK_HANDLE(server);
  weft_job* job = server->job;
  server->broker->close_partition(read_uuid(uuid), partition, remove != 0, [job, tag](Status closed) {
    job->completions.push_status(WEFT_COMPLETION_SERVER, tag, closed);
  });
  return WEFT_OK;
}
WEFT_CATCH

int weft_server_partition_describe(weft_server* server, const uint8_t uuid[16], uint32_t partition, char** json) try {
  WEFT_CHECK_HANDLE(server);
  WEFT_CHECK_ARGUMENT(json);
  Result<std::string> text = server->broker->describe_partition(read_uuid(uuid), partition);
  if (!text.ok()) return report(text.status());
  *json = copy_text(text.value());
  return WEFT_OK;
}
WEFT_CATCH

int weft_server_control_reply(weft_server* server, uint64_t tag, int32_t code, const char* text, uint64_t length) try {
  WEFT_CHECK_HANDLE(server);
  server->broker->control_reply(tag, static_cast<weft::Code>(code),
                                text == nullptr ? std::string() : std::string(text, length));
  return WEFT_OK;
}
WEFT_CATCH

}  // extern "C"
