// The implementation of Lane: one progress thread on one epoll set, several transports, a table of peers.
// lane.cc: opening, the loop, tasks, timers, regions. lane_peers.cc: connecting, liveness, loss. lane_messages.cc: what
// goes out and comes in. lane_transfers.cc: RMA cut into operations.
//
// Everything without a comment belongs to the progress thread.
#pragma once

#include <list>
#include <set>
#include <shared_mutex>
#include <thread>
#include <unordered_map>

#include "base/doorbell.h"
#include "base/mpsc_queue.h"
#include "fabric/exit_gate.h"
#include "fabric/peer.h"
#include "fabric/region.h"
#include "fabric/transport.h"

namespace weft::fabric {

class LaneImpl final : public Lane, public TransportEvents, public Watcher {
 public:
  explicit LaneImpl(const LaneOptions& options);
  ~LaneImpl() override;
  Status prepare();

  // ---- Lane
  void set_handler(Channel channel, Handler* handler) override;
  Status start() override;
  void close() override;
  const std::string& address() const override { return address_bytes_; }
  void post(Task* task) override;
  Result<std::unique_ptr<Region>> register_memory(void* memory, uint64_t length, uint32_t access) override;
  void release_when_safe(std::unique_ptr<Region> region, std::function<void()> then) override;
  LaneCounters counters() const override;
  bool on_progress_thread() const override { return thread_.get_id() == std::this_thread::get_id(); }
  std::vector<std::string> describe() const override;
  PeerId connect(std::span<const std::byte> address, Channel channel) override;
  void disconnect(PeerId peer) override;
  Status send(PeerId peer, std::span<const std::span<const std::byte>> pieces) override;
  void read(Transfer* transfer) override { begin_transfer(transfer, false); }
  void write(Transfer* transfer) override { begin_transfer(transfer, true); }
  std::string transport_of(PeerId peer) const override;
  void arm(Timer* timer, uint64_t after_ns) override;
  void disarm(Timer* timer) override;
  uint64_t now_ns() override { return clock_.monotonic_ns(); }

  // ---- TransportEvents
  void on_wire_message(Transport& transport, Link* link, std::span<const std::byte> wire) override;
  void on_operation_done(Transport& transport, Operation* operation, const Status& status) override;
  void on_link_lost(Transport& transport, Link* link, const Status& reason, bool revoked) override;
  void on_stranger_gone(Link* link) override;

  // ---- Watcher
  Result<uint64_t> watch(int descriptor, EventSource* source) override;
  void unwatch(uint64_t watch_number) override;

 private:
  friend class ProcessWatch;
  struct PendingReject {
    Transport* transport;
    Link* link;
    uint64_t receiver;
    std::vector<std::byte> body;
    uint64_t deadline_ns;
  };
  struct Release {
    std::shared_ptr<RegionCore> core;
    std::unique_ptr<Region> region;
    std::function<void()> then;
  };

  // lane.cc
  void run();
  void stand_still(ExitWatch& exit_watch);
  void serve_tasks(ExitWatch& exit_watch);
  bool run_tasks();
  bool fire_timers();
  bool poll_transports(bool cheap_only = false);
  void spun_in_vain();
  bool wait_for_work(uint64_t begun_ns, int64_t limit_ns, bool may_spin);
  uint64_t pause(uint64_t begun_ns);
  void forgive_wakes();
  void sleep(const ExitWatch& exit_watch, bool may_spin);
  bool poll_descriptors(int64_t timeout_ns);
  int64_t sleep_limit_ns(uint64_t now) const;
  void settle_releases();
  void shut_down();
  void leave_network();
  void add_transports();
  void add_transport(const std::string& wanted);

  // lane_peers.cc
  Peer* find(PeerId id) const;
  Peer* new_peer(Channel channel);
  void forget(Peer* peer);
  void next_candidate(Peer* peer, const Status& why);
  void use_transport(Peer* peer, size_t index, Link* link);
  void send_hello(Peer* peer);
  void on_hello(Transport& transport, Link* link, const LaneHeader& header, std::span<const std::byte> body);
  void enter(Peer* peer, std::string key);
  std::vector<Peer*> known_by(const std::string& key) const;
  Peer* accept(Transport& transport, Link* link, const Hello& hello, LaneAddress address);

  void on_welcome(Peer* peer, std::span<const std::byte> body);
  void on_reject(Peer* peer, std::span<const std::byte> body);
  void doom(Peer* peer, const Status& reason, bool safe);
  void lose(Peer* peer, const Status& reason, bool safe);
  bool reap();
  void retry_hello(Peer* peer, const Status& why);
  bool flush_rejects();
  void tick(uint64_t now);
  void watch_process(Peer* peer);

  // lane_messages.cc
  Status enqueue(Peer* peer, Kind kind, uint8_t flags, Pieces pieces);
  Outcome put(Peer* peer, Kind kind, uint8_t flags, Pieces body);
  Status add_to_bundle(Peer* peer, uint64_t length, Pieces pieces);
  void send_bundle(Peer* peer);
  bool send_bundles();
  Outcome put_unnumbered(Transport& transport, Link* link, Kind kind, uint64_t receiver,
                         std::span<const std::byte> body);
  void send_control(Peer* peer, Kind kind, uint8_t flags);
  bool flush_queue(Peer* peer);
  bool flush_queues();
  void deliver(Peer* peer, const LaneHeader& header, std::span<const std::byte> body);
  void deliver_early(Peer* peer);
  void deliver_bundle(Peer* peer, std::span<const std::byte> body);
  void deliver_in_order(Peer* peer, const LaneHeader& header, std::span<const std::byte> body);

  // lane_transfers.cc
  void begin_transfer(Transfer* transfer, bool is_write);
  bool issue_operations();
  bool issue_one(Peer* peer, Transfer* transfer);
  void finish_transfer(Transfer* transfer, Status status);
  void abandon_transfers(Peer* peer, const Status& reason);
  void abandon_operations(Transfer* transfer);
  void check_deadlines(uint64_t now);
  bool call_done();
  Operation* take_operation();
  void give_back(Operation* operation);

  const LaneOptions options_;
  Clock& clock_;
  LaneToken token_;
  std::string address_bytes_;
  std::vector<std::string> refused_;  // a line per transport that was not taken; constant after prepare()
  Status bind_refusal_;               // why no network transport could use the address that was asked for
  std::vector<std::unique_ptr<Transport>> transports_;  // constant after prepare()
  std::shared_ptr<RegionBook> book_;
  std::shared_mutex registering_;  // shared by threads that register memory
  bool registers_ = true;          // under registering_
  std::shared_ptr<Doorbell> doorbell_;
  int epoll_ = -1;
  // Peers by token and by address: with thousands of peers each Hello would look at all of them.
  std::unordered_multimap<std::string, PeerId> known_;
  std::unordered_map<uint64_t, EventSource*> sources_;
  uint64_t next_watch_ = 1;
  Handler* handlers_[3] = {};

  MpscQueue<Task> tasks_;            // any thread pushes
  std::atomic<bool> stop_{false};    // the network is to be left
  std::atomic<bool> closed_{false};  // it was
  std::atomic<bool> end_{false};     // the thread is to end
  std::thread thread_;
  bool started_ = false;
  std::atomic<bool> running_{false};
  bool closing_ = false;
  bool spins_ = false;  // the last event came from a transport that is cheap to poll
  uint32_t spin_skip_ = 0;
  uint32_t restless_wakes_ = 0;  // woken at once, for nothing
  uint64_t paused_at_ns_ = 0;    // when the pause before this turn ended; 0: there was none
  uint32_t spin_skips_left_ = 0;
  bool polled_ = false;  // a transport cannot wake us; constant after start()
  uint64_t poll_ns_ = 0;
  Task* taken_tasks_ = nullptr;
  std::unordered_map<uint64_t, int> descriptors_;

  std::set<std::pair<uint64_t, Timer*>> timers_;
  std::vector<std::unique_ptr<Peer>> slots_;
  std::vector<uint64_t> generations_;
  std::vector<uint32_t> free_slots_;
  std::vector<std::unique_ptr<Peer>> graveyard_;  // freed at the top of the loop
  std::vector<PeerId> doomed_;
  std::deque<PendingReject> rejects_;
  size_t peer_count_ = 0;
  std::set<PeerId> with_queue_;
  std::vector<PeerId> with_bundle_;
  std::set<PeerId> with_transfers_;
  uint64_t tick_next_ns_ = 0;
  uint64_t tick_last_ns_ = 0;
  uint64_t tick_ns_ = 0;

  Transfer* active_ = nullptr;      // list, by TransferState::next
  std::deque<Transfer*> finished_;  // `done` is due
  uint64_t deadline_check_ns_ = 0;
  std::vector<std::unique_ptr<Operation>> operation_pool_;
  Operation* free_operations_ = nullptr;
  std::list<Release> releases_;

  // Read by any thread.
  std::atomic<uint64_t> peers_up_{0}, peers_lost_{0}, quarantined_bytes_{0}, registrations_{0}, wakeups_{0}, pauses_{0},
      doorbells_{0}, stray_messages_{0};
};

}  // namespace weft::fabric
