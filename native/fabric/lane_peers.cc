// Peers: introducing lanes to each other, choosing the transport, liveness, loss.
// connect(): the transports that both sides have, in order of preference; over each a Hello is sent, until one answers.
// The other side makes its own peer from the Hello and answers with a Welcome or a Reject.
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/random.h"
#include "fabric/lane.h"

namespace weft::fabric {

namespace {
constexpr uint32_t kSlotBits = 20;
constexpr uint64_t kSlotMask = (uint64_t{1} << kSlotBits) - 1;
constexpr uint64_t kGenerationMask = (uint64_t{1} << (64 - kSlotBits)) - 1;
constexpr uint32_t kHelloFailuresMax = 3;
constexpr uint64_t kHelloRetryNs = 100 * kNsPerMs;
constexpr size_t kRejectsMax = 64;
constexpr uint64_t kRejectNsMax = kNsPerSecond;
// A message that came before its turn waits so long for the missing one.
constexpr uint64_t kEarlyNsMax = 2 * kNsPerSecond;
constexpr uint64_t kIdleTickNs = kNsPerSecond;
}  // namespace

// The end of a process on this host is noticed at once.
class ProcessWatch final : public EventSource {
 public:
  ProcessWatch(LaneImpl& lane, PeerId peer, uint32_t pid, int descriptor)
      : lane_(lane), peer_(peer), pid_(pid), descriptor_(descriptor) {}
  ~ProcessWatch() override {
    if (watch_number_ != 0) lane_.unwatch(watch_number_);
    ::close(descriptor_);
  }
  Status begin() {
    Result<uint64_t> number = lane_.watch(descriptor_, this);
    if (number.ok()) watch_number_ = number.value();
    return number.status();
  }
  void on_event(uint32_t) override {
    // It stays readable: once is enough.
    lane_.unwatch(watch_number_);
    watch_number_ = 0;
    // What it sent before its end is still delivered.
    // A handler may forget the peer meanwhile, and this object with it.
    LaneImpl& lane = lane_;
    const PeerId id = peer_;
    const uint32_t pid = pid_;
    for (int i = 0; i < 100 && lane.poll_transports(); i++) {
    }
    Peer* peer = lane.find(id);
    if (peer != nullptr) lane.doom(peer, Status(Code::PEER_LOST, join_text("its process (pid ", pid, ") ended")), true);
  }

 private:
  LaneImpl& lane_;
  const PeerId peer_;
  const uint32_t pid_;
  const int descriptor_;
  uint64_t watch_number_ = 0;
};

namespace {
std::string token_key(const LaneToken& token) {
  return "token " + std::string(reinterpret_cast<const char*>(token.words.data()), sizeof token.words);
}
std::string address_key(const AddressEntry& entry) { return "address " + entry.transport + " " + entry.bytes; }
}  // namespace

void LaneImpl::enter(Peer* peer, std::string key) {
  if (std::find(peer->keys.begin(), peer->keys.end(), key) != peer->keys.end()) return;
  known_.emplace(key, peer->id);
  peer->keys.push_back(std::move(key));
}

std::vector<Peer*> LaneImpl::known_by(const std::string& key) const {
  std::vector<Peer*> peers;
  for (auto [entry, end] = known_.equal_range(key); entry != end; ++entry) {
    Peer* peer = find(entry->second);
    if (peer != nullptr && !peer->doomed) peers.push_back(peer);
  }
  return peers;
}

Peer* LaneImpl::find(PeerId id) const {
  const uint64_t slot = id & kSlotMask;
  if (slot >= slots_.size() || !slots_[slot] || slots_[slot]->id != id) return nullptr;
  return slots_[slot].get();
}

Peer* LaneImpl::new_peer(Channel channel) {
  uint64_t slot = slots_.size();
  if (!free_slots_.empty()) {
    slot = free_slots_.back();
    free_slots_.pop_back();
  } else {
    WEFT_ASSERT(slot < kSlotMask);
    slots_.emplace_back();
    // Random, so that a name given by a process that was here before is not valid by chance.
    generations_.push_back(secure_random_u64() & kGenerationMask);
  }
  uint64_t& generation = generations_[slot];
  generation = (generation + 1) & kGenerationMask;
  if (generation == 0) generation = 1;
  auto peer = std::make_unique<Peer>();
  peer->id = generation << kSlotBits | slot;
  peer->channel = channel;
  const uint64_t now = now_ns();
  peer->last_heard_ns = peer->last_sent_ns = now;
  peer->connect_deadline_ns = now + options_.connect_timeout_ms * kNsPerMs;
  tick_next_ns_ = std::min(tick_next_ns_, now + tick_ns_);
  peer_count_++;
  slots_[slot] = std::move(peer);
  return slots_[slot].get();
}

// From here on the id is unknown; the object lives until the top of the loop, because callers up the stack may hold it.
void LaneImpl::forget(Peer* peer) {
  const uint64_t slot = peer->id & kSlotMask;
  {
    const std::unique_lock<std::shared_mutex> lock(book_->peers_mutex);
    book_->transport_of_peer.erase(peer->id);
  }
  if (peer->state == PeerState::kUp) peers_up_.fetch_sub(1, std::memory_order_relaxed);
  peer->state = PeerState::kGone;
  peer->process_watch.reset();
  for (const std::string& key : peer->keys) {
    for (auto [entry, end] = known_.equal_range(key); entry != end; ++entry) {
      if (entry->second != peer->id) continue;
      known_.erase(entry);
      break;
    }
  }
  if (peer->link != nullptr) peer->transport->close_link(peer->link);
  peer->link = nullptr;
  peer_count_--;
  graveyard_.push_back(std::move(slots_[slot]));
  free_slots_.push_back(static_cast<uint32_t>(slot));
}

PeerId LaneImpl::connect(std::span<const std::byte> address, Channel channel) {
  WEFT_ASSERT(handlers_[static_cast<size_t>(channel)] != nullptr);
  Peer* peer = new_peer(channel);
  Result<LaneAddress> decoded = decode_address(address);
  if (!decoded.ok()) {
    doom(peer, decoded.status(), true);
    return peer->id;
  }
  peer->address = decoded.take();
  enter(peer, token_key(peer->address.token));
  watch_process(peer);
  if (peer->doomed) return peer->id;
  for (size_t i = 0; i < transports_.size(); i++) {
    const Status reachable = transports_[i]->can_reach(peer->address);
    if (reachable.ok()) {
      peer->candidates.push_back(i);
    } else {
      peer->attempts +=
          join_text(peer->attempts.empty() ? "" : "; ", transports_[i]->name(), ": ", reachable.message());
    }
  }
  next_candidate(peer, {});
  return peer->id;
}

// Goes on to the next transport; `why` is what was wrong with the one before, if there was one.
void LaneImpl::next_candidate(Peer* peer, const Status& why) {
  if (!why.ok()) {
    peer->attempts += join_text(peer->attempts.empty() ? "" : "; ", peer->transport->name(), ": ", why.message());
    if (peer->link != nullptr) peer->transport->close_link(peer->link);
    peer->link = nullptr;
    peer->candidate++;
  }
  peer->hello_failures = 0;
  peer->hello_next_ns = 0;
  peer->hello_due = false;
  for (; peer->candidate < peer->candidates.size(); peer->candidate++) {
    const size_t index = peer->candidates[peer->candidate];
    Result<Link*> link = transports_[index]->open_link(peer->address);
    if (link.ok()) {
      use_transport(peer, index, link.value());
      send_hello(peer);
      return;
    }
    peer->attempts +=
        join_text(peer->attempts.empty() ? "" : "; ", transports_[index]->name(), ": ", link.status().message());
  }
  doom(peer,
       Status(why.ok() ? Code::PEER_LOST : why.code(),
              join_text("the lane could not be reached (", peer->attempts,
                        "); look whether its process runs and which transports it has")),
       true);
}

void LaneImpl::use_transport(Peer* peer, size_t index, Link* link) {
  peer->transport_index = index;
  peer->transport = transports_[index].get();
  peer->link = link;
  link->peer = peer->id;
  if (const AddressEntry* entry = peer->address.find(peer->transport->name())) enter(peer, address_key(*entry));
  const std::unique_lock<std::shared_mutex> lock(book_->peers_mutex);
  book_->transport_of_peer[peer->id] = index;
}

void LaneImpl::send_hello(Peer* peer) {
  Hello hello;
  hello.sender = token_;
  hello.receiver = peer->address.token;
  hello.sender_peer = peer->id;
  hello.address = std::as_bytes(std::span(address_bytes_.data(), address_bytes_.size()));
  const Outcome outcome = put_unnumbered(*peer->transport, peer->link, Kind::kHello, 0, encode_hello(hello));
  peer->hello_due = outcome == Outcome::kAgain;
  if (peer->hello_due) with_queue_.insert(peer->id);
  if (outcome == Outcome::kFailed) retry_hello(peer, peer->transport->failure());
}

// The link failed before it was up: a few more times, because a process may just be starting, then the next transport.
void LaneImpl::retry_hello(Peer* peer, const Status& why) {
  peer->hello_due = false;
  if (++peer->hello_failures >= kHelloFailuresMax) return next_candidate(peer, why);
  peer->hello_next_ns = now_ns() + kHelloRetryNs;
}

void LaneImpl::on_hello(Transport& transport, Link* link, const LaneHeader& header, std::span<const std::byte> body) {
  const std::optional<Hello> hello = decode_hello(body);
  Result<LaneAddress> address =
      hello ? decode_address(hello->address, true) : Result<LaneAddress>(Status(Code::INVALID_ARGUMENT, "no hello"));
  if (!address.ok()) {
    stray_messages_.fetch_add(1, std::memory_order_relaxed);
    TransportCounts::add(transport.counts.errors, 1);
    return;
  }
  Status fault;
  if (header.version != kLaneVersion || address.value().lane_version != kLaneVersion) {
    fault = Status(
        Code::PROTOCOL_VERSION,
        join_text("the other lane speaks lane protocol version ", static_cast<int>(kLaneVersion), ", this one version ",
                  static_cast<int>(header.version), "; use one version of Weftline for all processes of the job"));
  } else if (hello->receiver != token_) {
    fault = Status(Code::PEER_LOST, "another lane is at this address now; get the new address");
  } else if (handlers_[static_cast<size_t>(Channel::kServer)] == nullptr) {
    fault = Status(Code::UNSUPPORTED, "no server listens on this lane; connect to a server's lane");
  } else if (closing_) {
    fault = Status(Code::PEER_LOST, "the lane is being closed");
  }
  if (!fault.ok()) {
    if (rejects_.size() >= kRejectsMax) return;
    Link* answer = link;
    if (answer == nullptr) {
      Result<Link*> opened = transport.open_link(address.value());
      if (!opened.ok()) return;
      answer = opened.value();
    }
    rejects_.push_back({&transport, answer, hello->sender_peer,
                        encode_reject({static_cast<uint32_t>(fault.code()), fault.message()}),
                        now_ns() + kRejectNsMax});
    return;
  }
  Peer* peer = accept(transport, link, *hello, address.take());
  if (peer != nullptr) {
    peer->welcome_due = true;
    with_queue_.insert(peer->id);
    flush_queue(peer);
  }
}

Peer* LaneImpl::accept(Transport& transport, Link* link, const Hello& hello, LaneAddress address) {
  for (Peer* known : known_by(token_key(hello.sender))) {
    if (known->remote_id == hello.sender_peer && known->channel == Channel::kServer) return known;  // it came twice
  }
  const AddressEntry* entry = address.find(transport.name());
  if (entry != nullptr && transport.needs_heartbeats()) {
    // Another lane at the address of a peer: the peer's process is gone, or at least its endpoint.
    for (Peer* known : known_by(address_key(*entry))) {
      if (known->transport != &transport || known->address.token == hello.sender) continue;
      doom(known, Status(Code::PEER_LOST, "another lane has taken its address"), true);
    }
  }
  Link* answer = link;
  if (answer == nullptr) {
    Result<Link*> opened = transport.open_link(address);
    if (!opened.ok()) {
      TransportCounts::add(transport.counts.errors, 1);
      return nullptr;
    }
    answer = opened.value();
  }
  Peer* peer = new_peer(Channel::kServer);
  peer->address = std::move(address);
  peer->remote_id = hello.sender_peer;
  enter(peer, token_key(peer->address.token));
  const auto found =
      std::find_if(transports_.begin(), transports_.end(), [&](const auto& t) { return t.get() == &transport; });
  use_transport(peer, static_cast<size_t>(found - transports_.begin()), answer);
  peer->state = PeerState::kUp;
  peers_up_.fetch_add(1, std::memory_order_relaxed);
  watch_process(peer);
  handlers_[static_cast<size_t>(Channel::kServer)]->on_peer_up(peer->id);
  return peer->state == PeerState::kUp ? peer : nullptr;
}

bool LaneImpl::flush_rejects() {
  bool sent = false;
  for (size_t count = rejects_.size(); count != 0; count--) {
    PendingReject reject = std::move(rejects_.front());
    rejects_.pop_front();
    const Outcome outcome = put_unnumbered(*reject.transport, reject.link, Kind::kReject, reject.receiver, reject.body);
    if (outcome == Outcome::kAgain && now_ns() < reject.deadline_ns) {
      rejects_.push_back(std::move(reject));
      continue;
    }
    reject.transport->close_link(reject.link);
    sent = true;
  }
  return sent;
}

void LaneImpl::on_welcome(Peer* peer, std::span<const std::byte> body) {
  const std::optional<Welcome> welcome = decode_welcome(body);
  if (!welcome || welcome->sender != peer->address.token) {
    return doom(peer, Status(Code::PEER_LOST, "the answer came from another lane"), false);
  }
  if (peer->state != PeerState::kConnecting) return;  // the answer to a Hello that was sent twice
  peer->remote_id = welcome->sender_peer;
  peer->state = PeerState::kUp;
  peer->hello_due = false;
  peer->hello_next_ns = 0;
  peers_up_.fetch_add(1, std::memory_order_relaxed);
  if (!peer->queue.empty()) with_queue_.insert(peer->id);
  handlers_[static_cast<size_t>(peer->channel)]->on_peer_up(peer->id);
  deliver_early(peer);
}

void LaneImpl::on_reject(Peer* peer, std::span<const std::byte> body) {
  if (peer->state != PeerState::kConnecting) return;
  std::optional<Reject> reject = decode_reject(body);
  Code code = reject ? static_cast<Code>(reject->code) : Code::PEER_LOST;
  if (code == Code::OK || code_info(code) == nullptr) code = Code::PEER_LOST;
  doom(peer, Status(code, reject ? reject->text : "the other lane refused"), true);
}

void LaneImpl::watch_process(Peer* peer) {
  const HostIdentity& host = peer->address.host;
  if (!claims_same_host(host) || host.pid == own_identity().pid) return;
#ifdef SYS_pidfd_open
  const int descriptor = static_cast<int>(syscall(SYS_pidfd_open, host.pid, 0));
#else
  const int descriptor = -1;
#endif
  // After the descriptor, so that it is the descriptor of just that process.
  if (process_start_time(static_cast<pid_t>(host.pid)) != host.start_time) {
    if (descriptor >= 0) ::close(descriptor);
    return doom(peer, Status(Code::PEER_LOST, join_text("its process (pid ", host.pid, ") ended")), true);
  }
  if (descriptor < 0) return;  // tick() looks at /proc
  auto watch = std::make_unique<ProcessWatch>(*this, peer->id, host.pid, descriptor);
  if (watch->begin().ok()) peer->process_watch = std::move(watch);
}

void LaneImpl::on_stranger_gone(Link* link) {
  std::erase_if(rejects_, [link](const PendingReject& reject) { return reject.link == link; });
}

void LaneImpl::on_link_lost(Transport& transport, Link* link, const Status& reason, bool revoked) {
  TransportCounts::add(transport.counts.errors, 1);
  Peer* peer = find(link->peer);
  if (peer == nullptr || peer->link != link || peer->doomed) return;
  if (peer->state == PeerState::kConnecting) return retry_hello(peer, reason);
  doom(peer, reason, revoked);
}

// Marks it; the loop acts, since callers up the stack may be using it.
void LaneImpl::doom(Peer* peer, const Status& reason, bool safe) {
  if (peer->doomed || peer->state == PeerState::kGone) return;
  peer->doomed = true;
  peer->doom_reason = reason;
  peer->doom_safe = safe;
  doomed_.push_back(peer->id);
}

bool LaneImpl::reap() {
  bool reaped = false;
  std::vector<PeerId> doomed;
  doomed.swap(doomed_);
  for (const PeerId id : doomed) {
    Peer* peer = find(id);
    if (peer == nullptr) continue;
    lose(peer, peer->doom_reason, peer->doom_safe);
    reaped = true;
  }
  return reaped;
}

void LaneImpl::lose(Peer* peer, const Status& reason, bool safe) {
  if (peer->doom_tell && peer->state == PeerState::kUp) {
    send_control(peer, Kind::kGoodbye, peer->operations == 0 ? kFlagQuiet : 0);
  }
  abandon_transfers(peer, reason);
  call_done();
  const Channel channel = peer->channel;
  const PeerId id = peer->id;
  peers_lost_.fetch_add(1, std::memory_order_relaxed);
  if (find(id) == nullptr) return;  // a `done` disconnected it
  forget(peer);
  handlers_[static_cast<size_t>(channel)]->on_peer_lost(id, reason, safe);
}

void LaneImpl::disconnect(PeerId id) {
  Peer* peer = find(id);
  if (peer == nullptr) return;
  if (peer->state == PeerState::kUp && !peer->doomed) {
    send_bundle(peer);
    if (!peer->queue.empty()) flush_queue(peer);
    if (!peer->doomed) send_control(peer, Kind::kGoodbye, peer->operations == 0 ? kFlagQuiet : 0);
  }
  peer->doomed = true;
  abandon_transfers(peer, Status(Code::CANCELLED, "the peer was disconnected"));
  forget(peer);
}

std::string LaneImpl::transport_of(PeerId id) const {
  const Peer* peer = find(id);
  return peer != nullptr && peer->transport != nullptr ? peer->transport->name() : std::string();
}

void LaneImpl::tick(uint64_t now) {
  tick_next_ns_ = now + (peer_count_ == 0 ? kIdleTickNs : tick_ns_);
  // If this thread did not run for long (the process was stopped), the silence is ours, not the peers'.
  const uint64_t gap_ns = now - tick_last_ns_;
  const uint64_t excused_ns = gap_ns > kIdleTickNs + 4 * tick_ns_ ? gap_ns : 0;
  tick_last_ns_ = now;
  for (size_t i = 0; i < slots_.size(); i++) {
    Peer* peer = slots_[i].get();
    if (peer == nullptr || peer->doomed) continue;
    peer->last_heard_ns += excused_ns;
    if (peer->state == PeerState::kConnecting) {
      peer->connect_deadline_ns += excused_ns;
      if (now >= peer->connect_deadline_ns) {
        doom(peer,
             Status(Code::PEER_LOST, join_text("the lane did not answer within ", options_.connect_timeout_ms, " ms",
                                               peer->attempts.empty() ? "" : "; ", peer->attempts)),
             true);
      } else if (peer->hello_next_ns != 0 && now >= peer->hello_next_ns) {
        peer->hello_next_ns = 0;
        peer->transport->close_link(peer->link);
        peer->link = nullptr;
        Result<Link*> link = peer->transport->open_link(peer->address);
        if (!link.ok()) {
          next_candidate(peer, link.status());
          continue;
        }
        use_transport(peer, peer->transport_index, link.value());
        send_hello(peer);
      }
      continue;
    }
    if (!peer->early.empty() && now - peer->early_since_ns > kEarlyNsMax && peer->early.begin()->first != 0) {
      doom(peer, Status(Code::PEER_LOST, "the fabric lost a message"), false);
      continue;
    }
    if (!peer->transport->needs_heartbeats()) continue;
    if (now > peer->last_heard_ns && now - peer->last_heard_ns > options_.peer_timeout_ms * kNsPerMs) {
      peer->doom_tell = true;
      doom(peer, Status(Code::PEER_LOST, join_text("it was silent for ", options_.peer_timeout_ms, " ms")), false);
    } else if (now - peer->last_sent_ns >= options_.heartbeat_ms * kNsPerMs - tick_ns_ / 2) {
      send_control(peer, Kind::kHeartbeat, 0);
      const HostIdentity& host = peer->address.host;
      if (!peer->process_watch && claims_same_host(host) &&
          process_start_time(static_cast<pid_t>(host.pid)) != host.start_time) {
        doom(peer, Status(Code::PEER_LOST, join_text("its process (pid ", host.pid, ") ended")), true);
      }
    }
  }
}

}  // namespace weft::fabric
