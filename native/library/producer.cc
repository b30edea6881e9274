#include "library/producer.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "library/echo.h"
#include "library/json_text.h"
#include "library/topic.h"

namespace weft::library {

Result<client::ProducerOptions> read_producer_options(const weft_producer_options* given, PushOptions* push) {
  const weft_producer_options defaults = WEFT_PRODUCER_OPTIONS_DEFAULT;
  weft_producer_options all;
  WEFT_RETURN_IF_ERROR(read_options(given, defaults, &all));
  client::ProducerOptions options;
  options.batch_events = all.batch_events;
  options.batch_bytes = all.batch_bytes;
  options.batch_data_bytes = all.batch_data_bytes;
  options.batches_in_flight = all.batches_in_flight;
  if (all.name != nullptr) options.name = all.name;
  constexpr uint64_t kDataBytesMax = uint64_t{1} << 30;
  if (options.batch_data_bytes > kDataBytesMax) {
    return Status(Code::INVALID_ARGUMENT,
                  join_text("batch_data_bytes is ", options.batch_data_bytes, "; it must be at most ", kDataBytesMax));
  }
  if (all.when_full > WEFT_FULL_DROP_NEWEST)
    return Status(Code::INVALID_ARGUMENT, join_text("when_full is ", all.when_full, "; see enum weft_when_full"));
  if (all.ordering > WEFT_ORDERING_LOOSE)
    return Status(Code::INVALID_ARGUMENT, join_text("ordering is ", all.ordering, "; see enum weft_ordering"));
  *push = {all.linger_ms, static_cast<weft_when_full>(all.when_full), static_cast<weft_ordering>(all.ordering)};
  return options;
}

namespace {
void on_linger(fabric::Timer* timer) {
  auto* producer = static_cast<weft_producer*>(timer->owner);
  const std::lock_guard lock(producer->mutex);
  producer->linger_armed = false;
  const Status submitted = submit_open_locked(producer);  // other failures are in first_error
  if (submitted.code() != Code::OUT_OF_MEMORY) return;
  producer->linger_armed = true;
  producer->job->lane->arm(timer, producer->options.linger_ms * kNsPerMs);
}

void open_producer(weft_job* job, std::shared_ptr<const client::TopicRecord> topic, client::ProducerOptions options,
                   const PushOptions& push, std::function<void(Result<weft_producer*>)> done) {
  if (job->echo) options.echo = job->echo->answer(topic);
  PackedLayout packed;
  if (topic->info.serializer == wire::Serializer::kPacked) {
    Result<PackedLayout> found = packed_layout_of(topic->name, topic->json);
    if (!found.ok()) return done(found.status());
    packed = found.take();
  }
  client::Producer::open(*job->client, std::move(topic), std::move(options),
                         [job = job->self, push, packed = std::move(packed),
                          done = std::move(done)](Result<std::shared_ptr<client::Producer>> opened) {
                           if (!opened.ok()) return done(opened.status());
                           const std::shared_ptr<client::Producer> producer = opened.take();
                           weft_producer* const made = make_producer(job.get(), producer, push, packed);
                           if (made != nullptr) return done(made);
                           client::Producer::close(producer, [] {});
                           done(job_closed());
                         });
}

// All, if none is on this host.
std::vector<uint32_t> local_partitions(const weft_job& job, const weft_producer& producer) {
  const std::vector<uint32_t>& slots = producer.producer->topic().slots;
  std::map<uint32_t, bool> is_local;
  for (const uint32_t slot : slots)
    if (!is_local.contains(slot)) is_local[slot] = job.slots->is_local(slot);
  std::vector<uint32_t> all(slots.size());
  std::iota(all.begin(), all.end(), 0);
  std::vector<uint32_t> local;
  std::copy_if(all.begin(), all.end(), std::back_inserter(local),
               [&](uint32_t partition) { return is_local[slots[partition]]; });
  return local.empty() ? all : local;
}

// Partitions that may be chosen freely: with these selectors.
bool is_free_to_choose(std::string_view selector) {
  return selector.empty() || selector == "round-robin" || selector == "same-node";
}

std::vector<uint32_t> loose_partitions(const weft_producer& producer) {
  if (producer.selector == "same-node") return producer.local;
  std::vector<uint32_t> all(producer.producer->topic().slots.size());
  std::iota(all.begin(), all.end(), 0);
  return all;
}
}  // namespace

weft_producer* make_producer(weft_job* job, std::shared_ptr<client::Producer> producer, const PushOptions& push,
                             PackedLayout packed) {
  auto owned = std::make_unique<weft_producer>();
  weft_producer* const made = owned.get();
  made->job = job;
  made->producer = std::move(producer);
  made->options = push;
  made->selector = partition_selector_of(made->producer->topic().json);
  made->packed = std::move(packed);
  made->linger.owner = made;
  made->linger.fire = on_linger;
  return job->adopt(job->producers, made) ? owned.release() : nullptr;
}

int close_producer(weft_producer* producer, int64_t timeout_ms) {
  const int flushed = weft_flush(producer, timeout_ms);
  weft_job* job = producer->job;
  Waiter waiter;
  job->client->run([producer, job] { job->lane->disarm(&producer->linger); });
  client::Producer::close(producer->producer, [&waiter] { waiter.set({}); });
  const Status closed = waiter.wait(-1, "closing");
  WEFT_ASSERT(closed.ok());
  {
    const std::lock_guard lock(job->mutex);
    job->producers.erase(producer);
  }
  for (auto& [batch, handle] : producer->batches) handle->kind = Kind::kClosed;
  producer->kind = Kind::kClosed;
  delete producer;
  return flushed;
}

}  // namespace weft::library

using namespace weft::library;
using weft::Result;
using weft::Status;

extern "C" {

int weft_producer_open(weft_job* job, const char* topic, const weft_producer_options* options,
                       weft_producer** producer) try {
  WEFT_CHECK_HANDLE(job);
  WEFT_CHECK_ARGUMENT(producer);
  *producer = nullptr;
  auto record = find_topic_and_wait(job, topic);
  if (!record.ok()) return report(record.status());
  const uint8_t flags = record.value()->info.flags;
  if ((flags & weft::wire::kTopicDemandsJavaScript) != 0 && (flags & weft::wire::kTopicAllowsUnvalidated) == 0) {
    return report(weft::Code::UNSUPPORTED,
                  weft::join_text("topic '", topic,
                                  "' has a validator, selector or serializer that only JavaScript can run; "
                                  "produce from TypeScript, or create the topic with allowUnvalidated"));
  }
  PushOptions push;
  Result<weft::client::ProducerOptions> read = read_producer_options(options, &push);
  if (!read.ok()) return report(read.status());
  const std::string selector = partition_selector_of(record.value()->json);
  if (push.ordering == WEFT_ORDERING_LOOSE && !is_free_to_choose(selector)) {
    return report(weft::Code::INVALID_ARGUMENT,
                  weft::join_text("ordering is loose, but topic '", topic, "' has the partition selector '", selector,
                                  "', which leaves no choice; open the producer with WEFT_ORDERING_STRICT"));
  }
  Waiter waiter;
  open_producer(job, record.take(), read.take(), push, [&](Result<weft_producer*> opened) {
    if (opened.ok()) *producer = opened.value();
    waiter.set(opened.status());
  });
  const Status opened = waiter.wait(-1, "opening the producer");  // has its own deadline
  if (opened.ok() && (*producer)->selector == "same-node") (*producer)->local = local_partitions(*job, **producer);
  if (opened.ok() && push.ordering == WEFT_ORDERING_LOOSE) (*producer)->lines = FreeLines(loose_partitions(**producer));
  return report(opened);
}
WEFT_CATCH

int weft_producer_open_async(weft_topic* topic, const weft_producer_options* options, uint64_t tag) try {
  WEFT_CHECK_HANDLE(topic);
  PushOptions push;
  Result<weft::client::ProducerOptions> read = read_producer_options(options, &push);
  if (!read.ok()) return report(read.status());
  open_producer(topic->job, topic->record, read.take(), push,
                [job = topic->job->self, tag](Result<weft_producer*> opened) {
                  job->completions.push_status(WEFT_COMPLETION_PRODUCER, tag, opened.status(),
                                               opened.ok() ? opened.value() : nullptr);
                });
  return WEFT_OK;
}
WEFT_CATCH

int weft_producer_stored_before(const weft_producer* producer, uint32_t partition, uint64_t* next_offset) try {
  WEFT_CHECK_HANDLE(producer);
  WEFT_CHECK_ARGUMENT(next_offset);
  const Result<uint64_t> before = producer->producer->stored_before(partition);
  if (before.ok()) *next_offset = before.value();
  return report(before.status());
}
WEFT_CATCH

int weft_producer_close(weft_producer* producer, int64_t timeout_ms) try {
  WEFT_CHECK_HANDLE(producer);
  return close_producer(producer, timeout_ms);
}
WEFT_CATCH

int weft_producer_close_async(weft_producer* producer, uint64_t tag) try {
  WEFT_CHECK_HANDLE(producer);
  const std::shared_ptr<weft_job> job = producer->job->self;
  {
    const std::lock_guard lock(job->mutex);
    job->producers.erase(producer);
  }
  {
    const std::lock_guard lock(producer->mutex);
    // Now: a batch that the linger timer submits later would be posted behind the closing, which frees it.
    const Status submitted = submit_open_locked(producer);
    static_cast<void>(submitted.ok());
    for (auto& [batch, handle] : producer->batches) handle->kind = Kind::kClosed;
    producer->kind = Kind::kClosed;
  }
  job->begin_closing();
  try {
    weft::client::Producer::close(producer->producer, [job, producer, tag] {
      // On the progress thread, after the last callback of any batch.
      job->lane->disarm(&producer->linger);
      delete producer;
      job->completions.push_status(WEFT_COMPLETION_CLOSED, tag, {});
      job->end_closing();
    });
  } catch (...) {
    job->end_closing();
    throw;
  }
  return WEFT_OK;
}
WEFT_CATCH

}  // extern "C"
