// The batch interface: memory that the caller writes, one call that sends it.
#include <utility>

#include "base/clock.h"
#include "library/producer.h"

namespace weft::library {

namespace {
void on_done(client::Batch* batch, const Status& status, const client::BatchResult& result) {
  auto* handle = static_cast<weft_batch*>(batch->owner);
  weft_producer* producer = handle->producer;
  if (!handle->plain) {
    weft_completion completion{};
    completion.kind = WEFT_COMPLETION_BATCH;
    completion.tag = batch->tag;
    completion.code = static_cast<int32_t>(status.code());
    completion.value[0] = result.first_offset;
    completion.value[2] = result.partition_epoch;
    completion.value[3] = batch->partition;
    producer->job->completions.push(completion, status.ok() ? std::string_view() : std::string_view(status.message()));
  }
  const std::lock_guard lock(producer->mutex);
  --producer->outstanding;
  if (handle->plain) {
    if (!producer->lines.empty())
      producer->lines.answered(batch->partition, Clock::system().monotonic_ns(), status.ok());
    record_outcome_locked(producer, handle->number,
                          {status, batch->partition, result.partition_epoch, result.first_offset});
    if (!status.ok() && producer->first_error.ok()) producer->first_error = status;
  }
  // A thread that is woken for each batch costs as much as the batch.
  if (producer->outstanding == 0 || producer->receipt_waiters > 0) producer->changed.notify_all();
  if (producer->outstanding <= producer->room_at) producer->room.notify_all();
}

void on_released(client::Batch* batch) {
  auto* handle = static_cast<weft_batch*>(batch->owner);
  for (weft_region* region : handle->regions) end_use(region);
  handle->regions.clear();
}

// Only now does take() find the batch: a waiter woken before would miss it and sleep on.
void on_room(void* owner) {
  weft_producer* producer = static_cast<weft_batch*>(owner)->producer;
  const std::lock_guard lock(producer->mutex);
  if (producer->outstanding <= producer->room_at) producer->room.notify_all();
}
}  // namespace

void record_outcome_locked(weft_producer* producer, uint64_t number, weft_producer::Outcome outcome) {
  producer->outcomes[number] = std::move(outcome);
  if (producer->outcomes.size() > kOutcomesMax) producer->outcomes.erase(producer->outcomes.begin());
}

Status open_batch_locked(weft_producer* producer, weft_batch** batch) {
  Result<client::Batch*> taken = producer->producer->take();
  if (!taken.ok()) return taken.status();
  try {
    auto made = std::make_unique<weft_batch>();
    made->producer = producer;
    made->batch = taken.value();
    producer->batches.try_emplace(taken.value(), std::move(made));
  } catch (...) {
    producer->producer->give_back(taken.value());
    throw;
  }
  const std::unique_ptr<weft_batch>& handle = producer->batches.find(taken.value())->second;
  // Each time: a batch that was lost is freed, and a new one may lie at its address.
  taken.value()->owner = handle.get();
  taken.value()->done = on_done;
  taken.value()->released = on_released;
  taken.value()->room = on_room;
  handle->regions.clear();  // those of a lost batch stay in use
  handle->with_caller = true;
  handle->plain = false;
  *batch = handle.get();
  return {};
}

Status submit_locked(weft_producer* producer, weft_batch* handle, uint32_t partition, uint32_t count,
                     uint64_t metadata_bytes, uint64_t base_time_ns, const weft_batch_piece* pieces,
                     uint32_t piece_count) try {
  std::vector<client::BatchPiece> all;
  all.reserve(piece_count);
  for (uint32_t i = 0; i < piece_count; ++i) {
    const weft_batch_piece& piece = pieces[i];
    const fabric::Region* registration = nullptr;
    if (piece.region != nullptr) {
      if (!is_handle(piece.region))
        return Status(Code::WRONG_HANDLE, join_text("piece ", i, " names a region that was released"));
      if (!holds(piece.region, piece.address, piece.length)) {
        return Status(Code::INVALID_ARGUMENT,
                      join_text("piece ", i, " of ", piece.length, " bytes lies outside its region of ",
                                piece.region->length, " bytes"));
      }
      registration = piece.region->registration.get();
    }
    all.push_back({static_cast<const std::byte*>(piece.address), piece.length, piece.extent_at, registration});
  }
  handle->regions.clear();
  handle->regions.reserve(piece_count);
  for (uint32_t i = 0; i < piece_count; ++i) {
    if (pieces[i].region == nullptr) continue;
    begin_use(pieces[i].region);
    handle->regions.push_back(pieces[i].region);
  }
  Status submitted;
  try {
    submitted = producer->producer->submit(handle->batch, partition, count, metadata_bytes, base_time_ns, all);
  } catch (...) {
    // It throws only before the batch is on its way.
    handle->batch->registered_here.clear();
    submitted = caught_status();
  }
  if (!submitted.ok()) {
    for (weft_region* region : handle->regions) end_use(region);
    handle->regions.clear();
    return submitted;
  }
  handle->with_caller = false;
  ++producer->outstanding;
  return {};
} catch (...) {
  return caught_status();
}

}  // namespace weft::library

using namespace weft::library;
using weft::Status;

extern "C" {

int weft_batch_open(weft_producer* producer, weft_batch** batch) try {
  WEFT_CHECK_HANDLE(producer);
  WEFT_CHECK_ARGUMENT(batch);
  const std::lock_guard lock(producer->mutex);
  return report(open_batch_locked(producer, batch));
}
WEFT_CATCH

int weft_batch_describe(weft_batch* batch, weft_batch_memory* memory) try {
  WEFT_CHECK_HANDLE(batch);
  WEFT_CHECK_ARGUMENT(memory);
  const std::lock_guard lock(batch->producer->mutex);
  if (!batch->with_caller) return report(weft::Code::WRONG_HANDLE, "the batch was submitted or cancelled before");
  weft::client::Arena& arena = *batch->batch->arena;
  weft_batch_memory all{};
  all.size = sizeof all;
  all.event_capacity = arena.shape().events;
  all.metadata_end = arena.metadata_end();
  all.time_delta_us = arena.time_delta();
  all.data_length = arena.data_length();
  all.metadata = reinterpret_cast<uint8_t*>(arena.metadata());
  all.metadata_capacity = arena.shape().metadata_bytes;
  all.data = reinterpret_cast<uint8_t*>(arena.data());
  all.data_capacity = arena.shape().data_bytes;
  *memory = all;
  return WEFT_OK;
}
WEFT_CATCH

int weft_batch_cancel(weft_batch* batch) try {
  WEFT_CHECK_HANDLE(batch);
  const std::lock_guard lock(batch->producer->mutex);
  if (batch->plain || !std::exchange(batch->with_caller, false))
    return report(weft::Code::WRONG_HANDLE, "the batch was submitted or cancelled before");
  batch->producer->producer->give_back(batch->batch);
  batch->producer->room.notify_all();
  return WEFT_OK;
}
WEFT_CATCH

int weft_batch_submit(weft_batch* batch, uint32_t partition, uint32_t count, uint64_t metadata_bytes,
                      uint64_t base_time_ns, const weft_batch_piece* pieces, uint32_t piece_count, uint64_t tag) try {
  WEFT_CHECK_HANDLE(batch);
  const std::lock_guard lock(batch->producer->mutex);
  if (!batch->with_caller || batch->plain)
    return report(weft::Code::WRONG_HANDLE, "the batch was submitted or cancelled before");
  batch->batch->tag = tag;
  return report(
      submit_locked(batch->producer, batch, partition, count, metadata_bytes, base_time_ns, pieces, piece_count));
}
WEFT_CATCH

}  // extern "C"
