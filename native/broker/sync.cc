// Events that were acknowledged at a lower level become durable because their producer asks for it: one sync of the
// partition serves all who wait, batches of a `synced` topic included. The client says up to where, and in which epoch
// of the partition it was told so: where recovery has cut such events off since, the answer is WEFT_TRUNCATED.
#include "broker/broker_impl.h"

namespace weft::broker {

void BrokerImpl::synced(Session* session, uint64_t request_id, const Status& status) {
  writer_.begin(wire::MessageType::kSynced, session->token, request_id);
  writer_.put(wire::Synced{static_cast<int32_t>(status.code()), 0});
  reply_text(session, status.message());
}

void BrokerImpl::on_sync(Session* session, wire::MessageReader& reader) {
  const auto* sync = reader.take<wire::Sync>();
  if (sync == nullptr) return malformed(session, "SYNC is too short");
  const uint64_t request_id = reader.header().request_id;
  Partition* partition = find_partition(sync->topic, sync->partition);
  Status status;
  if (partition == nullptr) {
    status = no_partition(sync->topic, sync->partition);
  } else if (partition->closing) {
    status = closing_status(partition, "; flush again later");
  } else if (partition->in_memory()) {
    status = Status(Code::UNSUPPORTED, join_text(partition->label,
                                                 " is kept in memory, which nothing makes durable; "
                                                 "create the topic with storage 'disk'"));
  } else if (sync->partition_epoch > partition->epoch) {
    status = Status(Code::INVALID_ARGUMENT, join_text("events of epoch ", sync->partition_epoch, " in ",
                                                      partition->label, ", whose epoch is ", partition->epoch));
  } else if (sync->offset > partition->visible_end) {
    const bool cut = sync->partition_epoch < partition->epoch;
    status = Status(cut ? Code::TRUNCATED : Code::INVALID_ARGUMENT,
                    join_text("the events before offset ", sync->offset, " of ", partition->label,
                              " cannot be made durable: it ends at ", partition->visible_end,
                              cut ? ", since some were cut off at recovery; push them again"
                                  : "; ask for events that were acknowledged"));
  } else if (session->syncs_outstanding >= kSyncsPerSessionMax) {
    counters_.busy_answers += 1;
    status = Status(Code::BUSY, join_text("slot ", options_.slot, " still syncs ", session->syncs_outstanding,
                                          " partitions for this client, the limit; wait for an answer"));
  } else if (sync->partition_epoch == partition->epoch && partition->log->state().synced_offset >= sync->offset) {
    return synced(session, request_id, {});  // by somebody else's sync
  }
  if (!status.ok()) return synced(session, request_id, status);
  SyncOp* op = syncs_.take();
  op->session = session;
  op->partition = partition;
  op->request_id = request_id;
  op->offset = sync->offset;
  op->given_epoch = sync->partition_epoch;
  op->read_only_seen = false;
  op->status = Status();
  op->job = Job{&BrokerImpl::run_sync, &BrokerImpl::sync_done, op, this};
  reference(session);
  ++session->syncs_outstanding;
  ++partition->operations;
  counters_.writer_queue_now += 1;
  partition->writer->push(&op->job);
}

bool BrokerImpl::run_sync(Job* job) {
  auto* op = static_cast<SyncOp*>(job->owner);
  Partition* partition = op->partition;
  if (op->given_epoch < partition->log->state().epoch && op->offset > 0) {
    // Offsets went on behind what recovery cut off, so that a growing end alone says nothing.
    log::StoredBatch batch;
    const Status there = partition->log->read_batch(op->offset - 1, batch);
    if (there.code() == Code::TRUNCATED) {
      op->status = Status(Code::TRUNCATED, join_text("events of ", partition->label, " before offset ", op->offset,
                                                     " were cut off at recovery; push them again"));
      return true;
    }
  }
  partition->syncs.push_back(op);
  partition->writer->at_burst_end(&partition->group);
  return false;
}

void BrokerImpl::sync_done(Job* job) {
  auto* op = static_cast<SyncOp*>(job->owner);
  auto* broker = static_cast<BrokerImpl*>(job->context);
  broker->counters_.writer_queue_now -= 1;
  Partition* partition = op->partition;
  if (op->read_only_seen) broker->set_read_only(partition, op->read_only_reason);
  --op->session->syncs_outstanding;
  broker->synced(op->session, op->request_id, op->status);
  broker->unreference(op->session);
  broker->syncs_.give(op);
  broker->operation_done(partition);
}

}  // namespace weft::broker
