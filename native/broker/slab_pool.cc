#include "broker/slab_pool.h"

#include <sys/mman.h>

#include "base/pages.h"

namespace weft::broker {

Status SharedMemory::register_memory() {
  auto region = lane_.register_memory(memory_.data(), memory_.size(), fabric::kLocalOnly);
  if (!region.ok()) return region.status();
  region_ = region.take();
  return {};
}

const fabric::Region* SharedMemory::usable_region() {
  // Registration can fail for want of resources that a peer's end gives back: try again at each use.
  if (region_ == nullptr && !register_memory().ok()) return nullptr;
  return region_.get();
}

void SharedMemory::hand_over() {
  if (region_ == nullptr) return;
  const uint64_t release = ++releases_begun_;
  releasing_.insert(release);
  lane_.release_when_safe(std::move(region_), [this, release] { let_go(release); });
  region_ = nullptr;
}

void SharedMemory::let_go(uint64_t release) {
  releasing_.erase(release);
  std::vector<Waiter> ready;
  for (size_t i = 0; i < waiters_.size();) {
    if (releasing(waiters_[i].first, waiters_[i].last)) {
      ++i;
      continue;
    }
    ready.push_back(std::move(waiters_[i]));
    waiters_.erase(waiters_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (Waiter& waiter : ready) waiter.then();
}

bool SharedMemory::releasing(uint64_t first, uint64_t last) const {
  const auto found = releasing_.lower_bound(first);
  return found != releasing_.end() && *found <= last;
}

void SharedMemory::quarantine(uint64_t first, uint64_t last, std::function<void()> then) {
  WEFT_ASSERT(first > 0 && first <= last && last <= generation());
  // Given up already for an earlier failure, unless it is the one in use.
  if (last == generation()) hand_over();
  if (!releasing(first, last)) return then();
  waiters_.push_back(Waiter{first, last, std::move(then)});
}

void SharedMemory::release(std::function<void()> then) { quarantine(1, generation(), std::move(then)); }

Result<std::unique_ptr<SlabPool>> SlabPool::create(fabric::Lane& lane, uint64_t bytes) {
  const uint64_t slabs = bytes / kSlabBytes;
  if (slabs < kSlabsMin) {
    return Status(Code::INVALID_ARGUMENT, join_text("broker: ", bytes, " bytes of slabs are less than the ", kSlabsMin,
                                                    " MiB that one direction needs; raise slab_bytes"));
  }
  std::unique_ptr<SlabPool> pool(new SlabPool());
  Result<std::byte*> memory = map_pages(slabs * kSlabBytes, Touch::kWhenUsed);
  if (!memory.ok()) return memory.status().with_context("slabs of a server, whose slab_bytes may be too large");
  pool->memory_ = memory.value();
  pool->bytes_ = slabs * kSlabBytes;
  pool->total_ = static_cast<uint32_t>(slabs);
  pool->shared_ = std::make_unique<SharedMemory>(lane, std::span(pool->memory_, pool->bytes_));
  WEFT_RETURN_IF_ERROR(pool->shared_->register_memory());
  for (uint64_t i = slabs; i > 0; --i) pool->free_.push_back(pool->memory_ + (i - 1) * kSlabBytes);
  return pool;
}

SlabPool::~SlabPool() {
  shared_.reset();
  if (memory_ != nullptr) ::munmap(memory_, bytes_);
}

std::byte* SlabPool::take() {
  if (free_.empty()) return nullptr;
  std::byte* slab = free_.back();
  free_.pop_back();
  return slab;
}

void SlabPool::give(std::byte* slab) {
  WEFT_ASSERT(slab >= memory_ && slab < memory_ + bytes_ && (slab - memory_) % kSlabBytes == 0);
  WEFT_ASSERT(free_.size() < total_);
  free_.push_back(slab);
}

void SlabPool::quarantine(std::byte* slab, uint64_t generation, std::function<void()> freed) {
  shared_->quarantine(generation, generation, [this, slab, freed = std::move(freed)] {
    give(slab);
    freed();
  });
}

}  // namespace weft::broker
