// Memory of ours that selected data comes into when the caller gave plain memory. Over every transport a server whose
// request has timed out may be in the middle of a write, which no closing of a registration stops; what such a server
// may still touch must therefore be ours: it goes into the client's quarantine, while the caller's memory is free
// again. A FetchMemory belongs to one fetch at a time. The pool: any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/status.h"
#include "fabric/fabric.h"

namespace weft::client {

class Client;

// Kept for the fetches to come; more is given back to the system.
constexpr uint64_t kFetchMemoryKeptBytesMax = uint64_t{64} << 20;
// Of all fetches under way. A single one may be larger: its caller holds as much himself.
constexpr uint64_t kFetchMemoryBytesMax = uint64_t{4} << 30;

class FetchMemory {
 public:
  static Result<std::shared_ptr<FetchMemory>> create(fabric::Lane& lane, uint64_t length);
  ~FetchMemory();
  FetchMemory(const FetchMemory&) = delete;
  FetchMemory& operator=(const FetchMemory&) = delete;

  const fabric::Region& region() const { return *region_; }
  const std::byte* memory() const { return memory_; }
  uint64_t length() const { return length_; }

  // For memory that a server may write into for ever: no key leads to it, its addresses are never used for anything
  // else.
  void keep_away();

 private:
  FetchMemory() = default;

  std::byte* memory_ = nullptr;
  uint64_t length_ = 0;
  bool keeps_mapped_ = false;
  std::unique_ptr<fabric::Region> region_;
};

class FetchMemoryPool {
 public:
  explicit FetchMemoryPool(Client& client) : client_(client) {}

  // WEFT_LIMIT when too much is in use or in quarantine.
  Result<std::shared_ptr<FetchMemory>> take(uint64_t bytes);
  enum class After { kAnswered, kCutOff, kUnsafe };
  // Answered: the next fetch may use the same key. Cut off: an earlier connection knew the key, but nothing writes any
  // more. Unsafe: a server may still write. On the progress thread.
  void give_back(std::shared_ptr<FetchMemory> memory, After after);

 private:
  Client& client_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<FetchMemory>> free_;
  uint64_t free_bytes_ = 0;
  uint64_t used_bytes_ = 0;
};

}  // namespace weft::client
