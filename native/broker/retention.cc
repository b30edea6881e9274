// Retention: which events a partition lets go. Each rule by itself removes what it names: the oldest beyond a number of
// bytes, those appended longer ago than a time, those that all of some consumers have committed. Whole segments go on
// disk, whole batches in memory. What a data request or a feed reads at the moment stays; a consumer that comes later
// gets WEFT_OFFSET_GONE with the first offset there is.
//
// Disk: on the log writer. Memory: on the progress thread, and also when the partition is full.
#include <algorithm>

#include "broker/broker_impl.h"

namespace weft::broker {

namespace {
// Behind what all of the named consumers have committed; one that never did holds everything.
uint64_t consumed_offset(const Partition& partition) {
  const auto& names = partition.spec.rules.retention_consumed_by;
  if (names.empty()) return 0;
  uint64_t lowest = partition.visible_end;
  for (const std::string& name : names) {
    const auto cursor = partition.cursors.find(name);
    lowest = std::min(lowest, cursor == partition.cursors.end() ? 0 : cursor->second.offset);
  }
  return lowest;
}

// Of what is being read.
uint64_t pinned_offset(const Partition& partition) {
  uint64_t lowest = partition.visible_end;
  for (const DataOp* request : partition.data_requests) lowest = std::min(lowest, request->first_offset);
  for (const Consumer* consumer : partition.consumers) {
    if (consumer->reading) lowest = std::min(lowest, consumer->read_from);
  }
  return lowest;
}
}  // namespace

bool BrokerImpl::look_at_retention(Partition* partition, uint64_t now_ns) {
  const PartitionRules& rules = partition->spec.rules;
  if (!rules.retains() || partition->read_only) return false;
  if (partition->retention_under_way) return true;
  const log::PartitionState state = partition->log->state();
  const bool by_bytes = rules.retention_bytes > 0 && state.metadata_bytes + state.data_bytes > rules.retention_bytes;
  const bool by_consumers = consumed_offset(*partition) > std::max(state.first_offset, partition->retention_below);
  const uint64_t look_ns = std::min(kRetentionTimeLookNs, rules.retention_ms * kNsPerMs / kRetentionTimeParts);
  const bool by_time = rules.retention_ms > 0 && now_ns - partition->retention_looked_ns >= look_ns;
  if (!by_bytes && !by_consumers && !by_time) return true;
  if (by_time) partition->retention_looked_ns = now_ns;
  begin_retention(partition);
  return true;
}

void BrokerImpl::begin_retention(Partition* partition) {
  const PartitionRules& rules = partition->spec.rules;
  partition->retention_below = consumed_offset(*partition);
  partition->retention_pinned = pinned_offset(*partition);
  partition->retention_bytes = rules.retention_bytes;
  const uint64_t now_ns = clock_.realtime_ns();
  const uint64_t age_ns = rules.retention_ms * kNsPerMs;
  partition->retention_time_ns = age_ns == 0 || age_ns > now_ns ? 0 : now_ns - age_ns;
  partition->retention_status = Status();
  partition->retention_under_way = true;
  ++partition->operations;
  partition->retention_job = Job{&BrokerImpl::run_retention, &BrokerImpl::retention_done, partition, this};
  if (partition->in_memory()) {
    run_retention(&partition->retention_job);
    return retention_done(&partition->retention_job);
  }
  counters_.writer_queue_now += 1;
  partition->writer->push(&partition->retention_job);
}

bool BrokerImpl::run_retention(Job* job) {
  auto* partition = static_cast<Partition*>(job->owner);
  log::PartitionLog& log = *partition->log;
  uint64_t below = partition->retention_below;
  if (partition->retention_bytes > 0) below = std::max(below, log.offset_within(partition->retention_bytes));
  if (partition->retention_time_ns > 0) {
    const auto found = log.offset_at_time(partition->retention_time_ns);
    if (found.ok()) {
      below = std::max(below, found.value());
    } else {
      partition->retention_status = found.status();
    }
  }
  below = std::min(below, partition->retention_pinned);
  if (below <= log.state().first_offset) return true;
  const Status removed = log.remove_below(below);
  if (!removed.ok()) partition->retention_status = removed;
  return true;
}

void BrokerImpl::retention_done(Job* job) {
  auto* partition = static_cast<Partition*>(job->owner);
  auto* broker = static_cast<BrokerImpl*>(job->context);
  if (!partition->in_memory()) broker->counters_.writer_queue_now -= 1;
  partition->retention_under_way = false;
  if (!partition->retention_status.ok()) {
    broker->log_limited(LogLevel::kWarning,
                        join_text("retention of ", partition->label, ": ", partition->retention_status.text()));
    const log::PartitionState state = partition->log->state();
    if (state.read_only) broker->set_read_only(partition, state.read_only_reason);
  }
  broker->operation_done(partition);
}

Status BrokerImpl::make_room(Partition* partition, const Status& full) {
  const PartitionRules& rules = partition->spec.rules;
  if (!rules.retains() || partition->retention_under_way) return full;
  const uint64_t before = partition->log->state().first_offset;
  begin_retention(partition);
  if (partition->log->state().first_offset > before) return {};
  // Consumers come on, time goes by: the producer waits. Bytes alone will not change.
  if (rules.retention_ms == 0 && rules.retention_consumed_by.empty()) return full;
  return Status(Code::BUSY, join_text(full.message(), "; waits for what its retention lets go"));
}

}  // namespace weft::broker
