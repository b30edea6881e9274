// The inside of the shm transport. Progress thread, except registration.
#pragma once

#include <mutex>
#include <vector>

#include "base/doorbell.h"
#include "fabric/shm_layout.h"
#include "fabric/shm_segment.h"
#include "fabric/shm_transport.h"

namespace weft::fabric {

class ShmTransport;

// The table of regions that peers look into. Registrations share it, because they may outlive the transport.
struct ShmRegionTable {
  ShmSegment segment;
  std::mutex mutex;
  std::vector<uint32_t> free_slots;  // under mutex
  uint32_t used = 0;                 // under mutex
  ShmLanePage& page() const { return *reinterpret_cast<ShmLanePage*>(segment.data()); }
};

class ShmRegistration final : public Registration {
 public:
  explicit ShmRegistration(std::shared_ptr<ShmRegionTable> table) : table_(std::move(table)) {}
  ~ShmRegistration() override;

 private:
  std::shared_ptr<ShmRegionTable> table_;
};

struct ShmLink final : Link, EventSource {
  explicit ShmLink(ShmTransport& owner) : transport(owner) {}
  void on_event(uint32_t) override;

  ShmTransport& transport;
  bool connecting_side = false;
  bool up = false;          // both sides have each other's descriptors
  bool broken = false;      // the other side is gone
  bool closed = false;      // by our lane
  uint32_t slot = 0;        // in our page
  uint32_t other_slot = 0;  // in the other's page
  pid_t pid = 0;
  Descriptor socket;
  uint64_t watch_number = 0;
  ShmSegment pages;       // the link's
  ShmSegment other_lane;  // the other's lane page
  Descriptor other_doorbell;
  ShmRingView out, in;
  uint64_t operations = 0;
};

class ShmTransport final : public Transport, public EventSource {
 public:
  ShmTransport(const LaneToken& token, const LaneOptions& options);
  ~ShmTransport() override { close(); }
  Status open();

  const std::string& name() const override { return name_; }
  const std::string& address() const override { return address_; }
  std::string describe() const override;
  uint64_t body_bytes_max() const override { return ring_bytes_ / 4; }
  uint64_t operation_bytes_max() const override;
  bool needs_heartbeats() const override { return true; }
  bool operations_prove_life() const override { return false; }
  Result<std::unique_ptr<Registration>> register_memory(void* memory, uint64_t length, uint32_t access) override;

  Status start(TransportEvents* events, Watcher* watcher) override;
  Status can_reach(const LaneAddress& address) override;
  Result<Link*> open_link(const LaneAddress& address) override;
  void close_link(Link* link) override;
  Outcome send(Link* link, const LaneHeader& header, Pieces pieces) override;
  Outcome submit(Operation* operation) override;
  uint32_t progress() override;
  bool prepare_sleep() override;
  void woke() override;
  bool worth_spinning() const override { return true; }
  uint64_t under_way() const override { return under_way_; }
  void close() override;

  // The listening socket.
  void on_event(uint32_t) override;
  void on_socket(ShmLink* link);

 private:
  struct BellSource final : EventSource {
    int descriptor = -1;
    void on_event(uint32_t) override;
  };

  ShmLanePage& page() const { return table_->page(); }
  Result<ShmLink*> new_link(Descriptor socket);
  void drop(ShmLink* link);
  void free_dropped();
  Status send_setup(ShmLink* link);
  Status take_setup(ShmLink* link);
  void break_link(ShmLink* link, const Status& reason);
  void ring(ShmLink* link);
  uint32_t receive(ShmLink* link);
  Status copy(const Operation& operation);
  Status find_remote(const Operation& operation, uint64_t& address) const;
  void finish(Operation* operation, const Status& status);

  const std::string name_ = "shm";
  const LaneToken token_;
  std::string address_;
  uint64_t ring_bytes_ = 0;
  TransportEvents* events_ = nullptr;
  Watcher* watcher_ = nullptr;
  std::shared_ptr<ShmRegionTable> table_;
  Descriptor listener_;
  uint64_t listener_watch_ = 0;
  Descriptor bell_;
  BellSource bell_source_;
  uint64_t bell_watch_ = 0;
  std::vector<std::unique_ptr<ShmLink>> links_;    // by slot
  std::vector<std::unique_ptr<ShmLink>> dropped_;  // freed by the next progress(): callers may hold them
  uint32_t links_open_ = 0;
  Operation* first_ = nullptr;
  Operation* last_ = nullptr;
  uint64_t under_way_ = 0;
  bool closing_ = false;
};

}  // namespace weft::fabric
