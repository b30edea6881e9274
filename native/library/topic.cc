#include "library/topic.h"

#include "library/echo.h"
#include "library/json_text.h"

namespace weft::library {

using TopicResult = Result<std::shared_ptr<const client::TopicRecord>>;

void find_topic(weft_job* job, const std::string& name, std::function<void(TopicResult)> done) {
  if (job->echo) return done(job->echo->topic(name));
  job->client->look_up(name, [done = std::move(done)](Result<client::TopicRecord> record) {
    if (!record.ok()) return done(record.status());
    done(std::make_shared<const client::TopicRecord>(record.take()));
  });
}

namespace {
TopicResult look_up_and_wait(weft_job* job, const char* name) {
  Waiter waiter;
  std::shared_ptr<const client::TopicRecord> found;
  find_topic(job, name, [&](TopicResult record) {
    if (record.ok()) found = record.take();
    waiter.set(record.status());
  });
  WEFT_RETURN_IF_ERROR(waiter.wait(-1, "the look-up"));  // has its own deadline
  return found;
}
}  // namespace

TopicResult find_topic_and_wait(weft_job* job, const char* name) {
  if (name == nullptr) return Status(Code::INVALID_ARGUMENT, "the topic's name is NULL; give the name of a topic");
  WEFT_RETURN_IF_ERROR(wire::check_name("topic", name));
  TopicResult found = look_up_and_wait(job, name);
  if (found.ok() || found.status().code() != Code::TOPIC_UNKNOWN || !job->client) return found;
  // With several slots clients are in before slot 0 has created the topics of its configuration: its control plane
  // answers once they are there. Where there is none, it says so after the time limit, or names the topics there are.
  Waiter waiter;
  job->client->control(0, topic_describe_request(name), job->settings.timeout_ms,
                       [&waiter](Result<std::string> reply) { waiter.set(reply.status()); });
  const Status answered = waiter.wait(-1, "the control request");  // has its own deadline
  if (answered.ok()) return look_up_and_wait(job, name);
  if (answered.code() == Code::TOPIC_UNKNOWN) return answered;
  return found;
}

weft_topic* make_topic(weft_job* job, std::shared_ptr<const client::TopicRecord> record) {
  auto topic = std::make_unique<weft_topic>();
  topic->job = job;
  topic->record = std::move(record);
  return job->adopt(job->topics, topic.get()) ? topic.release() : nullptr;
}

}  // namespace weft::library

using namespace weft::library;
using weft::Result;
using weft::Status;

extern "C" {

int weft_topic_open(weft_job* job, const char* name, weft_topic** topic) try {
  WEFT_CHECK_HANDLE(job);
  WEFT_CHECK_ARGUMENT(topic);
  *topic = nullptr;
  TopicResult record = find_topic_and_wait(job, name);
  if (!record.ok()) return report(record.status());
  *topic = make_topic(job, record.take());
  return *topic == nullptr ? report(job_closed()) : WEFT_OK;
}
WEFT_CATCH

int weft_topic_open_async(weft_job* job, const char* name, uint64_t tag) try {
  WEFT_CHECK_HANDLE(job);
  const Status checked = name == nullptr ? Status(weft::Code::INVALID_ARGUMENT, "the topic's name is NULL")
                                         : weft::wire::check_name("topic", name);
  if (!checked.ok()) return report(checked);
  find_topic(job, name, [job = job->self, tag](TopicResult record) {
    const bool found = record.ok();
    weft_topic* topic = found ? make_topic(job.get(), record.take()) : nullptr;
    const Status status = found && topic == nullptr ? job_closed() : record.status();
    job->completions.push_status(WEFT_COMPLETION_TOPIC, tag, status, topic);
  });
  return WEFT_OK;
}
WEFT_CATCH

void weft_topic_close(weft_topic* topic) {
  if (!is_handle(topic)) return;
  {
    const std::lock_guard lock(topic->job->mutex);
    topic->job->topics.erase(topic);
  }
  topic->kind = Kind::kClosed;
  delete topic;
}

int weft_topic_describe(const weft_topic* topic, weft_topic_facts* facts) try {
  WEFT_CHECK_HANDLE(topic);
  WEFT_CHECK_ARGUMENT(facts);
  const weft::client::TopicRecord& record = *topic->record;
  weft_topic_facts all{};
  all.size = sizeof all;
  all.partition_count = static_cast<uint32_t>(record.slots.size());
  std::copy(record.info.topic.begin(), record.info.topic.end(), all.uuid);
  all.storage = static_cast<uint32_t>(record.info.storage);
  all.durability = static_cast<uint32_t>(record.info.durability);
  all.serializer = static_cast<uint32_t>(record.info.serializer);
  all.flags = record.info.flags;
  all.event_data_bytes_max = record.info.event_data_bytes_max;
  all.name = record.name.c_str();
  all.json = record.json.c_str();
  *facts = all;
  return WEFT_OK;
}
WEFT_CATCH

static Status query(weft_topic* topic, uint32_t partition,
                    std::function<void(Result<weft::client::PartitionFacts>)> done) {
  const weft::client::TopicRecord& record = *topic->record;
  if (partition >= record.slots.size()) {
    return Status(weft::Code::PARTITION_RANGE, weft::join_text("topic '", record.name, "' has ", record.slots.size(),
                                                               " partitions and no partition ", partition));
  }
  if (topic->job->echo) {
    return Status(weft::Code::UNSUPPORTED, "a job in echo mode has no partitions; join one without it");
  }
  topic->job->client->query(record.info.topic, partition, record.slots[partition], std::move(done));
  return {};
}

int weft_partition_query_async(weft_topic* topic, uint32_t partition, uint64_t tag) try {
  WEFT_CHECK_HANDLE(topic);
  return report(query(topic, partition, [job = topic->job->self, tag](Result<weft::client::PartitionFacts> facts) {
    if (!facts.ok()) return job->completions.push_status(WEFT_COMPLETION_PARTITION, tag, facts.status());
    weft_completion completion{};
    completion.kind = WEFT_COMPLETION_PARTITION;
    completion.tag = tag;
    completion.value[0] = facts.value().first_offset;
    completion.value[1] = facts.value().visible_end;
    completion.value[2] = facts.value().epoch;
    job->completions.push(completion);
  }));
}
WEFT_CATCH

int weft_slots_local(weft_job* job, const uint32_t* slots, uint32_t count, uint8_t* local) try {
  WEFT_CHECK_HANDLE(job);
  if (count > 0) {
    WEFT_CHECK_ARGUMENT(slots);
    WEFT_CHECK_ARGUMENT(local);
  }
  for (uint32_t i = 0; i < count; ++i) local[i] = job->slots->is_local(slots[i]) ? 1 : 0;
  return WEFT_OK;
}
WEFT_CATCH

int weft_partition_query(weft_topic* topic, uint32_t partition, uint64_t* first_offset, uint64_t* visible_end) try {
  WEFT_CHECK_HANDLE(topic);
  Waiter waiter;
  weft::client::PartitionFacts found;
  const Status asked = query(topic, partition, [&](Result<weft::client::PartitionFacts> facts) {
    if (facts.ok()) found = facts.value();
    waiter.set(facts.status());
  });
  if (!asked.ok()) return report(asked);
  const Status status = waiter.wait(-1, "the query");  // has its own deadline
  if (status.ok() && first_offset != nullptr) *first_offset = found.first_offset;
  if (status.ok() && visible_end != nullptr) *visible_end = found.visible_end;
  return report(status);
}
WEFT_CATCH

}  // extern "C"
