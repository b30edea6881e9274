// Frames into the consumers' rings, as soon as events become visible and the consumer has given room.
// Small bodies travel in the message; others are written by RMA, and told only when delivery is complete, in order.
// A consumer without room is simply passed over: it costs nobody anything.
#include <algorithm>

#include "broker/broker_impl.h"

namespace weft::broker {

namespace {
uint64_t ring_room(const Consumer* consumer) {
  const uint64_t used = consumer->ring_given - consumer->ring_returned;
  return consumer->ring.length - std::min(consumer->ring.length, used);
}

uint32_t events_room(const Consumer* consumer) {
  if (consumer->events_max == 0) return UINT32_MAX;
  const uint32_t used = consumer->events_given - consumer->events_returned;
  return consumer->events_max - std::min(consumer->events_max, used);
}

uint32_t events_of(const FrameOp* frame) { return frame->stored.header.event_count - frame->skip; }

// A consumer that has none takes any batch.
bool events_fit(const Consumer* consumer, const FrameOp* frame) {
  return consumer->events_given == consumer->events_returned || events_of(frame) <= events_room(consumer);
}
}  // namespace

void BrokerImpl::want_feed(Partition* partition) {
  if (partition->consumers.empty() || partition->feed_wanted) return;
  partition->feed_wanted = true;
  want_turn();
}

void BrokerImpl::feed(Consumer* consumer) {
  while (!consumer->closed && !consumer->failed && consumer->session->outbox.empty()) {
    if (!consumer->read.empty()) {
      if (consumer->placed.size() >= kFramesPerConsumerMax || !place_frame(consumer, consumer->read.front())) return;
      consumer->placed.push_back(consumer->read.pop_front());
      tell_frames(consumer);
      continue;
    }
    if (consumer->reading || consumer->placed.size() >= kFramesPerConsumerMax) return;
    if (consumer->partition == nullptr || consumer->partition->closing) return;
    if (consumer->next_offset >= consumer->partition->visible_end ||
        consumer->empty_until == consumer->partition->visible_end) {
      if (!consumer->partition->ended.ok()) [[unlikely]]
        tell_end(consumer);
      return;
    }
    // Nothing is read for a ring without room, and no more than fits: what waits here for a consumer that stands still
    // is one frame.
    if (ring_room(consumer) < wire::kDataAlignmentBytes || events_room(consumer) == 0) return;
    if (!read_frames(consumer)) return;
  }
}

// True if frames are there at once; false when a reader has to fetch them.
bool BrokerImpl::read_frames(Consumer* consumer) {
  Partition* partition = consumer->partition;
  consumer->reading = true;
  consumer->read_from = consumer->next_offset;
  consumer->read_end = partition->visible_end;
  consumer->read_bytes_max = std::min(kFrameBytesPerReadMax, ring_room(consumer));
  consumer->read_events_max = events_room(consumer);
  consumer->read_count = 0;
  consumer->read_status = Status();
  while (consumer->read_frames.size() < kFramesPerReadMax) consumer->read_frames.push_back(frames_.take());
  ++consumer->operations;
  ++partition->operations;
  counters_.reader_queue_now += 1;
  consumer->read_job = Job{&BrokerImpl::run_read, &BrokerImpl::read_done, consumer, this};
  if (!partition->in_memory()) {
    readers_->push(&consumer->read_job);
    return false;
  }
  run_read(&consumer->read_job);
  frames_read(consumer);
  return true;
}

bool BrokerImpl::run_read(Job* job) {
  auto* consumer = static_cast<Consumer*>(job->owner);
  const log::PartitionLog& log = *consumer->partition->log;
  uint64_t offset = consumer->read_from;
  uint64_t bytes = 0;
  uint64_t events = 0;
  // Of this thread, for this job: everything below read_end is visible.
  thread_local log::ReadAhead ahead;
  while (offset < consumer->read_end && consumer->read_count < kFramesPerReadMax && bytes < consumer->read_bytes_max &&
         events < consumer->read_events_max) {
    FrameOp* frame = consumer->read_frames[consumer->read_count];
    consumer->read_status = log.read_batch(offset, frame->stored, &ahead);
    if (!consumer->read_status.ok()) break;
    frame->skip = static_cast<uint32_t>(offset - frame->stored.first_offset);
    offset = frame->stored.first_offset + frame->stored.header.event_count;
    bytes += frame->stored.body.size();
    events += events_of(frame);
    ++consumer->read_count;
  }
  ahead.forget();
  return true;
}

void BrokerImpl::read_done(Job* job) {
  auto* consumer = static_cast<Consumer*>(job->owner);
  auto* broker = static_cast<BrokerImpl*>(job->context);
  ++consumer->operations;  // until it was fed
  broker->frames_read(consumer);
  broker->feed(consumer);
  broker->consumer_operation_done(consumer);
}

void BrokerImpl::frames_read(Consumer* consumer) {
  Partition* partition = consumer->partition;
  counters_.reader_queue_now -= 1;
  consumer->reading = false;
  for (size_t i = 0; i < consumer->read_frames.size(); ++i) {
    FrameOp* frame = consumer->read_frames[i];
    if (i >= consumer->read_count || consumer->closed) {
      drop_large(frame->stored.body);
      frames_.give(frame);
      continue;
    }
    frame->consumer = consumer;
    frame->transfers = 0;
    frame->failed = false;
    frame->slabs.clear();
    consumer->next_offset = frame->stored.first_offset + frame->stored.header.event_count;
    consumer->read.push_back(frame);
  }
  consumer->read_frames.clear();
  if (consumer->read_status.code() == Code::END_OF_STREAM && consumer->read_count == 0) {
    // Recovery skipped ids and nothing was appended since: the next batch is the first behind the gap.
    consumer->empty_until = consumer->read_end;
    consumer->read_status = Status();
  }
  if (!consumer->read_status.ok() && consumer->read_count == 0 && !consumer->closed) {
    fail_consumer(consumer, consumer->read_status.with_context(partition->label), consumer->next_offset);
  }
  --consumer->operations;
  WEFT_ASSERT(!consumer->closed || consumer->operations > 0);
  operation_done(partition);
}

// Gives the frame its place in the ring and begins to write it. False: no room, too many events, or no slab.
bool BrokerImpl::place_frame(Consumer* consumer, FrameOp* frame) {
  if (consumer->events_max != 0 && !events_fit(consumer, frame)) return false;
  const uint64_t length = frame->stored.body.size();
  const uint64_t whole = consumer->ring.length;
  if (length > whole) {
    fail_consumer(consumer,
                  Status(Code::LIMIT, join_text("a batch of ", length, " bytes of metadata in ",
                                                consumer->partition->label, " does not fit the consumer's ring of ",
                                                whole, " bytes; open it with a larger one")),
                  frame->stored.first_offset);
    return false;
  }
  uint64_t position = consumer->ring_given % whole;
  uint64_t end = consumer->ring_given;
  if (length > whole - position) {
    end += whole - position;  // the ring's end is too short: skipped
    position = 0;
  }
  end += wire::align_up(length, wire::kDataAlignmentBytes);
  // An empty ring takes any frame: what is skipped does not count then.
  const bool is_empty = consumer->ring_given == consumer->ring_returned;
  if (!is_empty && end - consumer->ring_returned > whole) return false;
  frame->ring_at = position;
  frame->ring_end = end;
  frame->is_inline = length <= kFrameInlineBytesMax;
  if (!frame->is_inline && !write_frame(consumer, frame)) return false;
  consumer->ring_given = end;
  consumer->events_given += events_of(frame);
  return true;
}

bool BrokerImpl::write_frame(Consumer* consumer, FrameOp* frame) {
  const uint64_t length = frame->stored.body.size();
  const auto needed = static_cast<uint32_t>((length + kSlabBytes - 1) / kSlabBytes);
  Session* session = consumer->session;
  const fabric::Region* region = egress_->region();
  const uint32_t share = std::max(needed, egress_->total() / 8);
  if (region == nullptr || egress_->total() - egress_->in_use() < needed || session->egress_slabs + needed > share) {
    counters_.slab_waits += 1;
    if (!consumer->waits_for_slab) {
      consumer->waits_for_slab = true;
      slab_consumers_.push_back(consumer);
    }
    return false;
  }
  session->egress_slabs += needed;
  for (uint32_t i = 0; i < needed; ++i) frame->slabs.push_back(egress_->take());
  frame->transfers = needed;
  frame->generation = egress_->generation();
  consumer->operations += needed;
  for (uint32_t i = 0; i < needed; ++i) {
    const uint64_t at = i * kSlabBytes;
    const uint64_t piece = std::min(kSlabBytes, length - at);
    std::memcpy(frame->slabs[i], frame->stored.body.data() + at, piece);
    Move* move = take_move(frame, &BrokerImpl::on_frame_written);
    move->transfer.peer = session->peer;
    move->transfer.region = region;
    move->transfer.local = frame->slabs[i];
    move->transfer.length = piece;
    move->transfer.remote = remote_memory(consumer->ring);
    move->transfer.remote_at = frame->ring_at + at;
    lane_.write(&move->transfer);
  }
  counters_.bytes_copied += length;
  return true;
}

void BrokerImpl::on_frame_written(fabric::Transfer* transfer, const Status& status) {
  BrokerImpl* broker = self(transfer);
  auto* move = reinterpret_cast<Move*>(transfer);
  auto* frame = static_cast<FrameOp*>(move->context);
  broker->give_move(move);
  Consumer* consumer = frame->consumer;
  Session* session = consumer->session;
  if (!status.ok()) {
    broker->counters_.transfers_failed += 1;
    frame->failed = true;
  }
  if (--frame->transfers == 0) {
    session->egress_slabs -= static_cast<uint32_t>(frame->slabs.size());
    for (std::byte* slab : frame->slabs) {
      if (frame->failed) {
        broker->egress_->quarantine(slab, frame->generation, [broker] { broker->egress_slab_freed(); });
      } else {
        broker->egress_->give(slab);
      }
    }
    frame->slabs.clear();
    // What a failed write leaves in the ring nobody knows, and it may still arrive: this client starts anew.
    if (frame->failed && !session->gone && session->phase == Phase::kProved) {
      broker->log(LogLevel::kWarning, join_text("ended the session of ", broker->session_label(session),
                                                ": its ring cannot be written: ", status.text()));
      broker->end_session(session);
    }
    broker->tell_frames(consumer);
    if (!frame->failed) broker->feed(consumer);
    broker->egress_slab_freed();
  }
  broker->consumer_operation_done(consumer);
}

// Says in order which frames are there.
void BrokerImpl::tell_frames(Consumer* consumer) {
  while (!consumer->closed && !consumer->placed.empty()) {
    FrameOp* frame = consumer->placed.front();
    if (frame->transfers > 0 || frame->failed) return;
    consumer->placed.pop_front();
    const std::vector<std::byte>& body = frame->stored.body;
    const uint16_t flags = frame->is_inline ? wire::kFrameBodyInline : uint16_t{0};
    writer_.begin(wire::MessageType::kFrame, consumer->session->token, 0, flags);
    wire::Frame message{};
    message.handle = consumer->handle;
    message.skip = frame->skip;
    message.first_offset = frame->stored.first_offset;
    message.append_time_ns = frame->stored.append_time_ns;
    message.partition_epoch = frame->stored.partition_epoch;
    message.visible_end = consumer->partition != nullptr ? consumer->partition->visible_end : 0;
    message.ring_at = frame->ring_at;
    message.ring_end = frame->ring_end;
    message.header = frame->stored.header;
    writer_.put(message);
    consumer->ring_told = frame->ring_end;
    counters_.frames_sent += 1;
    consumer->events_told += events_of(frame);
    counters_.events_sent += events_of(frame);
    if (frame->is_inline) {
      counters_.frame_bytes_inline += body.size();
      reply(consumer->session, body.size(), body);
    } else {
      counters_.frame_bytes_written += body.size();
      reply(consumer->session);
    }
    free_frame(frame);
  }
}

void BrokerImpl::free_frame(FrameOp* frame) {
  WEFT_ASSERT(frame->transfers == 0 && frame->slabs.empty());
  frame->consumer = nullptr;
  drop_large(frame->stored.body);
  frames_.give(frame);
}

// Those who wait for slabs are tried again, once each, in order.
void BrokerImpl::egress_slab_freed() {
  // The last slab may come back when no turn follows; a count that stays at one would look like a leak.
  counters_.slabs_in_use_now.set(ingest_->in_use() + egress_->in_use());
  for (size_t left = slab_consumers_.size(); left > 0 && !slab_consumers_.empty() && !egress_->empty(); --left) {
    Consumer* consumer = slab_consumers_.pop_front();
    consumer->waits_for_slab = false;
    feed(consumer);
  }
  for (size_t left = slab_requests_.size(); left > 0 && !slab_requests_.empty() && !egress_->empty(); --left) {
    DataOp* request = slab_requests_.pop_front();
    request->waits_for_slab = false;
    advance_request(request);
  }
}

}  // namespace weft::broker
