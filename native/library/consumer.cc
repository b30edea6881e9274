#include "library/consumer.h"

#include <utility>

#include "library/echo.h"
#include "library/region.h"
#include "library/selection.h"
#include "library/topic.h"

namespace weft::library {

namespace {
using ConsumerResult = Result<std::shared_ptr<client::Consumer>>;

Status share_partitions(const weft_consumer_options& given, const client::TopicRecord& topic,
                        client::ConsumerOptions* options) {
  if (given.share_size == 0) return {};
  if (given.share_rank >= given.share_size || given.partitions != nullptr) {
    return Status(Code::INVALID_ARGUMENT,
                  join_text("share_rank is ", given.share_rank, " of a share_size of ", given.share_size,
                            given.partitions == nullptr ? "" : ", and partitions are named as well",
                            "; give a rank below the size, and no partitions"));
  }
  for (uint32_t partition = given.share_rank; partition < topic.slots.size(); partition += given.share_size)
    options->partitions.push_back(partition);
  options->reads_none = options->partitions.empty();
  return {};
}

Result<client::ConsumerOptions> read_consumer_options(const weft_consumer_options* given,
                                                      const client::TopicRecord& topic,
                                                      ConsumerProgress::Options* progress) {
  const weft_consumer_options defaults = WEFT_CONSUMER_OPTIONS_DEFAULT;
  weft_consumer_options all;
  WEFT_RETURN_IF_ERROR(read_options(given, defaults, &all));
  if (all.from > WEFT_FROM_CURSOR)
    return Status(Code::INVALID_ARGUMENT, join_text("from is ", all.from, "; see enum weft_from"));
  if (all.until > WEFT_UNTIL_TIME)
    return Status(Code::INVALID_ARGUMENT, join_text("until is ", all.until, "; see enum weft_until"));
  *progress = {static_cast<weft_until>(all.until), all.until_value, all.ack_every_events};
  client::ConsumerOptions options;
  WEFT_RETURN_IF_ERROR(share_partitions(all, topic, &options));
  options.from = static_cast<wire::From>(all.from);
  options.from_value = all.from_value;
  if (all.name != nullptr) options.name = all.name;
  if (all.partitions != nullptr) options.partitions.assign(all.partitions, all.partitions + all.partition_count);
  options.prefetch_bytes = all.prefetch_bytes;
  options.prefetch_events = all.prefetch_events;
  return options;
}

void on_frames(weft_consumer* consumer) {
  if (consumer->announces) {
    weft_completion completion{};
    completion.kind = WEFT_COMPLETION_FRAMES;
    completion.tag = consumer->tag;
    completion.handle = consumer;
    consumer->job->completions.push(completion);
  }
  const std::lock_guard lock(consumer->mutex);
  consumer->frames_came = true;
  consumer->changed.notify_all();
}

void begin_progress(weft_consumer* consumer) {
  for (const uint32_t partition : consumer->consumer->options().partitions) {
    const Result<client::StreamPosition> at = consumer->consumer->position(partition);
    if (at.ok()) consumer->progress->begin(partition, at.value().start_offset, at.value().visible_end);
  }
}

void open_consumer(weft_job* job, std::shared_ptr<const client::TopicRecord> topic, client::ConsumerOptions options,
                   const ConsumerProgress::Options& progress, uint64_t tag, bool announces,
                   std::function<void(Result<weft_consumer*>)> done) {
  auto owned = std::make_unique<weft_consumer>();  // until the opening has begun, which calls back in any case
  weft_consumer* const made = owned.get();
  made->job = job;
  made->tag = tag;
  made->announces = announces;
  made->progress = std::make_shared<ConsumerProgress>(progress, topic->name, topic->slots.size());
  options.echo = job->echo != nullptr;
  const std::string name = topic->name;
  client::Consumer::open(
      *job->client, std::move(topic), std::move(options), [made] { on_frames(made); },
      [job = job->self, made, name, done = std::move(done)](ConsumerResult consumer) {
        if (!consumer.ok()) {
          delete made;
          return done(consumer.status());
        }
        made->consumer = consumer.take();
        begin_progress(made);
        if (job->adopt(job->consumers, made)) {
          if (job->echo) job->echo->add_consumer(name, made->consumer);
          return done(made);
        }
        // Frames that come until then still look for the job.
        client::Consumer::close(made->consumer, [job, made] { delete made; });
        done(job_closed());
      });
  static_cast<void>(owned.release());
}

constexpr int64_t kClosingCommitMs = 30'000;

void forget(weft_consumer* consumer) {
  const std::lock_guard lock(consumer->job->mutex);
  consumer->job->consumers.erase(consumer);
  consumer->kind = Kind::kClosed;
}
}  // namespace

Status poll_frame(weft_consumer* consumer, weft_frame* into, bool* found) {
  *found = false;
  client::ConsumerFrame ready;
  if (!consumer->consumer->poll(ready)) return {};
  into->partition = ready.partition;
  if (!ready.failure.ok()) return ready.failure;
  *found = true;
  const bool has_data = (ready.header.flags & wire::kBatchHasData) != 0;
  // Shape and checksum were verified when it came; the metadata's length is the end of the last event.
  const std::byte* body = ready.body.data();
  const auto* ends = reinterpret_cast<const uint32_t*>(body);
  const uint64_t metadata_bytes = ends[ready.header.event_count - 1];
  const wire::BatchShape shape = wire::batch_shape(ready.header.event_count, has_data, metadata_bytes);
  into->size = sizeof *into;
  into->id = ready.id;
  into->first_offset = ready.first_offset;
  into->count = ready.header.event_count;
  into->skip = ready.skip;
  into->partition_epoch = ready.partition_epoch;
  into->flags = has_data ? 1 : 0;
  into->base_time_ns = ready.header.base_time_ns;
  into->append_time_ns = ready.append_time_ns;
  into->metadata_end = ends;
  into->time_delta_us = reinterpret_cast<const uint32_t*>(body + shape.time_delta_at);
  into->data_length = has_data ? reinterpret_cast<const uint64_t*>(body + shape.data_length_at) : nullptr;
  into->metadata = reinterpret_cast<const uint8_t*>(body + shape.metadata_at);
  into->metadata_bytes = metadata_bytes;
  into->visible_end = ready.visible_end;
  into->memory = reinterpret_cast<const uint8_t*>(ready.ring->memory());
  into->memory_bytes = ready.ring->length();
  return {};
}

Status begin_seek(weft_consumer* consumer, const uint32_t* partitions, uint32_t partition_count, uint32_t from,
                  uint64_t value, std::function<void(const Status&)> done) {
  if (from > WEFT_FROM_CURSOR)
    return Status(Code::INVALID_ARGUMENT, join_text("from is ", from, "; see enum weft_from"));
  std::vector<uint32_t> concerned;
  if (partitions != nullptr) concerned.assign(partitions, partitions + partition_count);
  if (partitions != nullptr && partition_count == 0) {
    return Status(Code::INVALID_ARGUMENT, "there are no partitions to seek in; give some, or NULL for all");
  }
  consumer->consumer->seek(std::move(concerned), static_cast<wire::From>(from), value, std::move(done));
  return {};
}

namespace {
// Beside headers, in one message.
constexpr size_t kEncodedSelectionBytesMax = 48 * 1024;

// `partitions`: of each selection; or `partition` of all, if nullptr.
Status begin_fetch(weft_consumer* consumer, const uint32_t* partitions, uint32_t partition,
                   const weft_selection* selections, uint32_t count, void* destination, uint64_t length,
                   weft_region* region, client::FetchDone done) {
  if (count == 0 || selections == nullptr) return Status(Code::INVALID_ARGUMENT, "there are no selections");
  if (count > wire::kSelectionsMax)
    return Status(Code::LIMIT, join_text(count, " selections are over the limit of ", wire::kSelectionsMax));
  if (consumer->job->echo) return Status(Code::UNSUPPORTED, "a job in echo mode has no data to fetch");
  if (destination == nullptr && length > 0) return Status(Code::INVALID_ARGUMENT, "the destination is NULL");
  uint64_t base = 0;
  if (region != nullptr) {
    if (!is_handle(region)) return Status(Code::WRONG_HANDLE, "the region was released");
    if (!holds(region, destination, length))
      return Status(Code::INVALID_ARGUMENT, "the destination lies outside its region");
    base = static_cast<uint64_t>(static_cast<std::byte*>(destination) - region->memory);
  }
  // A shared job ends while the lane goes on: the caller's memory must not be what a server that was slow to answer
  // writes into after that.
  const bool copies = region == nullptr || (consumer->job->shared && !region->owned);
  std::vector<std::string> encoded;
  encoded.reserve(count);
  std::vector<uint32_t> owners(count, partition);
  if (partitions != nullptr) std::copy_n(partitions, count, owners.begin());
  std::vector<client::FetchPlace> places;
  uint64_t bytes_before = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t at = selections[i].destination_at;
    uint64_t bytes = 0;
    // What is copied comes into memory of ours, one behind the other.
    Result<std::string> one = encode_selection(selections[i], copies ? bytes_before : base + at, &bytes);
    if (!one.ok()) return one.status();
    if (one.value().size() > kEncodedSelectionBytesMax) {
      return Status(Code::LIMIT, join_text("the selection of event ", selections[i].offset, " needs ",
                                           one.value().size(), " bytes of a message, over the limit of ",
                                           kEncodedSelectionBytesMax, "; fetch it in parts"));
    }
    if (at > length || bytes > length - at) {
      return Status(Code::INVALID_ARGUMENT, join_text("the selection of event ", selections[i].offset, " needs ", bytes,
                                                      " bytes at ", at, " of a destination of ", length, " bytes"));
    }
    if (__builtin_add_overflow(bytes_before, bytes, &bytes_before))
      return Status(Code::INVALID_ARGUMENT, "the size of the selections overflows 64 bits");
    if (bytes > 0) places.push_back({static_cast<std::byte*>(destination) + at, bytes});
    encoded.push_back(one.take());
  }
  if (places.empty()) {
    done({}, {});
    return {};
  }
  if (region == nullptr) {
    return consumer->consumer->fetch_and_copy(std::move(owners), std::move(encoded), std::move(places),
                                              std::move(done));
  }
  begin_use(region);
  if (copies) {
    const Status begun = consumer->consumer->fetch_and_copy(
        std::move(owners), std::move(encoded), std::move(places),
        [region, done = std::move(done)](const Status& status, const client::FetchResult& result) {
          end_use(region);
          done(status, result);
        });
    if (!begun.ok()) end_use(region);
    return begun;
  }
  consumer->consumer->fetch(std::move(owners), std::move(encoded), region->registration.get(),
                            [region, done = std::move(done)](const Status& status, const client::FetchResult& result) {
                              // Else it stays in use: weft_region_release goes on refusing to give it back.
                              if (result.memory_safe) end_use(region);
                              done(status, result);
                            });
  return {};
}

void push_fetched(weft_job& job, uint64_t tag, const Status& status, const client::FetchResult& result) {
  weft_completion completion{};
  completion.kind = WEFT_COMPLETION_DATA;
  completion.tag = tag;
  completion.code = static_cast<int32_t>(status.code());
  completion.value[0] = result.sent_bytes;
  completion.value[1] = result.read_bytes;
  completion.value[2] = result.failed_selection;
  completion.value[3] = result.memory_safe && !result.was_lost ? 1 : 0;
  job.completions.push(completion, status.ok() ? std::string_view() : std::string_view(status.message()));
}
}  // namespace

}  // namespace weft::library

using namespace weft::library;
using weft::Result;
using weft::Status;

extern "C" {

int weft_consumer_open(weft_job* job, const char* topic, const weft_consumer_options* options,
                       weft_consumer** consumer) try {
  WEFT_CHECK_HANDLE(job);
  WEFT_CHECK_ARGUMENT(consumer);
  *consumer = nullptr;
  auto record = find_topic_and_wait(job, topic);
  if (!record.ok()) return report(record.status());
  ConsumerProgress::Options progress;
  Result<weft::client::ConsumerOptions> read = read_consumer_options(options, *record.value(), &progress);
  if (!read.ok()) return report(read.status());
  Waiter waiter;
  open_consumer(job, record.take(), read.take(), progress, 0, false, [&](Result<weft_consumer*> opened) {
    if (opened.ok()) *consumer = opened.value();
    waiter.set(opened.status());
  });
  return report(waiter.wait(-1, "opening the consumer"));  // has its own deadline
}
WEFT_CATCH

int weft_consumer_open_async(weft_topic* topic, const weft_consumer_options* options, uint64_t tag) try {
  WEFT_CHECK_HANDLE(topic);
  ConsumerProgress::Options progress;
  Result<weft::client::ConsumerOptions> read = read_consumer_options(options, *topic->record, &progress);
  if (!read.ok()) return report(read.status());
  open_consumer(topic->job, topic->record, read.take(), progress, tag, true,
                [job = topic->job->self, tag](Result<weft_consumer*> opened) {
                  job->completions.push_status(WEFT_COMPLETION_CONSUMER, tag, opened.status(),
                                               opened.ok() ? opened.value() : nullptr);
                });
  return WEFT_OK;
}
WEFT_CATCH

int weft_consumer_close(weft_consumer* consumer) try {
  if (consumer == nullptr) return WEFT_OK;
  WEFT_CHECK_HANDLE(consumer);
  const Status committed = commit_acknowledged(consumer, kClosingCommitMs);
  forget(consumer);
  Waiter waiter;
  weft::client::Consumer::close(consumer->consumer, [&waiter] { waiter.set({}); });
  const Status closed = waiter.wait(-1, "closing");  // the closing has its own deadline
  delete consumer;
  return report(committed.ok() ? closed : committed);
}
WEFT_CATCH

int weft_consumer_close_async(weft_consumer* consumer, uint64_t tag) try {
  WEFT_CHECK_HANDLE(consumer);
  forget(consumer);
  const std::shared_ptr<weft_job> job = consumer->job->self;
  job->begin_closing();
  try {
    weft::client::Consumer::close(consumer->consumer, [job, consumer, tag] {
      delete consumer;
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

int weft_consumer_poll(weft_consumer* consumer, weft_frame* frame, int* found) try {
  WEFT_CHECK_HANDLE(consumer);
  WEFT_CHECK_ARGUMENT(frame);
  WEFT_CHECK_ARGUMENT(found);
  bool has = false;
  const Status status = poll_frame(consumer, frame, &has);
  *found = has ? 1 : 0;
  return report(status);
}
WEFT_CATCH

int weft_frame_release(weft_consumer* consumer, uint32_t partition, uint64_t id) try {
  WEFT_CHECK_HANDLE(consumer);
  return report(consumer->consumer->release(partition, id));
}
WEFT_CATCH

int weft_consumer_position(const weft_consumer* consumer, uint32_t partition, uint64_t* start_offset, int* had_cursor,
                           uint64_t* visible_end) try {
  WEFT_CHECK_HANDLE(consumer);
  Result<weft::client::StreamPosition> position = consumer->consumer->position(partition);
  if (!position.ok()) return report(position.status());
  if (start_offset != nullptr) *start_offset = position.value().start_offset;
  if (had_cursor != nullptr) *had_cursor = position.value().had_cursor ? 1 : 0;
  if (visible_end != nullptr) *visible_end = position.value().visible_end;
  return WEFT_OK;
}
WEFT_CATCH

int weft_consumer_seek_async(weft_consumer* consumer, const uint32_t* partitions, uint32_t partition_count,
                             uint32_t from, uint64_t from_value, uint64_t tag) try {
  WEFT_CHECK_HANDLE(consumer);
  return report(begin_seek(consumer, partitions, partition_count, from, from_value,
                           [job = consumer->job->self, tag](const Status& status) {
                             job->completions.push_status(WEFT_COMPLETION_SEEK, tag, status);
                           }));
}
WEFT_CATCH

int weft_data_fetch_async(weft_consumer* consumer, uint32_t partition, const weft_selection* selections, uint32_t count,
                          void* destination, uint64_t length, weft_region* region, uint64_t tag) try {
  WEFT_CHECK_HANDLE(consumer);
  return report(
      begin_fetch(consumer, nullptr, partition, selections, count, destination, length, region,
                  [job = consumer->job->self, tag](const Status& status, const weft::client::FetchResult& result) {
                    push_fetched(*job, tag, status, result);
                  }));
}
WEFT_CATCH

int weft_data_fetch_parts_async(weft_consumer* consumer, const uint32_t* partitions, const weft_selection* selections,
                                uint32_t count, void* destination, uint64_t length, weft_region* region,
                                uint64_t tag) try {
  WEFT_CHECK_HANDLE(consumer);
  WEFT_CHECK_ARGUMENT(partitions);
  return report(
      begin_fetch(consumer, partitions, 0, selections, count, destination, length, region,
                  [job = consumer->job->self, tag](const Status& status, const weft::client::FetchResult& result) {
                    push_fetched(*job, tag, status, result);
                  }));
}
WEFT_CATCH

int weft_data_fetch_parts(weft_consumer* consumer, const uint32_t* partitions, const weft_selection* selections,
                          uint32_t count, void* destination, uint64_t length, weft_region* region) try {
  WEFT_CHECK_HANDLE(consumer);
  WEFT_CHECK_ARGUMENT(partitions);
  Waiter waiter;
  const Status begun =
      begin_fetch(consumer, partitions, 0, selections, count, destination, length, region,
                  [&waiter](const Status& status, const weft::client::FetchResult&) { waiter.set(status); });
  if (!begun.ok()) return report(begun);
  return report(waiter.wait(-1, "the fetch"));
}
WEFT_CATCH

int weft_data_fetch(weft_consumer* consumer, uint32_t partition, const weft_selection* selections, uint32_t count,
                    void* destination, uint64_t length, weft_region* region) try {
  WEFT_CHECK_HANDLE(consumer);
  Waiter waiter;
  const Status begun =
      begin_fetch(consumer, nullptr, partition, selections, count, destination, length, region,
                  [&waiter](const Status& status, const weft::client::FetchResult&) { waiter.set(status); });
  if (!begun.ok()) return report(begun);
  return report(waiter.wait(-1, "the fetch"));
}
WEFT_CATCH

int weft_commit_async(weft_consumer* consumer, uint32_t partition, uint64_t offset, uint64_t tag) try {
  WEFT_CHECK_HANDLE(consumer);
  consumer->consumer->commit(partition, offset, [job = consumer->job->self, tag](const Status& status) {
    job->completions.push_status(WEFT_COMPLETION_COMMIT, tag, status);
  });
  return WEFT_OK;
}
WEFT_CATCH

int weft_commit(weft_consumer* consumer, uint32_t partition, uint64_t offset, int64_t timeout_ms) try {
  WEFT_CHECK_HANDLE(consumer);
  auto waiter = std::make_shared<Waiter>();
  consumer->consumer->commit(partition, offset, [waiter](const Status& status) { waiter->set(status); });
  return report(waiter->wait(timeout_ms, "the commit"));
}
WEFT_CATCH

}  // extern "C"
