// Registered memory of the broker. Progress thread.
//
// SharedMemory: one range registered with the lane. A transfer that failed may still be owned by the fabric provider,
// which could write (or read) late: such a range must not be used for anything else yet. quarantine() registers the
// whole range anew for further transfers, hands the old registration to the lane, and says when the provider let go.
// Registrations are numbered: an operation that never completes holds up only what failed under the same number.
//
// SlabPool: kSlabBytes pieces of one such range.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "base/status.h"
#include "broker/limits.h"
#include "fabric/fabric.h"

namespace weft::broker {

class SharedMemory {
 public:
  SharedMemory(fabric::Lane& lane, std::span<std::byte> memory) : lane_(lane), memory_(memory) {}
  Status register_memory();

  const fabric::Region* region() const { return region_.get(); }
  std::span<std::byte> memory() const { return memory_; }
  // The number of the registration that region() gives; never 0.
  uint64_t generation() const { return releases_begun_ + 1; }
  // Transfers that began under the generations first..last failed. `then` on the progress thread, when no operation of
  // the provider can touch the range through one of these registrations.
  void quarantine(uint64_t first, uint64_t last, std::function<void()> then);
  // Gives the registration up. `then` when the provider holds none of it any more.
  void release(std::function<void()> then);
  // New transfers need a registration: after a failed one it is tried again here. Null if it cannot be had.
  const fabric::Region* usable_region();
  size_t quarantined() const { return waiters_.size(); }

 private:
  fabric::Lane& lane_;
  std::span<std::byte> memory_;
  std::unique_ptr<fabric::Region> region_;
  struct Waiter {
    uint64_t first;
    uint64_t last;
    std::function<void()> then;
  };
  bool releasing(uint64_t first, uint64_t last) const;
  void hand_over();
  void let_go(uint64_t release);

  uint64_t releases_begun_ = 0;
  std::set<uint64_t> releasing_;  // generations not yet let go
  std::vector<Waiter> waiters_;
};

class SlabPool {
 public:
  static Result<std::unique_ptr<SlabPool>> create(fabric::Lane& lane, uint64_t bytes);
  ~SlabPool();

  std::byte* take();  // nullptr: all in use
  void give(std::byte* slab);
  uint64_t generation() const { return shared_->generation(); }
  // A transfer from or to it, begun under this generation, failed.
  void quarantine(std::byte* slab, uint64_t generation, std::function<void()> freed);
  void release(std::function<void()> then) { shared_->release(std::move(then)); }
  const fabric::Region* region() { return shared_->usable_region(); }
  uint32_t total() const { return total_; }
  size_t quarantined() const { return shared_->quarantined(); }
  uint32_t in_use() const { return total_ - static_cast<uint32_t>(free_.size()); }
  bool empty() const { return free_.empty(); }

 private:
  SlabPool() = default;

  std::byte* memory_ = nullptr;
  uint64_t bytes_ = 0;
  uint32_t total_ = 0;
  std::unique_ptr<SharedMemory> shared_;
  std::vector<std::byte*> free_;
};

}  // namespace weft::broker
