// RMA reads of bodies and data, slab by slab. Fair: sessions take turns, within a session its batches do, so that a
// huge event does not hold up small ones. A slab whose read failed is not used again until the fabric lets go of it.
//
// Nothing here can wait for itself: bodies leave their slabs at once (copied), data leaves them as soon as it is
// written, whatever the order of commits.
#include <algorithm>

#include "base/checksum.h"
#include "broker/broker_impl.h"

namespace weft::broker {

void BrokerImpl::add_pull(BatchOp* batch) {
  Session* session = batch->session;
  batch->in_pulls = true;
  session->pulls.push_back(batch);
  if (session->in_pull_ring) return;
  session->in_pull_ring = true;
  pull_ring_.push_back(session);
}

void BrokerImpl::schedule_pulls() {
  if (scheduling_) return;
  scheduling_ = true;
  // Until a whole round begins nothing.
  for (size_t fruitless = 0; !pull_ring_.empty() && fruitless < pull_ring_.size();) {
    Session* session = pull_ring_.pop_front();
    const bool begun = begin_unit_of(session);
    if (session->pulls.empty()) {
      session->in_pull_ring = false;
    } else {
      pull_ring_.push_back(session);
    }
    fruitless = begun ? 0 : fruitless + 1;
  }
  scheduling_ = false;
}

bool BrokerImpl::begin_unit_of(Session* session) {
  for (size_t left = session->pulls.size(); left > 0; --left) {
    BatchOp* batch = session->pulls.pop_front();
    const bool begun = begin_unit(batch);
    if (batch->status.ok() && batch->units_begun < batch->units) {
      session->pulls.push_back(batch);
    } else {
      batch->in_pulls = false;
    }
    if (begun) return true;
  }
  return false;
}

bool BrokerImpl::begin_unit(BatchOp* batch) {
  Session* session = batch->session;
  Partition* partition = batch->partition;
  if (!batch->status.ok() || batch->units_outstanding >= kUnitsPerBatchMax) return false;
  if (reads_ + batch->segments.size() + 1 > kTransfersMax) return false;
  const bool is_body = batch->units_begun < batch->body_units;
  if (!is_body && batch->data_bytes_counted == 0) {
    // One batch larger than the credit goes alone.
    const uint64_t bytes = batch->header.data_bytes;
    if (session->data_bytes_in_flight > 0 &&
        session->data_bytes_in_flight + bytes > options_.data_bytes_in_flight_max) {
      return false;
    }
    session->data_bytes_in_flight += bytes;
    batch->data_bytes_counted = bytes;
  }
  const bool needs_slab = is_body || !partition->in_memory();
  const fabric::Region* region = needs_slab ? ingest_->region() : partition->area->usable_region();
  if (region == nullptr) {
    batch->status = Status(Code::OUT_OF_MEMORY, "memory of the server could not be registered again; send again later");
    // Not from here: the caller walks queues that the failure changes.
    ++batch->entry->references;
    failed_entries_.push_back(batch->entry);
    want_turn();
    return false;
  }
  std::byte* slab = nullptr;
  if (needs_slab) {
    const uint32_t share = std::max(2u, ingest_->total() / 8);
    slab = session->ingest_slabs < share ? ingest_->take() : nullptr;
    if (slab == nullptr) {
      counters_.slab_waits += 1;
      return false;
    }
    ++session->ingest_slabs;
  }
  PullUnit* unit = units_.take();
  unit->batch = batch;
  unit->is_body = is_body;
  unit->slab = slab;
  unit->failed = false;
  unit->transfers = 0;
  unit->generation = needs_slab ? ingest_->generation() : partition->area->generation();
  const uint64_t index = is_body ? batch->units_begun : batch->units_begun - batch->body_units;
  const uint64_t whole = is_body ? batch->header.body_bytes : batch->header.data_bytes;
  unit->at = index * kSlabBytes;
  unit->length = std::min(kSlabBytes, whole - unit->at);
  ++batch->units_begun;
  ++batch->units_outstanding;
  read_pieces(unit, region, slab != nullptr ? slab : partition->log->memory(batch->extent) + unit->at);
  return true;
}

void BrokerImpl::read_piece(PullUnit* unit, const fabric::Region* region, std::byte* into, const wire::Memory& memory,
                            uint64_t at, uint64_t length) {
  Move* move = take_move(unit, &BrokerImpl::on_pulled);
  move->transfer.peer = unit->batch->session->peer;
  move->transfer.region = region;
  move->transfer.local = into;
  move->transfer.length = length;
  move->transfer.remote = remote_memory(memory);
  move->transfer.remote_at = at;
  ++unit->transfers;
  ++reads_;
  lane_.read(&move->transfer);
}

void BrokerImpl::read_pieces(PullUnit* unit, const fabric::Region* region, std::byte* into) {
  BatchOp* batch = unit->batch;
  if (unit->is_body) {
    return read_piece(unit, region, into, batch->body_memory, batch->body_at + unit->at, unit->length);
  }
  const uint64_t end = unit->at + unit->length;
  uint64_t filled = unit->at;
  size_t index = batch->segment_hint;
  for (; index < batch->segments.size(); ++index) {
    const wire::Segment& segment = batch->segments[index];
    const uint64_t from = std::max(segment.extent_at, filled);
    if (from >= end) break;
    const uint64_t to = std::min(segment.extent_at + segment.length, end);
    if (to <= from) continue;
    std::memset(into + (filled - unit->at), 0, from - filled);  // between events: alignment
    read_piece(unit, region, into + (from - unit->at), segment.memory, segment.memory_at + (from - segment.extent_at),
               to - from);
    filled = to;
    if (segment.extent_at + segment.length > end) break;  // the next unit goes on with it
  }
  batch->segment_hint = index;
  std::memset(into + (filled - unit->at), 0, end - filled);
  if (unit->transfers > 0) return;
  // Alignment only. Not finished from here: the caller walks queues that the end of a batch changes.
  arrived_units_.push_back(unit);
  want_turn();
}

void BrokerImpl::on_pulled(fabric::Transfer* transfer, const Status& status) {
  BrokerImpl* broker = self(transfer);
  auto* move = reinterpret_cast<Move*>(transfer);
  auto* unit = static_cast<PullUnit*>(move->context);
  broker->give_move(move);
  --broker->reads_;
  BatchOp* batch = unit->batch;
  if (!status.ok()) {
    broker->counters_.transfers_failed += 1;
    unit->failed = true;
    if (batch->status.ok()) batch->status = broker->pull_failure(batch, status);
  }
  Session* session = batch->session;
  broker->reference(session);
  if (--unit->transfers == 0) {
    broker->unit_arrived(unit);
    broker->want_turn();
  }
  // The read may still go on, and each further one would take a slab away: this client starts anew, when it answers.
  if (status.code() == Code::TIMED_OUT && !session->gone && session->phase == Phase::kProved) {
    broker->log(LogLevel::kWarning, join_text("ended the session of ", broker->session_label(session),
                                              ": its memory cannot be read: ", status.text()));
    broker->end_session(session);
  }
  broker->unreference(session);
}

Status BrokerImpl::pull_failure(const BatchOp* batch, const Status& status) const {
  return status.with_context(join_text("reading batch ", batch->header.sequence, " for ", batch->partition->label,
                                       " from its producer's memory"));
}

void BrokerImpl::unit_arrived(PullUnit* unit) {
  BatchOp* batch = unit->batch;
  if (unit->failed) {
    if (unit->slab != nullptr) {
      ingest_->quarantine(unit->slab, unit->generation, [this] { want_turn(); });
    } else {
      if (batch->failed_generation_first == 0) batch->failed_generation_first = unit->generation;
      batch->failed_generation_first = std::min(batch->failed_generation_first, unit->generation);
      batch->failed_generation_last = std::max(batch->failed_generation_last, unit->generation);
    }
    if (unit->slab != nullptr) --batch->session->ingest_slabs;
    unit->slab = nullptr;
    return unit_done(unit);
  }
  if (unit->is_body) {
    if (batch->body_units == 1) {
      batch->body.assign(unit->slab, unit->slab + unit->length);  // one pass: resize() writes zeros first
    } else {
      if (batch->body.empty()) batch->body.resize(batch->header.body_bytes);
      std::memcpy(batch->body.data() + unit->at, unit->slab, unit->length);
    }
    counters_.bytes_copied += unit->length;
    counters_.body_bytes_pulled += unit->length;
    if (++batch->body_units_done == batch->body_units) body_arrived(batch);
    return unit_done(unit);
  }
  counters_.data_bytes_pulled += unit->length;
  if (!batch->status.ok()) return unit_done(unit);
  if (!batch->partition->in_memory()) {
    unit->write_job = Job{&BrokerImpl::run_write, &BrokerImpl::write_done, unit, this};
    unit->write_status = Status();
    counters_.writer_queue_now += 1;
    return batch->partition->writer->push(&unit->write_job);
  }
  const std::byte* bytes = batch->partition->log->memory(batch->extent) + unit->at;
  const uint64_t first = unit->at / log::kDataBlockBytes;
  const uint64_t count = (unit->length + log::kDataBlockBytes - 1) / log::kDataBlockBytes;
  if (batch->checksums.size() < first + count) batch->checksums.resize(first + count);
  for (uint64_t block = 0; block < count; ++block) {
    const uint64_t at = block * log::kDataBlockBytes;
    batch->checksums[first + block] = crc32c(bytes + at, std::min(log::kDataBlockBytes, unit->length - at));
  }
  unit_done(unit);
}

void BrokerImpl::body_arrived(BatchOp* batch) {
  if (!batch->status.ok()) return;
  const auto view = wire::BatchView::parse(std::as_bytes(std::span(&batch->header, 1)), batch->body, true);
  if (!view.ok()) batch->status = view.status().with_context(batch->partition->label);
}

bool BrokerImpl::run_write(Job* job) {
  auto* unit = static_cast<PullUnit*>(job->owner);
  BatchOp* batch = unit->batch;
  log::PartitionLog& log = *batch->partition->log;
  unit->write_status = batch->commit_status;  // a piece before it failed
  if (!unit->write_status.ok()) return true;
  if (!batch->reserved) {
    auto extent = log.reserve(batch->header.data_bytes);
    if (extent.ok()) {
      batch->extent = extent.value();
      batch->reserved = true;
    } else {
      batch->commit_status = extent.status();
    }
  }
  if (batch->commit_status.ok())
    batch->commit_status = log.write_data(batch->extent, unit->at, {unit->slab, unit->length});
  unit->write_status = batch->commit_status;
  if (!unit->write_status.ok()) {
    const log::PartitionState state = log.state();
    batch->read_only_seen = state.read_only;
    batch->read_only_reason = state.read_only_reason;
    return true;
  }
  unit->checksums.clear();
  for (uint64_t at = 0; at < unit->length; at += log::kDataBlockBytes) {
    unit->checksums.push_back(crc32c(unit->slab + at, std::min(log::kDataBlockBytes, unit->length - at)));
  }
  return true;
}

void BrokerImpl::write_done(Job* job) {
  auto* unit = static_cast<PullUnit*>(job->owner);
  auto* broker = static_cast<BrokerImpl*>(job->context);
  BatchOp* batch = unit->batch;
  broker->counters_.writer_queue_now -= 1;
  if (!unit->write_status.ok()) {
    if (batch->status.ok()) batch->status = unit->write_status.with_context(batch->partition->label);
    if (batch->read_only_seen) broker->set_read_only(batch->partition, batch->read_only_reason);
  } else {
    const uint64_t first = unit->at / log::kDataBlockBytes;
    if (batch->checksums.size() < first + unit->checksums.size()) {
      batch->checksums.resize(first + unit->checksums.size());
    }
    std::copy(unit->checksums.begin(), unit->checksums.end(),
              batch->checksums.begin() + static_cast<std::ptrdiff_t>(first));
  }
  broker->unit_done(unit);
}

void BrokerImpl::unit_done(PullUnit* unit) {
  BatchOp* batch = unit->batch;
  if (unit->slab != nullptr) {
    --batch->session->ingest_slabs;
    ingest_->give(unit->slab);
    unit->slab = nullptr;
  }
  units_.give(unit);
  WEFT_ASSERT(batch->units_outstanding > 0);
  --batch->units_outstanding;
  if (!batch->queued) {
    if (batch->units_outstanding == 0) settle(batch);
    return;
  }
  if (!batch->status.ok() || (batch->units_outstanding == 0 && batch->units_begun == batch->units)) {
    try_commit(batch->entry);
  }
}

}  // namespace weft::broker
