// A batch from its message to its place in the producer's queue: the checks, the limits, the sequence rule.
#include <algorithm>

#include "base/checksum.h"
#include "broker/broker_impl.h"

namespace weft::broker {

namespace {
// The pieces of the data extent: in order, not overlapping, gaps only where an event is aligned, all inside the memory
// that was named.
const char* check_segments(std::span<const wire::Segment> segments, uint64_t data_bytes) {
  uint64_t end = 0;
  for (const wire::Segment& segment : segments) {
    if (!holds(segment.memory, segment.memory_at, segment.length)) return "a segment lies outside its memory";
    if (segment.extent_at < end || segment.extent_at - end >= wire::kDataAlignmentBytes) {
      return "the segments do not follow each other";
    }
    if (segment.extent_at > data_bytes || segment.length > data_bytes - segment.extent_at) {
      return "a segment reaches behind the batch's data";
    }
    end = segment.extent_at + segment.length;
  }
  return data_bytes - end >= wire::kDataAlignmentBytes ? "the segments do not cover the batch's data" : nullptr;
}
}  // namespace

void BrokerImpl::on_batch(Session* session, wire::MessageReader& reader) {
  const auto* batch = reader.take<wire::Batch>();
  if (batch == nullptr) return malformed(session, "BATCH is too short");
  counters_.batches_received += 1;
  const wire::BatchHeader& header = batch->header;
  const bool body_inline = (reader.header().flags & wire::kBatchBodyInline) != 0;
  const bool data_inline = (reader.header().flags & wire::kBatchDataInline) != 0;
  if (const Status status = wire::BatchView::check_header(header); !status.ok()) {
    return malformed(session, status.message());
  }
  if (batch->segment_count > wire::kBatchSegmentsMax) return malformed(session, "BATCH has more than 512 segments");
  const auto segments = reader.take_array<wire::Segment>(batch->segment_count);
  if (segments.size() != batch->segment_count) return malformed(session, "the segments of BATCH are cut off");
  std::span<const std::byte> body;
  std::span<const std::byte> data;
  if (body_inline) {
    const std::byte* at = reader.take_bytes(header.body_bytes);
    if (at == nullptr) return malformed(session, "the body of BATCH is cut off");
    body = {at, header.body_bytes};
  } else if (!holds(batch->body, batch->body_at, header.body_bytes)) {
    return malformed(session, "the body of BATCH lies outside its memory");
  }
  if (data_inline) {
    if (!segments.empty()) return malformed(session, "BATCH has its data inline and segments as well");
    const std::byte* at = reader.take_bytes(header.data_bytes);
    if (at == nullptr) return malformed(session, "the data of BATCH is cut off");
    data = {at, header.data_bytes};
  } else if (const char* wrong = check_segments(segments, header.data_bytes); wrong != nullptr) {
    return malformed(session, wrong);
  }

  Producer* producer =
      batch->handle == 0 || batch->handle > session->producers.size() ? nullptr : session->producers[batch->handle - 1];
  if (producer == nullptr) {
    return acknowledge_error(
        session, nullptr, batch->handle, header.sequence, 0,
        Status(Code::WRONG_HANDLE, join_text("slot ", options_.slot, " knows no producer of handle ", batch->handle,
                                             " of this client; open it again")));
  }
  const Status admission = check_admission(session, producer, header, header.body_bytes + data.size());
  if (admission.code() == Code::WRONG_HANDLE) return malformed(session, admission.message());
  if (!admission.ok()) {
    const uint64_t expected = producer->entry != nullptr ? producer->entry->admit_sequence : 0;
    // A repeated batch costs nothing: it is answered even when there is no room, and when there never will be. Told
    // that the partition is read-only, its producer would give up events that are stored, and store them elsewhere
    // again.
    if (admission.code() == Code::BUSY && answer_out_of_sequence(session, producer, header)) return;
    const bool no_more = admission.code() == Code::PARTITION_READ_ONLY ||
                         admission.code() == Code::PARTITION_UNAVAILABLE || admission.code() == Code::TOPIC_SEALED;
    if (no_more && producer->entry != nullptr && answer_repeated(producer, header)) return;
    acknowledge_error(session, producer, batch->handle, header.sequence, expected, admission);
    return;
  }
  if (answer_out_of_sequence(session, producer, header)) return;
  if (body_inline) {
    const auto view = wire::BatchView::parse(std::as_bytes(std::span(&header, 1)), body, true);
    if (!view.ok()) {
      return acknowledge_error(session, producer, batch->handle, header.sequence, header.sequence,
                               view.status().with_context(producer->partition->label));
    }
    counters_.body_bytes_inline += body.size();
    const bool nothing_to_pull = data_inline || header.data_bytes == 0;
    if (nothing_to_pull && producer->partition->in_memory() && producer->entry->batches.empty()) {
      return commit_at_once(producer, header, body, data);
    }
  }
  admit_batch(session, producer, *batch, segments, body, data);
}

Status BrokerImpl::check_admission(Session* session, Producer* producer, const wire::BatchHeader& header,
                                   uint64_t memory_bytes) const {
  const Partition* partition = producer->partition;
  const ProducerEntry* entry = producer->entry;
  if (producer->fenced || (entry != nullptr && header.producer_epoch < entry->epoch)) {
    return Status(Code::FENCED, join_text("epoch ", header.producer_epoch, " of this producer of ",
                                          partition != nullptr ? partition->label : "a closed partition",
                                          " is over: a newer producer opened it; stop this one"));
  }
  if (partition == nullptr || entry == nullptr) {
    if (producer->is_deleted) return Status(Code::TOPIC_UNKNOWN, "the topic of this producer was deleted");
    return Status(Code::PARTITION_UNAVAILABLE, join_text("the partition of this producer was closed on slot ",
                                                         options_.slot, "; open the topic again"));
  }
  if (header.producer_id != entry->id || header.producer_epoch != entry->epoch) {
    return Status(Code::WRONG_HANDLE, "the batch's producer id and epoch are not those of its handle");
  }
  if (stopping_) {
    return Status(Code::BUSY, join_text("slot ", options_.slot, " is stopping; send again when it is back"));
  }
  if (partition->closing) return closing_status(partition);
  if (partition->read_only) return read_only_status(partition);
  if (partition->spec.rules.sealed) {
    return Status(Code::TOPIC_SEALED, join_text(partition->label, " takes no more events: its topic was sealed"));
  }
  if (entry->batches.size() >= options_.batches_in_flight_max) {
    return Status(Code::BUSY, join_text(partition->label, " has ", entry->batches.size(),
                                        " batches of this producer in flight, the limit; wait for acknowledgements"));
  }
  if (session->batches >= kBatchesPerSessionMax || batches_.in_use() >= kBatchesMax) {
    return Status(Code::BUSY, join_text("slot ", options_.slot, " has ", session->batches,
                                        " batches of this client and ", batches_.in_use(), " of all in flight (limits ",
                                        kBatchesPerSessionMax, " and ", kBatchesMax, "); wait for acknowledgements"));
  }
  // Half for one client: one that stops in the middle of its pulls must not keep all others out.
  if (session->memory_bytes != 0 && session->memory_bytes + memory_bytes > options_.slab_bytes / 2) {
    return Status(Code::BUSY, join_text("slot ", options_.slot, " holds ", session->memory_bytes,
                                        " bytes of batches of this client, its limit is half of slab_bytes = ",
                                        options_.slab_bytes, "; send again or raise it"));
  }
  if (memory_bytes_ + memory_bytes > options_.slab_bytes) {
    return Status(Code::BUSY, join_text("slot ", options_.slot, " holds ", memory_bytes_,
                                        " bytes of batches, its limit is slab_bytes = ", options_.slab_bytes,
                                        "; send again or raise it"));
  }
  return {};
}

// True if it was answered (or needs no answer): repeated and known, or in flight already.
bool BrokerImpl::answer_repeated(Producer* producer, const wire::BatchHeader& header) {
  ProducerEntry* entry = producer->entry;
  if (header.sequence >= entry->admit_sequence) return false;
  if (header.sequence >= entry->next_sequence) return true;  // it is in flight: its answer will come
  for (size_t i = entry->recent.size(); i > 0; --i) {
    const ProducerEntry::Recent& recent = entry->recent[i - 1];
    if (recent.sequence != header.sequence) continue;
    counters_.batches_repeated += 1;
    acknowledge(producer,
                wire::Ack{header.sequence, 0, entry->partition->epoch, recent.first_offset, entry->admit_sequence},
                Status());
    return true;
  }
  return false;
}

// True if it was answered (or needs no answer): repeated, in flight already, or ahead of its turn.
bool BrokerImpl::answer_out_of_sequence(Session* session, Producer* producer, const wire::BatchHeader& header) {
  ProducerEntry* entry = producer->entry;
  if (header.sequence == entry->admit_sequence) return false;
  if (header.sequence > entry->admit_sequence) {
    acknowledge_error(
        session, producer, producer->handle, header.sequence, entry->admit_sequence,
        Status(Code::SEQUENCE_GAP, join_text(entry->partition->label, " expects batch ", entry->admit_sequence,
                                             " of this producer, got ", header.sequence, "; resend from there")));
    return true;
  }
  if (answer_repeated(producer, header)) return true;
  acknowledge_error(
      session, producer, producer->handle, header.sequence, entry->admit_sequence,
      Status(Code::SEQUENCE_GAP,
             join_text("batch ", header.sequence, " of this producer is stored in ", entry->partition->label,
                       " already, too long ago to say where; go on with ", entry->admit_sequence)));
  return true;
}

// Memory storage, nothing to pull, nothing before it: stored straight from the message.
void BrokerImpl::commit_at_once(Producer* producer, const wire::BatchHeader& header, std::span<const std::byte> body,
                                std::span<const std::byte> data) {
  ProducerEntry* entry = producer->entry;
  Partition* partition = producer->partition;
  auto extent = partition->log->reserve(header.data_bytes);
  Status status = extent.ok() ? Status() : extent.status();
  if (status.code() == Code::NO_SPACE) [[unlikely]] {
    status = make_room(partition, status);
    if (status.ok()) extent = partition->log->reserve(header.data_bytes);
    if (status.ok() && !extent.ok()) status = extent.status();
  }
  log::AppendResult appended;
  if (status.ok()) {
    checksums_.clear();
    if (!data.empty()) {
      std::memcpy(partition->log->memory(extent.value()), data.data(), data.size());
      counters_.data_bytes_inline += data.size();
      counters_.bytes_copied += data.size();
      for (uint64_t at = 0; at < data.size(); at += log::kDataBlockBytes) {
        checksums_.push_back(crc32c(data.subspan(at, std::min<uint64_t>(log::kDataBlockBytes, data.size() - at))));
      }
    }
    auto result = partition->log->append({&header, body, extent.value(), checksums_});
    if (!result.ok() && result.status().code() == Code::NO_SPACE) [[unlikely]] {
      const Status room = make_room(partition, result.status());
      if (room.ok()) {
        result = partition->log->append({&header, body, extent.value(), checksums_});
      } else {
        result = room;
      }
    }
    if (result.ok()) {
      appended = result.take();
    } else {
      status = result.status();
      partition->log->abandon(extent.value());
    }
  }
  if (!status.ok()) {
    acknowledge_error(producer->session, producer, producer->handle, header.sequence, header.sequence,
                      status.with_context(partition->label));
    return;
  }
  entry->admit_sequence = header.sequence + 1;
  note_stored(entry, header.sequence, appended.first_offset, header.event_count);
  acknowledge(producer,
              wire::Ack{header.sequence, 0, appended.partition_epoch, appended.first_offset, header.sequence + 1},
              Status());
  advance_visible(partition, appended.first_offset + header.event_count);
}

void BrokerImpl::admit_batch(Session* session, Producer* producer, const wire::Batch& message,
                             std::span<const wire::Segment> segments, std::span<const std::byte> body,
                             std::span<const std::byte> data) {
  ProducerEntry* entry = producer->entry;
  BatchOp* batch = batches_.take();
  batch->session = session;
  reference(session);
  ++session->batches;
  batch->producer = producer;
  producer->batches.push_back(batch);
  batch->entry = entry;
  ++entry->references;
  batch->partition = entry->partition;
  ++batch->partition->operations;
  batch->header = message.header;
  batch->body_memory = message.body;
  batch->body_at = message.body_at;
  batch->segments.assign(segments.begin(), segments.end());
  batch->body.assign(body.begin(), body.end());
  batch->inline_data.clear();
  // A body that is to be pulled counts from here: its memory is taken here.
  batch->memory_bytes = message.header.body_bytes + data.size();
  memory_bytes_ += batch->memory_bytes;
  session->memory_bytes += batch->memory_bytes;
  batch->data_bytes_counted = 0;
  batch->units_begun = 0;
  batch->units_outstanding = 0;
  batch->body_units_done = 0;
  batch->segment_hint = 0;
  batch->in_pulls = false;
  batch->queued = true;
  batch->committing = false;
  batch->reserved = false;
  batch->extent = log::DataExtent();
  batch->status = Status();
  batch->commit_status = Status();
  batch->read_only_seen = false;
  batch->failed_generation_first = 0;
  batch->failed_generation_last = 0;
  batch->returned = false;
  batch->cut_answered = false;
  batch->was_appended = false;
  batch->checksums.clear();  // grows with what arrives: a header alone costs no memory
  const bool body_inline = !body.empty();
  batch->body_units = body_inline ? 0 : (message.header.body_bytes + kSlabBytes - 1) / kSlabBytes;
  const bool data_inline = !data.empty() || message.header.data_bytes == 0;
  batch->units = batch->body_units + (data_inline ? 0 : (message.header.data_bytes + kSlabBytes - 1) / kSlabBytes);
  if (!body_inline) batch->body.reserve(message.header.body_bytes);
  counters_.batches_in_flight_now += 1;
  entry->batches.push_back(batch);
  entry->admit_sequence = message.header.sequence + 1;
  start_batch(batch, data);
}

void BrokerImpl::start_batch(BatchOp* batch, std::span<const std::byte> data) {
  Partition* partition = batch->partition;
  counters_.data_bytes_inline += data.size();
  counters_.bytes_copied += data.size();
  if (partition->in_memory()) {
    auto extent = partition->log->reserve(batch->header.data_bytes);
    if (!extent.ok() && extent.status().code() == Code::NO_SPACE) [[unlikely]] {
      const Status room = make_room(partition, extent.status());
      extent = room.ok() ? partition->log->reserve(batch->header.data_bytes) : Result<log::DataExtent>(room);
    }
    if (extent.ok()) {
      batch->extent = extent.value();
      batch->reserved = true;
      if (!data.empty()) {
        std::memcpy(partition->log->memory(batch->extent), data.data(), data.size());
        for (uint64_t at = 0; at < data.size(); at += log::kDataBlockBytes) {
          batch->checksums.push_back(
              crc32c(data.subspan(at, std::min<uint64_t>(log::kDataBlockBytes, data.size() - at))));
        }
      }
    } else {
      batch->status = extent.status().with_context(partition->label);
    }
  } else {
    batch->inline_data.assign(data.begin(), data.end());
  }
  if (batch->status.ok() && batch->units > 0) {
    add_pull(batch);
    return want_turn();
  }
  try_commit(batch->entry);
}

void BrokerImpl::free_batch(BatchOp* batch) {
  WEFT_ASSERT(batch->units_outstanding == 0 && !batch->queued && !batch->in_pulls);
  if (batch->producer != nullptr) std::erase(batch->producer->batches, batch);
  batch->producer = nullptr;
  memory_bytes_ -= batch->memory_bytes;
  batch->session->memory_bytes -= batch->memory_bytes;
  drop_large(batch->body);
  drop_large(batch->inline_data);
  batch->session->data_bytes_in_flight -= batch->data_bytes_counted;
  --batch->session->batches;
  unreference(batch->session);
  --batch->entry->references;
  counters_.batches_in_flight_now -= 1;
  Partition* partition = batch->partition;
  batches_.give(batch);
  if (partition->is_ending) [[unlikely]]
    check_end(partition);
  operation_done(partition);
}

}  // namespace weft::broker
