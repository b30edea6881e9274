// A lane with a handler that records what it hears, driven from a test's thread. Shared by the tests and fabric_peer.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "fabric/fabric.h"

namespace weft::fabric::test {

struct Loss {
  PeerId peer = 0;
  Status reason;
  bool proven_dead = false;
};

class LaneHost final : public Handler {
 public:
  using OnMessage = std::function<void(PeerId, std::span<const std::byte>)>;

  explicit LaneHost(const LaneOptions& options, bool serves = true) {
    Result<std::unique_ptr<Lane>> opened = Lane::open(options);
    if (!opened.ok()) throw std::runtime_error(opened.status().text());
    owned_ = opened.take();
    lane_ = owned_.get();
    if (serves) lane_->set_handler(Channel::kServer, this);
    lane_->set_handler(Channel::kClient, &client_);
  }
  ~LaneHost() override { close(); }
  void start() {
    const Status started = lane_->start();
    if (!started.ok()) throw std::runtime_error(started.text());
  }
  // `lane_` stays: handlers on the progress thread read it until the thread ended.
  void close() { owned_.reset(); }
  Lane& lane() { return *lane_; }

  // Runs on the progress thread, and waits for its end.
  void run(const std::function<void()>& work) {
    struct Call : Task {
      const std::function<void()>* work;
      std::mutex mutex;
      std::condition_variable ended;
      bool done = false;
    } call;
    call.work = &work;
    call.Task::run = [](Task* task) {
      auto* self = static_cast<Call*>(task);
      (*self->work)();
      const std::lock_guard<std::mutex> lock(self->mutex);
      self->done = true;
      self->ended.notify_all();
    };
    lane_->post(&call);
    std::unique_lock<std::mutex> lock(call.mutex);
    call.ended.wait(lock, [&] { return call.done; });
  }

  // Waits for a condition over what was recorded; false at the deadline.
  bool wait(const std::function<bool()>& condition, int timeout_ms = 15'000) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), condition);
  }

  PeerId connect(const std::string& address) {
    PeerId id = 0;
    run([&] { id = lane_->connect(std::as_bytes(std::span(address.data(), address.size())), Channel::kClient); });
    return id;
  }
  bool is_up(PeerId id) {
    return wait([&] { return up_.count(id) != 0; });
  }
  bool is_lost(PeerId id, int timeout_ms = 15'000) {
    return wait([&] { return lost_.count(id) != 0; }, timeout_ms);
  }
  Loss loss(PeerId id) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return lost_.at(id);
  }
  Status send(PeerId id, const std::string& text) {
    Status sent;
    run([&] { sent = send_now(id, text); });
    return sent;
  }
  // On the progress thread.
  Status send_now(PeerId id, const std::string& text) {
    const std::span<const std::byte> piece = std::as_bytes(std::span(text.data(), text.size()));
    return lane_->send(id, {&piece, 1});
  }

  // One blocking RMA operation.
  Status move(bool is_write, PeerId peer, const Region* region, std::byte* local, uint64_t length, RemoteMemory remote,
              uint64_t at, uint32_t timeout_ms = 30'000) {
    struct Move {
      Transfer transfer;
      LaneHost* host;
      bool done = false;
      Status status;
    } state;
    state.host = this;
    Transfer& transfer = state.transfer;
    transfer.owner = &state;
    transfer.done = [](Transfer* t, const Status& status) {
      auto* self = static_cast<Move*>(t->owner);
      LaneHost* host = self->host;
      const std::lock_guard<std::mutex> lock(host->mutex_);
      self->status = status;
      self->done = true;
      host->changed_.notify_all();
    };
    transfer.peer = peer;
    transfer.region = region;
    transfer.local = local;
    transfer.length = length;
    transfer.remote = remote;
    transfer.remote_at = at;
    transfer.timeout_ms = timeout_ms;
    run([&] { is_write ? lane_->write(&transfer) : lane_->read(&transfer); });
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return state.done; });
    return state.status;
  }

  // ---- Handler (as server)
  void on_message(PeerId peer, std::span<const std::byte> message) override { record(peer, message); }
  void on_peer_up(PeerId peer) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    up_[peer] = true;
    accepted_.push_back(peer);
    changed_.notify_all();
  }
  void on_peer_lost(PeerId peer, const Status& reason, bool dead) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    lost_[peer] = {peer, reason, dead};
    changed_.notify_all();
  }

  // Instead of recording messages; set before start().
  OnMessage on_message_;
  // Under the lock that wait() holds.
  std::map<PeerId, bool> up_;
  std::map<PeerId, Loss> lost_;
  std::vector<PeerId> accepted_;
  std::map<PeerId, std::vector<std::string>> messages_;
  std::mutex mutex_;
  std::condition_variable changed_;

 private:
  struct Client final : Handler {
    explicit Client(LaneHost& owner) : host(owner) {}
    void on_message(PeerId peer, std::span<const std::byte> message) override { host.record(peer, message); }
    void on_peer_up(PeerId peer) override {
      const std::lock_guard<std::mutex> lock(host.mutex_);
      host.up_[peer] = true;
      host.changed_.notify_all();
    }
    void on_peer_lost(PeerId peer, const Status& reason, bool dead) override { host.on_peer_lost(peer, reason, dead); }
    LaneHost& host;
  };

  void record(PeerId peer, std::span<const std::byte> message) {
    if (on_message_) return on_message_(peer, message);
    const std::lock_guard<std::mutex> lock(mutex_);
    messages_[peer].emplace_back(reinterpret_cast<const char*>(message.data()), message.size());
    changed_.notify_all();
  }

  Client client_{*this};
  std::unique_ptr<Lane> owned_;
  Lane* lane_ = nullptr;
};

inline LaneOptions options_for(const std::string& transport) {
  LaneOptions options;
  if (!transport.empty()) options.transports = {transport};
  return options;
}

// Bytes that differ everywhere, from a seed.
inline void fill_pattern(std::span<std::byte> bytes, uint64_t seed) {
  for (size_t i = 0; i < bytes.size(); i += sizeof seed) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    const uint64_t mixed = seed ^ (seed >> 29);
    std::memcpy(bytes.data() + i, &mixed, std::min(sizeof mixed, bytes.size() - i));
  }
}
inline std::string pattern_text(size_t length, uint64_t seed) {
  std::string text(length, '\0');
  fill_pattern(std::as_writable_bytes(std::span(text.data(), text.size())), seed);
  return text;
}

}  // namespace weft::fabric::test
