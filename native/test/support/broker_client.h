// A server for tests (a lane, a broker, memory of what it logged) and a raw client that speaks the wire protocol
// message by message, so that tests can say wrong things too. Calls come from the test's thread; every wait has a
// deadline.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <future>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "base/checksum.h"
#include "base/random.h"
#include "broker/broker.h"
#include "wire/handshake.h"

namespace weft::broker::test {

constexpr auto kDeadline = std::chrono::seconds(20);

inline wire::Uuid make_uuid(uint8_t fill) {
  wire::Uuid uuid;
  uuid.fill(fill);
  return uuid;
}
inline wire::Secret make_secret(uint8_t fill) {
  wire::Secret secret;
  secret.fill(fill);
  return secret;
}
inline wire::ProducerId make_producer_id(uint8_t fill) {
  wire::ProducerId id;
  std::fill(std::begin(id.bytes), std::end(id.bytes), fill);
  return id;
}

// Runs the function on the lane's progress thread and waits for it.
template <typename Function>
void run_on(fabric::Lane& lane, Function function) {
  struct Posted {
    fabric::Task task;
    Function* function;
    std::promise<void> done;
  } posted{{}, &function, {}};
  posted.task.owner = &posted;
  posted.task.run = [](fabric::Task* task) {
    auto* mine = static_cast<Posted*>(task->owner);
    (*mine->function)();
    mine->done.set_value();
  };
  auto future = posted.done.get_future();
  lane.post(&posted.task);
  if (future.wait_for(kDeadline) != std::future_status::ready) {
    std::fprintf(stderr, "a lane's progress thread did not answer\n");
    std::abort();
  }
}

class TestServer final : public BrokerHost {
 public:
  explicit TestServer(const std::string& transport, BrokerOptions options = default_options()) : options_(options) {
    fabric::LaneOptions lane_options;
    lane_options.transports = {transport};
    lane_options.bind_address = transport == "tcp" ? "127.0.0.1" : "";
    lane_ = fabric::Lane::open(lane_options).take();
    broker_ = Broker::create(*lane_, options, *this).take();
    EXPECT_TRUE(lane_->start().ok());
    broker_->admit(true);
  }
  ~TestServer() override {
    if (!stopped_) {
      EXPECT_TRUE(stop().ok());
    }
    EXPECT_TRUE(broker_->end_threads(60'000));  // they may still be inside Lane::post
    lane_.reset();
    broker_.reset();
  }
  fabric::Lane& lane() { return *lane_; }
  static BrokerOptions default_options() {
    BrokerOptions options;
    options.secret = make_secret(7);
    options.job = make_uuid(9);
    options.slab_bytes = uint64_t{32} << 20;
    return options;
  }
  Status stop(uint64_t timeout_ms = 10'000) {
    stopped_ = true;
    std::promise<Status> done;
    broker_->stop(timeout_ms, [&](Status status) { done.set_value(status); });
    auto future = done.get_future();
    if (future.wait_for(kDeadline + kDeadline) != std::future_status::ready) {
      std::fprintf(stderr, "the broker did not stop\n");
      std::abort();
    }
    return future.get();
  }
  Result<PartitionOpened> open(PartitionSpec spec) {
    std::promise<Result<PartitionOpened>> done;
    broker_->open_partition(std::move(spec),
                            [&](Result<PartitionOpened> result) { done.set_value(std::move(result)); });
    return done.get_future().get();
  }
  Status close(wire::Uuid uuid, uint32_t partition, bool remove) {
    std::promise<Status> done;
    broker_->close_partition(uuid, partition, remove, [&](Status status) { done.set_value(status); });
    return done.get_future().get();
  }
  void on_control_request(uint64_t token, uint64_t, std::string json) override {
    if (json == "hold") {
      std::lock_guard lock(mutex_);
      held_.push_back(token);
      return;
    }
    broker_->control_reply(token, json == "fail" ? Code::TOPIC_EXISTS : Code::OK, "re: " + json);
  }
  void on_log(LogLevel, std::string line) override {
    std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
  }
  bool logged(const std::string& words) {
    std::lock_guard lock(mutex_);
    for (const std::string& line : lines_) {
      if (line.find(words) != std::string::npos) return true;
    }
    return false;
  }
  // Waits for a condition that others bring about.
  template <typename Condition>
  static bool eventually(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + kDeadline;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::yield();
    }
    return true;
  }

  BrokerOptions options_;
  std::unique_ptr<fabric::Lane> lane_;
  std::unique_ptr<Broker> broker_;
  std::mutex mutex_;
  std::vector<std::string> lines_;
  std::vector<uint64_t> held_;
  bool stopped_ = false;
};

using Bytes = std::vector<std::byte>;

// One event as pushed or received.
struct TestEvent {
  std::string metadata;
  Bytes data;
};

struct TestBatch {
  wire::BatchHeader header{};
  Bytes body;
  Bytes extent;
};
inline Bytes random_bytes(uint64_t length, uint64_t seed) {
  Bytes bytes(length);
  SeededRandom random(seed);
  for (uint64_t i = 0; i < length; i += 8) {
    const uint64_t word = random.next();
    std::memcpy(bytes.data() + i, &word, std::min<uint64_t>(8, length - i));
  }
  return bytes;
}
inline TestBatch make_batch(const std::vector<TestEvent>& events, wire::ProducerId id, uint32_t epoch,
                            uint64_t sequence) {
  TestBatch batch;
  const auto count = static_cast<uint32_t>(events.size());
  bool has_data = false;
  uint64_t metadata_bytes = 0;
  for (const TestEvent& event : events) {
    has_data = has_data || !event.data.empty();
    metadata_bytes += event.metadata.size();
  }
  const wire::BatchShape shape = wire::batch_shape(count, has_data, metadata_bytes);
  batch.body.resize(shape.body_bytes);
  uint64_t end = 0;
  for (uint32_t i = 0; i < count; ++i) {
    std::memcpy(batch.body.data() + shape.metadata_at + end, events[i].metadata.data(), events[i].metadata.size());
    end += events[i].metadata.size();
    const auto end32 = static_cast<uint32_t>(end);
    std::memcpy(batch.body.data() + shape.metadata_end_at + i * 4, &end32, 4);
    if (!has_data) continue;
    const uint64_t length = events[i].data.size();
    std::memcpy(batch.body.data() + shape.data_length_at + i * 8, &length, 8);
    if (length == 0) continue;  // takes no room
    batch.extent.resize(wire::align_up(batch.extent.size(), 64));
    batch.extent.insert(batch.extent.end(), events[i].data.begin(), events[i].data.end());
  }
  batch.header.flags = has_data ? wire::kBatchHasData : 0;
  batch.header.event_count = count;
  batch.header.data_bytes = batch.extent.size();
  batch.header.producer_id = id;
  batch.header.sequence = sequence;
  batch.header.producer_epoch = epoch;
  batch.header.base_time_ns = 1'000'000;
  wire::seal_batch(batch.header, batch.body);
  return batch;
}

struct TestFrame {
  wire::Frame frame{};
  Bytes body;
};

class RawClient final : public fabric::Handler {
 public:
  explicit RawClient(const std::string& transport) {
    fabric::LaneOptions options;
    options.transports = {transport};
    options.bind_address = transport == "tcp" ? "127.0.0.1" : "";
    lane_ = fabric::Lane::open(options).take();
    lane_->set_handler(fabric::Channel::kClient, this);
    EXPECT_TRUE(lane_->start().ok());
  }
  ~RawClient() override { lane_.reset(); }

  void on_message(fabric::PeerId, std::span<const std::byte> message) override {
    std::lock_guard lock(mutex_);
    messages_.emplace_back(message.begin(), message.end());
    changed_.notify_all();
  }
  void on_peer_up(fabric::PeerId) override {
    std::lock_guard lock(mutex_);
    up_ = true;
    changed_.notify_all();
  }
  void on_peer_lost(fabric::PeerId, const Status&, bool) override {
    std::lock_guard lock(mutex_);
    lost_ = true;
    changed_.notify_all();
  }
  template <typename Condition>
  bool wait(Condition condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kDeadline, condition);
  }
  void connect(TestServer& server) {
    begin_connect(server);
    ASSERT_TRUE(wait([&] { return up_; }));
  }
  void begin_connect(TestServer& server) {
    const std::string& address = server.lane_->address();
    run_on(*lane_, [&] {
      peer_ = lane_->connect(std::as_bytes(std::span(address.data(), address.size())), fabric::Channel::kClient);
    });
  }
  void disconnect() {
    run_on(*lane_, [&] { lane_->disconnect(peer_); });
  }
  void send_bytes(std::span<const std::byte> bytes) {
    run_on(*lane_, [&] { static_cast<void>(lane_->send(peer_, std::span(&bytes, 1))); });
    // In a turn of its own: what one turn sends leaves at its end.
    if (after_send_) run_on(*lane_, std::exchange(after_send_, nullptr));
  }
  void send(std::span<const std::byte> behind = {}) {
    const auto front = writer_.finish(behind.size());
    Bytes whole(front.begin(), front.end());
    whole.insert(whole.end(), behind.begin(), behind.end());
    if (record_) sent_.push_back(whole);
    send_bytes(whole);
  }
  uint16_t hello_flags_ = 0;

  uint64_t begin(wire::MessageType type, uint16_t flags = 0) {
    writer_.begin(type, session_, ++request_, flags);
    return request_;
  }
  // The next message of the type (and, unless 0, of the request), taken out; empty when none came in time or the peer
  // was lost.
  Bytes expect(wire::MessageType type, uint64_t request = 0) {
    std::unique_lock lock(mutex_);
    Bytes found;
    const auto look = [&] {
      for (auto it = messages_.begin(); it != messages_.end(); ++it) {
        wire::MessageHeader header;
        std::memcpy(&header, it->data(), sizeof header);
        if (header.type != type || (request != 0 && header.request_id != request)) continue;
        found = std::move(*it);
        messages_.erase(it);
        return true;
      }
      return lost_;
    };
    changed_.wait_for(lock, kDeadline, look);
    return found;
  }
  template <typename Body>
  Body take(wire::MessageType type, uint64_t request = 0, std::string* text = nullptr) {
    Body body{};
    const Bytes message = expect(type, request);
    auto reader = wire::MessageReader::open(message);
    EXPECT_TRUE(reader.ok()) << "no message of type " << static_cast<int>(type);
    if (!reader.ok()) return body;
    wire::MessageReader open = reader.take();
    const Body* taken = open.take<Body>();
    EXPECT_NE(taken, nullptr);
    if (taken != nullptr) body = *taken;
    if (text != nullptr) *text = std::string(open.rest_text());
    return body;
  }
  size_t count(wire::MessageType type) {
    std::lock_guard lock(mutex_);
    size_t found = 0;
    for (const Bytes& message : messages_) {
      wire::MessageHeader header;
      std::memcpy(&header, message.data(), sizeof header);
      found += header.type == type ? 1 : 0;
    }
    return found;
  }

  // ---- the handshake
  wire::Hello hello_for(const BrokerOptions& options) {
    wire::Hello hello{};
    hello.version_min = wire::kProtocolVersionMin;
    hello.version_max = wire::kProtocolVersion;
    hello.slot = options.slot;
    hello.nonce.fill(3);
    hello.job = options.job;
    return hello;
  }
  void say_hello(const wire::Hello& hello) {
    begin(wire::MessageType::kHello, hello_flags_);
    writer_.put(hello);
    writer_.text("test client");
    send();
  }
  void prove(const wire::Secret& secret, const wire::Hello& hello, const wire::Challenge& challenge) {
    begin(wire::MessageType::kProve);
    writer_.put(
        wire::Prove{wire::make_proof(secret, wire::Prover::kClient, hello, challenge.version, challenge.nonce)});
    send();
  }
  void join(TestServer& server) {
    connect(server);
    const wire::Hello hello = hello_for(server.options_);
    say_hello(hello);
    const auto challenge = take<wire::Challenge>(wire::MessageType::kChallenge);
    ASSERT_TRUE(wire::check_proof(challenge.proof, wire::make_proof(server.options_.secret, wire::Prover::kServer,
                                                                    hello, challenge.version, challenge.nonce)));
    prove(server.options_.secret, hello, challenge);
    welcome_ = take<wire::Welcome>(wire::MessageType::kWelcome);
    session_ = welcome_.session;
    ASSERT_NE(session_, 0u);
  }

  // ---- producers
  wire::ProducerOpened open_producer(wire::Uuid topic, uint32_t partition, wire::ProducerId id, uint32_t epoch = 0,
                                     std::string* text = nullptr, const std::string& name = "") {
    const uint64_t request = begin(wire::MessageType::kProducerOpen);
    writer_.put(wire::ProducerOpen{topic, partition, epoch, id});
    writer_.text(name);
    send();
    return take<wire::ProducerOpened>(wire::MessageType::kProducerOpened, request, text);
  }
  void push_inline(uint32_t handle, const TestBatch& batch, bool data_inline = true) {
    uint16_t flags = wire::kBatchBodyInline;
    if (data_inline && !batch.extent.empty()) flags |= wire::kBatchDataInline;
    begin(wire::MessageType::kBatch, flags);
    wire::Batch message{};
    message.handle = handle;
    message.header = batch.header;
    writer_.put(message);
    writer_.append(batch.body.data(), batch.body.size());
    if (data_inline) writer_.append(batch.extent.data(), batch.extent.size());
    send();
  }
  wire::Memory expose(std::span<const std::byte> bytes, uint32_t access = fabric::kRemoteRead) {
    auto region = lane_->register_memory(const_cast<std::byte*>(bytes.data()), bytes.size(), access).take();
    fabric::RemoteMemory described{};
    run_on(*lane_, [&] { described = region->describe(peer_); });
    regions_.push_back(std::move(region));
    return {described.address, described.key, described.length};
  }
  // The batch's memory must stay. `pieces`: how many segments the data is cut into.
  void push_pulled(uint32_t handle, const TestBatch& batch, uint64_t pieces = 1, bool body_inline = false) {
    std::vector<wire::Segment> segments;
    if (!batch.extent.empty()) {
      const wire::Memory memory = expose(batch.extent);
      const uint64_t step = wire::align_up(batch.extent.size() / pieces + 1, 8);
      for (uint64_t at = 0; at < batch.extent.size(); at += step) {
        segments.push_back({memory, at, std::min<uint64_t>(step, batch.extent.size() - at), at});
      }
    }
    const wire::Memory body = body_inline ? wire::Memory{} : expose(batch.body);
    push_described(handle, batch, body, segments, body_inline);
  }
  void push_described(uint32_t handle, const TestBatch& batch, const wire::Memory& body,
                      const std::vector<wire::Segment>& segments, bool body_inline) {
    begin(wire::MessageType::kBatch, body_inline ? wire::kBatchBodyInline : 0);
    wire::Batch message{};
    message.handle = handle;
    message.segment_count = static_cast<uint32_t>(segments.size());
    message.body = body;
    message.header = batch.header;
    writer_.put(message);
    writer_.append(segments.data(), segments.size() * sizeof(wire::Segment));
    if (body_inline) writer_.append(batch.body.data(), batch.body.size());
    send();
  }
  // The next acknowledgement of any producer.
  wire::Ack ack(std::string* text = nullptr) {
    if (acks_.empty()) {
      const Bytes message = expect(wire::MessageType::kBatchAck);
      auto opened = wire::MessageReader::open(message);
      EXPECT_TRUE(opened.ok()) << "no acknowledgement came";
      if (!opened.ok()) return wire::Ack{~uint64_t{0}, -1, 0, 0, 0};
      wire::MessageReader reader = opened.take();
      const auto* head = reader.take<wire::BatchAck>();
      for (const wire::Ack& each : reader.take_array<wire::Ack>(head->count)) acks_.push_back(each);
      ack_text_ = std::string(reader.rest_text());
    }
    const wire::Ack first = acks_.front();
    acks_.pop_front();
    if (text != nullptr) *text = ack_text_;
    return first;
  }

  // ---- consumers
  wire::ConsumerOpened open_consumer(wire::Uuid topic, uint32_t partition, std::span<std::byte> ring,
                                     wire::From from = wire::From::kEarliest, uint64_t value = 0,
                                     const std::string& name = "", std::string* text = nullptr,
                                     uint32_t events_max = 0) {
    const uint64_t request = begin(wire::MessageType::kConsumerOpen);
    wire::ConsumerOpen open{};
    open.topic = topic;
    open.partition = partition;
    open.from = from;
    open.value = value;
    open.events_max = events_max;
    open.ring = expose(ring, fabric::kRemoteWrite);
    ring_ = ring;
    writer_.put(open);
    writer_.text(name);
    send();
    return take<wire::ConsumerOpened>(wire::MessageType::kConsumerOpened, request, text);
  }
  // The next frame; its body from the message or from the ring.
  TestFrame frame() {
    TestFrame out;
    const Bytes message = expect(wire::MessageType::kFrame);
    auto opened = wire::MessageReader::open(message);
    EXPECT_TRUE(opened.ok()) << "no frame came";
    if (!opened.ok()) return out;
    wire::MessageReader reader = opened.take();
    const uint16_t flags = reader.header().flags;
    out.frame = *reader.take<wire::Frame>();
    const uint64_t length = out.frame.header.body_bytes;
    if ((flags & wire::kFrameBodyInline) != 0) {
      out.body.assign(reader.rest().begin(), reader.rest().end());
    } else {
      EXPECT_LE(out.frame.ring_at + length, ring_.size());
      out.body.assign(ring_.begin() + static_cast<std::ptrdiff_t>(out.frame.ring_at),
                      ring_.begin() + static_cast<std::ptrdiff_t>(out.frame.ring_at + length));
    }
    EXPECT_EQ(out.body.size(), length);
    const auto view = wire::BatchView::parse(std::as_bytes(std::span(&out.frame.header, 1)), out.body, true);
    EXPECT_TRUE(view.ok()) << view.status().text();
    return out;
  }
  void credit(uint32_t handle, uint64_t ring_end, uint32_t events_end = 0) {
    begin(wire::MessageType::kCredit);
    writer_.put(wire::Credit{handle, events_end, ring_end});
    send();
  }
  struct TestRun {
    uint64_t start, length;
    std::vector<wire::RunLevel> levels;
  };
  struct TestSelection {
    uint64_t offset, destination_at;
    std::vector<TestRun> runs;
    uint32_t handle = 0;  // in a request of several consumers
  };
  wire::DataReply fetch(uint32_t handle, const std::vector<TestSelection>& selections, const wire::Memory& destination,
                        std::string* text = nullptr) {
    const uint64_t request = begin(wire::MessageType::kDataRequest);
    writer_.put(wire::DataRequest{handle, static_cast<uint32_t>(selections.size()), destination});
    for (const TestSelection& selection : selections) {
      writer_.put(wire::Selection{selection.offset, selection.destination_at,
                                  static_cast<uint32_t>(selection.runs.size()), selection.handle});
      for (const TestRun& run : selection.runs) {
        writer_.put(wire::Run{run.start, run.length, static_cast<uint32_t>(run.levels.size()), 0});
        for (const wire::RunLevel& level : run.levels) writer_.put(level);
      }
    }
    send();
    return take<wire::DataReply>(wire::MessageType::kDataReply, request, text);
  }
  wire::Committed commit(wire::Uuid topic, uint32_t partition, uint32_t epoch, uint64_t offset, const std::string& name,
                         std::string* text = nullptr) {
    const uint64_t request = begin(wire::MessageType::kCommit);
    writer_.put(wire::Commit{topic, partition, epoch, offset});
    writer_.text(name);
    send();
    return take<wire::Committed>(wire::MessageType::kCommitted, request, text);
  }
  wire::Synced sync(wire::Uuid topic, uint32_t partition, uint32_t epoch, uint64_t offset,
                    std::string* text = nullptr) {
    const uint64_t request = begin(wire::MessageType::kSync);
    writer_.put(wire::Sync{topic, partition, epoch, offset});
    send();
    return take<wire::Synced>(wire::MessageType::kSynced, request, text);
  }

  // On the lane's thread behind the next message, which is under way: while it runs this client does nothing else.
  std::function<void()> after_send_;
  std::unique_ptr<fabric::Lane> lane_;
  fabric::PeerId peer_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Bytes> messages_;
  bool up_ = false;
  bool lost_ = false;
  bool record_ = false;
  std::vector<Bytes> sent_;
  uint64_t session_ = 0;
  uint64_t request_ = 0;
  wire::Welcome welcome_{};
  wire::MessageWriter writer_;
  std::deque<wire::Ack> acks_;
  std::string ack_text_;
  std::span<std::byte> ring_;
  std::vector<std::unique_ptr<fabric::Region>> regions_;
};

// A directory that is gone afterwards.
class TestDirectory {
 public:
  TestDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "weft-broker-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TestDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string path_;
};

inline PartitionSpec memory_spec(uint32_t partition = 0, uint64_t data_bytes = uint64_t{96} << 20) {
  PartitionSpec spec;
  spec.topic = "field";
  spec.uuid = make_uuid(1);
  spec.partition = partition;
  spec.storage = wire::Storage::kMemory;
  spec.memory_data_bytes = data_bytes;
  spec.memory_metadata_bytes = uint64_t{16} << 20;
  return spec;
}
inline PartitionSpec disk_spec(const TestDirectory& directory, wire::Durability durability, uint32_t partition = 0) {
  PartitionSpec spec;
  spec.topic = "field";
  spec.uuid = make_uuid(1);
  spec.partition = partition;
  spec.durability = durability;
  spec.metadata_directory = directory.path_ + "/metadata" + std::to_string(partition);
  spec.data_directory = directory.path_ + "/data" + std::to_string(partition);
  return spec;
}

}  // namespace weft::broker::test
