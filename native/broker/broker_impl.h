// The broker behind its interface: one object on the progress thread, in parts by file:
//   broker.cc         what the host calls; the table of messages
//   sessions.cc       who is let in, what a client's end releases, sending
//   partitions.cc     opening, closing, describing
//   producers.cc      handles, epochs, the sequence rule, acknowledgements
//   ingest.cc         a batch from its message to its place in the queue
//   pulls.cc          RMA reads of bodies and data, fair between sessions
//   commit.cc         the commit in sequence order, group commit
//   consumers.cc      handles, where a stream begins
//   feed.cc           frames into rings
//   ending.cc         sealed partitions, registered producers, the end of a stream
//   retention.cc      which events go
//   data_requests.cc  selected bytes into a consumer's memory
//   sync.cc           what was acknowledged becomes durable beyond the topic's level
//   control.cc        topics, the control plane, cursors
// The state is in state.h.
#pragma once

#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/broker.h"
#include "broker/counters.h"
#include "broker/state.h"

namespace weft::broker {

class BrokerImpl final : public Broker {
 public:
  BrokerImpl(fabric::Lane& lane, const BrokerOptions& options, BrokerHost& host);
  ~BrokerImpl() override;
  Status start();

  void admit(bool admitted) override;
  void put_topic(TopicEntry entry) override;
  void remove_topic(std::string name) override;
  void open_partition(PartitionSpec spec, std::function<void(Result<PartitionOpened>)> done) override;
  void close_partition(wire::Uuid uuid, uint32_t partition, bool remove, std::function<void(Status)> done) override;
  void alter_partition(wire::Uuid uuid, uint32_t partition, PartitionRules rules,
                       std::function<void(Status)> done) override;
  Result<std::string> describe_partition(wire::Uuid uuid, uint32_t partition) override;
  void control_reply(uint64_t token, Code code, std::string text) override;
  void stop(uint64_t timeout_ms, std::function<void(Status)> done) override;
  bool end_threads(uint64_t timeout_ms) override;
  BrokerCounters counters() const override;

  void on_message(fabric::PeerId peer, std::span<const std::byte> message) override;
  void on_peer_up(fabric::PeerId peer) override;
  void on_peer_lost(fabric::PeerId peer, const Status& reason, bool proven_dead) override;

 private:
  struct OpenJob;
  struct OpenConsumer;
  struct ControlToken {
    Session* session;  // referenced
    uint64_t request_id;
  };

  // ---- broker.cc
  void post_function(std::function<void()> function);
  void dispatch(Session* session, wire::MessageReader& reader);
  void log(LogLevel level, std::string line);
  void log_limited(LogLevel level, std::string line);  // about misbehaviour: bounded per second
  void after_burst();
  void want_turn();
  static void run_turn(fabric::Task* task);
  void turn();
  static void on_sweep(fabric::Timer* timer);
  void sweep();
  void arm_sweep();
  Move* take_move(void* context, void (*done)(fabric::Transfer*, const Status&));
  void give_move(Move* move) { moves_.give(move); }
  static BrokerImpl* self(const fabric::Transfer* transfer) { return static_cast<BrokerImpl*>(transfer->owner); }

  // ---- stop.cc
  void begin_stop(uint64_t timeout_ms, std::function<void(Status)> done);
  void check_stop();
  void finish_stop();
  void complete_stop();

  // ---- sessions.cc
  Session* session_of(fabric::PeerId peer);
  void on_hello(Session* session, wire::MessageReader& reader);
  void on_prove(Session* session, wire::MessageReader& reader);
  void refuse(Session* session, const Status& why);
  void malformed(Session* session, std::string_view what);
  void end_session(Session* session);      // everything of it, then forgets the peer after a linger
  void release_session(Session* session);  // producers, consumers, batches
  void forget(Session* session);           // no more messages
  void reference(Session* session) { ++session->references; }
  void unreference(Session* session);
  std::string session_label(const Session* session) const;
  // The last message begun with writer_ goes out, or waits in the outbox.
  void reply(Session* session, size_t bytes_behind = 0, std::span<const std::byte> behind = {});
  void reply_text(Session* session, std::string_view text);
  static void on_outbox_timer(fabric::Timer* timer);
  void drain_outboxes();
  bool drain_outbox(Session* session);

  // ---- partitions.cc
  Partition* find_partition(const wire::Uuid& uuid, uint32_t partition);
  Status no_partition(const wire::Uuid& uuid, uint32_t partition) const;
  // Why a partition that is closing takes nothing any more; `next` behind what passes.
  Status closing_status(const Partition* partition, std::string_view next = "") const;
  static bool run_open(Job* job);
  static void open_done(Job* job);
  void add_partition(OpenJob* job);
  void begin_close(Partition* partition);
  void check_closed(Partition* partition);
  static bool run_close(Job* job);
  static void close_done(Job* job);
  void finish_close(Partition* partition);
  void set_read_only(Partition* partition, std::string reason);
  Status read_only_status(const Partition* partition) const;
  void operation_done(Partition* partition);
  std::string partition_json(const Partition* partition) const;

  // ---- producers.cc
  void on_producer_open(Session* session, wire::MessageReader& reader);
  void on_producer_close(Session* session, wire::MessageReader& reader);
  ProducerEntry* find_entry(Partition* partition, const wire::ProducerId& id);
  void load_entry(ProducerEntry* entry);
  static bool run_load(Job* job);
  static void load_done(Job* job);
  void answer_opens(ProducerEntry* entry);
  void take_over(ProducerEntry* entry);
  static void begin_epoch(ProducerEntry* entry, uint32_t epoch);
  bool begin_fence(ProducerEntry* entry);
  static bool run_fence(Job* job);
  static void finish_fences(BurstEnd* end);
  static void fence_done(Job* job);
  void open_producer(ProducerEntry* entry, Session* session, uint64_t request_id, uint32_t epoch);
  void refuse_open(Session* session, uint64_t request_id, const Status& why);
  void detach_producer(Producer* producer);  // its entry goes on without it; batches not handed over are dropped
  void delete_producer(Producer* producer);
  void acknowledge(Producer* producer, const wire::Ack& ack, const Status& why);
  void acknowledge_error(Session* session, Producer* producer, uint32_t handle, uint64_t sequence, uint64_t expected,
                         const Status& why);
  void flush_acks(Producer* producer);

  // ---- ingest.cc
  void on_batch(Session* session, wire::MessageReader& reader);
  Status check_admission(Session* session, Producer* producer, const wire::BatchHeader& header,
                         uint64_t memory_bytes) const;
  bool answer_repeated(Producer* producer, const wire::BatchHeader& header);
  bool answer_out_of_sequence(Session* session, Producer* producer, const wire::BatchHeader& header);
  void commit_at_once(Producer* producer, const wire::BatchHeader& header, std::span<const std::byte> body,
                      std::span<const std::byte> data);
  void admit_batch(Session* session, Producer* producer, const wire::Batch& batch,
                   std::span<const wire::Segment> segments, std::span<const std::byte> body,
                   std::span<const std::byte> data);
  void start_batch(BatchOp* batch, std::span<const std::byte> data);
  void free_batch(BatchOp* batch);

  // ---- pulls.cc
  void add_pull(BatchOp* batch);
  void schedule_pulls();
  bool begin_unit_of(Session* session);
  bool begin_unit(BatchOp* batch);
  void read_pieces(PullUnit* unit, const fabric::Region* region, std::byte* into);
  void read_piece(PullUnit* unit, const fabric::Region* region, std::byte* into, const wire::Memory& memory,
                  uint64_t at, uint64_t length);
  static void on_pulled(fabric::Transfer* transfer, const Status& status);
  void unit_arrived(PullUnit* unit);
  void body_arrived(BatchOp* batch);
  Status pull_failure(const BatchOp* batch, const Status& status) const;
  static bool run_write(Job* job);
  static void write_done(Job* job);
  void unit_done(PullUnit* unit);

  // ---- commit.cc
  void try_commit(ProducerEntry* entry);
  void commit_in_memory(BatchOp* batch);
  void hand_over(BatchOp* batch);
  static bool run_commit(Job* job);
  static void finish_group(BurstEnd* end);
  static void commit_done(Job* job);
  void stored(BatchOp* batch);
  void commit_failed(BatchOp* batch);
  void answer_batch(BatchOp* batch, const Status& status, uint64_t expected_sequence);
  void fail_front(ProducerEntry* entry);
  void drop_batches(ProducerEntry* entry, const Status& why);  // those not handed over
  void settle(BatchOp* batch);                                 // out of the queue; freed when nothing is under way
  static bool run_abandon(Job* job);
  static void abandon_done(Job* job);
  void note_stored(ProducerEntry* entry, uint64_t sequence, uint64_t first_offset, uint32_t count);
  void advance_visible(Partition* partition, uint64_t end);

  // ---- sync.cc
  void on_sync(Session* session, wire::MessageReader& reader);
  void synced(Session* session, uint64_t request_id, const Status& status);
  static bool run_sync(Job* job);
  static void sync_done(Job* job);

  // ---- consumers.cc
  void on_consumer_open(Session* session, wire::MessageReader& reader);
  void on_consumer_close(Session* session, wire::MessageReader& reader);
  void on_credit(Session* session, wire::MessageReader& reader);
  static bool run_open_consumer(Job* job);
  static void open_consumer_done(Job* job);
  void add_consumer(const OpenConsumer& opening);
  Consumer* consumer_of(Session* session, uint32_t handle);
  void close_consumer(Consumer* consumer);
  void consumer_operation_done(Consumer* consumer);
  void fail_consumer(Consumer* consumer, const Status& why, uint64_t offset);

  // ---- feed.cc
  void want_feed(Partition* partition);
  void feed(Consumer* consumer);
  bool read_frames(Consumer* consumer);
  static bool run_read(Job* job);
  static void read_done(Job* job);
  void frames_read(Consumer* consumer);
  bool place_frame(Consumer* consumer, FrameOp* frame);
  bool write_frame(Consumer* consumer, FrameOp* frame);
  static void on_frame_written(fabric::Transfer* transfer, const Status& status);
  void tell_frames(Consumer* consumer);
  void free_frame(FrameOp* frame);
  void egress_slab_freed();

  // ---- data_requests.cc
  void on_data_request(Session* session, wire::MessageReader& reader);
  Status check_part(Session* session, const DataPart& part, uint32_t handle);
  DataOp* begin_data(Session* session, uint64_t request_id, const wire::DataRequest& message, const DataPart& part,
                     DataJoin* join);
  void answer_data(DataOp* request);
  void refuse_data(Session* session, uint64_t request_id, const Status& why, uint32_t selection);
  void advance_request(DataOp* request);
  void begin_fill(DataOp* request);
  static bool run_fill(Job* job);
  static void fill_done(Job* job);
  void send_fill(Fill* fill);
  static void on_fill_written(fabric::Transfer* transfer, const Status& status);
  void fill_finished(Fill* fill);
  void finish_request(DataOp* request);

  // ---- ending.cc
  static bool is_registered(const Partition* partition, std::string_view name) {
    return partition->spec.rules.producers > 0 && !name.empty();
  }
  Status check_registration(const Partition* partition, std::string_view name) const;
  void register_producer(Partition* partition, std::string_view name);
  void close_registered(Partition* partition, const std::string& name);
  void miss_registered(Partition* partition, const std::string& name);
  void load_registered(Partition* partition);
  static Status write_marks(Partition* partition);  // on the log writer
  static bool run_close_mark(Job* job);
  static void close_mark_done(Job* job);
  // Ends it, if all that it waits for is there.
  void check_end(Partition* partition);
  // Why it ends now, or OK.
  Status end_reason(const Partition* partition) const;
  void tell_end(Consumer* consumer);
  void arm_rules();
  static void on_rules_timer(fabric::Timer* timer);

  // ---- retention.cc
  // Whether more looks are needed.
  bool look_at_retention(Partition* partition, uint64_t now_ns);
  void begin_retention(Partition* partition);
  // Memory storage is full: what the rules let go makes room. WEFT_BUSY where it will, WEFT_NO_SPACE where it never
  // does.
  Status make_room(Partition* partition, const Status& full);
  static bool run_retention(Job* job);
  static void retention_done(Job* job);

  // ---- control.cc
  void on_topic_lookup(Session* session, wire::MessageReader& reader);
  void on_control(Session* session, wire::MessageReader& reader);
  void on_partition_query(Session* session, wire::MessageReader& reader);
  void on_commit(Session* session, wire::MessageReader& reader);
  void committed(Session* session, uint64_t request_id, const Status& status);
  static bool run_cursor(Job* job);
  static void finish_cursors(BurstEnd* end);
  static void cursor_done(Job* job);

  fabric::Lane& lane_;
  const BrokerOptions options_;
  BrokerHost& host_;
  Clock& clock_;
  AtomicCounters counters_;

  JobReturn back_;
  std::unique_ptr<ReaderPool> readers_;
  std::unique_ptr<ReaderPool> openers_;
  std::vector<std::unique_ptr<LogWriter>> writers_;
  size_t next_writer_ = 0;
  std::unique_ptr<SlabPool> ingest_;
  std::unique_ptr<SlabPool> egress_;

  bool admitted_ = false;
  std::unordered_map<fabric::PeerId, Session*> sessions_;
  ObjectPool<Producer> producer_pool_;
  std::unordered_map<PartitionKey, std::unique_ptr<Partition>, PartitionKeyHash> partitions_;
  std::deque<wire::Uuid> deleted_;  // topics, the newest last
  std::map<std::string, TopicEntry, std::less<>> topics_;
  std::vector<PartitionKey> opening_;
  std::mutex memory_opening_;  // openers: one at a time takes memory, so that each sees what is left
  std::unordered_map<uint64_t, ControlToken> control_;
  uint64_t next_control_ = 1;
  uint32_t unproved_ = 0;

  ObjectPool<BatchOp> batches_;
  ObjectPool<PullUnit> units_;
  ObjectPool<Move> moves_;
  ObjectPool<FrameOp> frames_;
  ObjectPool<DataOp> requests_;
  ObjectPool<DataJoin> joins_;
  ObjectPool<Fill> fills_;
  ObjectPool<CommitOp> commits_;
  ObjectPool<SyncOp> syncs_;
  uint64_t memory_bytes_ = 0;  // of batches in flight: bodies, and data that came with them
  uint32_t reads_ = 0;         // RMA reads under way

  RingQueue<Session*> pull_ring_;
  bool scheduling_ = false;
  std::vector<ProducerEntry*> failed_entries_;  // a batch of theirs could not be pulled; referenced
  std::vector<PullUnit*> arrived_units_;        // that needed no transfer
  std::vector<BatchOp*> cut_off_;               // being sent back
  RingQueue<DataOp*> slab_requests_;            // wait for an egress slab
  RingQueue<Consumer*> slab_consumers_;         // too
  RingQueue<DataOp*> turn_requests_;            // gather more on the progress thread in the next turn
  std::vector<Producer*> ack_list_;
  std::vector<Session*> outbox_list_;

  fabric::Task turn_task_;
  bool turn_posted_ = false;
  fabric::Timer sweep_timer_;
  bool sweep_armed_ = false;
  fabric::Timer rules_timer_;
  bool rules_armed_ = false;
  fabric::Timer outbox_timer_;
  bool outbox_armed_ = false;
  wire::MessageWriter writer_;
  wire::SelectionView selection_;       // being checked
  std::vector<uint32_t> data_handles_;  // … of its parts
  std::vector<DataPart> data_parts_;    // of the request that is being read
  std::vector<uint32_t> checksums_;     // of the batch that is stored at once
  uint64_t log_second_ = 0;
  uint32_t log_lines_ = 0;
  uint64_t log_suppressed_ = 0;

  bool stopping_ = false;
  bool stop_finishing_ = false;  // the sessions are gone
  bool stopped_ = false;         // those who asked were told
  bool stop_timed_out_ = false;
  uint64_t stop_deadline_ns_ = 0;
  uint64_t stop_cut_ns_ = 0;  // when what was left was cut off; 0: not yet
  Status stop_status_;
  uint32_t releases_left_ = 0;
  uint32_t areas_releasing_ = 0;
  std::vector<std::function<void(Status)>> stop_done_;
};

}  // namespace weft::broker
