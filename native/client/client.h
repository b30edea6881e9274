// The client side of a process: sessions with the server slots, and the requests that need no further state.
// It is the lane's handler for Channel::kClient; its state belongs to the progress thread. Calls marked "any thread"
// hand over by a task; their callbacks come on the progress thread and must not block.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "client/fetch_memory.h"
#include "client/session.h"
#include "fabric/fabric.h"
#include "wire/handshake.h"

namespace weft::client {

constexpr uint64_t kTickMs = 50;
constexpr uint64_t kBackOffFirstMs = 20;
constexpr uint64_t kBackOffLastMs = 1000;
// Time limits beyond ten years mean "without limit": sums of nanoseconds must not overflow.
constexpr uint64_t kTimeoutMsMax = uint64_t{10} * 365 * 24 * 3600 * 1000;
// Memory that a peer may still touch, of a whole process; beyond it no new memory is lent.
constexpr uint64_t kQuarantineBytesMax = uint64_t{1} << 30;

// Where a slot is now. May block (it reads a small file): called on the client's resolver thread only.
class SlotDirectory {
 public:
  virtual ~SlotDirectory() = default;
  virtual Result<std::string> find_address(uint32_t slot) = 0;
};

struct ClientOptions {
  wire::Uuid job{};
  wire::Secret secret{};
  wire::Uuid process{};
  std::string name;        // for the servers' logs
  bool of_server = false;  // the process hosts a slot: the others do not count it as a client
  uint64_t request_timeout_ms = 30'000;
  uint64_t delivery_timeout_ms = 120'000;
  uint32_t message_bytes_max = 64 * 1024;
  Clock* clock = nullptr;
};

struct TopicRecord {
  std::string name;
  wire::TopicInfo info{};
  std::vector<uint32_t> slots;
  std::string json;
};

struct PartitionFacts {
  uint32_t epoch = 0;
  uint64_t first_offset = 0;
  uint64_t visible_end = 0;
};

// Counted on the progress thread, read by any.
class Counter {
 public:
  Counter& operator++() { return *this += 1; }
  Counter& operator+=(uint64_t amount) {
    value_.fetch_add(amount, std::memory_order_relaxed);
    return *this;
  }
  operator uint64_t() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

template <typename Number>
struct CountersOf {
  Number batches_sent{}, batches_resent{}, batches_acknowledged{}, batches_failed{}, busy_answers{};
  Number frames_received{}, fetches{}, commits{}, reconnects{}, messages_malformed{};
  Number memory_quarantined_bytes{};
};
using ClientCounters = CountersOf<uint64_t>;

class Client : public fabric::Handler {
 public:
  Client(fabric::Lane& lane, ClientOptions options, std::shared_ptr<SlotDirectory> directory);
  ~Client() override;

  fabric::Lane& lane() { return lane_; }
  const ClientOptions& options() const { return options_; }
  Clock& clock() { return clock_; }

  // ---- any thread
  void run(std::function<void()> work);
  // Runs the work on the progress thread and waits for it; not from the progress thread.
  void run_and_wait(const std::function<void()>& work);
  void connect(uint32_t slot, uint64_t timeout_ms, std::function<void(const Status&)> done);
  void control(uint32_t slot, std::string json, uint64_t timeout_ms, std::function<void(Result<std::string>)> done);
  void look_up(std::string topic, std::function<void(Result<TopicRecord>)> done);
  void query(wire::Uuid topic, uint32_t partition, uint32_t slot, std::function<void(Result<PartitionFacts>)> done);
  // Ends all sessions and the resolver; every request and user fails with WEFT_CLOSED. Waits, for a
  // resolver whose read hangs at most 5 s. Before the lane ends.
  void stop();
  bool stopped() const { return stopped_; }
  ClientCounters counters() const;
  // WEFT_LIMIT when so much memory waits for lost peers that no more may be lent. Fetches into plain memory have a
  // limit of their own: one that timed out must not keep the producers from their memory.
  enum class Lent { kForFetches, kForOthers };
  Status check_quarantine(Lent lent) const;
  FetchMemoryPool& fetch_memory() { return fetch_memory_; }

  // ---- progress thread
  Session& session(uint32_t slot);
  void resolve(uint32_t slot);
  void register_peer(fabric::PeerId peer, Session* session);
  void forget_peer(fabric::PeerId peer);
  void need_ticks();
  // Something with deadlines of its own, called at each tick until it returns false.
  void add_ticker(void* owner, std::function<bool(uint64_t now_ns)> ticker);
  void remove_ticker(void* owner);
  // Memory that a peer may still touch: kept, and counted, until the client ends. Its addresses are not used again by
  // this process even then.
  void quarantine(std::shared_ptr<void> memory, uint64_t bytes, Lent lent);
  CountersOf<Counter>& count() { return counters_; }

  void on_message(fabric::PeerId peer, std::span<const std::byte> message) override;
  void on_peer_up(fabric::PeerId peer) override;
  void on_peer_lost(fabric::PeerId peer, const Status& reason, bool proven_dead) override;

 private:
  // What the resolver works with. It holds it itself: a read of the group directory that hangs (a shared file system
  // that is away) must not hold up the end of the job, so the thread may outlive the client.
  struct Resolver {
    std::shared_ptr<SlotDirectory> directory;
    std::mutex mutex;  // guards what follows
    std::condition_variable changed;
    std::deque<uint32_t> queue;
    bool ends = false;  // from here on the client is not touched
    bool finished = false;
  };
  void resolver_main(std::shared_ptr<Resolver> resolver);
  void end_resolver();
  static void on_tick(fabric::Timer* timer);

  fabric::Lane& lane_;
  const ClientOptions options_;
  Clock& clock_;
  std::atomic<bool> stopped_{false};  // written on the progress thread

  std::unordered_map<uint32_t, std::unique_ptr<Session>> sessions_;
  std::unordered_map<fabric::PeerId, Session*> peers_;
  std::unordered_map<void*, std::function<bool(uint64_t)>> tickers_;
  std::vector<std::shared_ptr<void>> quarantined_;
  std::atomic<uint64_t> fetches_quarantined_bytes_{0};  // of counters_.memory_quarantined_bytes
  FetchMemoryPool fetch_memory_{*this};
  fabric::Timer tick_;
  bool ticking_ = false;
  CountersOf<Counter> counters_;

  const std::shared_ptr<Resolver> resolver_;
  std::thread resolver_thread_;  // under its mutex; started with the first question
};

}  // namespace weft::client
