// What the host calls, the table of messages, and what runs once per burst.
#include "broker/broker.h"

#include <algorithm>

#include "broker/broker_impl.h"

namespace weft::broker {

Result<std::unique_ptr<Broker>> Broker::create(fabric::Lane& lane, const BrokerOptions& options, BrokerHost& host) {
  if (options.batches_in_flight_max == 0 || options.batches_in_flight_max > log::kRecentBatchesMax) {
    return Status(Code::INVALID_ARGUMENT, join_text("broker: batches_in_flight_max is ", options.batches_in_flight_max,
                                                    "; it must be 1 to ", log::kRecentBatchesMax));
  }
  auto broker = std::make_unique<BrokerImpl>(lane, options, host);
  WEFT_RETURN_IF_ERROR(broker->start());
  return std::unique_ptr<Broker>(std::move(broker));
}

BrokerImpl::BrokerImpl(fabric::Lane& lane, const BrokerOptions& options, BrokerHost& host)
    : lane_(lane),
      options_(options),
      host_(host),
      clock_(options.clock != nullptr ? *options.clock : Clock::system()),
      back_(lane, [this] { after_burst(); }) {
  turn_task_.run = &BrokerImpl::run_turn;
  turn_task_.owner = this;
  sweep_timer_.fire = &BrokerImpl::on_sweep;
  sweep_timer_.owner = this;
  rules_timer_.fire = &BrokerImpl::on_rules_timer;
  rules_timer_.owner = this;
  outbox_timer_.fire = &BrokerImpl::on_outbox_timer;
  outbox_timer_.owner = this;
}

Status BrokerImpl::start() {
  auto ingest = SlabPool::create(lane_, options_.slab_bytes / 2);
  if (!ingest.ok()) return ingest.status();
  ingest_ = ingest.take();
  auto egress = SlabPool::create(lane_, options_.slab_bytes / 2);
  if (!egress.ok()) return egress.status();
  egress_ = egress.take();
  counters_.slabs_total += ingest_->total() + egress_->total();
  const uint32_t writer_count = std::max(1u, options_.threads / 2);
  for (uint32_t i = 0; i < writer_count; ++i) {
    auto writer = LogWriter::start(back_);
    if (!writer.ok()) return writer.status();
    writers_.push_back(writer.take());
  }
  readers_ =
      std::make_unique<ReaderPool>(back_, std::max(1u, options_.threads - std::min(options_.threads, writer_count)));
  openers_ = std::make_unique<ReaderPool>(back_, 2);
  lane_.set_handler(fabric::Channel::kServer, this);
  return {};
}

bool BrokerImpl::end_threads(uint64_t timeout_ms) {
  if (readers_) readers_->begin_end();
  if (openers_) openers_->begin_end();
  for (auto& writer : writers_) writer->begin_end();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  return (!readers_ || readers_->ended_by(deadline)) && (!openers_ || openers_->ended_by(deadline)) &&
         std::all_of(writers_.begin(), writers_.end(), [&](auto& writer) { return writer->ended_by(deadline); });
}

BrokerImpl::~BrokerImpl() {
  // The lane is gone or nothing calls us any more (stop() completed): only memory is left.
  readers_.reset();
  openers_.reset();
  writers_.clear();
  for (auto& [peer, session] : sessions_) delete session;
}

// ---- the host's calls: handed to the progress thread. They are rare, so each may allocate.

void BrokerImpl::post_function(std::function<void()> function) {
  struct Posted {
    fabric::Task task;
    std::function<void()> function;
  };
  auto* posted = new Posted{{}, std::move(function)};
  posted->task.owner = posted;
  posted->task.run = [](fabric::Task* task) {
    std::unique_ptr<Posted> mine(static_cast<Posted*>(task->owner));
    mine->function();
  };
  lane_.post(&posted->task);
}

void BrokerImpl::admit(bool admitted) {
  post_function([this, admitted] { admitted_ = admitted; });
}

void BrokerImpl::put_topic(TopicEntry entry) {
  post_function([this, entry = std::move(entry)]() mutable {
    std::string name = entry.name;
    topics_.insert_or_assign(std::move(name), std::move(entry));
  });
}

void BrokerImpl::remove_topic(std::string name) {
  post_function([this, name = std::move(name)] { topics_.erase(name); });
}

Result<std::string> BrokerImpl::describe_partition(wire::Uuid uuid, uint32_t partition) {
  const auto describe = [this, uuid, partition]() -> Result<std::string> {
    const Partition* found = find_partition(uuid, partition);
    if (found == nullptr || found->close_begun) return no_partition(uuid, partition);
    return partition_json(found);
  };
  if (lane_.on_progress_thread()) return describe();
  // Shared: the answer may come when nobody waits any more.
  const auto promise = std::make_shared<std::promise<Result<std::string>>>();
  auto answer = promise->get_future();
  post_function([promise, describe] { promise->set_value(describe()); });
  if (answer.wait_for(std::chrono::milliseconds(kDescribeMs)) != std::future_status::ready) {
    return Status(Code::TIMED_OUT, join_text("slot ", options_.slot, " did not describe partition ", partition,
                                             " within ", kDescribeMs, " ms; ask again"));
  }
  return answer.get();
}

void BrokerImpl::control_reply(uint64_t token, Code code, std::string text) {
  post_function([this, token, code, text = std::move(text)] {
    const auto found = control_.find(token);
    if (found == control_.end()) return;  // answered twice: only the first counts
    const ControlToken control = found->second;
    control_.erase(found);
    Session* session = control.session;
    --session->control_outstanding;
    Code sent = code;
    std::string_view words = text;
    const std::string too_long = join_text("the answer of ", text.size(), " bytes is longer than a message takes (",
                                           options_.message_bytes_max, ")");
    if (text.size() + sizeof(wire::MessageHeader) + sizeof(wire::ControlReply) > options_.message_bytes_max) {
      sent = Code::LIMIT;
      words = too_long;
    }
    writer_.begin(wire::MessageType::kControlReply, session->token, control.request_id);
    writer_.put(wire::ControlReply{static_cast<int32_t>(sent), 0});
    reply_text(session, words);
    unreference(session);
  });
}

void BrokerImpl::stop(uint64_t timeout_ms, std::function<void(Status)> done) {
  post_function([this, timeout_ms, done = std::move(done)]() mutable { begin_stop(timeout_ms, std::move(done)); });
}

BrokerCounters BrokerImpl::counters() const {
  BrokerCounters out{};
#define WEFT_COPY(name) out.name = counters_.name
  WEFT_COPY(sessions_now), WEFT_COPY(sessions_opened), WEFT_COPY(sessions_refused), WEFT_COPY(peers_lost);
  WEFT_COPY(clients_now), WEFT_COPY(clients_opened);
  WEFT_COPY(messages_malformed), WEFT_COPY(producers_now), WEFT_COPY(consumers_now), WEFT_COPY(partitions_now);
  WEFT_COPY(batches_received), WEFT_COPY(batches_stored), WEFT_COPY(batches_repeated), WEFT_COPY(batches_refused);
  WEFT_COPY(events_stored), WEFT_COPY(busy_answers), WEFT_COPY(body_bytes_inline), WEFT_COPY(body_bytes_pulled);
  WEFT_COPY(data_bytes_inline), WEFT_COPY(data_bytes_pulled), WEFT_COPY(frames_sent), WEFT_COPY(frame_bytes_inline);
  WEFT_COPY(frame_bytes_written), WEFT_COPY(events_sent), WEFT_COPY(data_requests), WEFT_COPY(data_bytes_sent);
  WEFT_COPY(data_bytes_read), WEFT_COPY(data_bytes_direct), WEFT_COPY(bytes_copied), WEFT_COPY(syncs);
  WEFT_COPY(sync_batches), WEFT_COPY(sync_batches_max), WEFT_COPY(commits), WEFT_COPY(batches_in_flight_now);
  WEFT_COPY(writer_queue_now), WEFT_COPY(reader_queue_now), WEFT_COPY(slabs_total), WEFT_COPY(slabs_in_use_now);
  WEFT_COPY(slab_waits), WEFT_COPY(transfers_failed), WEFT_COPY(unproved_now), WEFT_COPY(quarantined_now);
#undef WEFT_COPY
  return out;
}

// ---- the log

void BrokerImpl::log(LogLevel level, std::string line) { host_.on_log(level, std::move(line)); }

void BrokerImpl::log_limited(LogLevel level, std::string line) {
  const uint64_t second = lane_.now_ns() / kNsPerSecond;
  if (second != log_second_) {
    if (log_suppressed_ > 0) {
      log(LogLevel::kWarning, join_text(log_suppressed_, " more lines about misbehaving peers were left out"));
    }
    log_second_ = second;
    log_lines_ = 0;
    log_suppressed_ = 0;
  }
  if (++log_lines_ > kLogLinesPerSecond) {
    ++log_suppressed_;
    return;
  }
  log(level, std::move(line));
}

// ---- once per burst

void BrokerImpl::after_burst() { turn(); }

void BrokerImpl::want_turn() {
  if (turn_posted_) return;
  turn_posted_ = true;
  lane_.post(&turn_task_);
}

void BrokerImpl::run_turn(fabric::Task* task) {
  auto* broker = static_cast<BrokerImpl*>(task->owner);
  broker->turn_posted_ = false;
  broker->turn();
}

void BrokerImpl::turn() {
  schedule_pulls();
  while (!arrived_units_.empty()) {
    PullUnit* unit = arrived_units_.back();
    arrived_units_.pop_back();
    unit_arrived(unit);
  }
  while (!failed_entries_.empty()) {
    ProducerEntry* entry = failed_entries_.back();
    failed_entries_.pop_back();
    --entry->references;
    try_commit(entry);
  }
  for (size_t i = 0; i < ack_list_.size(); ++i) {
    ack_list_[i]->ack_listed = false;
    flush_acks(ack_list_[i]);
  }
  ack_list_.clear();
  for (auto& [key, partition] : partitions_) {
    if (!partition->feed_wanted) continue;
    partition->feed_wanted = false;
    for (size_t i = 0; i < partition->consumers.size(); ++i) feed(partition->consumers[i]);
  }
  for (size_t left = turn_requests_.size(); left > 0; --left) {
    DataOp* request = turn_requests_.pop_front();
    request->turn_listed = false;
    advance_request(request);
  }
  counters_.slabs_in_use_now.set(ingest_->in_use() + egress_->in_use());
  counters_.quarantined_now.set(ingest_->quarantined() + egress_->quarantined());
  if (stopping_) check_stop();
}

void BrokerImpl::arm_sweep() {
  if (sweep_armed_ || stopped_) return;
  sweep_armed_ = true;
  lane_.arm(&sweep_timer_, kSweepNs);
}

void BrokerImpl::on_sweep(fabric::Timer* timer) {
  auto* broker = static_cast<BrokerImpl*>(timer->owner);
  broker->sweep_armed_ = false;
  broker->sweep();
}

void BrokerImpl::sweep() {
  const uint64_t now_ns = lane_.now_ns();
  std::vector<Session*> late;
  bool more = stopping_;
  for (auto& [peer, session] : sessions_) {
    if (session->phase == Phase::kProved) continue;
    more = true;
    if (now_ns >= session->deadline_ns) late.push_back(session);
  }
  for (Session* session : late) {
    if (session->phase != Phase::kEnded) {
      refuse(session, Status(Code::TIMED_OUT,
                             join_text("it did not prove the secret within ", options_.handshake_timeout_ms, " ms")));
      continue;  // lingers once more, so that the word arrives
    }
    lane_.disconnect(session->peer);
    forget(session);
  }
  if (more) arm_sweep();
  if (stopping_) check_stop();
}

Move* BrokerImpl::take_move(void* context, void (*done)(fabric::Transfer*, const Status&)) {
  Move* move = moves_.take();
  move->context = context;
  move->transfer.done = done;
  move->transfer.owner = this;
  move->transfer.timeout_ms = options_.transfer_timeout_ms;
  return move;
}

// ---- messages

void BrokerImpl::on_message(fabric::PeerId peer, std::span<const std::byte> message) {
  Session* session = session_of(peer);
  if (session == nullptr || session->phase == Phase::kEnded) return;
  auto opened = wire::MessageReader::open(message);
  if (!opened.ok()) return malformed(session, opened.status().message());
  wire::MessageReader reader = opened.take();
  reference(session);
  dispatch(session, reader);
  unreference(session);
}

void BrokerImpl::dispatch(Session* session, wire::MessageReader& reader) {
  using wire::MessageType;
  const MessageType type = reader.header().type;
  if (type == MessageType::kHello) return on_hello(session, reader);
  if (type == MessageType::kProve) return on_prove(session, reader);
  if (session->phase != Phase::kProved) return malformed(session, "it came before the secret was proved");
  if (reader.header().session != session->token) return malformed(session, "its session number is not this session's");
  switch (type) {
    case MessageType::kBatch:
      return on_batch(session, reader);
    case MessageType::kCredit:
      return on_credit(session, reader);
    case MessageType::kDataRequest:
      return on_data_request(session, reader);
    case MessageType::kCommit:
      return on_commit(session, reader);
    case MessageType::kTopicLookup:
      return on_topic_lookup(session, reader);
    case MessageType::kControl:
      return on_control(session, reader);
    case MessageType::kPartitionQuery:
      return on_partition_query(session, reader);
    case MessageType::kProducerOpen:
      return on_producer_open(session, reader);
    case MessageType::kProducerClose:
      return on_producer_close(session, reader);
    case MessageType::kSync:
      return on_sync(session, reader);
    case MessageType::kConsumerOpen:
      return on_consumer_open(session, reader);
    case MessageType::kConsumerClose:
      return on_consumer_close(session, reader);
    case MessageType::kGoodbye:
      log(LogLevel::kDebug, join_text("goodbye from ", session_label(session)));
      return end_session(session);
    default:
      return malformed(session, join_text("type ", static_cast<uint16_t>(type), " is not one that clients send"));
  }
}

}  // namespace weft::broker
