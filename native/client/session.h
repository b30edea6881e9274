// One client's connection to one server slot: finds the slot's address, connects, proves the secret both ways, carries
// requests, and does all of it again with back-off when the slot is lost and comes back elsewhere.
// All calls on the progress thread. Requests wait while there is no connection, until their own deadline.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <unordered_map>
#include <vector>

#include "fabric/fabric.h"
#include "wire/handshake.h"
#include "wire/messages.h"

namespace weft::client {

class Client;

// Whoever keeps state on the other side and must set it up again after a loss: producers and consumers.
class SessionUser {
 public:
  virtual ~SessionUser() = default;
  virtual void on_session_ready() = 0;
  // `memory_safe`: what was shown to the slot cannot be touched by it any more (once its registration is closed).
  virtual void on_session_lost(const Status& reason, bool memory_safe) = 0;
  // The slot refused us for good (secret, protocol, job): no retry will help.
  virtual void on_session_refused(const Status& reason) = 0;
  // Messages about a handle of this user: acknowledgements, frames, failures.
  virtual void on_session_message(wire::MessageReader& message) = 0;
};

struct Request {
  wire::MessageType type;
  uint64_t timeout_ms;
  std::function<void(wire::MessageWriter&)> build;  // the fixed part and tail, each time it is sent
  // With an error (`answer` nullptr) or the answer; once.
  std::function<void(const Status&, wire::MessageReader* answer)> done;
  // Sent again by itself after a reconnect; else it fails with the reason when its connection is lost.
  bool repeatable = true;
  // Whose members the functions above use: forgotten without a word when that user is removed. May be nullptr.
  SessionUser* user = nullptr;
};

class Session {
 public:
  Session(Client& client, uint32_t slot);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  uint32_t slot() const { return slot_; }
  bool ready() const { return state_ == State::kReady; }
  // No retry will help: last_error() says why.
  bool refused() const { return state_ == State::kRefused || state_ == State::kClosed; }
  fabric::PeerId peer() const { return peer_; }
  uint64_t token() const { return token_; }
  const wire::Welcome& limits() const { return welcome_; }
  // Why the slot is not there; ok when it never failed.
  const Status& last_error() const { return last_error_; }

  void add_user(SessionUser* user);
  // Nothing calls it any more afterwards, its requests included.
  void remove_user(SessionUser* user);
  // Messages of this kind (producer or consumer) with this handle go to `user`.
  void bind(uint32_t handle, bool consumer, SessionUser* user);
  void unbind(uint32_t handle, bool consumer);

  // Begins to connect if it is not connected or connecting.
  void want();
  void request(Request request);
  // Sends a message that is not answered; dropped (with its code) when not connected.
  Status send(wire::MessageWriter& writer, std::span<const std::span<const std::byte>> behind = {});

  void on_peer_up();
  void on_peer_lost(const Status& reason, bool memory_safe);
  void on_message(std::span<const std::byte> message);
  void on_resolved(Result<std::string> address);
  // Fails everything with `reason`, says goodbye.
  void close(const Status& reason);
  // Deadlines; called every kTickMs while anything waits.
  void tick(uint64_t now_ns);
  bool idle() const { return requests_.empty() && state_ != State::kHandshaking && state_ != State::kProving; }

 private:
  // kHandshaking: HELLO is sent. kProving: the server has proved the secret and our proof is sent.
  enum class State { kIdle, kResolving, kConnecting, kHandshaking, kProving, kReady, kWaiting, kRefused, kClosed };

  struct Pending {
    Request request;
    uint64_t deadline_ns;
    bool sent;
  };
  // What sending a request came to.
  enum class Sent { kYes, kLater, kNever };

  void begin_handshake();
  void on_challenge(wire::MessageReader& message);
  void on_welcome(wire::MessageReader& message);
  void on_refuse(wire::MessageReader& message);
  void answer(wire::MessageReader& message);
  void to_user(wire::MessageReader& message, bool consumer);
  void back_off(const Status& reason);
  void send_pending();
  Sent send_request(uint64_t id, Pending& pending, Status* why);
  template <typename Call>
  void for_each_user(Call call);
  void fail_requests(const Status& reason, bool repeatable_too);
  void lost(const Status& reason, bool memory_safe);
  static void on_retry(fabric::Timer* timer);

  Client& client_;
  const uint32_t slot_;
  State state_ = State::kIdle;
  fabric::PeerId peer_ = 0;
  uint64_t token_ = 0;
  wire::Welcome welcome_{};
  wire::Hello hello_{};
  Status last_error_;
  uint32_t failures_ = 0;    // in a row
  bool ever_ready_ = false;  // the slot has let us in before
  uint64_t handshake_deadline_ns_ = 0;
  fabric::Timer retry_;
  std::map<uint64_t, Pending> requests_;  // in the order they were made
  uint64_t next_request_ = 1;
  std::vector<SessionUser*> users_;
  std::unordered_map<uint32_t, SessionUser*> producers_;
  std::unordered_map<uint32_t, SessionUser*> consumers_;
  wire::MessageWriter writer_;
};

}  // namespace weft::client
