// What two processes of one host share for the "shm" transport: the page of a lane, and the rings of a link. Both live
// in sealed memfds that are passed over a unix socket, so nothing has a name in a file system and nothing is left
// behind by a killed process. Every value that the other side can write is checked before use.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "fabric/host_identity.h"
#include "fabric/protocol.h"

namespace weft::fabric {

constexpr uint32_t kShmMagic = 0x53464557;  // "WEFS"
constexpr uint32_t kShmVersion = 1;
constexpr size_t kShmLinksMax = 1024;         // per lane; more peers use the network
constexpr size_t kShmRegionsMax = 64 * 1024;  // registered for remote access at one time, per lane
constexpr uint64_t kShmKeySlotMask = kShmRegionsMax - 1;

// A region that peers may reach. Its key: random bits above, its place in the table in the low bits; 0: free.
struct ShmRegionEntry {
  std::atomic<uint64_t> key;
  std::atomic<uint64_t> address;
  std::atomic<uint64_t> length;
  std::atomic<uint64_t> access;
};

// One per lane, mapped by all its peers.
struct ShmLanePage {
  enum Sleep : uint32_t { kAwake, kAsleep, kRung };
  alignas(64) std::atomic<uint32_t> sleep;
  // A bit per link of this lane on which something happened; peers set, the lane takes.
  alignas(64) std::atomic<uint64_t> pending[kShmLinksMax / 64];
  alignas(4096) ShmRegionEntry regions[kShmRegionsMax];
};
static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<uint32_t>::is_always_lock_free);

// One direction of a link: a ring of bytes with one producer and one consumer, in different processes.
struct ShmRing {
  alignas(64) std::atomic<uint64_t> head;  // consumed, in bytes since the beginning
  alignas(64) std::atomic<uint64_t> tail;  // produced
  alignas(64) std::atomic<uint32_t> producer_waits;
};

struct ShmLinkPage {
  ShmRing rings[2];                             // 0: from the connecting side
  alignas(64) std::atomic<uint32_t> closed[2];  // by side: it has closed the link
};
constexpr size_t kShmRingsAt = 4096;
static_assert(sizeof(ShmLinkPage) <= kShmRingsAt);

// One side's view of a ring. `size` is a power of two.
// A record: u32 length of the message (a multiple of 8), u32 zero, the message; a length of kSkip: go to the beginning.
class ShmRingView {
 public:
  void attach(ShmRing* ring, std::byte* bytes, uint64_t size) {
    ring_ = ring;
    bytes_ = bytes;
    size_ = size;
  }
  bool empty() const {
    return ring_->head.load(std::memory_order_relaxed) == ring_->tail.load(std::memory_order_acquire);
  }

  // Producer. False when there is no room; then ring_->producer_waits is set and the consumer rings back.
  bool push(const LaneHeader& header, Pieces pieces, uint64_t wire) {
    const uint64_t need = wire + kRecord;
    const uint64_t tail = ring_->tail.load(std::memory_order_relaxed);
    const uint64_t to_end = size_ - (tail & (size_ - 1));
    const uint64_t total = need <= to_end ? need : to_end + need;
    if (!has_room(tail, total)) {
      ring_->producer_waits.store(1, std::memory_order_seq_cst);
      // Once more: the consumer may have looked at the flag just before.
      if (!has_room(tail, total)) return false;
    }
    uint64_t at = tail & (size_ - 1);
    if (need > to_end) {
      put_length(at, kSkip);
      at = 0;
    }
    put_length(at, static_cast<uint32_t>(wire));
    std::byte* to = bytes_ + at + kRecord;
    std::memcpy(to, &header, sizeof header);
    to += sizeof header;
    for (const auto& piece : pieces) {
      if (!piece.empty()) std::memcpy(to, piece.data(), piece.size());
      to += piece.size();
    }
    ring_->tail.store(tail + total, std::memory_order_release);
    return true;
  }

  enum class Front { kEmpty, kMessage, kDamaged };
  // Consumer. The message stays in the ring until pop().
  Front front(std::span<const std::byte>& message) {
    for (;;) {
      const uint64_t head = ring_->head.load(std::memory_order_relaxed);
      const uint64_t tail = ring_->tail.load(std::memory_order_acquire);
      if (head == tail) return Front::kEmpty;
      const uint64_t filled = tail - head;
      const uint64_t at = head & (size_ - 1);
      if (filled > size_ || filled < kRecord || (at & 7) != 0) return Front::kDamaged;
      uint32_t length = 0;
      std::memcpy(&length, bytes_ + at, sizeof length);
      if (length == kSkip) {
        if (filled < size_ - at) return Front::kDamaged;
        ring_->head.store(head + (size_ - at), std::memory_order_release);
        continue;
      }
      if (length % 8 != 0 || length + kRecord > filled || length + kRecord > size_ - at) return Front::kDamaged;
      message = {bytes_ + at + kRecord, length};
      return Front::kMessage;
    }
  }
  // True when the producer waits for room.
  bool pop(std::span<const std::byte> message) {
    const uint64_t head = ring_->head.load(std::memory_order_relaxed);
    ring_->head.store(head + kRecord + message.size(), std::memory_order_seq_cst);
    if (ring_->producer_waits.load(std::memory_order_seq_cst) == 0) return false;
    ring_->producer_waits.store(0, std::memory_order_seq_cst);
    return true;
  }

 private:
  static constexpr uint64_t kRecord = 8;
  static constexpr uint32_t kSkip = UINT32_MAX;
  bool has_room(uint64_t tail, uint64_t total) const {
    const uint64_t used = tail - ring_->head.load(std::memory_order_seq_cst);
    return used <= size_ && total <= size_ - used;
  }
  void put_length(uint64_t at, uint32_t length) {
    const uint64_t record = length;
    std::memcpy(bytes_ + at, &record, sizeof record);
  }

  ShmRing* ring_ = nullptr;
  std::byte* bytes_ = nullptr;
  uint64_t size_ = 0;
};

// The first packet over the socket, both ways; with it go descriptors: lane page, doorbell and, from the connecting
// side, the link page.
struct ShmSetup {
  uint32_t magic = kShmMagic;
  uint32_t version = kShmVersion;
  uint32_t slot = 0;  // of the link in the sender's `pending`
  uint32_t zero = 0;
  uint64_t ring_bytes = 0;
  LaneToken token;
  HostIdentity host;
};

}  // namespace weft::fabric
