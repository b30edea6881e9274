#include "library/region.h"

#include <sys/mman.h>

#include <utility>

#include "base/pages.h"
#include "library/producer.h"

namespace weft::library {

void begin_use(weft_region* region) {
  const std::lock_guard lock(region->mutex);
  ++region->uses;
}

void end_use(weft_region* region) {
  const std::lock_guard lock(region->mutex);
  WEFT_ASSERT(region->uses > 0);
  --region->uses;
  if (region->uses == 0) region->changed.notify_all();
}

bool holds(const weft_region* region, const void* address, uint64_t length) {
  const auto* start = static_cast<const std::byte*>(address);
  if (start < region->memory) return false;
  const auto at = static_cast<uint64_t>(start - region->memory);
  return at <= region->length && length <= region->length - at;
}

namespace {
void destroy(weft_region* region) {
  region->registration.reset();
  // Memory that a peer may still touch stays mapped for the life of the process.
  if (region->owned && region->uses == 0) munmap(region->memory, region->length);
  region->kind = Kind::kClosed;
  delete region;
}

// What is left of memory that a peer may still touch: its addresses, and until the client ends its pages.
struct LostMemory {
  std::byte* memory;
  uint64_t length;
  ~LostMemory() {
    const int failed = madvise(memory, length, MADV_DONTNEED);
    static_cast<void>(failed);  // then the pages stay: nothing better can be done with them
  }
};

int make_region(weft_job* job, void* memory, uint64_t length, bool owned, weft_region** region) {
  if (job->client && job->client->stopped()) {
    if (owned) munmap(memory, length);
    return report(job_closed());
  }
  Result<std::unique_ptr<fabric::Region>> registration =
      job->lane->register_memory(memory, length, fabric::kRemoteRead | fabric::kRemoteWrite);
  if (!registration.ok()) {
    if (owned) munmap(memory, length);
    return report(registration.status());
  }
  auto made = std::make_unique<weft_region>();
  made->job = job;
  made->memory = static_cast<std::byte*>(memory);
  made->length = length;
  made->owned = owned;
  made->registration = registration.take();
  const std::lock_guard lock(job->mutex);
  job->regions.insert(made.get());
  *region = made.release();
  return WEFT_OK;
}
}  // namespace

void close_shared_regions(weft_job* job) {
  for (weft_region* region : std::exchange(job->regions, {})) {
    bool is_lost = false;
    {
      const std::lock_guard lock(region->mutex);
      is_lost = region->owned && region->uses > 0;
    }
    if (is_lost) {
      const uint64_t length = region->length;
      auto lost = std::make_shared<LostMemory>(region->memory, length);
      client::Client& client = *job->client;
      client.run_and_wait([&] { client.quarantine(std::move(lost), length, client::Client::Lent::kForOthers); });
    }
    destroy(region);
  }
}

void close_regions(weft_job* job, bool of_the_caller_only) {
  for (auto at = job->regions.begin(); at != job->regions.end();) {
    weft_region* region = *at;
    if (of_the_caller_only && region->owned) {
      ++at;
      continue;
    }
    at = job->regions.erase(at);
    destroy(region);
  }
}

}  // namespace weft::library

using namespace weft::library;

extern "C" {

int weft_region_register(weft_job* job, void* memory, uint64_t length, weft_region** region) try {
  WEFT_CHECK_HANDLE(job);
  if (memory == nullptr || length == 0 || region == nullptr) {
    return report(weft::Code::INVALID_ARGUMENT, "memory and region must not be NULL, length not 0");
  }
  return make_region(job, memory, length, false, region);
}
WEFT_CATCH

int weft_region_allocate(weft_job* job, uint64_t length, weft_region** region) try {
  WEFT_CHECK_HANDLE(job);
  if (length == 0 || region == nullptr)
    return report(weft::Code::INVALID_ARGUMENT, "length must not be 0, region not NULL");
  weft::Result<std::byte*> mapped = weft::map_pages(length, weft::Touch::kAll);
  if (!mapped.ok()) return report(mapped.status());
  std::byte* memory = mapped.value();
  try {
    return make_region(job, memory, length, true, region);
  } catch (...) {
    munmap(memory, length);
    throw;
  }
}
WEFT_CATCH

void* weft_region_memory(const weft_region* region) { return is_handle(region) ? region->memory : nullptr; }
uint64_t weft_region_length(const weft_region* region) { return is_handle(region) ? region->length : 0; }

int weft_region_wait(weft_region* region, int64_t timeout_ms) try {
  WEFT_CHECK_HANDLE(region);
  const weft::Status submitted = submit_open_batches_with(region);
  if (!submitted.ok()) return report(submitted);
  const uint64_t deadline_ns = deadline_after(timeout_ms);
  std::unique_lock lock(region->mutex);
  while (region->uses > 0) {
    if (!wait_until(region->changed, lock, deadline_ns)) {
      return report(weft::Code::TIMED_OUT,
                    weft::join_text("events pushed from the region were still under way after ", timeout_ms, " ms"));
    }
  }
  return WEFT_OK;
}
WEFT_CATCH

int weft_region_release(weft_region* region) try {
  WEFT_CHECK_HANDLE(region);
  const weft::Status submitted = submit_open_batches_with(region);
  if (!submitted.ok()) return report(submitted);
  {
    const std::lock_guard lock(region->mutex);
    if (region->uses > 0) {
      return report(
          weft::Code::BUSY,
          weft::join_text(region->uses, " batches or fetches of the region are under way; weft_region_wait first"));
    }
  }
  {
    const std::lock_guard lock(region->job->mutex);
    region->job->regions.erase(region);
  }
  destroy(region);
  return WEFT_OK;
}
WEFT_CATCH

}  // extern "C"
