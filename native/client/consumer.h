// A consumer: the streams of some partitions of one topic, joined in the order in which frames arrive.
// poll() and release(): any thread, under the consumer's lock, which is held for a few instructions a frame. The
// streams are the progress thread's (ConsumerStream).
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "client/client.h"
#include "client/ring.h"
#include "wire/batch.h"

namespace weft::client {

class ConsumerStream;

struct ConsumerOptions {
  std::string name;  // "": no cursor
  wire::From from = wire::From::kCursor;
  uint64_t from_value = 0;
  std::vector<uint32_t> partitions;  // empty: all
  bool reads_none = false;           // no partition at all
  uint64_t prefetch_bytes = 4 * 1024 * 1024;
  uint32_t prefetch_events = 0;  // 0: no limit
  bool echo = false;             // no stream is opened; frames come through add()
};
// Two of the largest bodies must fit, or a frame could wait for ever for a contiguous place.
constexpr uint64_t kPrefetchBytesMin = wire::kBatchBodyBytesMax + 64 * 1024;

// One batch of events, or the end of a partition's stream with its reason.
struct ConsumerFrame {
  uint32_t partition = 0;
  uint64_t id = 0;
  Status failure;
  std::shared_ptr<Ring> ring;
  wire::BatchHeader header{};
  std::span<const std::byte> body;
  uint64_t first_offset = 0;
  uint64_t append_time_ns = 0;
  uint64_t visible_end = 0;
  uint32_t partition_epoch = 0;
  uint32_t skip = 0;
};

struct FetchResult {
  uint64_t sent_bytes = 0;
  uint64_t read_bytes = 0;
  uint32_t failed_selection = 0;
  // False: a server that is lost and not proven dead may still write into the destination.
  bool memory_safe = true;
  // True: shown over a connection that was lost, so its key must not be used again.
  bool was_lost = false;
};
// Where the bytes of one selection go.
struct FetchPlace {
  std::byte* address;
  uint64_t length;
};
using FetchDone = std::function<void(const Status&, const FetchResult&)>;

struct StreamPosition {
  uint64_t start_offset = 0;
  uint64_t visible_end = 0;
  bool had_cursor = false;
};

class Consumer {
 public:
  // `on_frames`: on the progress thread, when something to poll comes and the last poll found nothing.
  static void open(Client& client, std::shared_ptr<const TopicRecord> topic, ConsumerOptions options,
                   std::function<void()> on_frames, std::function<void(Result<std::shared_ptr<Consumer>>)> done);
  ~Consumer();

  const TopicRecord& topic() const { return *topic_; }
  const ConsumerOptions& options() const { return options_; }
  Client& client() { return client_; }

  // ---- any thread
  // False when nothing is there: then on_frames will be called for the next.
  bool poll(ConsumerFrame& frame);
  // WEFT_INVALID_ARGUMENT for a frame that is not held.
  Status release(uint32_t partition, uint64_t frame);
  Result<StreamPosition> position(uint32_t partition);
  // The encoded selections (wire::Selection with runs, one string each) of events of the partitions (one for each
  // selection, growing offsets within one), written into the region, which must stay until `done`. One data request for
  // each slot that has some of them, as long as its selections fit a message.
  void fetch(std::vector<uint32_t> partitions, std::vector<std::string> selections, const fabric::Region* region,
             FetchDone done);
  // The same for memory that no server is shown: the selections' bytes come into memory of ours, one behind the other,
  // and are copied to their places just before `done`, if all are there. WEFT_LIMIT; then `done` is not called.
  Status fetch_and_copy(std::vector<uint32_t> partitions, std::vector<std::string> selections,
                        std::vector<FetchPlace> places, FetchDone done);
  void commit(uint32_t partition, uint64_t offset, std::function<void(const Status&)> done);
  // Goes on from another place in these partitions (empty: in all that it reads), in all of them or, with an error, in
  // none. Frames of them that were not polled are dropped; none of before is polled after `done`. WEFT_TRUNCATED,
  // WEFT_OFFSET_GONE, WEFT_PARTITION_UNAVAILABLE, WEFT_PARTITION_RANGE; WEFT_BUSY while another one is under way.
  void seek(std::vector<uint32_t> partitions, wire::From from, uint64_t value, std::function<void(const Status&)> done);
  // Waits for a seek that is under way.
  static void close(std::shared_ptr<Consumer> consumer, std::function<void()> done);

  // ---- progress thread
  void add(ConsumerFrame frame, uint64_t ring_end);
  void drop_frames(uint32_t partition);
  std::mutex& mutex() { return mutex_; }
  // A stream of the slot has opened or failed.
  void send_waiting_fetches(uint32_t slot);
  uint64_t next_frame_id() { return ++last_frame_; }

 private:
  struct Seeking;
  void end_seek(Seeking& seeking);

  Consumer(Client& client, std::shared_ptr<const TopicRecord> topic, ConsumerOptions options,
           std::function<void()> on_frames);
  ConsumerStream* stream(uint32_t partition);

  Client& client_;
  std::string not_read(uint32_t partition) const;

  std::shared_ptr<const TopicRecord> topic_;
  ConsumerOptions options_;
  std::function<void()> on_frames_;
  std::vector<std::unique_ptr<ConsumerStream>> streams_;  // fixed after open
  std::weak_ptr<Consumer> self_;
  bool streams_closed_ = false;
  bool seeking_ = false;
  std::function<void()> close_later_;          // when the seek has ended
  std::vector<std::shared_ptr<Ring>> echoed_;  // frames' memory stays until the end

  std::mutex mutex_;  // guards what follows and the rings' accounting
  std::deque<ConsumerFrame> ready_;
  bool polled_dry_ = true;
  bool closed_ = false;  // on_frames_ is not called any more
  uint64_t last_frame_ = 0;
};

}  // namespace weft::client
