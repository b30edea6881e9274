// RMA over process_vm_readv/writev, in pieces, checked against the owner's table of regions before each.
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#include "base/random.h"
#include "fabric/shm_endpoint.h"

namespace weft::fabric {

namespace {
constexpr uint64_t kOperationBytesMax = uint64_t{1} << 20;
// Bytes copied per call of progress(), so that messages do not wait behind a long copy.
constexpr uint64_t kCopyBytesPerProgress = uint64_t{2} << 20;

}  // namespace

uint64_t ShmTransport::operation_bytes_max() const { return kOperationBytesMax; }

Result<std::unique_ptr<Registration>> ShmTransport::register_memory(void* memory, uint64_t length, uint32_t access) {
  if (access == kLocalOnly) return std::unique_ptr<Registration>();
  uint32_t slot = 0;
  {
    const std::lock_guard<std::mutex> lock(table_->mutex);
    if (!table_->free_slots.empty()) {
      slot = table_->free_slots.back();
      table_->free_slots.pop_back();
    } else if (table_->used < kShmRegionsMax) {
      slot = table_->used++;
    } else {
      return Status(Code::LIMIT, join_text(kShmRegionsMax, " regions are registered at one time; release some"));
    }
  }
  auto registration = std::make_unique<ShmRegistration>(table_);
  do {
    registration->remote.key = (secure_random_u64() & ~kShmKeySlotMask) | slot;
  } while (registration->remote.key <= kShmKeySlotMask);
  registration->remote.address = reinterpret_cast<uint64_t>(memory);
  registration->remote.length = length;
  ShmRegionEntry& entry = table_->page().regions[slot];
  entry.address.store(registration->remote.address, std::memory_order_relaxed);
  entry.length.store(length, std::memory_order_relaxed);
  entry.access.store(access, std::memory_order_relaxed);
  entry.key.store(registration->remote.key, std::memory_order_release);
  return std::unique_ptr<Registration>(std::move(registration));
}

ShmRegistration::~ShmRegistration() {
  const auto slot = static_cast<uint32_t>(remote.key & kShmKeySlotMask);
  ShmRegionEntry& entry = table_->page().regions[slot];
  entry.key.store(0, std::memory_order_seq_cst);
  entry.access.store(kLocalOnly, std::memory_order_relaxed);
  const std::lock_guard<std::mutex> lock(table_->mutex);
  table_->free_slots.push_back(slot);
}

Outcome ShmTransport::submit(Operation* operation) {
  auto* link = static_cast<ShmLink*>(operation->link);
  if (link->broken) {
    failure_ = Status(Code::PEER_LOST, "shm: its process or its lane ended");
    return Outcome::kFailed;
  }
  if (!link->up) return Outcome::kAgain;
  operation->next = nullptr;
  (first_ != nullptr ? last_->next : first_) = operation;
  last_ = operation;
  under_way_++;
  link->operations++;
  return Outcome::kTaken;
}

void ShmTransport::finish(Operation* operation, const Status& status) {
  auto* link = static_cast<ShmLink*>(operation->link);
  under_way_--;
  link->operations--;
  events_->on_operation_done(*this, operation, status);
  if (link->closed && link->operations == 0 && links_[link->slot].get() == link) drop(link);
}

uint32_t ShmTransport::progress() {
  free_dropped();
  uint32_t events = 0;
  for (size_t word = 0; word < kShmLinksMax / 64; word++) {
    if (page().pending[word].load(std::memory_order_relaxed) == 0) continue;
    uint64_t bits = page().pending[word].exchange(0, std::memory_order_seq_cst);
    for (; bits != 0; bits &= bits - 1) {
      const size_t slot = word * 64 + static_cast<size_t>(__builtin_ctzll(bits));
      ShmLink* link = links_[slot].get();
      if (link == nullptr || !link->up || link->closed) continue;
      events += receive(link) + 1;
      // Its turn was over before its messages were.
      if (!link->closed && !link->broken && !link->in.empty()) {
        page().pending[word].fetch_or(uint64_t{1} << (slot % 64), std::memory_order_relaxed);
      }
    }
  }
  uint64_t copied = 0;
  while (first_ != nullptr && copied < kCopyBytesPerProgress) {
    Operation* operation = first_;
    first_ = operation->next;
    copied += operation->length;
    finish(operation, copy(*operation));
    events++;
  }
  return events;
}

// Where the memory is in the other process, if its owner still shows it.
Status ShmTransport::find_remote(const Operation& operation, uint64_t& address) const {
  const auto* link = static_cast<const ShmLink*>(operation.link);
  const auto& page_of_other = *reinterpret_cast<const ShmLanePage*>(link->other_lane.data());
  const ShmRegionEntry& entry = page_of_other.regions[operation.remote.key & kShmKeySlotMask];
  const uint64_t key = entry.key.load(std::memory_order_acquire);
  const uint64_t start = entry.address.load(std::memory_order_relaxed);
  const uint64_t length = entry.length.load(std::memory_order_relaxed);
  const uint64_t access = entry.access.load(std::memory_order_relaxed);
  if (key != operation.remote.key || key == 0 || entry.key.load(std::memory_order_seq_cst) != key) {
    return Status(Code::FABRIC, "the remote memory is not registered any more");
  }
  if (operation.remote_at > length || operation.length > length - operation.remote_at) {
    return Status(Code::FABRIC, "the operation reaches outside the remote memory");
  }
  if ((access & (operation.is_write ? kRemoteWrite : kRemoteRead)) == 0) {
    return Status(Code::FABRIC, "the remote memory was not registered for this access");
  }
  address = start + operation.remote_at;
  return {};
}

Status ShmTransport::copy(const Operation& operation) {
  const auto* link = static_cast<const ShmLink*>(operation.link);
  const auto* pages = reinterpret_cast<const ShmLinkPage*>(link->pages.data());
  if (link->closed || link->broken ||
      pages->closed[link->connecting_side ? 1 : 0].load(std::memory_order_acquire) != 0) {
    return Status(Code::PEER_LOST, "shm: the link was closed");
  }
  uint64_t address = 0;
  WEFT_RETURN_IF_ERROR(find_remote(operation, address));
  for (uint64_t moved = 0; moved < operation.length;) {
    const iovec local{operation.local + moved, operation.length - moved};
    const iovec remote{reinterpret_cast<void*>(address + moved), operation.length - moved};
    const ssize_t got = operation.is_write ? ::process_vm_writev(link->pid, &local, 1, &remote, 1, 0)
                                           : ::process_vm_readv(link->pid, &local, 1, &remote, 1, 0);
    if (got <= 0) {
      const int error = got == 0 ? EFAULT : errno;
      return Status(error == ESRCH ? Code::PEER_LOST : Code::FABRIC,
                    join_text("shm: process_vm_", operation.is_write ? "writev" : "readv", " of pid ", link->pid, ": ",
                              errno_text(error)));
    }
    moved += static_cast<uint64_t>(got);
  }
  return {};
}

}  // namespace weft::fabric
