#include "client/session.h"

#include <algorithm>

#include "base/random.h"
#include "client/client.h"

namespace weft::client {

namespace {
// Codes that no retry can change.
bool is_final(Code code) {
  return code == Code::SECRET_WRONG || code == Code::PROTOCOL_VERSION || code == Code::GROUP_OTHER_JOB;
}
}  // namespace

Session::Session(Client& client, uint32_t slot) : client_(client), slot_(slot) {
  retry_.fire = on_retry;
  retry_.owner = this;
}

void Session::add_user(SessionUser* user) {
  users_.push_back(user);
  want();
}

void Session::remove_user(SessionUser* user) {
  std::erase(users_, user);
  std::erase_if(producers_, [user](const auto& entry) { return entry.second == user; });
  std::erase_if(consumers_, [user](const auto& entry) { return entry.second == user; });
  std::erase_if(requests_, [user](const auto& entry) { return entry.second.request.user == user; });
}

// A user may remove itself, or others, while it is told something.
template <typename Call>
void Session::for_each_user(Call call) {
  const std::vector<SessionUser*> users = users_;
  for (SessionUser* user : users) {
    if (std::find(users_.begin(), users_.end(), user) != users_.end()) call(user);
  }
}

void Session::bind(uint32_t handle, bool consumer, SessionUser* user) {
  (consumer ? consumers_ : producers_)[handle] = user;
}
void Session::unbind(uint32_t handle, bool consumer) { (consumer ? consumers_ : producers_).erase(handle); }

void Session::want() {
  if (state_ != State::kIdle) return;
  state_ = State::kResolving;
  client_.resolve(slot_);
}

void Session::on_resolved(Result<std::string> address) {
  if (state_ != State::kResolving) return;
  if (is_final(address.status().code())) return lost(address.status(), true);
  if (!address.ok()) return back_off(address.status());
  const std::string& bytes = address.value();
  state_ = State::kConnecting;
  peer_ = client_.lane().connect({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()},
                                 fabric::Channel::kClient);
  client_.register_peer(peer_, this);
}

void Session::on_peer_up() {
  if (state_ == State::kConnecting) begin_handshake();
}

void Session::begin_handshake() {
  state_ = State::kHandshaking;
  hello_ = {};
  hello_.version_min = wire::kProtocolVersionMin;
  hello_.version_max = wire::kProtocolVersion;
  hello_.slot = slot_;
  secure_random(std::as_writable_bytes(std::span(hello_.nonce)));
  hello_.job = client_.options().job;
  hello_.client = client_.options().process;
  token_ = 0;
  handshake_deadline_ns_ = client_.lane().now_ns() + client_.options().request_timeout_ms * kNsPerMs;
  client_.need_ticks();
  writer_.begin(wire::MessageType::kHello, 0, 0, client_.options().of_server ? wire::kHelloOfServer : uint16_t{0});
  writer_.put(hello_);
  writer_.text(client_.options().name);
  const Status sent = send(writer_);
  if (!sent.ok()) lost(sent, true);
}

void Session::on_challenge(wire::MessageReader& message) {
  const auto* challenge = message.take<wire::Challenge>();
  if (challenge == nullptr || challenge->version < hello_.version_min || challenge->version > hello_.version_max) {
    return lost(Status(Code::PROTOCOL_VERSION, "the server's challenge is cut off or names a version not offered"),
                true);
  }
  const wire::Secret& secret = client_.options().secret;
  const wire::Proof expected =
      wire::make_proof(secret, wire::Prover::kServer, hello_, challenge->version, challenge->nonce);
  if (!wire::check_proof(challenge->proof, expected)) {
    const Status wrong(
        Code::SECRET_WRONG,
        join_text("the server at slot ", slot_,
                  " does not know this job's secret; read the group directory of the same job on both sides"));
    return lost(wrong, true);
  }
  writer_.begin(wire::MessageType::kProve, 0, 0);
  writer_.put(
      wire::Prove{wire::make_proof(secret, wire::Prover::kClient, hello_, challenge->version, challenge->nonce)});
  const Status sent = send(writer_);
  if (!sent.ok()) return lost(sent, true);
  state_ = State::kProving;
}

void Session::on_welcome(wire::MessageReader& message) {
  const auto* welcome = message.take<wire::Welcome>();
  if (welcome == nullptr) return lost(Status(Code::PROTOCOL_VERSION, "the server's welcome is cut off"), true);
  welcome_ = *welcome;
  token_ = welcome->session;
  state_ = State::kReady;
  failures_ = 0;
  ever_ready_ = true;
  last_error_ = {};
  send_pending();
  for_each_user([](SessionUser* user) { user->on_session_ready(); });
}

void Session::on_refuse(wire::MessageReader& message) {
  const auto* refuse = message.take<wire::Refuse>();
  if (refuse == nullptr) return;
  // Once it was let in, the server may still be moving memory of ours.
  lost(Status(static_cast<Code>(refuse->code), std::string(message.rest_text())), state_ != State::kReady);
}

void Session::on_message(std::span<const std::byte> bytes) {
  Result<wire::MessageReader> opened = wire::MessageReader::open(bytes);
  if (!opened.ok()) {
    ++client_.count().messages_malformed;
    return;
  }
  wire::MessageReader& message = opened.value();
  const wire::MessageType type = message.header().type;
  if (state_ == State::kHandshaking) {
    // A WELCOME counts only from a server that has proved the secret: anybody may sit at the address.
    if (type == wire::MessageType::kChallenge) return on_challenge(message);
    if (type == wire::MessageType::kRefuse) return on_refuse(message);
    return;
  }
  if (state_ == State::kProving) {
    if (type == wire::MessageType::kWelcome) return on_welcome(message);
    if (type == wire::MessageType::kRefuse) return on_refuse(message);
    return;
  }
  if (state_ != State::kReady || message.header().session != token_) return;
  switch (type) {
    case wire::MessageType::kRefuse:
      return on_refuse(message);
    case wire::MessageType::kGoodbye:
      return lost(Status(Code::PEER_LOST, join_text("the server at slot ", slot_, " is ending")), true);
    case wire::MessageType::kBatchAck:
      return to_user(message, false);
    case wire::MessageType::kFrame:
    case wire::MessageType::kConsumerFailed:
      return to_user(message, true);
    default:
      return answer(message);
  }
}

void Session::to_user(wire::MessageReader& message, bool consumer) {
  // All these begin with the handle.
  if (message.rest().size() < sizeof(uint32_t)) return;
  uint32_t handle = 0;
  std::memcpy(&handle, message.rest().data(), sizeof handle);
  const auto& users = consumer ? consumers_ : producers_;
  const auto found = users.find(handle);
  if (found != users.end()) found->second->on_session_message(message);
}

void Session::answer(wire::MessageReader& message) {
  const auto found = requests_.find(message.header().request_id);
  if (found == requests_.end() || !found->second.sent) return;  // it was given up
  const Request request = std::move(found->second.request);
  requests_.erase(found);
  request.done({}, &message);
}

void Session::request(Request request) {
  if (refused()) return request.done(Status(last_error_), nullptr);
  const uint64_t id = next_request_++;
  const uint64_t limit_ms = std::min(request.timeout_ms, kTimeoutMsMax);
  const uint64_t deadline_ns = client_.lane().now_ns() + limit_ms * kNsPerMs;
  requests_.emplace(id, Pending{std::move(request), deadline_ns, false});
  client_.need_ticks();
  if (state_ == State::kReady) {
    send_pending();
  } else {
    want();
  }
}

Session::Sent Session::send_request(uint64_t id, Pending& pending, Status* why) {
  writer_.begin(pending.request.type, token_, id);
  pending.request.build(writer_);
  *why = send(writer_);
  pending.sent = why->ok();
  if (pending.sent) return Sent::kYes;
  // A message that is too long never goes; it must not hold up those behind it either.
  return why->code() == Code::LIMIT || why->code() == Code::INVALID_ARGUMENT ? Sent::kNever : Sent::kLater;
}

// In the order they were made. A full queue: the rest is tried again at the next tick.
void Session::send_pending() {
  std::vector<std::pair<Request, Status>> impossible;
  for (auto entry = requests_.begin(); entry != requests_.end();) {
    if (entry->second.sent) {
      ++entry;
      continue;
    }
    Status why;
    const Sent sent = send_request(entry->first, entry->second, &why);
    if (sent == Sent::kLater) break;
    if (sent == Sent::kYes) {
      ++entry;
      continue;
    }
    impossible.emplace_back(std::move(entry->second.request), why);
    entry = requests_.erase(entry);
  }
  for (const auto& [request, why] : impossible) request.done(why, nullptr);
}

Status Session::send(wire::MessageWriter& writer, std::span<const std::span<const std::byte>> behind) {
  if (peer_ == 0) return Status(Code::PEER_LOST, join_text("slot ", slot_, " is not connected"));
  size_t bytes_behind = 0;
  std::array<std::span<const std::byte>, 4> pieces;
  WEFT_ASSERT(behind.size() < pieces.size());
  for (size_t i = 0; i < behind.size(); ++i) {
    pieces[i + 1] = behind[i];
    bytes_behind += behind[i].size();
  }
  pieces[0] = writer.finish(bytes_behind);
  return client_.lane().send(peer_, std::span(pieces).first(behind.size() + 1));
}

void Session::on_peer_lost(const Status& reason, bool memory_safe) {
  peer_ = 0;
  lost(reason, memory_safe);
}

void Session::lost(const Status& reason, bool memory_safe) {
  if (state_ == State::kClosed) return;
  if (peer_ != 0) {
    client_.forget_peer(peer_);
    client_.lane().disconnect(peer_);
    peer_ = 0;
  }
  const bool was_ready = state_ == State::kReady;
  token_ = 0;
  producers_.clear();
  consumers_.clear();
  for (auto& [id, pending] : requests_) pending.sent = false;
  // Copied: `reason` may be a message's, or last_error_ itself, which the calls below may change.
  const Status why = reason.with_context(join_text("slot ", slot_));
  // Whoever was let in before may meet a stranger at the old address while the slot is away: that passes. What the
  // group directory itself says does not.
  const bool is_end = is_final(why.code()) && (!ever_ready_ || state_ == State::kResolving);
  if (is_end) {
    client_.lane().disarm(&retry_);
    state_ = State::kRefused;
    last_error_ = why;
  } else {
    back_off(why);
  }
  // Users first: they know what of their memory was shown, and whether it is safe now.
  if (was_ready) {
    ++client_.count().reconnects;
    for_each_user([&](SessionUser* user) { user->on_session_lost(why, memory_safe); });
  }
  if (is_end) for_each_user([&](SessionUser* user) { user->on_session_refused(why); });
  fail_requests(why, is_end);
}

void Session::back_off(const Status& reason) {
  last_error_ = reason;
  state_ = State::kWaiting;
  const uint64_t wait_ms = std::min(kBackOffLastMs, kBackOffFirstMs << std::min(failures_, 10u));
  ++failures_;
  client_.lane().arm(&retry_, wait_ms * kNsPerMs);
  client_.need_ticks();
}

void Session::on_retry(fabric::Timer* timer) {
  auto* self = static_cast<Session*>(timer->owner);
  if (self->state_ != State::kWaiting) return;
  self->state_ = State::kIdle;
  // With nobody waiting there is no reason to go on looking for the slot; but slot 0 counts who is still in the job.
  const bool is_counted = self->slot_ == 0 && self->ever_ready_ && !self->client_.options().of_server;
  if (is_counted || !self->users_.empty() || !self->requests_.empty()) self->want();
}

void Session::fail_requests(const Status& reason, bool repeatable_too) {
  std::vector<Request> failed;
  for (auto entry = requests_.begin(); entry != requests_.end();) {
    if (entry->second.request.repeatable && !repeatable_too) {
      ++entry;
      continue;
    }
    failed.push_back(std::move(entry->second.request));
    entry = requests_.erase(entry);
  }
  for (const Request& request : failed) {
    // Removed by the one before.
    if (request.user != nullptr && std::find(users_.begin(), users_.end(), request.user) == users_.end()) continue;
    request.done(reason, nullptr);
  }
}

void Session::tick(uint64_t now_ns) {
  if ((state_ == State::kHandshaking || state_ == State::kProving) && now_ns > handshake_deadline_ns_) {
    lost(Status(Code::TIMED_OUT, "it did not finish the handshake in time"), true);
  }
  std::vector<Request> expired;
  for (auto entry = requests_.begin(); entry != requests_.end();) {
    if (entry->second.deadline_ns > now_ns) {
      ++entry;
      continue;
    }
    expired.push_back(std::move(entry->second.request));
    entry = requests_.erase(entry);
  }
  for (const Request& request : expired) {
    if (request.user != nullptr && std::find(users_.begin(), users_.end(), request.user) == users_.end()) continue;
    const Code code = state_ == State::kReady || last_error_.ok() ? Code::TIMED_OUT : last_error_.code();
    std::string why = state_ == State::kReady || last_error_.ok() ? "" : join_text(": ", last_error_.message());
    request.done(Status(code, join_text("slot ", slot_, " did not answer within ", request.timeout_ms, " ms", why)),
                 nullptr);
  }
  if (state_ == State::kReady) send_pending();
}

void Session::close(const Status& reason) {
  if (state_ == State::kClosed) return;
  if (peer_ != 0) {
    writer_.begin(wire::MessageType::kGoodbye, token_, 0);
    const Status sent = send(writer_);
    static_cast<void>(sent.ok());  // the server notices the end by itself
    client_.forget_peer(peer_);
    client_.lane().disconnect(peer_);
    peer_ = 0;
  }
  client_.lane().disarm(&retry_);
  state_ = State::kClosed;
  last_error_ = reason;
  for_each_user([&](SessionUser* user) { user->on_session_refused(reason); });
  fail_requests(reason, true);
}

}  // namespace weft::client
