// A consumer goes on from another place. A second stream is opened beside the one of each partition concerned; once all
// are there, each takes the place of the first, which is closed. So a place that is not there changes nothing, and no
// frame of before comes behind one of after. Progress thread.
#include <algorithm>
#include <utility>

#include "client/consumer_stream.h"

namespace weft::client {

namespace {
constexpr uint64_t kLeaveTimeoutMs = 5000;
}  // namespace

struct Consumer::Seeking {
  std::vector<ConsumerStream*> streams;
  size_t left = 0;
  Status first_error;
  std::function<void(const Status&)> done;
};

void Consumer::seek(std::vector<uint32_t> partitions, wire::From from, uint64_t value,
                    std::function<void(const Status&)> done) {
  if (options_.echo) return done(Status(Code::UNSUPPORTED, "a job in echo mode stores nothing to go back to"));
  client_.run([self = self_.lock(), partitions = std::move(partitions), from, value, done = std::move(done)] {
    if (self->streams_closed_) return done(Status(Code::CLOSED, "the consumer was closed"));
    if (self->seeking_) {
      return done(Status(Code::BUSY, join_text("another seek of this consumer of topic '", self->topic_->name,
                                               "' is under way; wait for it")));
    }
    auto seeking = std::make_shared<Seeking>();
    seeking->done = done;
    for (const uint32_t partition : partitions.empty() ? self->options_.partitions : partitions) {
      ConsumerStream* found = self->stream(partition);
      if (found == nullptr) return done(Status(Code::PARTITION_RANGE, self->not_read(partition)));
      const bool again = std::find(seeking->streams.begin(), seeking->streams.end(), found) != seeking->streams.end();
      if (!again) seeking->streams.push_back(found);
    }
    self->seeking_ = true;
    seeking->left = seeking->streams.size();
    for (ConsumerStream* stream : seeking->streams) {
      stream->seek_begin(from, value, [self, seeking](const Status& status) {
        if (!status.ok() && seeking->first_error.ok()) seeking->first_error = status;
        if (--seeking->left == 0) self->end_seek(*seeking);
      });
    }
  });
}

void Consumer::end_seek(Seeking& seeking) {
  for (const ConsumerStream* stream : seeking.streams) {
    if (!seeking.first_error.ok() || stream->seek_ready()) continue;
    seeking.first_error =
        Status(Code::PARTITION_UNAVAILABLE, join_text("the slot of partition ", stream->partition(), " of topic '",
                                                      topic_->name, "' was lost during a seek; seek again"));
  }
  const bool take = seeking.first_error.ok();
  for (ConsumerStream* stream : seeking.streams) stream->seek_end(take);
  seeking_ = false;
  seeking.done(seeking.first_error);
  if (close_later_) std::exchange(close_later_, nullptr)();
}

// Under the lock: frames that nobody has polled.
void Consumer::drop_frames(uint32_t partition) {
  std::erase_if(ready_, [partition](const ConsumerFrame& frame) {
    if (frame.partition != partition) return false;
    if (frame.ring) frame.ring->release(frame.id);
    return true;
  });
}

void ConsumerStream::seek_begin(wire::From from, uint64_t value, std::function<void(const Status&)> opened) {
  const bool is_away = state_ == State::kClosed || state_ == State::kOpening;
  if (is_away || !session().ready()) {
    return opened(Status(Code::PARTITION_UNAVAILABLE,
                         join_text("slot ", slot_, ", which has partition ", partition_, " of topic '",
                                   consumer_.topic().name, "', is away; seek again when it is back")));
  }
  Result<std::shared_ptr<Ring>> ring = spare_ring();
  if (!ring.ok()) return opened(ring.status());
  seek_ = std::make_unique<Seek>();
  seek_->ring = ring.take();
  seek_->opened = std::move(opened);
  Request request{wire::MessageType::kConsumerOpen,
                  consumer_.client().options().request_timeout_ms,
                  [this, from, value](wire::MessageWriter& writer) {
                    wire::ConsumerOpen open{};
                    open.topic = consumer_.topic().info.topic;
                    open.partition = partition_;
                    open.from = from;
                    open.value = value;
                    open.events_max = consumer_.options().prefetch_events;
                    const fabric::RemoteMemory memory = seek_->ring->region().describe(session().peer());
                    open.ring = {memory.address, memory.key, memory.length};
                    writer.put(open);
                    writer.text(consumer_.options().name);
                  },
                  [this](const Status& status, wire::MessageReader* answer) { on_sought(status, answer); },
                  false,
                  this};
  session().request(std::move(request));
}

void ConsumerStream::on_sought(const Status& status, wire::MessageReader* answer) {
  const auto* opened = answer == nullptr ? nullptr : answer->take<wire::ConsumerOpened>();
  auto told = std::exchange(seek_->opened, nullptr);
  if (opened != nullptr && opened->code == 0) {
    seek_->handle = opened->handle;
    session().bind(seek_->handle, true, this);
    seek_->position = {opened->start_offset, opened->visible_end, opened->had_cursor != 0};
    seek_->partition_epoch = opened->partition_epoch;
    return told({});
  }
  Status reason = status;
  if (opened != nullptr) reason = Status(static_cast<Code>(opened->code), std::string(answer->rest_text()));
  if (reason.ok()) reason = Status(Code::INTERNAL, "the server's answer to opening a consumer is cut off");
  if (seek_->ring) {
    // No answer in time: the server may have opened the stream all the same and write into the ring.
    const std::lock_guard lock(consumer_.mutex());
    retire(std::move(seek_->ring), opened != nullptr);
  }
  seek_ = nullptr;
  told(reason);
}

// What comes for the new stream before it took its place. As much as its ring has room for.
bool ConsumerStream::hold_for_seek(const wire::MessageReader& message) {
  uint32_t handle = 0;
  std::memcpy(&handle, message.rest().data(), sizeof handle);  // Session has checked that it is there
  if (handle != seek_->handle) return false;
  const auto* start = reinterpret_cast<const std::byte*>(&message.header());
  seek_->messages.emplace_back(start, start + message.header().length);
  return true;
}

void ConsumerStream::seek_end(bool take) {
  const std::unique_ptr<Seek> seek = std::exchange(seek_, nullptr);
  if (!seek || seek->handle == 0) return;
  if (!take) return leave(seek->handle, seek->ring);
  std::shared_ptr<Ring> old_ring;
  {
    const std::lock_guard lock(consumer_.mutex());
    old_ring = std::exchange(ring_, seek->ring);
    position_ = seek->position;
    consumer_.drop_frames(partition_);
  }
  const bool was_shown = std::exchange(ring_shown_, true);
  const uint32_t old_handle = std::exchange(handle_, seek->handle);
  if (old_handle != 0 && old_ring) {
    leave(old_handle, std::move(old_ring));
  } else if (old_ring) {
    const std::lock_guard lock(consumer_.mutex());
    retire(std::move(old_ring), !was_shown);
  }
  // Also of a stream that had failed, or ended: it begins anew.
  state_ = State::kOpen;
  ever_opened_ = true;
  end_told_ = false;
  lost_since_ns_ = 0;
  last_failure_ = {};
  next_offset_ = seek->position.start_offset;
  partition_epoch_ = seek->partition_epoch;
  for (const std::vector<std::byte>& held : seek->messages) {
    Result<wire::MessageReader> message = wire::MessageReader::open(held);
    if (message.ok()) on_session_message(message.value());
  }
  consumer_.send_waiting_fetches(slot_);
}

// The server ends the stream of a handle; its ring is lent again when it has said so.
void ConsumerStream::leave(uint32_t handle, std::shared_ptr<Ring> ring) {
  session().unbind(handle, true);
  {
    const std::lock_guard lock(consumer_.mutex());
    leaving_.push_back(ring);
  }
  Request request{wire::MessageType::kConsumerClose,
                  kLeaveTimeoutMs,
                  [handle](wire::MessageWriter& writer) {
                    writer.put(wire::ConsumerClose{handle, 0});
                  },
                  [this, ring](const Status& status, wire::MessageReader*) {
                    {
                      const std::lock_guard lock(consumer_.mutex());
                      if (std::erase(leaving_, ring) == 0) return;  // its connection was lost
                      retire(ring, status.ok());
                    }
                    end_close_when_done();  // may delete this
                  },
                  false,
                  this};
  session().request(std::move(request));
}

// Rings of streams other than the one that is read: their connection is gone, or the consumer.
void ConsumerStream::retire_others(bool memory_safe) {
  const std::lock_guard lock(consumer_.mutex());
  if (seek_ && seek_->ring) {
    retire(std::move(seek_->ring), memory_safe);
    seek_->handle = 0;
    seek_->messages.clear();
  }
  for (std::shared_ptr<Ring>& ring : std::exchange(leaving_, {})) retire(std::move(ring), memory_safe);
}

}  // namespace weft::client
