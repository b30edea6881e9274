// Consumers: handles, where a stream begins, credit, the end. Feeding them is in feed.cc.
#include <algorithm>

#include "broker/broker_impl.h"

namespace weft::broker {

namespace {
void refuse_consumer(wire::MessageWriter& writer, const Session* session, uint64_t request_id, const Status& why) {
  writer.begin(wire::MessageType::kConsumerOpened, session->token, request_id);
  wire::ConsumerOpened opened{};
  opened.code = static_cast<int32_t>(why.code());
  writer.put(opened);
}
}  // namespace

// Opening looks things up in the log, which may have to read files: on a reader then.
struct BrokerImpl::OpenConsumer {
  Session* session = nullptr;  // referenced
  Partition* partition = nullptr;
  uint64_t request_id = 0;
  wire::ConsumerOpen message{};
  std::string name;
  bool had_cursor = false;
  log::Cursor cursor;
  uint64_t visible_end = 0;
  // The outcome.
  Status status;
  uint64_t start = 0;
  uint64_t first_offset = 0;
  Job job;

  Status find_start();
  Status check_position(uint64_t offset, uint32_t epoch, std::string_view what);
};

// Whether a position may be gone on from: not before the first event, not behind the last, and not one that recovery
// cut off and later events took (the epoch says so).
Status BrokerImpl::OpenConsumer::check_position(uint64_t offset, uint32_t epoch, std::string_view what) {
  if (offset < first_offset) {
    return Status(Code::OFFSET_GONE, join_text(what, " ", offset, " of ", partition->label,
                                               " was removed by retention; the first offset is ", first_offset));
  }
  if (offset > visible_end) {
    return Status(Code::TRUNCATED, join_text(what, " ", offset, " of ", partition->label,
                                             " is behind the end of the log; continue at ", visible_end));
  }
  if (epoch == 0 || epoch >= partition->epoch || offset == first_offset) return {};
  log::StoredBatch before;
  WEFT_RETURN_IF_ERROR(partition->log->read_batch(offset - 1, before));
  if (before.partition_epoch <= epoch) return {};
  return Status(Code::TRUNCATED, join_text(what, " ", offset, " of ", partition->label, " belongs to epoch ", epoch,
                                           ": recovery cut the log there, what is stored now is of epoch ",
                                           before.partition_epoch, "; continue at ", before.first_offset));
}

Status BrokerImpl::OpenConsumer::find_start() {
  first_offset = partition->log->state().first_offset;
  switch (message.from) {
    case wire::From::kEarliest:
      start = first_offset;
      return {};
    case wire::From::kLatest:
      start = visible_end;
      return {};
    case wire::From::kOffset:
      start = message.value;
      return check_position(start, message.epoch, "offset");
    case wire::From::kTime: {
      auto found = partition->log->offset_at_time(message.value);
      if (!found.ok()) return found.status();
      start = std::min(found.value(), visible_end);
      return {};
    }
    case wire::From::kCursor:
      start = had_cursor ? cursor.offset : first_offset;
      return had_cursor ? check_position(start, cursor.epoch, "the cursor's offset") : Status();
  }
  return Status(Code::INVALID_ARGUMENT,
                join_text("a consumer cannot start from ", static_cast<uint32_t>(message.from)));
}

void BrokerImpl::on_consumer_open(Session* session, wire::MessageReader& reader) {
  const auto* open = reader.take<wire::ConsumerOpen>();
  if (open == nullptr) return malformed(session, "CONSUMER_OPEN is too short");
  const std::string_view name = reader.rest_text();
  const uint64_t request_id = reader.header().request_id;
  Partition* partition = find_partition(open->topic, open->partition);
  Status status = name.empty() ? Status() : wire::check_name("consumer", name);
  if (status.ok() && partition == nullptr) status = no_partition(open->topic, open->partition);
  if (status.ok() && (partition->closing || stopping_)) {
    status = closing_status(partition, "; open again later");
  }
  if (status.ok() && (open->ring.length < kRingBytesMin || open->ring.length > kRingBytesMax ||
                      open->ring.length % wire::kDataAlignmentBytes != 0)) {
    status =
        Status(Code::INVALID_ARGUMENT, join_text("a ring of ", open->ring.length, " bytes; it must be a multiple of ",
                                                 wire::kDataAlignmentBytes, " from ", kRingBytesMin));
  }
  if (status.ok() && session->consumers_opening >= kPendingOpensMax) {
    counters_.busy_answers += 1;
    status = Status(Code::BUSY, join_text("slot ", options_.slot, " still opens ", kPendingOpensMax,
                                          " consumers of this client; open again later"));
  }
  if (!status.ok()) {
    refuse_consumer(writer_, session, request_id, status);
    return reply_text(session, status.message());
  }
  auto* opening = new OpenConsumer();
  opening->session = session;
  reference(session);
  ++session->consumers_opening;
  opening->partition = partition;
  ++partition->operations;
  opening->request_id = request_id;
  opening->message = *open;
  opening->name.assign(name);
  opening->visible_end = partition->visible_end;
  if (const auto cursor = partition->cursors.find(name); !name.empty() && cursor != partition->cursors.end()) {
    opening->had_cursor = true;
    opening->cursor = cursor->second;
  }
  opening->job = Job{&BrokerImpl::run_open_consumer, &BrokerImpl::open_consumer_done, opening, this};
  const bool looks_up = open->from == wire::From::kTime || (open->from == wire::From::kOffset && open->epoch != 0) ||
                        (open->from == wire::From::kCursor && opening->cursor.epoch < partition->epoch);
  if (partition->in_memory() || !looks_up) {
    run_open_consumer(&opening->job);
    return open_consumer_done(&opening->job);
  }
  readers_->push(&opening->job);
}

bool BrokerImpl::run_open_consumer(Job* job) {
  auto* opening = static_cast<OpenConsumer*>(job->owner);
  opening->status = opening->find_start();
  return true;
}

void BrokerImpl::open_consumer_done(Job* job) {
  std::unique_ptr<OpenConsumer> opening(static_cast<OpenConsumer*>(job->owner));
  auto* broker = static_cast<BrokerImpl*>(job->context);
  --opening->session->consumers_opening;
  if (!opening->session->gone && opening->session->phase == Phase::kProved) broker->add_consumer(*opening);
  broker->unreference(opening->session);
  broker->operation_done(opening->partition);
}

void BrokerImpl::add_consumer(const OpenConsumer& opening) {
  Session* session = opening.session;
  Partition* partition = opening.partition;
  Status status = opening.status;
  if (status.ok() && partition->closing) {
    status = closing_status(partition, "; open again later");
  }
  auto slot = std::find(session->consumers.begin(), session->consumers.end(), nullptr);
  if (status.ok() && slot == session->consumers.end()) {
    if (session->consumers.size() >= kHandlesPerSessionMax) {
      status = Status(Code::LIMIT, join_text("this client has ", kHandlesPerSessionMax, " consumers open on slot ",
                                             options_.slot, ", the limit; close some"));
    } else {
      slot = session->consumers.insert(session->consumers.end(), nullptr);
    }
  }
  if (!status.ok()) {
    refuse_consumer(writer_, session, opening.request_id, status);
    return reply_text(session, status.message());
  }
  auto* consumer = new Consumer();
  consumer->session = session;
  reference(session);
  consumer->partition = partition;
  consumer->handle = static_cast<uint32_t>(slot - session->consumers.begin()) + 1;
  consumer->name = opening.name;
  consumer->ring = opening.message.ring;
  consumer->events_max = opening.message.events_max;
  consumer->next_offset = opening.start;
  *slot = consumer;
  partition->consumers.push_back(consumer);
  counters_.consumers_now += 1;
  wire::ConsumerOpened opened{};
  opened.handle = consumer->handle;
  opened.partition_epoch = partition->epoch;
  opened.had_cursor = opening.had_cursor && opening.message.from == wire::From::kCursor ? 1 : 0;
  opened.start_offset = opening.start;
  opened.first_offset = opening.first_offset;
  opened.visible_end = partition->visible_end;
  writer_.begin(wire::MessageType::kConsumerOpened, session->token, opening.request_id);
  writer_.put(opened);
  reply(session);
  want_feed(partition);
}

Consumer* BrokerImpl::consumer_of(Session* session, uint32_t handle) {
  Consumer* consumer = handle == 0 || handle > session->consumers.size() ? nullptr : session->consumers[handle - 1];
  return consumer == nullptr || consumer->closed ? nullptr : consumer;
}

void BrokerImpl::on_credit(Session* session, wire::MessageReader& reader) {
  const auto* credit = reader.take<wire::Credit>();
  if (credit == nullptr) return malformed(session, "CREDIT is too short");
  Consumer* consumer = consumer_of(session, credit->handle);
  if (consumer == nullptr) return;  // crossed the end of the consumer on its way
  if (credit->ring_end > consumer->ring_told || credit->ring_end < consumer->ring_returned) {
    return malformed(session, join_text("CREDIT returns the ring up to ", credit->ring_end, "; given out are ",
                                        consumer->ring_told, ", returned ", consumer->ring_returned));
  }
  if (consumer->events_max != 0) {
    if (credit->events_end - consumer->events_returned > consumer->events_told - consumer->events_returned) {
      return malformed(session, join_text("CREDIT returns events up to ", credit->events_end, "; given out are ",
                                          consumer->events_told, ", returned ", consumer->events_returned));
    }
    consumer->events_returned = credit->events_end;
  }
  consumer->ring_returned = credit->ring_end;
  feed(consumer);
}

void BrokerImpl::on_consumer_close(Session* session, wire::MessageReader& reader) {
  const auto* close = reader.take<wire::ConsumerClose>();
  if (close == nullptr) return malformed(session, "CONSUMER_CLOSE is too short");
  Consumer* consumer = consumer_of(session, close->handle);
  if (consumer == nullptr) return;  // closed twice: nothing to do
  consumer->close_wanted = true;
  consumer->close_request = reader.header().request_id;
  close_consumer(consumer);
}

// Out of everybody's sight; freed, and its handle with it, when nothing is under way for it.
void BrokerImpl::close_consumer(Consumer* consumer) {
  if (consumer->closed) return;
  consumer->closed = true;
  if (consumer->partition != nullptr) std::erase(consumer->partition->consumers, consumer);
  if (consumer->waits_for_slab) {
    consumer->waits_for_slab = false;
    slab_consumers_.remove(consumer);
  }
  while (!consumer->read.empty()) free_frame(consumer->read.pop_front());
  ++consumer->operations;
  consumer_operation_done(consumer);
}

void BrokerImpl::consumer_operation_done(Consumer* consumer) {
  WEFT_ASSERT(consumer->operations > 0);
  if (--consumer->operations > 0 || !consumer->closed) return;
  // Placed frames that were not told: their writes have completed, nobody wants to hear of them.
  while (!consumer->placed.empty()) free_frame(consumer->placed.pop_front());
  while (!consumer->read.empty()) free_frame(consumer->read.pop_front());
  Session* session = consumer->session;
  if (consumer->close_wanted && !session->gone) {
    writer_.begin(wire::MessageType::kConsumerClosed, session->token, consumer->close_request);
    writer_.put(wire::ConsumerClose{consumer->handle, 0});
    reply(session);
  }
  if (consumer->handle <= session->consumers.size() && session->consumers[consumer->handle - 1] == consumer) {
    session->consumers[consumer->handle - 1] = nullptr;
  }
  counters_.consumers_now -= 1;
  unreference(session);
  delete consumer;
}

void BrokerImpl::fail_consumer(Consumer* consumer, const Status& why, uint64_t offset) {
  if (consumer->failed) return;
  consumer->failed = true;
  writer_.begin(wire::MessageType::kConsumerFailed, consumer->session->token, 0);
  writer_.put(wire::ConsumerFailed{consumer->handle, static_cast<int32_t>(why.code()), offset});
  reply_text(consumer->session, why.message());
}

}  // namespace weft::broker
