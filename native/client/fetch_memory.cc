#include "client/fetch_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>

#include "base/pages.h"
#include "client/client.h"

namespace weft::client {

namespace {
constexpr uint64_t kSmallestBytes = 64 * 1024;

// Few sizes for what is kept, so that one serves the next fetch as well.
uint64_t rounded(uint64_t bytes) {
  if (bytes > kFetchMemoryKeptBytesMax) return wire::align_up(bytes, 4096);
  return std::bit_ceil(std::max(bytes, kSmallestBytes));
}
}  // namespace

Result<std::shared_ptr<FetchMemory>> FetchMemory::create(fabric::Lane& lane, uint64_t length) {
  std::shared_ptr<FetchMemory> made(new FetchMemory);
  Result<std::byte*> memory = map_pages(length, Touch::kAll);
  if (!memory.ok()) return memory.status().with_context("memory for a fetch, which may go into a region, or in parts");
  made->memory_ = memory.value();
  made->length_ = length;
  Result<std::unique_ptr<fabric::Region>> region = lane.register_memory(made->memory_, length, fabric::kRemoteWrite);
  if (!region.ok()) return region.status();
  made->region_ = region.take();
  return made;
}

FetchMemory::~FetchMemory() {
  region_.reset();
  if (memory_ == nullptr) return;
  // Only the pages go back when the addresses must stay ours.
  const int failed = keeps_mapped_ ? madvise(memory_, length_, MADV_DONTNEED) : munmap(memory_, length_);
  static_cast<void>(failed);  // then the memory stays: nothing better can be done with it
}

void FetchMemory::keep_away() {
  region_.reset();
  keeps_mapped_ = true;
}

Result<std::shared_ptr<FetchMemory>> FetchMemoryPool::take(uint64_t bytes) {
  WEFT_RETURN_IF_ERROR(client_.check_quarantine(Client::Lent::kForFetches));
  std::unique_lock lock(mutex_);
  const auto found = std::find_if(free_.begin(), free_.end(),  // the smallest that will do: they are sorted
                                  [bytes](const auto& memory) { return memory->length() >= bytes; });
  if (found != free_.end()) {
    std::shared_ptr<FetchMemory> memory = std::move(*found);
    free_.erase(found);
    free_bytes_ -= memory->length();
    used_bytes_ += memory->length();
    return memory;
  }
  const uint64_t length = rounded(bytes);
  if (used_bytes_ > 0 && (length > kFetchMemoryBytesMax || used_bytes_ > kFetchMemoryBytesMax - length)) {
    return Status(Code::LIMIT,
                  join_text("a fetch of ", bytes, " bytes into plain memory beside others of ", used_bytes_,
                            " bytes is over the limit of ", kFetchMemoryBytesMax, "; fetch into a region, or later"));
  }
  used_bytes_ += length;
  lock.unlock();
  Result<std::shared_ptr<FetchMemory>> made = FetchMemory::create(client_.lane(), length);
  if (!made.ok()) {
    lock.lock();
    used_bytes_ -= length;
  }
  return made;
}

void FetchMemoryPool::give_back(std::shared_ptr<FetchMemory> memory, After after) {
  const uint64_t length = memory->length();
  if (after == After::kUnsafe) {
    memory->keep_away();
    client_.quarantine(memory, length, Client::Lent::kForFetches);
  }
  const std::lock_guard lock(mutex_);
  used_bytes_ -= length;
  if (after != After::kAnswered || length > kFetchMemoryKeptBytesMax - free_bytes_) return;
  free_bytes_ += length;
  const auto place =
      std::find_if(free_.begin(), free_.end(), [length](const auto& other) { return other->length() >= length; });
  free_.insert(place, std::move(memory));
}

}  // namespace weft::client
