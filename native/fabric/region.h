// Regions: memory registered with every transport of a lane. Any thread; the count of operations belongs to the
// progress thread. A region may outlive its lane: the lane closes the registrations first, then the endpoints.
#pragma once

#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <unordered_set>

#include "fabric/transport.h"

namespace weft::fabric {

// What regions share with their lane, and keep alive.
struct RegionBook {
  std::mutex mutex;
  std::unordered_set<RegionCore*> cores;  // under mutex
  std::atomic<uint64_t> live{0};

  // Which transport a peer uses, so that describe() works on any thread.
  std::shared_mutex peers_mutex;
  std::unordered_map<PeerId, size_t> transport_of_peer;  // under peers_mutex

  // Before the transports go: takes back every registration.
  void close_registrations();
};

struct RegionCore {
  std::byte* data = nullptr;
  uint64_t length = 0;
  uint32_t access = kLocalOnly;
  std::shared_ptr<RegionBook> book;
  std::vector<std::unique_ptr<Registration>> registrations;  // by transport
  uint32_t operations = 0;                                   // under way; progress thread

  ~RegionCore();
};

class RegionHandle final : public Region {
 public:
  explicit RegionHandle(std::shared_ptr<RegionCore> core) : core_(std::move(core)) {}
  std::byte* data() const override { return core_->data; }
  uint64_t length() const override { return core_->length; }
  RemoteMemory describe(PeerId peer) const override;
  const std::shared_ptr<RegionCore>& core() const { return core_; }

 private:
  std::shared_ptr<RegionCore> core_;
};

}  // namespace weft::fabric
