// A producer's way to one partition: which batches are unanswered, in what sequence, and what to do when the answer is
// "busy", "expected n", an error, or when the slot is lost. Progress thread only.
//
// Sequences are given when a batch is sent for the first time. The server takes only the next one, so after an answer
// that is not an acknowledgement everything behind it comes back as a gap: nothing more is sent until every batch that
// was sent is answered, then those that were not stored are numbered anew from what the server expects and sent again,
// in order. After a lost connection the server says what it expects: what it has already is answered as a repetition.
// A batch keeps its number until the server has said that it does not have it.
#pragma once

#include <atomic>
#include <deque>
#include <functional>

#include "client/producer.h"
#include "client/session.h"

namespace weft::client {

class ProducerPartition : public SessionUser {
 public:
  ProducerPartition(Producer& producer, uint32_t partition, uint32_t slot);
  ~ProducerPartition() override;

  // `opened` once: ok, or why the first opening failed for good. May be left out: then the first batch opens it.
  void start(std::function<void(const Status&)> opened);
  void push(Batch* batch);
  void close();
  // What was acknowledged and not yet made durable by sync(): an end for each epoch of the partition, oldest first.
  // There is more than one only when recovery cut events off in between.
  struct Acknowledged {
    uint32_t partition_epoch;
    uint64_t end;
  };
  // Asks the server to make it durable; `done` once for each of them.
  const std::deque<Acknowledged>& acknowledged() const { return acknowledged_; }
  void sync(const Acknowledged& what, std::function<void(const Status&)> done);
  // Behind the last event that was stored by this producer's name before it was opened; 0: none, kUnknown: its slot did
  // not answer yet. Any thread.
  uint64_t stored_before() const { return stored_before_.load(std::memory_order_acquire); }
  static constexpr uint64_t kUnknown = UINT64_MAX;
  bool tick(uint64_t now_ns);

  void on_session_ready() override;
  void on_session_lost(const Status& reason, bool memory_safe) override;
  void on_session_refused(const Status& reason) override;
  void on_session_message(wire::MessageReader& message) override;

 private:
  enum class State { kClosed, kOpening, kOpen, kFailed };

  Session& session();
  void open();
  void on_opened(const Status& status, wire::MessageReader* answer);
  void fail(const Status& reason);
  void fence(const Status& reason);
  void pump();
  Status send(Batch* batch);
  void on_ack(const wire::Ack& ack, std::string_view text);
  Status late(const Batch& batch) const;
  void settle();
  void renumber();
  void forget(std::deque<Batch*>::iterator position);
  static void on_retry(fabric::Timer* timer);

  Producer& producer_;
  const uint32_t partition_;
  const uint32_t slot_;
  bool started_ = false;
  State state_ = State::kClosed;
  bool is_fenced_ = false;  // failed, on a connection that is there
  std::function<void(const Status&)> opened_;
  uint64_t open_began_ns_ = 0;
  uint64_t open_deadline_ns_ = 0;  // of the first opening
  Status failure_;
  uint32_t handle_ = 0;
  uint32_t epoch_ = wire::kProducerNewEpoch;
  uint32_t window_ = 1;         // batches in flight
  uint64_t next_sequence_ = 0;  // of the next batch to be sent for the first time
  uint64_t expected_ = 0;       // by the server, as far as it said
  std::atomic<uint64_t> stored_before_{kUnknown};
  uint32_t unanswered_ = 0;
  uint64_t unanswered_bytes_ = 0;  // of their bodies
  bool stalled_ = false;           // nothing is sent until all is answered
  uint32_t stalls_ = 0;            // in a row
  std::deque<Batch*> batches_;     // unanswered or not sent, in order
  std::deque<Acknowledged> acknowledged_;
  size_t sent_count_ = 0;  // of them, from the front, have been sent (and keep their sequence)
  fabric::Timer retry_;
  wire::MessageWriter writer_;
};

}  // namespace weft::client
