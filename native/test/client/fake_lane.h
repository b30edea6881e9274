// A lane without a network or a thread: the test runs what was posted, moves the clock, and speaks for the server,
// message by message, so that every interleaving of answers, losses and full queues can be said in order.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <set>

#include "client/client.h"
#include "wire/handshake.h"
#include "wire/messages.h"

namespace weft::client::test {

class FakeRegion : public fabric::Region {
 public:
  FakeRegion(void* memory, uint64_t bytes) : memory_(static_cast<std::byte*>(memory)), length_(bytes) { ++live; }
  ~FakeRegion() override { --live; }
  std::byte* data() const override { return memory_; }
  uint64_t length() const override { return length_; }
  fabric::RemoteMemory describe(fabric::PeerId) const override { return {0, 1, length_}; }
  static inline std::atomic<int> live{0};

 private:
  std::byte* memory_;
  uint64_t length_;
};

struct SentMessage {
  fabric::PeerId peer;
  std::vector<uint64_t> words;  // 8-aligned
  size_t bytes;
  wire::MessageReader reader() const {
    return wire::MessageReader::open({reinterpret_cast<const std::byte*>(words.data()), bytes}).take();
  }
  wire::MessageType type() const { return reader().header().type; }
};

class FakeLane : public fabric::Lane {
 public:
  void set_handler(fabric::Channel, fabric::Handler* handler) override { handler_ = handler; }
  Status start() override { return {}; }
  void close() override {}
  const std::string& address() const override { return address_; }
  void post(fabric::Task* task) override {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(task);
    posted_.notify_all();
  }
  Result<std::unique_ptr<fabric::Region>> register_memory(void* memory, uint64_t length, uint32_t) override {
    if (!register_status.ok()) return register_status;
    registered_last = static_cast<std::byte*>(memory);
    return std::unique_ptr<fabric::Region>(std::make_unique<FakeRegion>(memory, length));
  }
  void release_when_safe(std::unique_ptr<fabric::Region>, std::function<void()> then) override { then(); }
  fabric::LaneCounters counters() const override { return {}; }
  bool on_progress_thread() const override { return false; }
  std::vector<std::string> describe() const override { return {}; }
  fabric::PeerId connect(std::span<const std::byte>, fabric::Channel) override { return peer = ++last_peer_; }
  void disconnect(fabric::PeerId gone) override {
    if (peer == gone) peer = 0;
  }
  Status send(fabric::PeerId to, std::span<const std::span<const std::byte>> pieces) override {
    if (!send_status.ok()) return send_status;
    SentMessage message{to, {}, 0};
    for (const auto& piece : pieces) message.bytes += piece.size();
    message.words.resize((message.bytes + 7) / 8);
    auto* into = reinterpret_cast<std::byte*>(message.words.data());
    for (const auto& piece : pieces) into = std::copy(piece.begin(), piece.end(), into);
    sent.push_back(std::move(message));
    return {};
  }
  void read(fabric::Transfer*) override {}
  void write(fabric::Transfer*) override {}
  std::string transport_of(fabric::PeerId) const override { return "fake"; }
  void arm(fabric::Timer* timer, uint64_t after_ns) override {
    disarm(timer);
    timer->deadline_ns = now + after_ns;
    timers.insert(timer);
  }
  void disarm(fabric::Timer* timer) override {
    timers.erase(timer);
    timer->deadline_ns = 0;
  }
  uint64_t now_ns() override { return now; }

  // ---- for the test
  void run() {
    while (fabric::Task* task = next()) task->run(task);
  }
  // Another thread (the resolver) is about to post.
  bool run_posted() {
    {
      std::unique_lock lock(mutex_);
      if (!posted_.wait_for(lock, std::chrono::seconds(10), [&] { return !tasks_.empty(); })) return false;
    }
    run();
    return true;
  }
  void pass_ms(uint64_t ms) {
    for (uint64_t i = 0; i < ms; i += 10) {
      now += 10 * kNsPerMs;
      run();
      const std::vector<fabric::Timer*> armed(timers.begin(), timers.end());
      for (fabric::Timer* timer : armed) {
        if (timers.count(timer) == 0 || timer->deadline_ns > now) continue;
        disarm(timer);
        timer->fire(timer);
      }
    }
  }
  // From the server.
  void deliver(wire::MessageWriter& writer) {
    const auto message = writer.finish();
    std::vector<uint64_t> words((message.size() + 7) / 8);
    std::memcpy(words.data(), message.data(), message.size());
    handler_->on_message(peer, {reinterpret_cast<const std::byte*>(words.data()), message.size()});
  }
  void come_up() { handler_->on_peer_up(peer); }
  void lose(bool proven_dead) {
    const fabric::PeerId gone = std::exchange(peer, 0);
    handler_->on_peer_lost(gone, Status(Code::PEER_LOST, "killed by the test"), proven_dead);
  }
  size_t count(wire::MessageType type) const {
    return static_cast<size_t>(
        std::count_if(sent.begin(), sent.end(), [type](const auto& message) { return message.type() == type; }));
  }
  // The newest message of a type.
  const SentMessage* newest(wire::MessageType type) const {
    const auto found =
        std::find_if(sent.rbegin(), sent.rend(), [type](const auto& message) { return message.type() == type; });
    return found == sent.rend() ? nullptr : &*found;
  }

  fabric::PeerId peer = 0;
  std::byte* registered_last = nullptr;
  Status send_status, register_status;
  std::deque<SentMessage> sent;
  std::set<fabric::Timer*> timers;
  uint64_t now = kNsPerSecond;

 private:
  fabric::Task* next() {
    const std::lock_guard lock(mutex_);
    if (tasks_.empty()) return nullptr;
    fabric::Task* task = tasks_.front();
    tasks_.pop_front();
    return task;
  }
  std::string address_ = "fake";
  fabric::Handler* handler_ = nullptr;
  fabric::PeerId last_peer_ = 0;
  std::mutex mutex_;
  std::condition_variable posted_;
  std::deque<fabric::Task*> tasks_;
};

}  // namespace weft::client::test
