// The commit: batches of one producer are stored in the order of their sequence, whatever order their data came in.
// A batch that is not stored takes those behind it with it (WEFT_SEQUENCE_GAP, "expected" its sequence): the producer
// sends them again. Disk: the log writer appends all that it was handed, syncs once, and gives all back: group commit.
#include <algorithm>

#include "base/checksum.h"
#include "broker/broker_impl.h"

namespace weft::broker {

void BrokerImpl::answer_batch(BatchOp* batch, const Status& status, uint64_t expected_sequence) {
  Producer* producer = batch->producer;
  if (producer == nullptr) return;
  wire::Ack ack{};
  ack.sequence = batch->header.sequence;
  ack.code = static_cast<int32_t>(status.code());
  ack.expected_sequence = expected_sequence;
  if (status.ok()) {
    ack.partition_epoch = batch->appended.partition_epoch;
    ack.first_offset = batch->appended.first_offset;
  }
  acknowledge(producer, ack, status);
  std::erase(producer->batches, batch);
  batch->producer = nullptr;
}

void BrokerImpl::try_commit(ProducerEntry* entry) {
  while (entry->committing < entry->batches.size()) {
    BatchOp* batch = entry->batches[entry->committing];
    if (!batch->status.ok()) {
      // Those with the log writer first: they come before it.
      if (entry->committing == 0) fail_front(entry);
      return;
    }
    if (batch->units_begun < batch->units || batch->units_outstanding > 0) return;
    if (batch->partition->in_memory()) {
      commit_in_memory(batch);
    } else {
      hand_over(batch);
    }
  }
}

void BrokerImpl::commit_in_memory(BatchOp* batch) {
  ProducerEntry* entry = batch->entry;
  log::PartitionLog& log = *batch->partition->log;
  auto result = log.append({&batch->header, batch->body, batch->extent, batch->checksums});
  if (!result.ok() && result.status().code() == Code::NO_SPACE) [[unlikely]] {
    const Status room = make_room(batch->partition, result.status());
    if (room.ok()) {
      result = log.append({&batch->header, batch->body, batch->extent, batch->checksums});
    } else {
      result = room;
    }
  }
  if (!result.ok()) {
    batch->status = result.status().with_context(batch->partition->label);
    return fail_front(entry);
  }
  batch->appended = result.value();
  batch->reserved = false;
  entry->batches.pop_front();
  stored(batch);
}

void BrokerImpl::hand_over(BatchOp* batch) {
  batch->committing = true;
  batch->cut = false;
  batch->cut_generation = batch->entry->cuts;
  ++batch->entry->committing;
  batch->commit_job = Job{&BrokerImpl::run_commit, &BrokerImpl::commit_done, batch, this};
  counters_.writer_queue_now += 1;
  batch->partition->writer->push(&batch->commit_job);
}

// ---- on the log writer

bool BrokerImpl::run_commit(Job* job) {
  auto* batch = static_cast<BatchOp*>(job->owner);
  Partition* partition = batch->partition;
  ProducerEntry* entry = batch->entry;
  log::PartitionLog& log = *partition->log;
  if (batch->cut_generation < entry->writer_cuts) {
    batch->cut = true;
    batch->commit_status = Status(Code::SEQUENCE_GAP, "a batch before it was not stored");
    return true;
  }
  Status status;
  const std::span<const std::byte> data(batch->inline_data);
  if (!data.empty()) {
    auto extent = log.reserve(data.size());
    if (extent.ok()) {
      batch->extent = extent.value();
      batch->reserved = true;
      status = log.write_data(batch->extent, 0, data);
      for (uint64_t at = 0; at < data.size(); at += log::kDataBlockBytes) {
        batch->checksums.push_back(
            crc32c(data.subspan(at, std::min<uint64_t>(log::kDataBlockBytes, data.size() - at))));
      }
    } else {
      status = extent.status();
    }
  }
  if (status.ok()) {
    auto result = log.append({&batch->header, batch->body, batch->extent, batch->checksums});
    if (result.ok()) {
      batch->appended = result.value();
      batch->reserved = false;
      batch->was_appended = true;
    } else {
      status = result.status();
    }
  }
  batch->commit_status = status;
  if (!status.ok()) {
    entry->writer_cuts = batch->cut_generation + 1;
    const log::PartitionState state = log.state();
    batch->read_only_seen = state.read_only;
    batch->read_only_reason = state.read_only_reason;
    return true;
  }
  if (partition->spec.durability != wire::Durability::kSynced) return true;
  partition->synced.push_back(batch);
  partition->writer->at_burst_end(&partition->group);
  return false;
}

void BrokerImpl::finish_group(BurstEnd* end) {
  auto* partition = static_cast<Partition*>(end->owner);
  const Status status = partition->log->sync();
  partition->broker_counters->syncs += 1;
  partition->broker_counters->sync_batches += partition->synced.size();
  partition->broker_counters->sync_batches_max.raise_to(partition->synced.size());
  log::PartitionState state;
  if (!status.ok()) state = partition->log->state();
  for (BatchOp* batch : partition->synced) {
    if (!status.ok()) {
      batch->commit_status = status;
      batch->read_only_seen = state.read_only;
      batch->read_only_reason = state.read_only_reason;
    }
    partition->writer->give_back(&batch->commit_job);
  }
  partition->synced.clear();
  for (SyncOp* op : partition->syncs) {
    op->status = status;
    op->read_only_seen = !status.ok() && state.read_only;
    if (op->read_only_seen) op->read_only_reason = state.read_only_reason;
    partition->writer->give_back(&op->job);
  }
  partition->syncs.clear();
}

bool BrokerImpl::run_abandon(Job* job) {
  auto* batch = static_cast<BatchOp*>(job->owner);
  batch->partition->log->abandon(batch->extent);
  batch->reserved = false;
  return true;
}

// ---- back on the progress thread

void BrokerImpl::commit_done(Job* job) {
  auto* batch = static_cast<BatchOp*>(job->owner);
  auto* broker = static_cast<BrokerImpl*>(job->context);
  broker->counters_.writer_queue_now -= 1;
  ProducerEntry* entry = batch->entry;
  // The order of completion within one producer is the order of hand-over: one writer, first in first out, except that
  // one which failed does not wait for the sync of those before it.
  WEFT_ASSERT(entry->committing > 0);
  batch->committing = false;
  if (batch->read_only_seen) broker->set_read_only(batch->partition, batch->read_only_reason);
  if (!batch->commit_status.ok()) {
    if (batch->status.ok()) batch->status = batch->commit_status.with_context(batch->partition->label);
  }
  batch->returned = true;
  while (entry->committing > 0 && entry->batches.front()->returned) {
    BatchOp* front = entry->batches.pop_front();
    --entry->committing;
    if (front->commit_status.ok()) {
      broker->stored(front);
    } else {
      broker->commit_failed(front);
    }
  }
  if (entry->committing == 0 && !entry->opens.empty()) broker->answer_opens(entry);
  broker->try_commit(entry);
}

// The front of the queue was not stored, and those behind it neither; or it was, but is not durable.
void BrokerImpl::commit_failed(BatchOp* batch) {
  ProducerEntry* entry = batch->entry;
  if (batch->was_appended && !batch->cut_answered) {
    // Its sync failed, and recovery may keep it. Under its number another batch would be taken for a repetition of it.
    entry->next_sequence = batch->header.sequence + 1;
    answer_batch(batch, batch->status, entry->next_sequence);
    return settle(batch);
  }
  if (!batch->cut_answered) {
    const uint64_t expected = batch->header.sequence;
    answer_batch(batch, batch->status, expected);
    ++entry->cuts;
    entry->admit_sequence = expected;
    const Status gap(Code::SEQUENCE_GAP, join_text("batch ", expected, " before it was not stored in ",
                                                   entry->partition->label, "; resend from there"));
    while (entry->batches.size() > entry->committing) {
      BatchOp* behind = entry->batches.pop_back();
      cut_off_.push_back(behind);
    }
    for (size_t i = 0; i < entry->committing; ++i) {
      entry->batches[i]->cut_answered = true;
      answer_batch(entry->batches[i], gap, expected);
    }
    while (!cut_off_.empty()) {
      BatchOp* behind = cut_off_.back();
      cut_off_.pop_back();
      answer_batch(behind, gap, expected);
      settle(behind);
    }
  }
  settle(batch);
}

void BrokerImpl::stored(BatchOp* batch) {
  ProducerEntry* entry = batch->entry;
  Partition* partition = batch->partition;
  const uint32_t count = batch->header.event_count;
  const uint64_t end = batch->appended.first_offset + count;
  note_stored(entry, batch->header.sequence, batch->appended.first_offset, count);
  answer_batch(batch, Status(), batch->header.sequence + 1);
  advance_visible(partition, end);
  settle(batch);
}

void BrokerImpl::note_stored(ProducerEntry* entry, uint64_t sequence, uint64_t first_offset, uint32_t count) {
  entry->next_sequence = sequence + 1;
  entry->last_end = first_offset + count;
  if (entry->recent.size() == log::kRecentBatchesMax) entry->recent.pop_front();
  entry->recent.push_back({sequence, first_offset});
  counters_.batches_stored += 1;
  counters_.events_stored += count;
}

void BrokerImpl::advance_visible(Partition* partition, uint64_t end) {
  if (end <= partition->visible_end) return;
  partition->visible_end = end;
  want_feed(partition);
}

// The front of the queue failed before it was handed over: it and all behind it are answered.
void BrokerImpl::fail_front(ProducerEntry* entry) {
  BatchOp* front = entry->batches.front();
  const uint64_t expected = front->header.sequence;
  const Status gap(Code::SEQUENCE_GAP, join_text("batch ", expected, " before it was not stored in ",
                                                 entry->partition->label, "; resend from there"));
  entry->admit_sequence = expected;
  ++entry->references;  // settling may free the last batch that holds it
  while (!entry->batches.empty()) {
    BatchOp* batch = entry->batches.pop_front();
    answer_batch(batch, batch == front ? front->status : gap, expected);
    settle(batch);
  }
  --entry->references;
}

// Those not handed over go; the ones with the log writer are stored.
void BrokerImpl::drop_batches(ProducerEntry* entry, const Status& why) {
  while (entry->batches.size() > entry->committing) {
    BatchOp* batch = entry->batches.pop_back();
    entry->admit_sequence = batch->header.sequence;
    if (batch->status.ok()) batch->status = why;
    cut_off_.push_back(batch);
  }
  while (!cut_off_.empty()) {
    BatchOp* batch = cut_off_.back();
    cut_off_.pop_back();
    answer_batch(batch, why, entry->admit_sequence);
    settle(batch);
  }
}

// Out of the producer's queue; freed as soon as nothing is under way for it.
void BrokerImpl::settle(BatchOp* batch) {
  batch->queued = false;
  if (batch->status.ok() && batch->units_begun < batch->units) batch->status = Status(Code::CANCELLED, "dropped");
  if (batch->in_pulls) {
    batch->in_pulls = false;
    batch->session->pulls.remove(batch);
  }
  if (batch->units_outstanding > 0) return;  // the last unit comes back here
  if (!batch->reserved) return free_batch(batch);
  Partition* partition = batch->partition;
  if (!partition->in_memory()) {
    batch->commit_job = Job{&BrokerImpl::run_abandon, &BrokerImpl::abandon_done, batch, this};
    return partition->writer->push(&batch->commit_job);
  }
  if (batch->failed_generation_first == 0) {
    partition->log->abandon(batch->extent);
    return free_batch(batch);
  }
  // A read into the extent failed: the fabric provider may still write there.
  partition->area->quarantine(batch->failed_generation_first, batch->failed_generation_last, [this, batch] {
    batch->partition->log->abandon(batch->extent);
    free_batch(batch);
    want_turn();
  });
}

void BrokerImpl::abandon_done(Job* job) {
  static_cast<BrokerImpl*>(job->context)->free_batch(static_cast<BatchOp*>(job->owner));
}

}  // namespace weft::broker
