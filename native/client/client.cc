#include "client/client.h"

#include <algorithm>
#include <chrono>
#include <system_error>

namespace weft::client {

namespace {
// So long the end of a job waits for a read of the group directory that hangs.
constexpr std::chrono::seconds kResolverEnd{5};

ClientOptions bounded(ClientOptions options) {
  options.request_timeout_ms = std::min(options.request_timeout_ms, kTimeoutMsMax);
  options.delivery_timeout_ms = std::min(options.delivery_timeout_ms, kTimeoutMsMax);
  return options;
}

// A piece of work posted to the lane; deletes itself after it ran.
struct WorkTask {
  fabric::Task task;
  std::function<void()> work;
};

template <typename T>
Status answer_status(wire::MessageReader& answer, const T** fixed, const char* what) {
  *fixed = answer.take<T>();
  if (*fixed == nullptr) return Status(Code::INTERNAL, join_text("the server's answer to ", what, " is cut off"));
  if ((*fixed)->code != 0) return Status(static_cast<Code>((*fixed)->code), std::string(answer.rest_text()));
  return {};
}

Result<TopicRecord> read_topic(const std::string& name, wire::MessageReader& answer) {
  const wire::TopicInfo* info = nullptr;
  WEFT_RETURN_IF_ERROR(answer_status(answer, &info, "a topic look-up"));
  TopicRecord record;
  record.name = name;
  record.info = *info;
  const auto slots = answer.take_array<uint32_t>(wire::align_up(info->partition_count, 2));
  if (info->partition_count == 0 || slots.size() < info->partition_count ||
      answer.rest().size() < info->tail_json_bytes) {
    return Status(Code::INTERNAL, "the server's answer to a topic look-up is malformed");
  }
  record.slots.assign(slots.begin(), slots.begin() + info->partition_count);
  record.json = answer.rest_text().substr(0, info->tail_json_bytes);
  return record;
}
}  // namespace

Client::Client(fabric::Lane& lane, ClientOptions options, std::shared_ptr<SlotDirectory> directory)
    : lane_(lane),
      options_(bounded(std::move(options))),
      clock_(options_.clock != nullptr ? *options_.clock : Clock::system()),
      resolver_(std::make_shared<Resolver>()) {
  resolver_->directory = std::move(directory);
  tick_.fire = on_tick;
  tick_.owner = this;
  lane_.set_handler(fabric::Channel::kClient, this);
}

Client::~Client() { end_resolver(); }

void Client::end_resolver() {
  std::unique_lock lock(resolver_->mutex);
  resolver_->ends = true;
  std::thread ended;
  ended.swap(resolver_thread_);
  resolver_->changed.notify_all();
  if (!ended.joinable()) return;
  const bool finished = resolver_->changed.wait_for(lock, kResolverEnd, [this] { return resolver_->finished; });
  lock.unlock();
  finished ? ended.join() : ended.detach();
}

void Client::run(std::function<void()> work) {
  auto* item = new WorkTask{{}, std::move(work)};
  item->task.owner = item;
  item->task.run = [](fabric::Task* task) {
    const std::unique_ptr<WorkTask> owned(static_cast<WorkTask*>(task->owner));
    owned->work();
  };
  lane_.post(&item->task);
}

void Client::run_and_wait(const std::function<void()>& work) {
  WEFT_ASSERT(!lane_.on_progress_thread());
  std::mutex mutex;
  std::condition_variable changed;
  bool finished = false;
  run([&] {
    work();
    // Notified under the lock: the waiter may be gone right after.
    const std::lock_guard lock(mutex);
    finished = true;
    changed.notify_all();
  });
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return finished; });
}

void Client::connect(uint32_t slot, uint64_t timeout_ms, std::function<void(const Status&)> done) {
  run([this, slot, timeout_ms, done = std::move(done)] {
    // Any answer shows that the handshake is complete; an unknown partition costs the server nothing.
    Request request{wire::MessageType::kPartitionQuery, timeout_ms,
                    [](wire::MessageWriter& writer) { writer.put(wire::PartitionQuery{}); },
                    [done](const Status& status, wire::MessageReader*) { done(status); }};
    session(slot).request(std::move(request));
  });
}

void Client::control(uint32_t slot, std::string json, uint64_t timeout_ms,
                     std::function<void(Result<std::string>)> done) {
  if (json.size() > wire::kControlBytesMax) {
    return done(Status(Code::LIMIT, join_text("a control request of ", json.size(), " bytes is over the limit of ",
                                              wire::kControlBytesMax)));
  }
  run([this, slot, json = std::move(json), timeout_ms, done = std::move(done)] {
    Request request{wire::MessageType::kControl, timeout_ms,
                    [json](wire::MessageWriter& writer) {
                      writer.put(wire::Control{});
                      writer.text(json);
                    },
                    [done](const Status& status, wire::MessageReader* answer) {
                      if (!status.ok()) return done(status);
                      const wire::ControlReply* reply = nullptr;
                      const Status outcome = answer_status(*answer, &reply, "a control request");
                      if (!outcome.ok()) return done(outcome);
                      done(std::string(answer->rest_text()));
                    }};
    session(slot).request(std::move(request));
  });
}

void Client::look_up(std::string topic, std::function<void(Result<TopicRecord>)> done) {
  run([this, topic = std::move(topic), done = std::move(done)] {
    Request request{wire::MessageType::kTopicLookup, options_.request_timeout_ms,
                    [topic](wire::MessageWriter& writer) {
                      writer.put(wire::TopicLookup{});
                      writer.text(topic);
                    },
                    [topic, done](const Status& status, wire::MessageReader* answer) {
                      if (!status.ok()) return done(status);
                      done(read_topic(topic, *answer));
                    }};
    session(0).request(std::move(request));
  });
}

void Client::query(wire::Uuid topic, uint32_t partition, uint32_t slot,
                   std::function<void(Result<PartitionFacts>)> done) {
  run([this, topic, partition, slot, done = std::move(done)] {
    Request request{wire::MessageType::kPartitionQuery, options_.request_timeout_ms,
                    [topic, partition](wire::MessageWriter& writer) {
                      wire::PartitionQuery query{};
                      query.topic = topic;
                      query.partition = partition;
                      writer.put(query);
                    },
                    [done](const Status& status, wire::MessageReader* answer) {
                      if (!status.ok()) return done(status);
                      const wire::PartitionStateReply* reply = nullptr;
                      const Status outcome = answer_status(*answer, &reply, "a partition query");
                      if (!outcome.ok()) return done(outcome);
                      done(PartitionFacts{reply->epoch, reply->first_offset, reply->visible_end});
                    }};
    session(slot).request(std::move(request));
  });
}

void Client::stop() {
  run_and_wait([this] {
    stopped_ = true;
    for (auto& [slot, session] : sessions_) session->close(Status(Code::CLOSED, "the job was closed"));
    if (ticking_) lane_.disarm(&tick_);
    ticking_ = false;
    tickers_.clear();
  });
  // It posts to the lane: it must be gone before the lane is. Nothing asks it any more.
  end_resolver();
}

ClientCounters Client::counters() const {
  ClientCounters now;
#define WEFT_COPY(name) now.name = counters_.name
  WEFT_COPY(batches_sent);
  WEFT_COPY(batches_resent);
  WEFT_COPY(batches_acknowledged);
  WEFT_COPY(batches_failed);
  WEFT_COPY(busy_answers);
  WEFT_COPY(frames_received);
  WEFT_COPY(fetches);
  WEFT_COPY(commits);
  WEFT_COPY(reconnects);
  WEFT_COPY(messages_malformed);
  WEFT_COPY(memory_quarantined_bytes);
#undef WEFT_COPY
  return now;
}

Status Client::check_quarantine(Lent lent) const {
  const uint64_t fetches_bytes = fetches_quarantined_bytes_.load(std::memory_order_relaxed);
  const uint64_t all_bytes = counters_.memory_quarantined_bytes;
  const uint64_t held_bytes =
      lent == Lent::kForFetches ? fetches_bytes : all_bytes - std::min(fetches_bytes, all_bytes);
  if (held_bytes <= kQuarantineBytesMax) return {};
  return Status(Code::LIMIT,
                join_text(held_bytes, " bytes of memory may still be touched by servers that were lost and not proven ",
                          "dead, over the limit of ", kQuarantineBytesMax, "; end those servers and join again"));
}

Session& Client::session(uint32_t slot) {
  std::unique_ptr<Session>& session = sessions_[slot];
  if (!session) {
    session = std::make_unique<Session>(*this, slot);
    if (stopped_) session->close(Status(Code::CLOSED, "the job was closed"));
  }
  return *session;
}

void Client::register_peer(fabric::PeerId peer, Session* session) { peers_[peer] = session; }
void Client::forget_peer(fabric::PeerId peer) { peers_.erase(peer); }

void Client::on_message(fabric::PeerId peer, std::span<const std::byte> message) {
  const auto found = peers_.find(peer);
  if (found != peers_.end()) found->second->on_message(message);
}

void Client::on_peer_up(fabric::PeerId peer) {
  const auto found = peers_.find(peer);
  if (found != peers_.end()) found->second->on_peer_up();
}

void Client::on_peer_lost(fabric::PeerId peer, const Status& reason, bool proven_dead) {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  Session* session = found->second;
  peers_.erase(found);
  session->on_peer_lost(reason, proven_dead);
}

void Client::need_ticks() {
  if (ticking_ || stopped_) return;
  ticking_ = true;
  lane_.arm(&tick_, kTickMs * kNsPerMs);
}

void Client::add_ticker(void* owner, std::function<bool(uint64_t)> ticker) {
  tickers_[owner] = std::move(ticker);
  need_ticks();
}

void Client::remove_ticker(void* owner) { tickers_.erase(owner); }

void Client::on_tick(fabric::Timer* timer) {
  auto* self = static_cast<Client*>(timer->owner);
  self->ticking_ = false;
  const uint64_t now_ns = self->lane_.now_ns();
  bool again = false;
  // What a tick ends may ask for another session.
  std::vector<Session*> sessions;
  for (const auto& [slot, session] : self->sessions_) sessions.push_back(session.get());
  for (Session* session : sessions) {
    session->tick(now_ns);
    again = again || !session->idle();
  }
  // A ticker may remove itself or others.
  std::vector<void*> owners;
  for (const auto& [owner, ticker] : self->tickers_) owners.push_back(owner);
  for (void* owner : owners) {
    const auto found = self->tickers_.find(owner);
    if (found == self->tickers_.end()) continue;
    const std::function<bool(uint64_t)> ticker = found->second;  // it may remove itself while it runs
    if (!ticker(now_ns)) self->tickers_.erase(owner);
  }
  if (again || !self->tickers_.empty()) self->need_ticks();
}

void Client::quarantine(std::shared_ptr<void> memory, uint64_t bytes, Lent lent) {
  quarantined_.push_back(std::move(memory));
  if (lent == Lent::kForFetches) fetches_quarantined_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  counters_.memory_quarantined_bytes += bytes;
}

void Client::resolve(uint32_t slot) {
  std::string failure;
  {
    const std::lock_guard lock(resolver_->mutex);
    if (resolver_->ends) return;
    try {
      if (!resolver_thread_.joinable()) resolver_thread_ = std::thread(&Client::resolver_main, this, resolver_);
      resolver_->queue.push_back(slot);
    } catch (const std::system_error& error) {
      failure = error.what();
    }
  }
  if (failure.empty()) return resolver_->changed.notify_all();
  // Later, as every answer: the session asks again after its back-off.
  run([this, slot, failure] {
    session(slot).on_resolved(
        Status(Code::LIMIT, join_text("the thread that reads the group directory could not be started: ", failure,
                                      "; raise the limit of processes or threads")));
  });
}

void Client::resolver_main(std::shared_ptr<Resolver> resolver) {
  std::unique_lock lock(resolver->mutex);
  while (true) {
    resolver->changed.wait(lock, [&] { return resolver->ends || !resolver->queue.empty(); });
    if (resolver->ends) break;
    const uint32_t slot = resolver->queue.front();
    resolver->queue.pop_front();
    lock.unlock();
    auto address = std::make_shared<Result<std::string>>(resolver->directory->find_address(slot));
    lock.lock();
    // Under the lock: once the end has begun, this client and its lane may be gone.
    if (resolver->ends) break;
    run([this, slot, address] { session(slot).on_resolved(std::move(*address)); });
  }
  resolver->finished = true;
  resolver->changed.notify_all();
}

}  // namespace weft::client
