#include "client/producer_partition.h"

#include <algorithm>

#include "base/checksum.h"

namespace weft::client {

namespace {
constexpr uint64_t kRetryFirstNs = 500 * kNsPerUs;
constexpr uint64_t kRetryLastNs = 100 * kNsPerMs;
// So long a producer waits for one slot when others have answered.
constexpr uint64_t kSlotAwayNs = 2 * kNsPerSecond;
// So long after its deadline a batch keeps the caller's memory while the server may read it: longer than the silence
// after which a lane gives a peer up. A server that still does not answer then is alive, and what was sent to it has
// arrived.
constexpr uint64_t kBorrowedMemoryNs = 30 * kNsPerSecond;
// The window is for small batches. Of large ones no more are in flight than keep the line busy: a server holds the
// bodies of one client up to a limit, and sends the rest back.
constexpr uint64_t kWindowBodyBytes = 2 * 1024 * 1024;
constexpr uint32_t kWindowBatchesMin = 4;

void seal_header(wire::BatchHeader& header) {
  header.header_checksum = crc32c(&header, offsetof(wire::BatchHeader, header_checksum));
}

wire::Memory as_wire(const fabric::RemoteMemory& memory) { return {memory.address, memory.key, memory.length}; }
}  // namespace

ProducerPartition::ProducerPartition(Producer& producer, uint32_t partition, uint32_t slot)
    : producer_(producer), partition_(partition), slot_(slot) {
  retry_.fire = on_retry;
  retry_.owner = this;
}

ProducerPartition::~ProducerPartition() = default;

Session& ProducerPartition::session() { return producer_.client().session(slot_); }

void ProducerPartition::start(std::function<void(const Status&)> opened) {
  started_ = true;
  opened_ = std::move(opened);
  producer_.client().add_ticker(this, [this](uint64_t now_ns) { return tick(now_ns); });
  const Client& client = producer_.client();
  open_began_ns_ = producer_.client().lane().now_ns();
  open_deadline_ns_ = open_began_ns_ + client.options().request_timeout_ms * kNsPerMs;
  session().add_user(this);
  if (session().refused()) return fail(session().last_error());
  if (session().ready()) open();
}

void ProducerPartition::open() {
  state_ = State::kOpening;
  Request request{wire::MessageType::kProducerOpen,
                  producer_.client().options().request_timeout_ms,
                  [this](wire::MessageWriter& writer) {
                    wire::ProducerOpen open{};
                    open.topic = producer_.topic().info.topic;
                    open.partition = partition_;
                    open.epoch = epoch_;
                    open.producer = producer_.id();
                    writer.put(open);
                    writer.text(producer_.options().name);
                  },
                  [this](const Status& status, wire::MessageReader* answer) { on_opened(status, answer); },
                  false,
                  this};
  session().request(std::move(request));
}

void ProducerPartition::on_opened(const Status& status, wire::MessageReader* answer) {
  if (state_ != State::kOpening) return;
  const wire::ProducerOpened* opened = answer == nullptr ? nullptr : answer->take<wire::ProducerOpened>();
  if (opened == nullptr || opened->code != 0) {
    state_ = State::kClosed;
    Status reason = status;
    if (opened != nullptr) reason = Status(static_cast<Code>(opened->code), std::string(answer->rest_text()));
    if (reason.ok()) reason = Status(Code::INTERNAL, "the server's answer to opening a producer is cut off");
    const CodeInfo* info = code_info(reason.code());
    const bool again = info != nullptr && info->can_retry;
    if (!again) return fail(reason);
    failure_ = reason;  // said if the deadline passes first
    if (session().ready()) producer_.client().lane().arm(&retry_, kRetryLastNs);
    return;
  }
  state_ = State::kOpen;
  failure_ = {};
  handle_ = opened->handle;
  epoch_ = opened->epoch;
  window_ = std::max(1u, std::min(producer_.options().batches_in_flight, opened->batches_in_flight_max));
  // Only by the first opening: what comes later is of this producer itself.
  if (stored_before() == kUnknown) stored_before_.store(opened->last_offset, std::memory_order_release);
  expected_ = opened->next_sequence;
  session().bind(handle_, false, this);
  stalled_ = false;
  unanswered_ = 0;
  unanswered_bytes_ = 0;
  sent_count_ = 0;
  // What the server has already keeps its number and is answered as a repetition. That holds for every batch that was
  // ever sent under a number, also one that the last connection did not last long enough to send again: by any other
  // number it would be stored twice.
  renumber();
  // Pulls of an earlier connection were finished or cut off before the server answered this.
  for (Batch* batch : batches_) batch->exposed = false;
  producer_.note_opened();
  if (opened_) std::exchange(opened_, nullptr)({});
  pump();
}

// Batches that the server does not have are numbered anew, when they are sent, from what it expects.
void ProducerPartition::renumber() {
  next_sequence_ = expected_;
  for (Batch* batch : batches_) {
    if (batch->header.sequence >= expected_) batch->header.sequence = UINT64_MAX;
  }
}

void ProducerPartition::push(Batch* batch) {
  batch->deadline_ns = producer_.client().lane().now_ns() + producer_.client().options().delivery_timeout_ms * kNsPerMs;
  if (!started_ && state_ != State::kFailed) start(nullptr);
  if (state_ == State::kFailed) return producer_.finish(batch, failure_, {});
  batch->header.sequence = UINT64_MAX;
  batches_.push_back(batch);
  producer_.client().add_ticker(this, [this](uint64_t now_ns) { return tick(now_ns); });
  pump();
}

void ProducerPartition::pump() {
  const auto has_room = [&] {
    return unanswered_ < window_ && (unanswered_ < kWindowBatchesMin || unanswered_bytes_ < kWindowBodyBytes);
  };
  while (state_ == State::kOpen && !stalled_ && sent_count_ < batches_.size() && has_room()) {
    Batch* batch = batches_[sent_count_];
    const bool is_new = batch->header.sequence == UINT64_MAX;
    if (is_new) batch->header.sequence = next_sequence_;
    const Status sent = send(batch);
    if (!sent.ok()) {
      // The lane's queue to this peer is full (or the peer is about to be lost): later, under the number that is right
      // then.
      if (is_new) batch->header.sequence = UINT64_MAX;
      producer_.client().lane().arm(&retry_, kRetryFirstNs);
      return;
    }
    if (is_new) ++next_sequence_;
    batch->sent = true;
    batch->exposed = true;
    ++sent_count_;
    ++unanswered_;
    unanswered_bytes_ += batch->body.size();
    ++producer_.client().count().batches_sent;
  }
}

Status ProducerPartition::send(Batch* batch) {
  batch->header.producer_id = producer_.id();
  batch->header.producer_epoch = epoch_;
  seal_header(batch->header);
  const fabric::PeerId peer = session().peer();
  const fabric::Region& region = batch->arena->region();
  const uint64_t inline_bytes = batch->body.size() + (batch->data_inline ? batch->header.data_bytes : 0);
  const bool body_inline = inline_bytes <= kInlineBytesMax;
  const bool data_inline = body_inline && batch->data_inline;
  const uint16_t flags =
      static_cast<uint16_t>((body_inline ? wire::kBatchBodyInline : 0) | (data_inline ? wire::kBatchDataInline : 0));
  writer_.begin(wire::MessageType::kBatch, session().token(), 0, flags);
  wire::Batch message{};
  message.handle = handle_;
  message.segment_count = data_inline ? 0 : static_cast<uint32_t>(batch->pieces.size());
  message.header = batch->header;
  if (!body_inline) {
    message.body = as_wire(region.describe(peer));
    message.body_at = static_cast<uint64_t>(batch->body.data() - region.data());
  }
  writer_.put(message);
  if (!data_inline) {
    for (const BatchPiece& piece : batch->pieces) {
      const fabric::Region& from = piece.region != nullptr ? *piece.region : region;
      wire::Segment segment{};
      segment.memory = as_wire(from.describe(peer));
      segment.memory_at = static_cast<uint64_t>(piece.address - from.data());
      segment.length = piece.length;
      segment.extent_at = piece.extent_at;
      writer_.put(segment);
    }
  }
  std::array<std::span<const std::byte>, 2> behind;
  size_t count = 0;
  if (body_inline) behind[count++] = batch->body;
  if (data_inline) behind[count++] = {batch->arena->data(), batch->header.data_bytes};
  return session().send(writer_, std::span(behind).first(count));
}

void ProducerPartition::on_session_message(wire::MessageReader& message) {
  if (message.header().type != wire::MessageType::kBatchAck) return;
  const auto* fixed = message.take<wire::BatchAck>();
  if (fixed == nullptr) return;
  const auto acks = message.take_array<wire::Ack>(fixed->count);
  if (acks.size() != fixed->count) return;
  const std::string_view text = message.rest_text();
  for (const wire::Ack& ack : acks) on_ack(ack, text);
  settle();
  pump();
}

void ProducerPartition::on_ack(const wire::Ack& ack, std::string_view text) {
  const auto sent_end = batches_.begin() + static_cast<ptrdiff_t>(sent_count_);
  const auto found = std::find_if(batches_.begin(), sent_end, [&](const Batch* batch) {
    return batch->sent && batch->header.sequence == ack.sequence;
  });
  if (found == sent_end) return;
  Batch* batch = *found;
  batch->sent = false;
  batch->exposed = false;
  WEFT_ASSERT(unanswered_ > 0);
  --unanswered_;
  unanswered_bytes_ -= batch->body.size();
  if (ack.code == 0) {
    expected_ = std::max(expected_, ack.sequence + 1);
    stalls_ = 0;
    ++producer_.client().count().batches_acknowledged;
    forget(found);
    if (acknowledged_.empty() || acknowledged_.back().partition_epoch != ack.partition_epoch) [[unlikely]] {
      // In memory each start of the server is an epoch, and nothing is ever made durable.
      if (producer_.topic().info.storage == wire::Storage::kMemory) acknowledged_.clear();
      acknowledged_.push_back({ack.partition_epoch, 0});
    }
    uint64_t& end = acknowledged_.back().end;
    end = std::max(end, ack.first_offset + batch->header.event_count);
    return producer_.finish(batch, {}, {ack.first_offset, ack.partition_epoch});
  }
  if (state_ == State::kFailed) {  // fenced: whatever the answer is, it is not sent again
    forget(found);
    return producer_.finish(batch, failure_, {});
  }
  const auto code = static_cast<Code>(ack.code);
  expected_ = ack.expected_sequence;
  const Status reason(code, std::string(text));
  if (code == Code::BUSY || (code == Code::SEQUENCE_GAP && ack.sequence >= ack.expected_sequence)) {
    if (code == Code::BUSY) ++producer_.client().count().busy_answers;
    stalled_ = true;
    // Given up before, or due to be: its memory is its owner's again, so it is not sent again.
    if (!batch->reported && batch->deadline_ns > producer_.client().lane().now_ns()) return;
    forget(found);
    return producer_.finish(batch, late(*batch), {});
  }
  if (code == Code::FENCED) {
    forget(found);
    producer_.finish(batch, reason, {});
    return fence(reason);
  }
  // Only a gap behind the expected batch is stored, too long ago for the server to say where: never to be sent again.
  // Any other batch is not stored and will not be: those behind it come back as gaps and move up.
  stalled_ = stalled_ || sent_count_ > static_cast<size_t>(found - batches_.begin()) + 1;
  forget(found);
  producer_.finish(batch, reason, {});
  if (!stalled_) next_sequence_ = expected_;
}

void ProducerPartition::forget(std::deque<Batch*>::iterator position) {
  if (static_cast<size_t>(position - batches_.begin()) < sent_count_) --sent_count_;
  batches_.erase(position);
}

void ProducerPartition::settle() {
  if (state_ != State::kOpen || !stalled_ || unanswered_ > 0) return;
  // Everything that was sent is answered: what is left was not stored.
  renumber();
  producer_.client().count().batches_resent += sent_count_;
  sent_count_ = 0;
  const uint64_t wait_ns = std::min(kRetryLastNs, kRetryFirstNs << std::min(stalls_, 8u));
  ++stalls_;
  producer_.client().lane().arm(&retry_, wait_ns);
}

void ProducerPartition::on_retry(fabric::Timer* timer) {
  auto* self = static_cast<ProducerPartition*>(timer->owner);
  if (self->state_ == State::kClosed && self->session().ready()) return self->open();
  if (self->stalled_ && self->unanswered_ > 0) return;
  self->stalled_ = false;
  self->pump();
}

void ProducerPartition::on_session_ready() {
  if (state_ == State::kClosed) open();
}

void ProducerPartition::on_session_lost(const Status& reason, bool memory_safe) {
  if (state_ == State::kFailed) {
    is_fenced_ = false;
    if (memory_safe) {
      for (Batch* batch : batches_) batch->exposed = false;
    }
    return fail(failure_);
  }
  state_ = State::kClosed;
  failure_ = reason;
  producer_.client().lane().disarm(&retry_);
  unanswered_ = 0;
  unanswered_bytes_ = 0;
  for (size_t i = 0; i < batches_.size();) {
    Batch* batch = batches_[i];
    batch->sent = false;
    batch->was_lost = batch->was_lost || batch->exposed;
    if (memory_safe) batch->exposed = false;
    if (!batch->reported) {
      ++i;
      continue;
    }
    // Given up before: its memory is free now, or must stay away from use.
    forget(batches_.begin() + static_cast<ptrdiff_t>(i));
    producer_.give_up(batch, reason);
  }
}

void ProducerPartition::on_session_refused(const Status& reason) { fail(reason); }

// Nothing more is sent. The server is there, and answers each batch that was sent: until then it may be reading its
// memory, which would be kept away from its owner for good if it were given up here.
void ProducerPartition::fence(const Status& reason) {
  state_ = State::kFailed;
  is_fenced_ = true;
  failure_ = reason;
  producer_.client().lane().disarm(&retry_);
  std::deque<Batch*> unsent;
  std::erase_if(batches_, [&](Batch* batch) {
    if (!batch->sent) unsent.push_back(batch);
    return !batch->sent;
  });
  sent_count_ = batches_.size();
  for (Batch* batch : unsent) producer_.give_up(batch, reason);
}

// Of one that was fenced: what is left unanswered is given up.
void ProducerPartition::fail(const Status& reason) {
  if (state_ != State::kFailed) failure_ = reason;
  state_ = State::kFailed;
  producer_.client().lane().disarm(&retry_);
  unanswered_ = 0;
  unanswered_bytes_ = 0;
  sent_count_ = 0;
  std::deque<Batch*> batches;
  batches.swap(batches_);
  const Status why = failure_;
  for (Batch* batch : batches) {
    batch->sent = false;
    producer_.give_up(batch, why);  // memory that the server may still be reading is kept away
  }
  if (opened_) std::exchange(opened_, nullptr)(reason);
}

Status ProducerPartition::late(const Batch& batch) const {
  return Status(Code::DELIVERY_TIMED_OUT,
                join_text("a batch of ", batch.header.event_count, " events for partition ", partition_, " of topic '",
                          producer_.topic().name, "' was not acknowledged by slot ", slot_, " within ",
                          producer_.client().options().delivery_timeout_ms, " ms", failure_.ok() ? "" : ": ",
                          failure_.message(), "; it may or may not be stored"));
}

bool ProducerPartition::tick(uint64_t now_ns) {
  // A slot that is away makes its own partitions unavailable and nothing else: the producer opens without it, and what
  // is pushed there waits for the slot until the delivery's deadline.
  const bool away = state_ == State::kClosed && !session().ready() && !session().last_error().ok();
  if (opened_ && away && producer_.opened_any() && now_ns > open_began_ns_ + kSlotAwayNs) {
    failure_ = session().last_error();
    std::exchange(opened_, nullptr)({});
  }
  bool waiting = opened_ != nullptr;
  if (waiting && now_ns > open_deadline_ns_) {
    const Status why = session().last_error().ok() ? failure_ : session().last_error();
    fail(
        Status(why.ok() ? Code::TIMED_OUT : why.code(),
               join_text("partition ", partition_, " of topic '", producer_.topic().name,
                         "' could not be opened on slot ", slot_, " within ",
                         producer_.client().options().request_timeout_ms, " ms", why.ok() ? "" : ": ", why.message())));
    return false;
  }
  for (size_t i = 0; i < batches_.size();) {
    Batch* batch = batches_[i];
    if (batch->reported || batch->deadline_ns > now_ns) {
      waiting = waiting || !batch->reported;
      ++i;
      continue;
    }
    if (batch->sent && !batch->registered_here.empty() && now_ns < batch->deadline_ns + kBorrowedMemoryNs) {
      // The caller's memory is his again with `done`, but a read of the server's that is under way reads on, whatever
      // is registered: what the caller writes next would be stored under a checksum that is right.
      waiting = true;
      ++i;
    } else if (batch->sent) {
      ++producer_.client().count().batches_failed;
      batch->reported = true;
      batch->registered_here.clear();  // its owner may use that memory again: a network peer is kept out of it
      batch->done(batch, late(*batch), {});
      ++i;
    } else {
      // Once sent, then lost or refused: over shm a server that was not proven dead may still read it.
      forget(batches_.begin() + static_cast<ptrdiff_t>(i));
      producer_.give_up(batch, late(*batch));
    }
  }
  return waiting;
}

void ProducerPartition::sync(const Acknowledged& what, std::function<void(const Status&)> done) {
  wire::Sync sync{};
  sync.topic = producer_.topic().info.topic;
  sync.partition = partition_;
  sync.partition_epoch = what.partition_epoch;
  sync.offset = what.end;
  Request request{wire::MessageType::kSync, producer_.client().options().delivery_timeout_ms,
                  [sync](wire::MessageWriter& writer) { writer.put(sync); },
                  [this, what, done = std::move(done)](const Status& status, wire::MessageReader* answer) {
                    Status synced = status;
                    if (synced.ok()) {
                      const auto* reply = answer->take<wire::Synced>();
                      synced = reply == nullptr
                                   ? Status(Code::INTERNAL, "the server's answer to a sync is cut off")
                                   : Status(static_cast<Code>(reply->code), std::string(answer->rest_text()));
                    }
                    // What is lost is said once: it is not asked for again.
                    if (synced.ok() || synced.code() == Code::TRUNCATED) {
                      std::erase_if(acknowledged_, [&](const Acknowledged& one) {
                        return one.partition_epoch == what.partition_epoch && one.end <= what.end;
                      });
                    }
                    done(synced);
                  }};
  session().request(std::move(request));
}

void ProducerPartition::close() {
  const Status closed(Code::CLOSED, "the producer was closed");
  // Nothing was pushed to it, and its slot has no session.
  if (!started_) return fail(closed);
  if (state_ == State::kOpen || is_fenced_) {
    writer_.begin(wire::MessageType::kProducerClose, session().token(), 0);
    writer_.put(wire::ProducerClose{handle_, 0});
    const Status sent = session().send(writer_);
    static_cast<void>(sent.ok());  // the server forgets it with the session at the latest
    session().unbind(handle_, false);
  }
  opened_ = nullptr;
  fail(closed);
  producer_.client().lane().disarm(&retry_);
  session().remove_user(this);
  producer_.client().remove_ticker(this);
}

}  // namespace weft::client
