// One partition's stream to a consumer: opened on its slot, fed into a ring, opened again behind the last frame when
// the slot is lost and comes back. Progress thread only, but for the ring's accounting and the positions (the
// consumer's lock).
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/consumer.h"
#include "client/session.h"

namespace weft::client {

class ConsumerStream;

// Selected data on its way: one DATA_REQUEST at a time, as many as its selections need.
// Of partitions on one slot: led by the stream of one of them, sent while all of them are open.
struct Fetch {
  std::vector<std::string> selections;
  std::vector<ConsumerStream*> owners;  // of each selection; none: all are of the stream that it was given to
  size_t next = 0;                      // first selection of the request under way or to come
  size_t behind = 0;                    // behind the last of it
  const fabric::Region* region = nullptr;
  FetchResult result;
  uint64_t deadline_ns = 0;
  bool under_way = false;
  FetchDone done;
};

class ConsumerStream : public SessionUser {
 public:
  ConsumerStream(Consumer& consumer, uint32_t partition, uint32_t slot);
  ~ConsumerStream() override;

  uint32_t partition() const { return partition_; }
  void start(std::function<void(const Status&)> opened);
  uint32_t slot() const { return slot_; }
  void fetch(std::shared_ptr<Fetch> fetch);
  // Sends those that can be, ends those that never will.
  void send_waiting_fetches();
  void commit(uint64_t offset, std::function<void(const Status&)> done);
  // A second stream from there, beside the one that is there; then one of the two takes its place, the other is closed
  // (consumer_seek.cc). WEFT_PARTITION_UNAVAILABLE while the slot is away.
  void seek_begin(wire::From from, uint64_t value, std::function<void(const Status&)> opened);
  // The second one is still there: it goes with its connection.
  bool seek_ready() const { return seek_ != nullptr && seek_->handle != 0; }
  void seek_end(bool take);
  // `done` when the server has confirmed that it writes no more, or is gone.
  void close(std::function<void()> done);
  bool tick(uint64_t now_ns);

  // Under the consumer's lock.
  const StreamPosition& position() const { return position_; }
  bool release(uint64_t frame, bool* credit_due);
  // Asks the progress thread to send the credit; any thread.
  void post_credit();

  void on_session_ready() override;
  void on_session_lost(const Status& reason, bool memory_safe) override;
  void on_session_refused(const Status& reason) override;
  void on_session_message(wire::MessageReader& message) override;

 private:
  enum class State { kClosed, kOpening, kOpen, kFailed };

  // A stream that is to take the place of the one that is there.
  struct Seek {
    uint32_t handle = 0;  // 0: not opened yet, or lost
    std::shared_ptr<Ring> ring;
    StreamPosition position;
    uint32_t partition_epoch = 0;
    std::vector<std::vector<std::byte>> messages;  // that came for it, as many as its ring has room for
    std::function<void(const Status&)> opened;
  };

  Session& session();
  void open();
  void on_sought(const Status& status, wire::MessageReader* answer);
  bool hold_for_seek(const wire::MessageReader& message);
  void leave(uint32_t handle, std::shared_ptr<Ring> ring);
  void retire(std::shared_ptr<Ring> ring, bool memory_safe);
  void retire_others(bool memory_safe);
  Result<std::shared_ptr<Ring>> spare_ring();
  void on_opened(const Status& status, wire::MessageReader* answer);
  void on_frame(wire::MessageReader& message);
  void on_failed(wire::MessageReader& message);
  void fail(const Status& reason);
  void end(const Status& reason);
  Status ended() const;
  Status take_ring();
  void retire_ring(bool memory_safe);
  Status fetch_failure(const Fetch& fetch) const;
  bool can_send(const Fetch& fetch) const;
  bool has_joined_fetch_under_way() const;
  void send_fetch(const std::shared_ptr<Fetch>& fetch);
  void on_fetched(const std::shared_ptr<Fetch>& fetch, const Status& status, wire::MessageReader* answer);
  void end_fetch(const std::shared_ptr<Fetch>& fetch, const Status& status);
  void end_fetches(const Status& reason);
  void send_credit();
  bool are_events_due() const;
  void end_close_when_done();
  void end_close();
  static void on_retry(fabric::Timer* timer);

  Consumer& consumer_;
  const uint32_t partition_;
  const uint32_t slot_;
  State state_ = State::kClosed;
  std::function<void(const Status&)> opened_;
  std::function<void()> closed_;
  bool close_confirmed_ = false;
  bool closing_ = false;
  uint32_t handle_ = 0;      // on the connection of now; 0: none
  bool ring_shown_ = false;  // to the server of now, which has not refused it
  bool ever_opened_ = false;
  bool end_told_ = false;
  uint64_t lost_since_ns_ = 0;  // 0: not lost
  Status last_failure_;
  uint64_t next_offset_ = 0;
  uint32_t partition_epoch_ = 0;
  std::shared_ptr<Ring> ring_;  // changes under the consumer's lock
  // Stay mapped until the consumer is closed: views may point into them. Lent again when nothing in them is held.
  std::vector<std::shared_ptr<Ring>> retired_;
  std::unique_ptr<Seek> seek_;
  // Of streams that were left by a seek and whose end the server has not confirmed. Changes under the consumer's lock.
  std::vector<std::shared_ptr<Ring>> leaving_;
  std::list<std::shared_ptr<Fetch>> fetches_;
  StreamPosition position_;
  fabric::Task credit_task_;
  bool credit_posted_ = false;  // the consumer's lock
  fabric::Timer retry_;
  wire::MessageWriter writer_;
};

}  // namespace weft::client
