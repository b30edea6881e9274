// Producers: handles, epochs, fencing, acknowledgements.
//
// One ProducerEntry per producer id of a partition holds the sequence rule; at most one handle, the newest, is its
// `active` one. Opening waits until batches that the log writer has already are stored, so that the answer's
// next_sequence is true; a named one on disk also until its new epoch is durable, so that no restart gives it again.
#include <algorithm>

#include "broker/broker_impl.h"

namespace weft::broker {

void BrokerImpl::refuse_open(Session* session, uint64_t request_id, const Status& why) {
  if (why.code() == Code::BUSY) counters_.busy_answers += 1;
  writer_.begin(wire::MessageType::kProducerOpened, session->token, request_id);
  wire::ProducerOpened opened{};
  opened.code = static_cast<int32_t>(why.code());
  writer_.put(opened);
  reply_text(session, why.message());
}

void BrokerImpl::on_producer_open(Session* session, wire::MessageReader& reader) {
  const auto* open = reader.take<wire::ProducerOpen>();
  if (open == nullptr) return malformed(session, "PRODUCER_OPEN is too short");
  const std::string_view name = reader.rest_text();
  const uint64_t request_id = reader.header().request_id;
  Partition* partition = find_partition(open->topic, open->partition);
  Status status = name.empty() ? Status() : wire::check_name("producer", name);
  if (status.ok() && partition == nullptr) status = no_partition(open->topic, open->partition);
  if (status.ok() && (partition->closing || stopping_)) {
    status = closing_status(partition, "; open again later");
  }
  if (status.ok() && open->epoch > wire::kProducerEpochMax) {
    status = Status(Code::INVALID_ARGUMENT, join_text("epoch ", open->epoch, " of a producer of ", partition->label,
                                                      ": no epoch is that high; open it with the one it was given"));
  }
  // One that comes back with its epoch is let in: batches of it that are stored are answered.
  if (status.ok() && open->epoch == wire::kProducerNewEpoch) status = check_registration(partition, name);
  if (!status.ok()) return refuse_open(session, request_id, status);
  ProducerEntry* entry = find_entry(partition, open->producer);
  if (entry == nullptr) {
    return refuse_open(session, request_id,
                       Status(Code::BUSY, join_text(partition->label, " has ", log::kProducersMax,
                                                    " producers, its limit; close some")));
  }
  if (entry->opens.size() >= kPendingOpensMax) {
    return refuse_open(
        session, request_id,
        Status(Code::BUSY, join_text("too many openings of this producer of ", partition->label, " wait; try again")));
  }
  reference(session);
  entry->opens.push_back({session, request_id, open->epoch, std::string(name)});
  if (!entry->loaded) return load_entry(entry);
  answer_opens(entry);
}

ProducerEntry* BrokerImpl::find_entry(Partition* partition, const wire::ProducerId& id) {
  const auto found = partition->producers.find(id);
  if (found != partition->producers.end()) return found->second.get();
  if (partition->producers.size() >= log::kProducersMax) {
    const auto idle = std::find_if(partition->producers.begin(), partition->producers.end(), [](const auto& item) {
      const ProducerEntry& entry = *item.second;
      return entry.active == nullptr && entry.opens.empty() && entry.references == 0;
    });
    if (idle == partition->producers.end()) return nullptr;
    partition->producers.erase(idle);
  }
  auto entry = std::make_unique<ProducerEntry>();
  entry->id = id;
  entry->partition = partition;
  return partition->producers.emplace(id, std::move(entry)).first->second.get();
}

void BrokerImpl::load_entry(ProducerEntry* entry) {
  if (entry->loading) return;
  entry->loading = true;
  ++entry->references;
  ++entry->partition->operations;
  entry->load_job = Job{&BrokerImpl::run_load, &BrokerImpl::load_done, entry, this};
  counters_.writer_queue_now += 1;
  if (entry->partition->in_memory()) {
    run_load(&entry->load_job);
    return load_done(&entry->load_job);
  }
  entry->partition->writer->push(&entry->load_job);
}

bool BrokerImpl::run_load(Job* job) {
  auto* entry = static_cast<ProducerEntry*>(job->owner);
  const log::ProducerState* state = entry->partition->log->producer(entry->id);
  entry->loaded_found = state != nullptr;
  if (state != nullptr) entry->loaded_state = *state;
  return true;
}

void BrokerImpl::load_done(Job* job) {
  auto* entry = static_cast<ProducerEntry*>(job->owner);
  auto* broker = static_cast<BrokerImpl*>(job->context);
  broker->counters_.writer_queue_now -= 1;
  entry->loading = false;
  entry->loaded = true;
  --entry->references;
  if (entry->loaded_found) {
    const log::ProducerState& state = entry->loaded_state;
    entry->epoch = state.epoch;
    entry->next_sequence = state.next_sequence;
    entry->admit_sequence = state.next_sequence;
    for (const auto& recent : state.recent) {
      if (recent.sequence != log::kEarlierEpoch) entry->recent.push_back({recent.sequence, recent.first_offset});
      entry->last_end = recent.first_offset + recent.event_count;
    }
  }
  broker->answer_opens(entry);
  broker->operation_done(entry->partition);
}

void BrokerImpl::take_over(ProducerEntry* entry) {
  if (entry->active == nullptr) return;
  Producer* old = entry->active;
  drop_batches(entry, Status(Code::FENCED, join_text("this producer of ", entry->partition->label,
                                                     " was opened again by another client; stop this one")));
  old->fenced = true;
  detach_producer(old);
}

void BrokerImpl::answer_opens(ProducerEntry* entry) {
  // Whoever opens takes over at once; who is told so waits for the log writer.
  for (const auto& open : entry->opens) {
    if (open.epoch == wire::kProducerNewEpoch || open.epoch >= entry->epoch) take_over(entry);
  }
  while (!entry->opens.empty()) {
    if (entry->committing > 0 || entry->fencing || begin_fence(entry)) return;
    const ProducerEntry::PendingOpen open = entry->opens.front();
    entry->opens.erase(entry->opens.begin());
    entry->name = open.name;
    open_producer(entry, open.session, open.request_id, open.epoch);
    unreference(open.session);
  }
}

// The epoch that the first of the openings gets, before it is told. Without that a restart would give the same epoch
// to two producers, and take a batch of the one for a repeated one of the other.
bool BrokerImpl::begin_fence(ProducerEntry* entry) {
  const ProducerEntry::PendingOpen& open = entry->opens.front();
  // One that takes nothing any more opens as it did: its batches are refused, and the other partitions are not hurt.
  if (open.epoch != wire::kProducerNewEpoch || open.name.empty() || open.session->gone ||
      entry->partition->in_memory() || entry->partition->read_only || entry->epoch >= wire::kProducerEpochMax) {
    return false;
  }
  take_over(entry);  // from an opening just before in the same list: it has stored nothing
  entry->fencing = true;
  entry->fence_epoch = entry->epoch + 1;
  entry->fence_mark = is_registered(entry->partition, open.name) ? kRegisteredMark + open.name : std::string();
  ++entry->references;
  ++entry->partition->operations;
  entry->fence_job = Job{&BrokerImpl::run_fence, &BrokerImpl::fence_done, entry, this};
  counters_.writer_queue_now += 1;
  entry->partition->writer->push(&entry->fence_job);
  return true;
}

bool BrokerImpl::run_fence(Job* job) {
  auto* entry = static_cast<ProducerEntry*>(job->owner);
  Partition* partition = entry->partition;
  if (!entry->fence_mark.empty()) {
    entry->fence_status = partition->cursor_file->set(entry->fence_mark, {entry->fence_epoch, 0});
    if (!entry->fence_status.ok()) return true;
  }
  partition->log->fence(entry->id, entry->fence_epoch);
  partition->fences.push_back(entry);
  partition->writer->at_burst_end(&partition->fence_group);
  return false;
}

// On the log writer: one checkpoint for all openings of a burst.
void BrokerImpl::finish_fences(BurstEnd* end) {
  auto* partition = static_cast<Partition*>(end->owner);
  Status status;
  const bool registers = std::any_of(partition->fences.begin(), partition->fences.end(),
                                     [](const ProducerEntry* entry) { return !entry->fence_mark.empty(); });
  // First who is registered: a producer that stored something is known for one.
  if (registers) status = write_marks(partition);
  if (status.ok()) status = partition->log->sync_fences();
  for (ProducerEntry* entry : partition->fences) {
    entry->fence_status = status;
    partition->writer->give_back(&entry->fence_job);
  }
  partition->fences.clear();
}

void BrokerImpl::fence_done(Job* job) {
  auto* entry = static_cast<ProducerEntry*>(job->owner);
  auto* broker = static_cast<BrokerImpl*>(job->context);
  broker->counters_.writer_queue_now -= 1;
  entry->fencing = false;
  --entry->references;
  Partition* partition = entry->partition;
  ProducerEntry::PendingOpen& open = entry->opens.front();
  if (entry->fence_status.ok()) {
    begin_epoch(entry, entry->fence_epoch);
    open.epoch = entry->fence_epoch;
  } else {
    const log::PartitionState state = partition->log->state();
    if (state.read_only) {
      broker->set_read_only(partition, state.read_only_reason);  // answer_opens goes on without the fence
    } else {
      const ProducerEntry::PendingOpen refused = open;
      entry->opens.erase(entry->opens.begin());
      if (!refused.session->gone) {
        broker->refuse_open(
            refused.session, refused.request_id,
            entry->fence_status.with_context(join_text("the new epoch of this producer of ", partition->label)));
      }
      broker->unreference(refused.session);
    }
  }
  broker->answer_opens(entry);
  broker->operation_done(partition);
}

void BrokerImpl::begin_epoch(ProducerEntry* entry, uint32_t epoch) {
  entry->epoch = epoch;
  entry->next_sequence = 0;  // sequences count within an epoch
  while (!entry->recent.empty()) entry->recent.pop_front();
}

void BrokerImpl::open_producer(ProducerEntry* entry, Session* session, uint64_t request_id, uint32_t epoch) {
  if (session->gone || session->phase != Phase::kProved) return;
  Partition* partition = entry->partition;
  if (epoch != wire::kProducerNewEpoch && epoch < entry->epoch) {
    return refuse_open(session, request_id,
                       Status(Code::FENCED, join_text("epoch ", epoch, " of this producer of ", partition->label,
                                                      " is over, it is at epoch ", entry->epoch,
                                                      "; a newer producer opened this name")));
  }
  if (epoch == wire::kProducerNewEpoch && entry->epoch >= wire::kProducerEpochMax) {
    return refuse_open(session, request_id,
                       Status(Code::LIMIT, join_text("this producer of ", partition->label, " is at epoch ",
                                                     entry->epoch, ", the last one; use another name")));
  }
  const auto of_partition = [partition](const Producer* each) {
    return each != nullptr && each->partition == partition && each->entry != nullptr;
  };
  // Counted only when there are so many: one client must leave room for the others.
  if (session->producers.size() >= kProducersPerSessionMax &&
      std::count_if(session->producers.begin(), session->producers.end(), of_partition) >= kProducersPerSessionMax) {
    return refuse_open(
        session, request_id,
        Status(Code::LIMIT, join_text("this client has ", kProducersPerSessionMax, " producers of ", partition->label,
                                      " open, the limit; close some, or push from "
                                      "fewer")));
  }
  auto slot = std::find(session->producers.begin(), session->producers.end(), nullptr);
  if (slot == session->producers.end()) {
    if (session->producers.size() >= kHandlesPerSessionMax) {
      return refuse_open(
          session, request_id,
          Status(Code::LIMIT, join_text("this client has ", kHandlesPerSessionMax, " producers open on slot ",
                                        options_.slot, ", the limit; close some")));
    }
    slot = session->producers.insert(session->producers.end(), nullptr);
  }
  take_over(entry);  // from an opening just before in the same list
  const uint32_t new_epoch = epoch == wire::kProducerNewEpoch ? entry->epoch + 1 : epoch;
  if (new_epoch != entry->epoch) begin_epoch(entry, new_epoch);
  entry->admit_sequence = entry->next_sequence;
  Producer* producer = producer_pool_.take();
  producer->session = session;
  producer->entry = entry;
  producer->partition = partition;
  producer->handle = static_cast<uint32_t>(slot - session->producers.begin()) + 1;
  producer->epoch = new_epoch;
  producer->fenced = false;
  producer->acks.clear();
  producer->first_error.clear();
  *slot = producer;
  entry->active = producer;
  if (is_registered(partition, entry->name)) register_producer(partition, entry->name);
  counters_.producers_now += 1;
  wire::ProducerOpened opened{};
  opened.handle = producer->handle;
  opened.epoch = new_epoch;
  opened.batches_in_flight_max = options_.batches_in_flight_max;
  opened.next_sequence = entry->next_sequence;
  opened.last_offset = entry->last_end;
  writer_.begin(wire::MessageType::kProducerOpened, session->token, request_id);
  writer_.put(opened);
  reply(session);
}

void BrokerImpl::on_producer_close(Session* session, wire::MessageReader& reader) {
  const auto* close = reader.take<wire::ProducerClose>();
  if (close == nullptr) return malformed(session, "PRODUCER_CLOSE is too short");
  if (close->handle == 0 || close->handle > session->producers.size()) return;  // closed twice: nothing to do
  Producer*& slot = session->producers[close->handle - 1];
  if (slot == nullptr) return;
  Producer* producer = slot;
  flush_acks(producer);
  const ProducerEntry* entry = producer->entry;
  if (entry != nullptr && entry->active == producer && is_registered(producer->partition, entry->name)) {
    close_registered(producer->partition, entry->name);
  }
  detach_producer(producer);
  slot = nullptr;
  delete_producer(producer);
}

void BrokerImpl::detach_producer(Producer* producer) {
  ProducerEntry* entry = producer->entry;
  if (entry == nullptr) return;
  producer->entry = nullptr;
  if (entry->active != producer) return;
  entry->active = nullptr;
  drop_batches(entry, Status(Code::CLOSED, "the producer was closed"));
}

void BrokerImpl::delete_producer(Producer* producer) {
  // Batches with the log writer go on; nobody is told.
  for (BatchOp* batch : producer->batches) batch->producer = nullptr;
  producer->batches.clear();
  if (producer->ack_listed) {
    producer->ack_listed = false;
    std::erase(ack_list_, producer);
  }
  producer->session = nullptr;
  producer->partition = nullptr;
  counters_.producers_now -= 1;
  producer_pool_.give(producer);
}

// ---- acknowledgements: many in one message, sent behind the burst

void BrokerImpl::acknowledge(Producer* producer, const wire::Ack& ack, const Status& why) {
  if (producer == nullptr) return;
  if (!why.ok()) {
    if (why.code() == Code::BUSY) {
      counters_.busy_answers += 1;
    } else {
      counters_.batches_refused += 1;
    }
    if (producer->first_error.empty()) producer->first_error = why.message();
  }
  producer->acks.push_back(ack);
  if (!producer->ack_listed) {
    producer->ack_listed = true;
    ack_list_.push_back(producer);
    want_turn();
  }
}

void BrokerImpl::acknowledge_error(Session* session, Producer* producer, uint32_t handle, uint64_t sequence,
                                   uint64_t expected, const Status& why) {
  const wire::Ack ack{sequence, static_cast<int32_t>(why.code()), 0, 0, expected};
  if (producer != nullptr) return acknowledge(producer, ack, why);
  writer_.begin(wire::MessageType::kBatchAck, session->token, 0);
  writer_.put(wire::BatchAck{handle, 1});
  writer_.put(ack);
  reply_text(session, why.message());
}

void BrokerImpl::flush_acks(Producer* producer) {
  constexpr size_t kAcksPerMessage = 512;
  for (size_t begin = 0; begin < producer->acks.size(); begin += kAcksPerMessage) {
    const size_t count = std::min(kAcksPerMessage, producer->acks.size() - begin);
    writer_.begin(wire::MessageType::kBatchAck, producer->session->token, 0);
    writer_.put(wire::BatchAck{producer->handle, static_cast<uint32_t>(count)});
    writer_.append(producer->acks.data() + begin, count * sizeof(wire::Ack));
    reply_text(producer->session, producer->first_error);
  }
  producer->acks.clear();
  producer->first_error.clear();
}

}  // namespace weft::broker
