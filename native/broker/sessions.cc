// Sessions: the handshake, what a client's end releases, and sending. A peer is let in when it proved the secret; until
// then it may say only HELLO and PROVE, within a time limit, and only so many may be in that state.
#include <algorithm>

#include "base/random.h"
#include "broker/broker_impl.h"

namespace weft::broker {

namespace {
constexpr size_t kClientNameBytesMax = 256;

// Names of clients come from outside: only printable characters reach the log.
std::string printable(std::string_view text) {
  std::string out(text.substr(0, kClientNameBytesMax));
  for (char& c : out) {
    if (c < ' ' || c > '~') c = '?';
  }
  return out;
}
}  // namespace

Session* BrokerImpl::session_of(fabric::PeerId peer) {
  const auto found = sessions_.find(peer);
  return found == sessions_.end() ? nullptr : found->second;
}

std::string BrokerImpl::session_label(const Session* session) const {
  const std::string transport = lane_.transport_of(session->peer);  // empty once the peer is gone
  return join_text("client '", session->name, "' (peer ", session->peer, transport.empty() ? "" : ", ", transport, ")");
}

void BrokerImpl::on_peer_up(fabric::PeerId peer) {
  if (stop_finishing_ || sessions_.contains(peer)) return;
  auto* session = new Session();
  session->peer = peer;
  session->references = 1;  // of sessions_
  session->deadline_ns = lane_.now_ns() + uint64_t{options_.handshake_timeout_ms} * kNsPerMs;
  sessions_.emplace(peer, session);
  counters_.unproved_now.set(++unproved_);
  if (unproved_ > options_.unproved_peers_max) {
    // Refused with a word and a linger: a disconnect from here would reach the peer only at its own time limit.
    return refuse(session, Status(Code::BUSY, join_text(options_.unproved_peers_max,
                                                        " other peers have not proved the secret yet, the limit; "
                                                        "connect again later")));
  }
  arm_sweep();
}

void BrokerImpl::on_peer_lost(fabric::PeerId peer, const Status& reason, bool proven_dead) {
  Session* session = session_of(peer);
  if (session == nullptr) return;
  if (session->phase == Phase::kProved) {
    counters_.peers_lost += 1;
    log(LogLevel::kInfo, join_text("lost ", session_label(session), proven_dead ? " (its process is gone): " : ": ",
                                   reason.text(), "; released ", session->producers.size(), " producers and ",
                                   session->consumers.size(), " consumers"));
  }
  release_session(session);
  forget(session);
}

void BrokerImpl::unreference(Session* session) {
  WEFT_ASSERT(session->references > 0);
  if (--session->references == 0) {
    WEFT_ASSERT(session->gone);
    delete session;
  }
}

void BrokerImpl::forget(Session* session) {
  if (session->gone) return;
  session->gone = true;
  if (session->phase == Phase::kSilent || session->phase == Phase::kChallenged) {
    counters_.unproved_now.set(--unproved_);
  }
  session->phase = Phase::kEnded;
  session->outbox.clear();
  session->outbox_bytes = 0;
  if (session->in_outbox_list) std::erase(outbox_list_, session);
  if (session->in_pull_ring) {
    session->in_pull_ring = false;
    pull_ring_.remove(session);
  }
  sessions_.erase(session->peer);
  unreference(session);
}

void BrokerImpl::release_session(Session* session) {
  if (session->phase == Phase::kProved) {
    counters_.sessions_now -= 1;
    if (!session->is_server) counters_.clients_now -= 1;
  } else if (session->phase != Phase::kEnded) {
    counters_.unproved_now.set(--unproved_);
  }
  session->phase = Phase::kEnded;
  for (Producer* producer : session->producers) {
    if (producer == nullptr) continue;
    const ProducerEntry* entry = producer->entry;
    if (entry != nullptr && entry->active == producer && is_registered(producer->partition, entry->name)) {
      miss_registered(producer->partition, entry->name);
    }
    detach_producer(producer);
    delete_producer(producer);
  }
  session->producers.clear();
  const std::vector<Consumer*> consumers = std::move(session->consumers);
  session->consumers.clear();
  for (Consumer* consumer : consumers) {
    if (consumer == nullptr) continue;
    consumer->close_wanted = false;
    close_consumer(consumer);
  }
}

void BrokerImpl::end_session(Session* session) {
  if (session->phase == Phase::kEnded) return;
  release_session(session);
  session->deadline_ns = lane_.now_ns() + kLingerNs;
  arm_sweep();
}

void BrokerImpl::refuse(Session* session, const Status& why) {
  counters_.sessions_refused += 1;
  // Every launch has clients that are there before the servers let them in; they come again by themselves.
  const bool is_early = !admitted_ && !stopping_;
  log_limited(is_early ? LogLevel::kDebug : LogLevel::kWarning,
              join_text("refused a peer (", session->peer, ", ", lane_.transport_of(session->peer),
                        session->name.empty() ? "" : ", says it is '", session->name,
                        session->name.empty() ? "): " : "'): ", why.text()));
  writer_.begin(wire::MessageType::kRefuse, 0, 0);
  writer_.put(wire::Refuse{static_cast<int32_t>(why.code()), 0});
  reply_text(session, why.message());
  end_session(session);
}

void BrokerImpl::malformed(Session* session, std::string_view what) {
  counters_.messages_malformed += 1;
  log_limited(LogLevel::kWarning,
              join_text("ended the session of ", session_label(session), ": it sent a malformed message: ", what));
  writer_.begin(wire::MessageType::kRefuse, session->token, 0);
  writer_.put(wire::Refuse{static_cast<int32_t>(Code::INVALID_ARGUMENT), 0});
  reply_text(session, join_text("slot ", options_.slot, " got a malformed message: ", what,
                                "; the session is ended, connect again"));
  end_session(session);
}

void BrokerImpl::on_hello(Session* session, wire::MessageReader& reader) {
  const auto* hello = reader.take<wire::Hello>();
  if (hello == nullptr) return malformed(session, "HELLO is too short");
  if (session->phase != Phase::kSilent) return malformed(session, "HELLO came twice");
  session->hello = *hello;
  session->is_server = (reader.header().flags & wire::kHelloOfServer) != 0;
  session->name = printable(reader.rest_text());
  const auto version = wire::choose_version(*hello);
  if (!version.ok()) return refuse(session, version.status());
  if (hello->job != options_.job) {
    return refuse(session, Status(Code::GROUP_OTHER_JOB,
                                  join_text("slot ", options_.slot,
                                            " belongs to another job; give the group directory of this job")));
  }
  if (hello->slot != options_.slot) {
    return refuse(session, Status(Code::GROUP_STALE, join_text("this is slot ", options_.slot, ", slot ", hello->slot,
                                                               " was meant; read the group directory again")));
  }
  if (!admitted_ || stopping_) {
    return refuse(session,
                  Status(Code::BUSY, join_text("slot ", options_.slot, stopping_ ? " is stopping" : " is starting",
                                               " and lets nobody in; connect again later")));
  }
  if (counters_.sessions_now >= options_.sessions_max) {
    return refuse(session, Status(Code::BUSY, join_text("slot ", options_.slot, " has ", options_.sessions_max,
                                                        " sessions, its limit; close some or raise sessions_max")));
  }
  session->version = version.value();
  secure_random(std::as_writable_bytes(std::span(session->nonce)));
  session->phase = Phase::kChallenged;
  wire::Challenge challenge{};
  challenge.version = session->version;
  challenge.slot = options_.slot;
  challenge.nonce = session->nonce;
  challenge.proof = wire::make_proof(options_.secret, wire::Prover::kServer, *hello, session->version, session->nonce);
  writer_.begin(wire::MessageType::kChallenge, 0, reader.header().request_id);
  writer_.put(challenge);
  reply(session);
}

void BrokerImpl::on_prove(Session* session, wire::MessageReader& reader) {
  const auto* prove = reader.take<wire::Prove>();
  if (prove == nullptr) return malformed(session, "PROVE is too short");
  if (session->phase != Phase::kChallenged) return malformed(session, "PROVE came before HELLO");
  const wire::Proof expected =
      wire::make_proof(options_.secret, wire::Prover::kClient, session->hello, session->version, session->nonce);
  if (!wire::check_proof(prove->proof, expected)) {
    return refuse(session, Status(Code::SECRET_WRONG,
                                  join_text("the client does not know the secret of the job of slot ", options_.slot,
                                            "; read the group directory of the same job on both sides")));
  }
  session->phase = Phase::kProved;
  counters_.unproved_now.set(--unproved_);
  do session->token = secure_random_u64();
  while (session->token == 0);
  counters_.sessions_now += 1;
  counters_.sessions_opened += 1;
  if (!session->is_server) {
    counters_.clients_now += 1;
    counters_.clients_opened += 1;
  }
  log(LogLevel::kDebug, join_text("let in ", session_label(session)));
  writer_.begin(wire::MessageType::kWelcome, session->token, reader.header().request_id);
  writer_.put(wire::Welcome{session->token, options_.slot, options_.slot_epoch, options_.message_bytes_max,
                            options_.batches_in_flight_max, options_.data_bytes_in_flight_max});
  reply(session);
}

void BrokerImpl::reply_text(Session* session, std::string_view text) {
  writer_.text(text);
  reply(session);
}

void BrokerImpl::reply(Session* session, size_t bytes_behind, std::span<const std::byte> behind) {
  WEFT_ASSERT(bytes_behind == behind.size());
  if (session->gone || session->phase == Phase::kEnded) return;
  const std::span<const std::byte> front = writer_.finish(bytes_behind);
  if (session->outbox.empty()) {
    const std::span<const std::byte> pieces[] = {front, behind};
    const Status status = lane_.send(session->peer, std::span(pieces, behind.empty() ? 1 : 2));
    if (status.ok() || status.code() == Code::PEER_LOST) return;  // a lost peer is announced by itself
    if (status.code() != Code::BUSY) {
      log_limited(LogLevel::kError, join_text("cannot answer ", session_label(session), ": ", status.text()));
      return;
    }
  }
  std::vector<std::byte> whole(front.begin(), front.end());
  whole.insert(whole.end(), behind.begin(), behind.end());
  session->outbox_bytes += whole.size();
  session->outbox.push_back(std::move(whole));
  if (!session->in_outbox_list) {
    session->in_outbox_list = true;
    outbox_list_.push_back(session);
  }
  if (!outbox_armed_) {
    outbox_armed_ = true;
    lane_.arm(&outbox_timer_, kOutboxRetryNs);
  }
}

void BrokerImpl::on_outbox_timer(fabric::Timer* timer) {
  auto* broker = static_cast<BrokerImpl*>(timer->owner);
  broker->outbox_armed_ = false;
  broker->drain_outboxes();
}

// False when the session has to end: it takes no answers.
bool BrokerImpl::drain_outbox(Session* session) {
  size_t sent = 0;
  while (sent < session->outbox.size()) {
    const std::span<const std::byte> piece(session->outbox[sent]);
    const Status status = lane_.send(session->peer, std::span(&piece, 1));
    if (status.code() == Code::BUSY) break;
    session->outbox_bytes -= piece.size();
    ++sent;
  }
  session->outbox.erase(session->outbox.begin(), session->outbox.begin() + static_cast<std::ptrdiff_t>(sent));
  return session->outbox_bytes <= kOutboxBytesMax;
}

void BrokerImpl::drain_outboxes() {
  const std::vector<Session*> list = std::move(outbox_list_);
  outbox_list_.clear();
  for (Session* session : list) {
    session->in_outbox_list = false;
    if (!drain_outbox(session)) {
      log_limited(LogLevel::kWarning,
                  join_text("ended the session of ", session_label(session), ": it leaves ", session->outbox_bytes,
                            " bytes of answers untaken, the limit is ", kOutboxBytesMax));
      session->outbox.clear();
      session->outbox_bytes = 0;
      release_session(session);
      lane_.disconnect(session->peer);
      forget(session);
      continue;
    }
    if (!session->outbox.empty()) {
      session->in_outbox_list = true;
      outbox_list_.push_back(session);
      continue;
    }
    for (Consumer* consumer : session->consumers) {
      if (consumer != nullptr) feed(consumer);
    }
  }
  if (!outbox_list_.empty() && !outbox_armed_) {
    outbox_armed_ = true;
    lane_.arm(&outbox_timer_, kOutboxRetryNs);
  }
}

}  // namespace weft::broker
