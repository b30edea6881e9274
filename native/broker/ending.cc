// The end of a stream: a sealed partition takes no batch any more; one whose topic names a number of producers ends
// when so many were opened and all of them closed. What was accepted before is stored first; then every consumer that
// has read all gets CONSUMER_FAILED with WEFT_END_OF_STREAM, or with WEFT_PRODUCER_LOST if a producer died and did not
// come back.
//
// Who is registered is kept among the cursors, as "@name" with the producer's epoch, or 0 once it was closed: written
// before its opening is answered, and after its close. So a server that was started again waits for the same producers.
#include <algorithm>
#include <utility>

#include "broker/broker_impl.h"

namespace weft::broker {

void BrokerImpl::alter_partition(wire::Uuid uuid, uint32_t number, PartitionRules rules,
                                 std::function<void(Status)> done) {
  post_function([this, uuid, number, rules = std::move(rules), done = std::move(done)]() mutable {
    Partition* partition = find_partition(uuid, number);
    if (partition == nullptr) return done(no_partition(uuid, number));
    if (partition->closing) return done(closing_status(partition));
    const bool sealed = rules.sealed;
    partition->spec.rules = std::move(rules);
    if (partition->spec.rules.retains()) arm_rules();
    if (sealed) partition->sealed.push_back(std::move(done));
    check_end(partition);
    if (!sealed) done({});
  });
}

Status BrokerImpl::check_registration(const Partition* partition, std::string_view name) const {
  const PartitionRules& rules = partition->spec.rules;
  if (rules.sealed) {
    return Status(Code::TOPIC_SEALED, join_text(partition->label, " takes no more events: its topic was sealed"));
  }
  if (rules.producers == 0) return {};
  if (name.empty()) {
    return Status(Code::INVALID_ARGUMENT, join_text(partition->label, " ends with its ", rules.producers,
                                                    " producers, so that each needs a name; give this one its own"));
  }
  if (partition->registered.size() < rules.producers || partition->registered.contains(name)) return {};
  return Status(Code::LIMIT, join_text(partition->label, " has its ", rules.producers, " producers, and '", name,
                                       "' is none of them; use their names, or raise `producers`"));
}

void BrokerImpl::register_producer(Partition* partition, std::string_view name) {
  partition->registered.insert_or_assign(std::string(name), RegisteredProducer{});
  partition->is_ending = false;
  if (!partition->spec.rules.sealed) partition->ended = Status();
}

void BrokerImpl::load_registered(Partition* partition) {
  for (auto at = partition->cursors.begin(); at != partition->cursors.end();) {
    if (at->first.front() != kRegisteredMark) {
      ++at;
      continue;
    }
    RegisteredProducer producer;
    const bool is_closed = at->second.epoch == 0;
    producer.state = is_closed ? RegisteredProducer::State::kClosed : RegisteredProducer::State::kAway;
    producer.away_since_ns = lane_.now_ns();
    partition->registered.emplace(at->first.substr(1), producer);
    at = partition->cursors.erase(at);
  }
  if (!partition->registered.empty()) arm_rules();
}

// Its process is gone, or cannot be reached: it may come back.
void BrokerImpl::miss_registered(Partition* partition, const std::string& name) {
  const auto found = partition->registered.find(name);
  if (found == partition->registered.end() || found->second.state != RegisteredProducer::State::kOpen) return;
  found->second = {RegisteredProducer::State::kAway, lane_.now_ns()};
  arm_rules();
}

void BrokerImpl::close_registered(Partition* partition, const std::string& name) {
  const auto found = partition->registered.find(name);
  if (found == partition->registered.end() || found->second.state != RegisteredProducer::State::kOpen) return;
  if (partition->in_memory() || partition->closing) {
    found->second.state = RegisteredProducer::State::kClosed;
    return check_end(partition);
  }
  auto* mark = new CloseMark{partition, name, {}, {}};
  mark->job = Job{&BrokerImpl::run_close_mark, &BrokerImpl::close_mark_done, mark, this};
  ++partition->operations;
  counters_.writer_queue_now += 1;
  partition->writer->push(&mark->job);
}

Status BrokerImpl::write_marks(Partition* partition) {
  WEFT_RETURN_IF_ERROR(partition->cursor_file->write());
  return partition->spec.durability == wire::Durability::kSynced ? partition->cursor_file->sync() : Status();
}

bool BrokerImpl::run_close_mark(Job* job) {
  auto* mark = static_cast<CloseMark*>(job->owner);
  mark->status = mark->partition->cursor_file->set(kRegisteredMark + mark->name, {});
  if (mark->status.ok()) mark->status = write_marks(mark->partition);
  return true;
}

void BrokerImpl::close_mark_done(Job* job) {
  const std::unique_ptr<CloseMark> mark(static_cast<CloseMark*>(job->owner));
  auto* broker = static_cast<BrokerImpl*>(job->context);
  broker->counters_.writer_queue_now -= 1;
  Partition* partition = mark->partition;
  if (!mark->status.ok()) {
    broker->log(LogLevel::kWarning,
                join_text("that producer '", mark->name, "' of ", partition->label,
                          " was closed is not durable, and after a restart it is waited for: ", mark->status.text()));
  }
  const auto found = partition->registered.find(mark->name);
  const auto opened_again = [&](const auto& item) {
    return item.second->active != nullptr && item.second->name == mark->name;
  };
  const bool is_back = std::any_of(partition->producers.begin(), partition->producers.end(), opened_again);
  if (found != partition->registered.end() && !is_back) found->second.state = RegisteredProducer::State::kClosed;
  broker->check_end(partition);
  broker->operation_done(partition);
}

Status BrokerImpl::end_reason(const Partition* partition) const {
  const PartitionRules& rules = partition->spec.rules;
  if (rules.sealed)
    return Status(Code::END_OF_STREAM, join_text(partition->label, " was sealed; it has no more events"));
  if (rules.producers == 0 || partition->registered.size() < rules.producers) return {};
  const uint64_t timeout_ns = uint64_t{rules.producer_timeout_ms} * kNsPerMs;
  const uint64_t now_ns = lane_.now_ns();
  std::string lost;
  uint64_t lost_count = 0;
  for (const auto& [name, producer] : partition->registered) {
    if (producer.state == RegisteredProducer::State::kClosed) continue;
    if (producer.state == RegisteredProducer::State::kOpen || now_ns - producer.away_since_ns < timeout_ns) return {};
    if (++lost_count <= 3) lost += join_text(lost.empty() ? "" : ", ", "'", name, "'");
  }
  if (lost_count == 0) {
    return Status(Code::END_OF_STREAM, join_text("all ", rules.producers, " producers of ", partition->label,
                                                 " were closed; it has no more events"));
  }
  return Status(Code::PRODUCER_LOST, join_text(partition->label, " has no more events, but ", lost_count, " of its ",
                                               rules.producers, " producers (", lost, lost_count > 3 ? ", …" : "",
                                               ") died before they were closed, and did not ", "come back within ",
                                               rules.producer_timeout_ms, " ms; what they stored is there"));
}

void BrokerImpl::check_end(Partition* partition) {
  if (partition->closing) return;
  if (partition->ended.ok()) {
    const Status reason = end_reason(partition);
    partition->is_ending = !reason.ok();
    if (reason.ok()) return;
    for (const auto& [id, entry] : partition->producers) {
      if (!entry->batches.empty()) return;  // free_batch looks again
    }
    partition->is_ending = false;
    partition->ended = reason;
    log(LogLevel::kInfo, reason.message());
    want_feed(partition);
  }
  if (!partition->spec.rules.sealed) return;
  for (const auto& sealed : std::exchange(partition->sealed, {})) sealed({});
}

// The consumer has read all there is; what is on its way into its ring comes first.
void BrokerImpl::tell_end(Consumer* consumer) {
  if (!consumer->placed.empty()) return;
  fail_consumer(consumer, consumer->partition->ended, consumer->next_offset);
}

// ---- from time to time, while there is a partition that wants it

void BrokerImpl::arm_rules() {
  if (rules_armed_ || stopping_) return;
  rules_armed_ = true;
  lane_.arm(&rules_timer_, kRulesLookNs);
}

void BrokerImpl::on_rules_timer(fabric::Timer* timer) {
  auto* broker = static_cast<BrokerImpl*>(timer->owner);
  broker->rules_armed_ = false;
  if (broker->stopping_) return;
  const uint64_t now_ns = broker->lane_.now_ns();
  bool more = false;
  for (const auto& [key, partition] : broker->partitions_) {
    if (partition->closing) continue;
    if (partition->ended.ok() && partition->spec.rules.producers > 0) {
      broker->check_end(partition.get());
      const bool some_are_away =
          std::any_of(partition->registered.begin(), partition->registered.end(),
                      [](const auto& item) { return item.second.state == RegisteredProducer::State::kAway; });
      more = more || (some_are_away && partition->ended.ok());
    }
    more = broker->look_at_retention(partition.get(), now_ns) || more;
  }
  if (more) broker->arm_rules();
}

}  // namespace weft::broker
