// Topics by name, requests to the control plane, partition queries, and cursors.
#include <algorithm>

#include "broker/broker_impl.h"

namespace weft::broker {

void BrokerImpl::on_topic_lookup(Session* session, wire::MessageReader& reader) {
  if (reader.take<wire::TopicLookup>() == nullptr) return malformed(session, "TOPIC_LOOKUP is too short");
  const std::string_view name = reader.rest_text();
  wire::TopicInfo info{};
  writer_.begin(wire::MessageType::kTopicInfo, session->token, reader.header().request_id);
  const auto found = topics_.find(name);
  Status status = wire::check_name("topic", name);
  if (status.ok() && found == topics_.end()) {
    status = Status(Code::TOPIC_UNKNOWN,
                    join_text("slot ", options_.slot, " knows no topic '", name, "'; create it, or list the topics"));
  }
  if (status.ok()) {
    const TopicEntry& topic = found->second;
    const uint64_t length = sizeof(wire::MessageHeader) + sizeof info +
                            wire::align_up(topic.slots.size() * sizeof(uint32_t), 8) + topic.json.size();
    if (length > options_.message_bytes_max) {
      status = Status(Code::LIMIT, join_text("the description of topic '", name, "' has ", length,
                                             " bytes, more than a message takes (", options_.message_bytes_max,
                                             "); use fewer partitions"));
    }
  }
  if (!status.ok()) {
    info.code = static_cast<int32_t>(status.code());
    writer_.put(info);
    return reply_text(session, status.message());
  }
  const TopicEntry& topic = found->second;
  info.partition_count = static_cast<uint32_t>(topic.slots.size());
  info.topic = topic.uuid;
  info.storage = topic.storage;
  info.durability = topic.durability;
  info.serializer = topic.serializer;
  info.flags = topic.flags;
  info.tail_json_bytes = static_cast<uint32_t>(topic.json.size());
  info.event_data_bytes_max = topic.event_data_bytes_max;
  writer_.put(info);
  writer_.append(topic.slots.data(), topic.slots.size() * sizeof(uint32_t));
  writer_.pad();
  reply_text(session, topic.json);
}

void BrokerImpl::on_control(Session* session, wire::MessageReader& reader) {
  if (reader.take<wire::Control>() == nullptr) return malformed(session, "CONTROL is too short");
  const std::string_view json = reader.rest_text();
  const uint64_t request_id = reader.header().request_id;
  if (json.size() > wire::kControlBytesMax) return malformed(session, "CONTROL is longer than its limit of 48 KiB");
  if (session->control_outstanding >= options_.control_requests_max) {
    counters_.busy_answers += 1;
    writer_.begin(wire::MessageType::kControlReply, session->token, request_id);
    writer_.put(wire::ControlReply{static_cast<int32_t>(Code::BUSY), 0});
    return reply_text(session, join_text("slot ", options_.slot, " still works on ", session->control_outstanding,
                                         " control requests of this client, the limit; wait for an answer"));
  }
  const uint64_t token = next_control_++;
  control_.emplace(token, ControlToken{session, request_id});
  reference(session);
  ++session->control_outstanding;
  host_.on_control_request(token, session->token, std::string(json));
}

void BrokerImpl::on_partition_query(Session* session, wire::MessageReader& reader) {
  const auto* query = reader.take<wire::PartitionQuery>();
  if (query == nullptr) return malformed(session, "PARTITION_QUERY is too short");
  writer_.begin(wire::MessageType::kPartitionState, session->token, reader.header().request_id);
  Partition* partition = find_partition(query->topic, query->partition);
  wire::PartitionStateReply answer{};
  if (partition == nullptr || partition->close_begun) {
    const Status status = no_partition(query->topic, query->partition);
    answer.code = static_cast<int32_t>(status.code());
    writer_.put(answer);
    return reply_text(session, status.message());
  }
  answer.epoch = partition->epoch;
  answer.first_offset = partition->log->state().first_offset;
  answer.visible_end = partition->visible_end;
  writer_.put(answer);
  reply(session);
}

// ---- cursors

void BrokerImpl::committed(Session* session, uint64_t request_id, const Status& status) {
  writer_.begin(wire::MessageType::kCommitted, session->token, request_id);
  writer_.put(wire::Committed{static_cast<int32_t>(status.code()), 0});
  reply_text(session, status.message());
}

void BrokerImpl::on_commit(Session* session, wire::MessageReader& reader) {
  const auto* commit = reader.take<wire::Commit>();
  if (commit == nullptr) return malformed(session, "COMMIT is too short");
  const uint64_t request_id = reader.header().request_id;
  const std::string_view name = reader.rest_text();
  Partition* partition = find_partition(commit->topic, commit->partition);
  Status status = wire::check_name("consumer", name);
  if (status.ok() && partition == nullptr) status = no_partition(commit->topic, commit->partition);
  if (status.ok() && (partition->closing || stopping_)) {
    status = closing_status(partition, "; commit again later");
  }
  if (status.ok() && commit->partition_epoch > partition->epoch) {
    status = Status(Code::INVALID_ARGUMENT,
                    join_text("a cursor of epoch ", commit->partition_epoch, " in ", partition->label,
                              ", whose epoch is ", partition->epoch, "; open the consumer again"));
  }
  if (status.ok() && commit->offset > partition->visible_end) {
    const bool cut = commit->partition_epoch < partition->epoch;
    status = Status(cut ? Code::TRUNCATED : Code::INVALID_ARGUMENT,
                    join_text("the cursor '", name, "' cannot be set to offset ", commit->offset, " of ",
                              partition->label, ", which ends at ", partition->visible_end,
                              cut ? ": it was cut at recovery; continue there" : "; commit only what was received"));
  }
  if (status.ok() && partition->cursors.find(name) == partition->cursors.end() &&
      partition->cursors.size() >= kCursorsPerPartitionMax) {
    status = Status(Code::LIMIT, join_text(partition->label, " keeps ", kCursorsPerPartitionMax,
                                           " cursors, its limit; use fewer consumer names"));
  }
  if (status.ok() && session->commits_outstanding >= kCommitsPerSessionMax) {
    counters_.busy_answers += 1;
    status = Status(Code::BUSY, join_text("slot ", options_.slot, " still works on ", session->commits_outstanding,
                                          " commits of this client, the limit; wait for an answer"));
  }
  if (!status.ok()) return committed(session, request_id, status);
  counters_.commits += 1;
  const log::Cursor cursor{partition->epoch, commit->offset};
  if (partition->in_memory()) {
    partition->cursors.insert_or_assign(std::string(name), cursor);
    return committed(session, request_id, {});
  }
  CommitOp* op = commits_.take();
  op->session = session;
  op->partition = partition;
  op->request_id = request_id;
  op->name.assign(name);
  op->cursor = cursor;
  op->given_epoch = commit->partition_epoch;
  op->status = Status();
  op->job = Job{&BrokerImpl::run_cursor, &BrokerImpl::cursor_done, op, this};
  reference(session);
  ++session->commits_outstanding;
  ++partition->operations;
  counters_.writer_queue_now += 1;
  partition->writer->push(&op->job);
}

bool BrokerImpl::run_cursor(Job* job) {
  auto* op = static_cast<CommitOp*>(job->owner);
  Partition* partition = op->partition;
  if (op->given_epoch < op->cursor.epoch) {
    // Offsets went on behind what recovery cut off: one in between is that of events that are gone. Accepted, it would
    // be found out at the next start only.
    log::StoredBatch batch;
    const Status there = partition->log->read_batch(op->cursor.offset, batch);
    if (there.code() == Code::TRUNCATED) {
      op->status = Status(Code::TRUNCATED, join_text("the events before offset ", op->cursor.offset,
                                                     " were cut off at recovery; continue at ", batch.first_offset));
      return true;
    }
  }
  op->status = partition->cursor_file->set(op->name, op->cursor);
  if (!op->status.ok()) return true;
  partition->commits.push_back(op);
  partition->writer->at_burst_end(&partition->cursor_group);
  return false;
}

// On the log writer: one write and one sync for all cursors of a burst.
void BrokerImpl::finish_cursors(BurstEnd* end) {
  auto* partition = static_cast<Partition*>(end->owner);
  Status status = partition->cursor_file->write();
  if (status.ok() && partition->spec.durability == wire::Durability::kSynced) status = partition->cursor_file->sync();
  for (CommitOp* op : partition->commits) {
    op->status = status;
    partition->writer->give_back(&op->job);
  }
  partition->commits.clear();
}

void BrokerImpl::cursor_done(Job* job) {
  auto* op = static_cast<CommitOp*>(job->owner);
  auto* broker = static_cast<BrokerImpl*>(job->context);
  broker->counters_.writer_queue_now -= 1;
  Partition* partition = op->partition;
  if (op->status.ok()) partition->cursors.insert_or_assign(op->name, op->cursor);
  --op->session->commits_outstanding;
  broker->committed(op->session, op->request_id,
                    op->status.ok() ? Status()
                                    : op->status.with_context(join_text("the cursor '", op->name, "' of ",
                                                                        partition->label, " is not durable")));
  broker->unreference(op->session);
  broker->commits_.give(op);
  broker->operation_done(partition);
}

}  // namespace weft::broker
