#include "client/consumer_stream.h"

#include <algorithm>
#include <utility>

namespace weft::client {

namespace {
constexpr uint64_t kRetryNs = 100 * kNsPerMs;
constexpr uint64_t kCloseTimeoutMs = 5000;
}  // namespace

ConsumerStream::ConsumerStream(Consumer& consumer, uint32_t partition, uint32_t slot)
    : consumer_(consumer), partition_(partition), slot_(slot) {
  retry_.fire = on_retry;
  retry_.owner = this;
  credit_task_.owner = this;
  credit_task_.run = [](fabric::Task* task) { static_cast<ConsumerStream*>(task->owner)->send_credit(); };
}

ConsumerStream::~ConsumerStream() = default;

Session& ConsumerStream::session() { return consumer_.client().session(slot_); }

void ConsumerStream::start(std::function<void(const Status&)> opened) {
  opened_ = std::move(opened);
  lost_since_ns_ = consumer_.client().lane().now_ns();
  consumer_.client().add_ticker(this, [this](uint64_t now_ns) { return tick(now_ns); });
  session().add_user(this);
  if (session().refused()) return fail(session().last_error());
  if (session().ready()) open();
}

Result<std::shared_ptr<Ring>> ConsumerStream::spare_ring() {
  fabric::Lane& lane = consumer_.client().lane();
  {
    const std::lock_guard lock(consumer_.mutex());
    const auto found =
        std::find_if(retired_.begin(), retired_.end(), [](const auto& ring) { return ring->reusable(); });
    if (found != retired_.end()) {
      WEFT_RETURN_IF_ERROR((*found)->lend_again(lane));
      std::shared_ptr<Ring> ring = std::move(*found);
      retired_.erase(found);
      return ring;
    }
  }
  WEFT_RETURN_IF_ERROR(consumer_.client().check_quarantine(Client::Lent::kForOthers));
  return Ring::create(lane, consumer_.options().prefetch_bytes);
}

Status ConsumerStream::take_ring() {
  if (ring_) return {};
  Result<std::shared_ptr<Ring>> ring = spare_ring();
  if (!ring.ok()) return ring.status();
  const std::lock_guard lock(consumer_.mutex());
  ring_ = ring.take();
  return {};
}

void ConsumerStream::open() {
  const Status taken = take_ring();
  if (!taken.ok()) return fail(taken);
  state_ = State::kOpening;
  Request request{wire::MessageType::kConsumerOpen,
                  consumer_.client().options().request_timeout_ms,
                  [this](wire::MessageWriter& writer) {
                    wire::ConsumerOpen open{};
                    open.topic = consumer_.topic().info.topic;
                    open.partition = partition_;
                    open.from = ever_opened_ ? wire::From::kOffset : consumer_.options().from;
                    open.value = ever_opened_ ? next_offset_ : consumer_.options().from_value;
                    open.epoch = ever_opened_ ? partition_epoch_ : 0;
                    open.events_max = consumer_.options().prefetch_events;
                    const fabric::RemoteMemory ring = ring_->region().describe(session().peer());
                    open.ring = {ring.address, ring.key, ring.length};
                    ring_shown_ = true;
                    writer.put(open);
                    writer.text(consumer_.options().name);
                  },
                  [this](const Status& status, wire::MessageReader* answer) { on_opened(status, answer); },
                  false,
                  this};
  session().request(std::move(request));
}

void ConsumerStream::on_opened(const Status& status, wire::MessageReader* answer) {
  if (state_ != State::kOpening) return;
  const wire::ConsumerOpened* opened = answer == nullptr ? nullptr : answer->take<wire::ConsumerOpened>();
  if (opened == nullptr || opened->code != 0) {
    state_ = State::kClosed;
    Status reason = status;
    if (opened != nullptr) reason = Status(static_cast<Code>(opened->code), std::string(answer->rest_text()));
    if (reason.ok()) reason = Status(Code::INTERNAL, "the server's answer to opening a consumer is cut off");
    // No answer in time: the server may have opened the stream all the same and write into the ring. (A lost connection
    // is heard of by on_session_lost.)
    if (opened != nullptr) ring_shown_ = false;
    if (answer == nullptr && session().ready()) retire_ring(false);
    const CodeInfo* info = code_info(reason.code());
    if (info == nullptr || !info->can_retry) return fail(reason);
    last_failure_ = reason;
    if (session().ready()) consumer_.client().lane().arm(&retry_, kRetryNs);
    return;
  }
  state_ = State::kOpen;
  lost_since_ns_ = 0;
  handle_ = opened->handle;
  session().bind(handle_, true, this);
  partition_epoch_ = opened->partition_epoch;
  next_offset_ = opened->start_offset;
  {
    const std::lock_guard lock(consumer_.mutex());
    if (!ever_opened_) position_ = {opened->start_offset, opened->visible_end, opened->had_cursor != 0};
    position_.visible_end = opened->visible_end;
  }
  ever_opened_ = true;
  if (opened_) std::exchange(opened_, nullptr)({});
  consumer_.send_waiting_fetches(slot_);
}

void ConsumerStream::on_session_message(wire::MessageReader& message) {
  if (seek_ready() && hold_for_seek(message)) return;
  if (state_ != State::kOpen) return;
  if (message.header().type == wire::MessageType::kFrame) return on_frame(message);
  if (message.header().type == wire::MessageType::kConsumerFailed) return on_failed(message);
}

void ConsumerStream::on_frame(wire::MessageReader& message) {
  const auto* frame = message.take<wire::Frame>();
  const auto malformed = [this](const char* what) {
    ++consumer_.client().count().messages_malformed;
    fail(Status(Code::INTERNAL, join_text("the server at slot ", slot_, " sent a malformed frame: ", what)));
  };
  if (frame == nullptr) return malformed("it is cut off");
  const uint64_t body_bytes = frame->header.body_bytes;
  const uint64_t ring_at = frame->ring_at;
  if (body_bytes > ring_->length() || ring_at > ring_->length() - body_bytes || ring_at % 8 != 0)
    return malformed("it lies outside the ring");
  std::byte* place = ring_->memory() + ring_at;
  if ((message.header().flags & wire::kFrameBodyInline) != 0) {
    const std::byte* body = message.take_bytes(body_bytes);
    if (body == nullptr) return malformed("its body is cut off");
    std::memcpy(place, body, body_bytes);
  }
  ConsumerFrame ready;
  ready.header = frame->header;
  ready.body = {place, body_bytes};
  const std::span<const std::byte> header = std::as_bytes(std::span(&ready.header, 1));
  // The last check on the way: what the producer summed is what the consumer gets.
  Result<wire::BatchView> view = wire::BatchView::parse(header, ready.body, true);
  if (!view.ok()) {
    return fail(view.status().with_context(
        join_text("the batch at offset ", frame->first_offset, " of partition ", partition_)));
  }
  if (frame->skip >= view.value().count()) return malformed("it skips all its events");
  ready.partition = partition_;
  ready.ring = ring_;
  ready.first_offset = frame->first_offset;
  ready.append_time_ns = frame->append_time_ns;
  ready.partition_epoch = frame->partition_epoch;
  ready.visible_end = frame->visible_end;
  ready.skip = frame->skip;
  next_offset_ = frame->first_offset + view.value().count();
  partition_epoch_ = std::max(partition_epoch_, frame->partition_epoch);
  ++consumer_.client().count().frames_received;
  {
    const std::lock_guard lock(consumer_.mutex());
    position_.visible_end = frame->visible_end;
  }
  consumer_.add(std::move(ready), frame->ring_end);
}

void ConsumerStream::on_failed(wire::MessageReader& message) {
  const auto* failed = message.take<wire::ConsumerFailed>();
  if (failed == nullptr) return;
  const auto code = static_cast<Code>(failed->code);
  if (code == Code::END_OF_STREAM || code == Code::PRODUCER_LOST) {
    return end(Status(code, std::string(message.rest_text())));
  }
  fail(Status(static_cast<Code>(failed->code), std::string(message.rest_text())));
}

void ConsumerStream::fail(const Status& reason) {
  if (state_ == State::kFailed) return;
  state_ = State::kFailed;
  last_failure_ = reason;
  consumer_.client().lane().disarm(&retry_);
  // Those under way end with their answer: until then the server may write.
  for (const std::shared_ptr<Fetch>& fetch : std::list(fetches_)) {
    if (!fetch->under_way) end_fetch(fetch, reason);
  }
  if (closing_) return;
  consumer_.send_waiting_fetches(slot_);  // those of other streams that wait for this one end
  if (opened_) return std::exchange(opened_, nullptr)(reason);
  ConsumerFrame ended;
  ended.partition = partition_;
  ended.failure = reason;
  consumer_.add(std::move(ended), 0);
}

// No frame follows; data of those before can still be fetched, and positions committed. Told once: after a lost
// connection the server says it again.
void ConsumerStream::end(const Status& reason) {
  if (closing_ || std::exchange(end_told_, true)) return;
  ConsumerFrame ended;
  ended.partition = partition_;
  ended.failure = reason;
  consumer_.add(std::move(ended), 0);
}

bool ConsumerStream::release(uint64_t frame, bool* credit_due) {
  *credit_due = false;
  if (ring_ && ring_->release(frame)) {
    // Said in eighths of the ring, or of the events, or when nothing is held: neither a message a frame, nor a server
    // that waits.
    const uint64_t due = ring_->released_end() - ring_->credited_end;
    *credit_due = !credit_posted_ && due > 0 && (due >= ring_->length() / 8 || !ring_->holds_any() || are_events_due());
    credit_posted_ = credit_posted_ || *credit_due;
    return true;
  }
  for (const auto* rings : {&retired_, &leaving_}) {
    for (const std::shared_ptr<Ring>& ring : *rings) {
      if (ring->release(frame)) return true;
    }
  }
  return false;
}

bool ConsumerStream::are_events_due() const {
  const uint32_t max = consumer_.options().prefetch_events;
  return max != 0 && ring_->released_events() - ring_->credited_events > max / 8;
}

void ConsumerStream::post_credit() { consumer_.client().lane().post(&credit_task_); }

void ConsumerStream::send_credit() {
  uint64_t ring_end = 0;
  uint32_t events_end = 0;
  {
    const std::lock_guard lock(consumer_.mutex());
    credit_posted_ = false;
    if (!ring_ || state_ != State::kOpen) return;
    ring_end = ring_->released_end();
    ring_->credited_end = ring_end;
    events_end = ring_->released_events();
    ring_->credited_events = events_end;
  }
  writer_.begin(wire::MessageType::kCredit, session().token(), 0);
  writer_.put(wire::Credit{handle_, events_end, ring_end});
  if (session().send(writer_).ok()) return;
  // The queue to the slot is full: said again with the next release or the timer.
  const std::lock_guard lock(consumer_.mutex());
  ring_->credited_end = 0;
  consumer_.client().lane().arm(&retry_, kRetryNs / 10);
}

void ConsumerStream::on_retry(fabric::Timer* timer) {
  auto* self = static_cast<ConsumerStream*>(timer->owner);
  if (self->state_ == State::kClosed && self->session().ready()) return self->open();
  if (self->state_ != State::kOpen) return;
  self->send_credit();
  self->send_waiting_fetches();
}

void ConsumerStream::on_session_ready() {
  if (closing_) return;
  if (state_ == State::kClosed) open();
}

// Under the consumer's lock.
void ConsumerStream::retire(std::shared_ptr<Ring> ring, bool memory_safe) {
  ring->close_access();
  if (!memory_safe) {
    ring->keep_mapped();
    consumer_.client().quarantine(ring, ring->length(), Client::Lent::kForOthers);
  }
  // credit_posted_ stays: the task may still be in the lane's queue, or on its way there.
  retired_.push_back(std::move(ring));
}

void ConsumerStream::retire_ring(bool memory_safe) {
  if (!ring_) return;
  const bool was_shown = std::exchange(ring_shown_, false);
  const std::lock_guard lock(consumer_.mutex());
  retire(std::exchange(ring_, nullptr), memory_safe || !was_shown);
}

void ConsumerStream::on_session_lost(const Status& reason, bool memory_safe) {
  // A handle means something on its connection only: on the next one the same number may be another consumer's.
  handle_ = 0;
  retire_ring(memory_safe);
  retire_others(memory_safe);
  consumer_.client().lane().disarm(&retry_);
  for (const std::shared_ptr<Fetch>& fetch : fetches_) {
    fetch->result.was_lost = fetch->result.was_lost || fetch->under_way;
    if (fetch->under_way && !memory_safe) fetch->result.memory_safe = false;
    fetch->under_way = false;
  }
  if (closing_) return end_close();
  if (state_ == State::kFailed) return end_fetches(reason);
  if (state_ == State::kOpen) lost_since_ns_ = consumer_.client().lane().now_ns();
  state_ = State::kClosed;
  last_failure_ = reason;
  consumer_.client().add_ticker(this, [this](uint64_t now_ns) { return tick(now_ns); });
}

void ConsumerStream::on_session_refused(const Status& reason) {
  for (const std::shared_ptr<Fetch>& fetch : fetches_) {
    if (fetch->under_way) fetch->result.memory_safe = false;
  }
  handle_ = 0;
  retire_ring(false);
  retire_others(false);
  fail(reason);
  end_fetches(reason);
  if (closing_) end_close();
}

bool ConsumerStream::tick(uint64_t now_ns) {
  if (state_ == State::kFailed) return false;
  const uint64_t patience_ns = (ever_opened_ ? consumer_.client().options().delivery_timeout_ms
                                             : consumer_.client().options().request_timeout_ms) *
                               kNsPerMs;
  if (lost_since_ns_ != 0 && now_ns - lost_since_ns_ > patience_ns) {
    const Status why = session().last_error().ok() ? last_failure_ : session().last_error();
    const Code code = why.ok() ? Code::TIMED_OUT : why.code();
    fail(Status(code, join_text("partition ", partition_, " of topic '", consumer_.topic().name,
                                "' could not be read from slot ", slot_, " for ", patience_ns / kNsPerMs,
                                " ms: ", why.message())));
    return false;
  }
  for (const std::shared_ptr<Fetch>& fetch : std::list(fetches_)) {
    // One under way is ended by its request's own deadline: until then the server may write.
    if (!fetch->under_way && fetch->deadline_ns < now_ns) {
      end_fetch(fetch,
                Status(Code::TIMED_OUT, join_text("slot ", slot_, " did not deliver the selected data in time")));
    }
  }
  return lost_since_ns_ != 0 || !fetches_.empty();
}

void ConsumerStream::close(std::function<void()> done) {
  closing_ = true;
  closed_ = std::move(done);
  opened_ = nullptr;
  consumer_.client().remove_ticker(this);
  // Without a handle there is nothing to close; an opening under way ends with its connection or is retired as unsafe.
  if (!session().ready() || handle_ == 0) return end_close();
  Request request{wire::MessageType::kConsumerClose,
                  kCloseTimeoutMs,
                  [this](wire::MessageWriter& writer) {
                    writer.put(wire::ConsumerClose{handle_, 0});
                  },
                  [this](const Status& status, wire::MessageReader*) {
                    for (const std::shared_ptr<Fetch>& fetch : fetches_) {
                      if (fetch->under_way && !status.ok()) fetch->result.memory_safe = false;
                    }
                    retire_ring(status.ok());
                    handle_ = 0;
                    close_confirmed_ = status.ok();
                    end_close_when_done();
                  },
                  false,
                  this};
  session().request(std::move(request));
}

// A server that has confirmed the end of this stream may still write for the other partitions of a fetch: its answer,
// or its deadline, is waited for. So is the end of streams that a seek has left.
void ConsumerStream::end_close_when_done() {
  if (!closing_ || handle_ != 0 || !leaving_.empty()) return;
  if (close_confirmed_ && has_joined_fetch_under_way()) return;
  end_close();
}

void ConsumerStream::end_close() {
  if (!closed_) return;
  close_confirmed_ = false;
  retire_ring(false);
  retire_others(false);
  const Status reason(Code::CLOSED, "the consumer was closed");
  fail(reason);
  end_fetches(reason);
  consumer_.client().lane().disarm(&retry_);
  consumer_.client().remove_ticker(this);
  session().remove_user(this);        // with its requests and its handle
  std::exchange(closed_, nullptr)();  // may delete this
}

}  // namespace weft::client
