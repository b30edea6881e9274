// Sessions, producers and consumers against a server that the test plays, message by message, on a lane without
// threads: the orders of answers, losses and full queues that a real network brings about too seldom.
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <set>
#include <thread>

#include "client/consumer.h"
#include "client/producer.h"
#include "fake_lane.h"

namespace weft::client::test {
namespace {

using wire::MessageType;

class Addresses : public SlotDirectory {
 public:
  Result<std::string> find_address(uint32_t) override { return std::string("there"); }
};

class ClientTest : public ::testing::Test {
 protected:
  ClientTest() {
    options_.secret.fill(5);
    options_.request_timeout_ms = 1000;
    options_.delivery_timeout_ms = 5000;
    client_ = std::make_unique<Client>(lane_, options_, std::make_shared<Addresses>());
    auto topic = std::make_shared<TopicRecord>();
    topic->name = "t";
    topic->slots = {0};
    topic->info.partition_count = 1;
    topic->info.serializer = wire::Serializer::kRaw;
    topic_ = topic;
  }

  // Lets the session resolve and connect; HELLO is sent then.
  void connect() {
    while (lane_.peer == 0) ASSERT_TRUE(lane_.run_posted()) << "the resolver did not answer";
    lane_.come_up();
    ASSERT_NE(lane_.newest(MessageType::kHello), nullptr);
  }
  void challenge(const wire::Secret& secret) {
    wire::MessageReader reader = lane_.newest(MessageType::kHello)->reader();
    const wire::Hello hello = *reader.take<wire::Hello>();
    wire::Challenge challenge{};
    challenge.version = wire::kProtocolVersion;
    challenge.nonce.fill(3);
    challenge.proof = wire::make_proof(secret, wire::Prover::kServer, hello, challenge.version, challenge.nonce);
    writer_.begin(MessageType::kChallenge, 0, 0);
    writer_.put(challenge);
    lane_.deliver(writer_);
  }
  void welcome() {
    wire::Welcome welcome{};
    welcome.session = ++token_;
    writer_.begin(MessageType::kWelcome, token_, 0);
    writer_.put(welcome);
    lane_.deliver(writer_);
  }
  void let_in() {
    connect();
    challenge(options_.secret);
    welcome();
  }
  // The connection goes and the next one comes.
  void lose_and_let_in(bool proven_dead = true) {
    lane_.lose(proven_dead);
    lane_.pass_ms(100);
    let_in();
  }
  template <typename Body>
  void answer(MessageType asked, MessageType type, const Body& body) {
    const SentMessage* message = lane_.newest(asked);
    ASSERT_NE(message, nullptr);
    writer_.begin(type, token_, message->reader().header().request_id);
    writer_.put(body);
    lane_.deliver(writer_);
  }
  void producer_opened(uint64_t next_sequence) {
    wire::ProducerOpened opened{};
    opened.handle = 1;
    opened.epoch = 1;
    opened.batches_in_flight_max = 16;
    opened.next_sequence = next_sequence;
    answer(MessageType::kProducerOpen, MessageType::kProducerOpened, opened);
  }
  void acknowledge(uint64_t sequence, Code code, uint64_t expected) {
    writer_.begin(MessageType::kBatchAck, token_, 0);
    writer_.put(wire::BatchAck{1, 1});
    writer_.put(wire::Ack{sequence, static_cast<int32_t>(code), 1, sequence * 10, expected});
    lane_.deliver(writer_);
  }
  void open_producer(uint32_t in_flight = 4) {
    ProducerOptions options;
    options.batches_in_flight = in_flight;
    Producer::open(*client_, topic_, options, [this](Result<std::shared_ptr<Producer>> opened) {
      producer_status_ = opened.status();
      if (opened.ok()) producer_ = opened.take();
    });
    lane_.run();
    let_in();
    producer_opened(0);
    ASSERT_NE(producer_, nullptr) << producer_status_.text();
  }
  struct Outcome {
    ClientTest* test = nullptr;
    int count = 0;
    Status status;
    uint64_t first_offset = 0;
  };
  // A batch of one event whose metadata is `name`, with data in plain memory.
  void push(char name, std::span<const std::byte> data = {}, uint32_t partition = 0) {
    Result<Batch*> taken = producer_->take();
    ASSERT_TRUE(taken.ok()) << taken.status().text();
    Batch* batch = taken.value();
    outcomes_[name].test = this;
    batch->owner = &outcomes_[name];
    batch->room = [](void* owner) {
      const auto& on_room = static_cast<Outcome*>(owner)->test->on_room_;
      if (on_room) on_room();
    };
    batch->done = [](Batch* done, const Status& status, const BatchResult& result) {
      auto* outcome = static_cast<Outcome*>(done->owner);
      ++outcome->count;
      outcome->status = status;
      outcome->first_offset = result.first_offset;
    };
    *reinterpret_cast<char*>(batch->arena->metadata()) = name;
    batch->arena->metadata_end()[0] = 1;
    batch->arena->data_length()[0] = data.size();
    const BatchPiece piece{data.data(), data.size(), 0, nullptr};
    ASSERT_TRUE(producer_->submit(batch, partition, 1, 1, 0, {&piece, data.empty() ? 0u : 1u}).ok());
    lane_.run();
  }
  // "a0 b1": names and sequences of the batches sent since the last call.
  std::string sent_batches() {
    std::string text;
    for (const SentMessage& message : lane_.sent) {
      if (message.type() != MessageType::kBatch) continue;
      wire::MessageReader reader = message.reader();
      const wire::BatchHeader header = reader.take<wire::Batch>()->header;
      const std::byte* body = reader.take_bytes(header.body_bytes);
      const char name = static_cast<char>(body[wire::batch_shape(1, false, 1).metadata_at]);
      text += join_text(text.empty() ? "" : " ", name, header.sequence);
    }
    lane_.sent.clear();
    return text;
  }
  void open_consumer(std::shared_ptr<Consumer>& into, uint32_t handle, bool connects) {
    ConsumerOptions options;
    options.name = "reader";
    Consumer::open(
        *client_, topic_, options, [] {},
        [&into](Result<std::shared_ptr<Consumer>> opened) {
          if (opened.ok()) into = opened.take();
        });
    lane_.run();
    if (connects) let_in();
    consumer_opened(handle);
    ASSERT_NE(into, nullptr);
  }
  void consumer_opened(uint32_t handle) {
    wire::ConsumerOpened opened{};
    opened.handle = handle;
    answer(MessageType::kConsumerOpen, MessageType::kConsumerOpened, opened);
  }
  bool close(std::shared_ptr<Consumer>& consumer) {
    auto closed = std::make_shared<bool>(false);
    Consumer::close(std::move(consumer), [closed] { *closed = true; });
    lane_.run();
    return *closed;
  }
  // As a job ends: the client stops on its lane, which then runs what the resolver still posted.
  void stop(Client& client) {
    std::atomic<bool> stopped = false;
    std::thread stopper([&] {
      client.stop();
      stopped = true;
    });
    while (!stopped) {
      lane_.run();
      std::this_thread::yield();
    }
    stopper.join();
    lane_.run();
  }
  void TearDown() override {
    if (producer_) {
      Producer::close(std::move(producer_), [] {});
      lane_.run();
    }
    client_->run([] {});
    lane_.run();
    EXPECT_TRUE(lane_.timers.size() <= 2) << "a timer of an object that is gone is still armed";
    stop(*client_);
    EXPECT_TRUE(lane_.timers.empty()) << "the client stopped, and a timer is still armed";
    client_.reset();
  }

  FakeLane lane_;
  ClientOptions options_;
  std::unique_ptr<Client> client_;
  std::shared_ptr<const TopicRecord> topic_;
  std::shared_ptr<Producer> producer_;
  Status producer_status_;
  std::map<char, Outcome> outcomes_;
  std::function<void()> on_room_;
  wire::MessageWriter writer_;
  uint64_t token_ = 100;
};

TEST_F(ClientTest, AWelcomeWithoutTheServersProofLetsNobodyIn) {
  Status status;
  client_->look_up("t", [&](Result<TopicRecord> record) { status = record.status(); });
  lane_.run();
  connect();
  welcome();
  EXPECT_EQ(lane_.count(MessageType::kTopicLookup), 0u) << "an impostor was given a request";
  challenge(options_.secret);
  EXPECT_EQ(lane_.count(MessageType::kProve), 1u);
  welcome();
  EXPECT_EQ(lane_.count(MessageType::kTopicLookup), 1u);
  lane_.pass_ms(1200);
  EXPECT_EQ(status.code(), Code::TIMED_OUT);
}

TEST_F(ClientTest, AServerWithAnotherSecretIsRefusedForGoodAtFirstOnly) {
  Status status;
  client_->look_up("t", [&](Result<TopicRecord> record) { status = record.status(); });
  lane_.run();
  connect();
  wire::Secret other{};
  challenge(other);
  EXPECT_EQ(status.code(), Code::SECRET_WRONG);
  EXPECT_EQ(lane_.count(MessageType::kProve), 0u);
}

TEST_F(ClientTest, AStrangerAtTheOldAddressDoesNotEndAProducer) {
  open_producer();
  lane_.lose(true);
  lane_.pass_ms(100);
  connect();
  wire::Secret other{};
  challenge(other);
  lane_.pass_ms(1100);
  let_in();
  producer_opened(0);
  push('a');
  EXPECT_EQ(sent_batches(), "a0");
}

// Slot 0 ends the job when its clients are gone (`--until clients-gone`): one that only lost its connection is not.
TEST_F(ClientTest, AClientWithNothingToDoComesBackToSlot0AndToNoOther) {
  for (const uint32_t slot : {0u, 1u}) {
    client_->connect(slot, 50, [](const Status&) {});
    lane_.run();
    let_in();
    lane_.pass_ms(1100);  // the request is given up
    lane_.sent.clear();
    lane_.lose(true);
    lane_.pass_ms(100);
    if (slot != 0) break;
    let_in();
    EXPECT_EQ(lane_.count(MessageType::kHello), 1u);
  }
  lane_.pass_ms(3000);
  EXPECT_EQ(lane_.count(MessageType::kHello), 0u);
}

TEST_F(ClientTest, AServerIsNoClientAndStaysAway) {
  options_.of_server = true;
  client_ = std::make_unique<Client>(lane_, options_, std::make_shared<Addresses>());
  client_->connect(0, 50, [](const Status&) {});
  lane_.run();
  let_in();
  lane_.pass_ms(1100);
  lane_.sent.clear();
  lane_.lose(true);
  lane_.pass_ms(3000);
  EXPECT_EQ(lane_.peer, 0u);
}

// All producers in all partitions would be state of the servers that grows as their product.
TEST_F(ClientTest, AProducerWithoutANameOpensSomeOfManyPartitionsAndOthersWithTheirFirstBatch) {
  auto topic = std::make_shared<TopicRecord>(*topic_);
  topic->slots.assign(100, 0);
  topic->info.partition_count = 100;
  topic_ = topic;
  Producer::open(*client_, topic_, {}, [this](Result<std::shared_ptr<Producer>> opened) { producer_ = opened.take(); });
  lane_.run();
  let_in();
  std::set<uint32_t> partitions;
  std::vector<uint64_t> requests;
  for (const SentMessage& message : lane_.sent) {
    if (message.type() != MessageType::kProducerOpen) continue;
    wire::MessageReader reader = message.reader();
    requests.push_back(reader.header().request_id);
    partitions.insert(reader.take<wire::ProducerOpen>()->partition);
  }
  ASSERT_EQ(partitions.size(), kPartitionsOpenedEarlyMax);
  uint32_t handle = 0;
  const auto opened = [&](uint64_t request) {
    wire::ProducerOpened body{};
    body.handle = ++handle;
    body.epoch = 1;
    body.batches_in_flight_max = 16;
    writer_.begin(MessageType::kProducerOpened, token_, request);
    writer_.put(body);
    lane_.deliver(writer_);
  };
  EXPECT_EQ(producer_, nullptr);
  for (const uint64_t request : requests) opened(request);
  ASSERT_NE(producer_, nullptr);
  uint32_t other = 0;
  while (partitions.contains(other)) ++other;
  lane_.sent.clear();
  push('a', {}, other);
  push('b', {}, other);
  ASSERT_EQ(lane_.count(MessageType::kProducerOpen), 1u) << "once, however many batches wait";
  EXPECT_EQ(lane_.count(MessageType::kBatch), 0u);
  opened(lane_.newest(MessageType::kProducerOpen)->reader().header().request_id);
  EXPECT_EQ(sent_batches(), "a0 b1");
  // Closed, it opens none any more.
  uint32_t third = other + 1;
  while (partitions.contains(third)) ++third;
  Producer::close(producer_, [] {});
  push('c', {}, third);
  EXPECT_EQ(lane_.count(MessageType::kProducerOpen), 0u);
}

TEST_F(ClientTest, AProducerWithANameOpensAllPartitionsSinceThatFencesOlderOnes) {
  auto topic = std::make_shared<TopicRecord>(*topic_);
  topic->slots.assign(100, 0);
  topic->info.partition_count = 100;
  topic_ = topic;
  ProducerOptions options;
  options.name = "solver";
  Producer::open(*client_, topic_, options, [](const Result<std::shared_ptr<Producer>>&) {});
  lane_.run();
  let_in();
  EXPECT_EQ(lane_.count(MessageType::kProducerOpen), 100u);
  lane_.pass_ms(2000);  // given up
}

TEST_F(ClientTest, OpeningAProducerEndsWhenTheSlotIsNotThere) {
  bool ended = false;
  Producer::open(*client_, topic_, {}, [&](Result<std::shared_ptr<Producer>> opened) {
    ended = true;
    EXPECT_FALSE(opened.ok());
  });
  lane_.run();
  while (lane_.peer == 0) ASSERT_TRUE(lane_.run_posted());
  lane_.pass_ms(1200);  // nobody answers the connection
  lane_.run();
  EXPECT_TRUE(ended);
}

// Reading the group directory can hang for good, on a shared file system that is away.
class HangingAddresses : public SlotDirectory {
 public:
  struct Gate {
    std::mutex mutex;
    std::condition_variable changed;
    bool asked = false;
    bool open = false;
  };
  explicit HangingAddresses(std::shared_ptr<Gate> gate) : gate_(std::move(gate)) {}
  Result<std::string> find_address(uint32_t) override {
    std::unique_lock lock(gate_->mutex);
    gate_->asked = true;
    gate_->changed.notify_all();
    gate_->changed.wait(lock, [this] { return gate_->open; });
    return std::string("there");
  }

 private:
  const std::shared_ptr<Gate> gate_;
};

TEST_F(ClientTest, AResolverThatHangsDoesNotHoldUpTheEnd) {
  auto gate = std::make_shared<HangingAddresses::Gate>();
  auto directory = std::make_shared<HangingAddresses>(gate);
  const std::weak_ptr<HangingAddresses> kept = directory;
  auto client = std::make_unique<Client>(lane_, options_, std::move(directory));
  client->look_up("t", [](const Result<TopicRecord>&) {});
  lane_.run();
  // The gate opens late enough to fail the test, not to hang it.
  bool ended = false;
  std::thread opener([&] {
    std::unique_lock lock(gate->mutex);
    gate->changed.wait_for(lock, std::chrono::seconds(20), [&] { return ended; });
    gate->open = true;
    gate->changed.notify_all();
  });
  {
    std::unique_lock lock(gate->mutex);
    ASSERT_TRUE(gate->changed.wait_for(lock, std::chrono::seconds(10), [&] { return gate->asked; }));
  }
  stop(*client);
  client.reset();
  {
    const std::lock_guard lock(gate->mutex);
    EXPECT_FALSE(gate->open) << "the end waited for the resolver";
    ended = true;
    gate->changed.notify_all();
  }
  opener.join();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!kept.expired() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_TRUE(kept.expired()) << "the resolver did not end";
  lane_.run();  // it posted nothing for a client that is gone
}

// A limit on processes may leave no room for the resolver's thread.
TEST_F(ClientTest, AResolverThatCannotStartIsAnErrorOfTheSession) {
  pthread_attr_t before, impossible;
  ASSERT_EQ(pthread_getattr_default_np(&before), 0);
  ASSERT_EQ(pthread_getattr_default_np(&impossible), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&impossible, size_t{1} << 62), 0);
  Status status;
  client_->look_up("t", [&](Result<TopicRecord> record) { status = record.status(); });
  ASSERT_EQ(pthread_setattr_default_np(&impossible), 0);
  lane_.run();
  ASSERT_EQ(pthread_setattr_default_np(&before), 0);
  EXPECT_EQ(client_->session(0).last_error().code(), Code::LIMIT) << client_->session(0).last_error().text();
  // The next try has room.
  lane_.pass_ms(100);
  let_in();
  EXPECT_EQ(lane_.count(MessageType::kTopicLookup), 1u);
  lane_.pass_ms(1200);
  EXPECT_EQ(status.code(), Code::TIMED_OUT);
}

TEST_F(ClientTest, ARequestThatIsTooLongFailsAloneAndHoldsUpNobody) {
  open_producer();
  Status too_long;
  lane_.send_status = Status(Code::LIMIT, "longer than a message");
  client_->look_up("t", [&](Result<TopicRecord> record) { too_long = record.status(); });
  lane_.run();
  EXPECT_EQ(too_long.code(), Code::LIMIT);
  lane_.send_status = {};
}

TEST_F(ClientTest, AStoredBatchIsNotStoredTwiceWhenTheNextConnectionBreaksBeforeItIsSentAgain) {
  open_producer();
  push('a');
  push('b');
  EXPECT_EQ(sent_batches(), "a0 b1");
  lose_and_let_in();
  // The server has both; the queue to it is full at this moment, and then it is lost again.
  lane_.send_status = Status(Code::BUSY, "full");
  producer_opened(2);
  lane_.send_status = {};
  EXPECT_EQ(sent_batches(), "");
  lose_and_let_in();
  producer_opened(2);
  EXPECT_EQ(sent_batches(), "a0 b1") << "under a new number they would be stored again";
  acknowledge(0, Code::OK, 2);
  acknowledge(1, Code::OK, 2);
  EXPECT_TRUE(outcomes_['a'].status.ok() && outcomes_['b'].status.ok());
  push('c');
  EXPECT_EQ(sent_batches(), "c2");
}

TEST_F(ClientTest, WhatTheServerDoesNotHaveIsNumberedAnew) {
  open_producer();
  for (const char name : {'a', 'b', 'c'}) push(name);
  EXPECT_EQ(sent_batches(), "a0 b1 c2");
  lose_and_let_in();
  producer_opened(1);
  EXPECT_EQ(sent_batches(), "a0 b1 c2");
  lose_and_let_in();
  producer_opened(0);  // a restart that lost what was in memory
  EXPECT_EQ(sent_batches(), "a0 b1 c2");
}

TEST_F(ClientTest, BusyStallsUntilAllIsAnsweredAndKeepsTheOrder) {
  open_producer();
  for (const char name : {'a', 'b', 'c'}) push(name);
  EXPECT_EQ(sent_batches(), "a0 b1 c2");
  acknowledge(1, Code::BUSY, 1);
  push('d');
  acknowledge(0, Code::OK, 1);
  lane_.pass_ms(50);
  EXPECT_EQ(sent_batches(), "") << "c is not answered yet";
  acknowledge(2, Code::SEQUENCE_GAP, 1);
  lane_.pass_ms(50);
  EXPECT_EQ(sent_batches(), "b1 c2 d3");
}

TEST_F(ClientTest, ARefusedBatchIsReportedOnceAndThoseBehindMoveUp) {
  open_producer();
  for (const char name : {'a', 'b'}) push(name);
  sent_batches();
  acknowledge(0, Code::NO_SPACE, 0);
  EXPECT_EQ(outcomes_['a'].status.code(), Code::NO_SPACE);
  acknowledge(1, Code::SEQUENCE_GAP, 0);
  lane_.pass_ms(50);
  EXPECT_EQ(sent_batches(), "b0");
  EXPECT_EQ(outcomes_['a'].count, 1);
  EXPECT_EQ(outcomes_['b'].count, 0);
}

TEST_F(ClientTest, AGapBehindTheExpectedIsStoredAndNeverSentAgain) {
  open_producer();
  push('a');
  sent_batches();
  acknowledge(0, Code::SEQUENCE_GAP, 5);
  lane_.pass_ms(50);
  EXPECT_EQ(outcomes_['a'].count, 1);
  EXPECT_EQ(sent_batches(), "");
  push('b');
  EXPECT_EQ(sent_batches(), "b5");
}

TEST_F(ClientTest, ABatchThatWasReportedLateIsNotSentAgainFromItsOwnersMemory) {
  open_producer();
  push('a');
  push('b');
  sent_batches();
  lane_.pass_ms(5100);
  EXPECT_EQ(outcomes_['a'].status.code(), Code::DELIVERY_TIMED_OUT);
  push('c');
  sent_batches();
  acknowledge(0, Code::BUSY, 0);
  acknowledge(1, Code::SEQUENCE_GAP, 0);
  acknowledge(2, Code::SEQUENCE_GAP, 0);
  lane_.pass_ms(50);
  EXPECT_EQ(sent_batches(), "c0");
  EXPECT_EQ(outcomes_['a'].count, 1);
}

// A read that the server has under way goes on when its registration is closed, and would store what the caller writes
// next.
TEST_F(ClientTest, PlainMemoryIsItsOwnersAgainOnlyWhenTheServerHasAnsweredOrIsLost) {
  open_producer();
  std::vector<std::byte> data(64 * 1024);
  const int live = FakeRegion::live;
  const auto registered = [&] { return FakeRegion::live - live - 1; };  // beside the batch's own memory
  const auto late = [&](char name) {
    push(name, data);
    lane_.pass_ms(5100);
    EXPECT_EQ(outcomes_[name].count, 0) << name << " was given back while the server may read it";
    EXPECT_EQ(registered(), 1);
  };
  late('a');
  acknowledge(0, Code::OK, 1);
  EXPECT_EQ(outcomes_['a'].count, 1);
  EXPECT_TRUE(outcomes_['a'].status.ok()) << "what is known is better than a time limit";
  outcomes_.clear();
  late('b');
  lane_.sent.clear();
  acknowledge(1, Code::BUSY, 1);
  EXPECT_EQ(outcomes_['b'].status.code(), Code::DELIVERY_TIMED_OUT);
  lane_.pass_ms(200);
  EXPECT_EQ(lane_.count(MessageType::kBatch), 0u) << "it was sent again from its owner's memory";
  outcomes_.clear();
  late('c');
  lane_.lose(true);
  lane_.pass_ms(100);
  EXPECT_EQ(outcomes_['c'].status.code(), Code::DELIVERY_TIMED_OUT);
  EXPECT_EQ(registered(), 0);
  let_in();
  producer_opened(1);
  outcomes_.clear();
  // One that is alive and does not answer has sent or dropped what it had to by now.
  late('d');
  lane_.pass_ms(31'000);
  EXPECT_EQ(outcomes_['d'].status.code(), Code::DELIVERY_TIMED_OUT);
  EXPECT_EQ(outcomes_['d'].count, 1);
}

TEST_F(ClientTest, AFencedProducerFailsEverythingAndLeavesNoTimer) {
  open_producer();
  for (const char name : {'a', 'b', 'c'}) push(name);
  acknowledge(0, Code::BUSY, 0);
  acknowledge(1, Code::FENCED, 0);
  EXPECT_EQ(outcomes_['c'].count, 0) << "the server may still be reading it";
  acknowledge(2, Code::FENCED, 0);
  for (const char name : {'a', 'b', 'c'}) {
    EXPECT_EQ(outcomes_[name].count, 1) << name;
    EXPECT_EQ(outcomes_[name].status.code(), Code::FENCED) << name;
  }
  EXPECT_EQ(client_->counters().memory_quarantined_bytes, 0u);
}

TEST_F(ClientTest, AProducerClosedWhileItOpensAgainIsNotCalledAnyMore) {
  open_producer();
  lose_and_let_in();  // PRODUCER_OPEN is sent again
  Producer::close(std::move(producer_), [] {});
  lane_.run();
  producer_opened(0);
  lane_.pass_ms(1500);
}

// A waiter that was woken before the batch could be taken again slept on until its deadline.
TEST_F(ClientTest, RoomIsSaidWhenABatchCanBeTakenAgain) {
  open_producer(1);
  push('a');
  push('b');
  ASSERT_EQ(producer_->take().status().code(), Code::BUSY);
  struct Waiter {
    Producer* producer;
    Batch* taken;
  } waiter{producer_.get(), nullptr};
  on_room_ = [&] {
    Result<Batch*> taken = waiter.producer->take();
    if (taken.ok()) waiter.taken = taken.value();
  };
  acknowledge(0, Code::OK, 1);
  EXPECT_NE(waiter.taken, nullptr);
  on_room_ = nullptr;
  if (waiter.taken != nullptr) producer_->give_back(waiter.taken);
}

// JavaScript keeps its views of a batch's memory: a late write into it ended the process.
TEST_F(ClientTest, ABatchThatCannotBeRegisteredAgainStaysMappedAndIsTriedAgain) {
  open_producer(1);
  push('a');
  std::byte* const memory = lane_.registered_last;
  lane_.pass_ms(5100);
  EXPECT_EQ(outcomes_['a'].status.code(), Code::DELIVERY_TIMED_OUT);
  lane_.register_status = Status(Code::LIMIT, "too many registrations");
  acknowledge(0, Code::OK, 1);
  *memory = std::byte{1};
  EXPECT_EQ(producer_->take().status().code(), Code::LIMIT);
  lane_.register_status = {};
  push('b');
  EXPECT_EQ(lane_.registered_last, memory);
  EXPECT_EQ(sent_batches(), "a0 b1");
}

TEST_F(ClientTest, AStreamThatFailedDoesNotCloseAnothersHandleOfALaterConnection) {
  std::shared_ptr<Consumer> failed, other;
  open_consumer(failed, 1, true);
  writer_.begin(MessageType::kConsumerFailed, token_, 0);
  writer_.put(wire::ConsumerFailed{1, static_cast<int32_t>(Code::TRUNCATED), 0});
  lane_.deliver(writer_);
  lose_and_let_in();
  open_consumer(other, 1, false);  // the same number, on the new connection
  EXPECT_TRUE(close(failed));
  EXPECT_EQ(lane_.count(MessageType::kConsumerClose), 0u);
  // The other still gets its messages.
  writer_.begin(MessageType::kConsumerFailed, token_, 0);
  writer_.put(wire::ConsumerFailed{1, static_cast<int32_t>(Code::OFFSET_GONE), 0});
  lane_.deliver(writer_);
  ConsumerFrame frame;
  ASSERT_TRUE(other->poll(frame));
  EXPECT_EQ(frame.failure.code(), Code::OFFSET_GONE);
  lane_.lose(true);
  EXPECT_TRUE(close(other));
}

TEST_F(ClientTest, ACommitOutlivesItsConsumer) {
  std::shared_ptr<Consumer> consumer;
  open_consumer(consumer, 1, true);
  Status committed(Code::INTERNAL, "not yet");
  consumer->commit(0, 42, [&](const Status& status) { committed = status; });
  lane_.run();
  lane_.lose(true);
  EXPECT_TRUE(close(consumer));
  lane_.pass_ms(100);
  let_in();
  const SentMessage* message = lane_.newest(MessageType::kCommit);
  ASSERT_NE(message, nullptr);
  wire::MessageReader reader = message->reader();
  EXPECT_EQ(reader.take<wire::Commit>()->offset, 42u);
  answer(MessageType::kCommit, MessageType::kCommitted, wire::Committed{});
  EXPECT_TRUE(committed.ok()) << committed.text();
}

TEST_F(ClientTest, AProducerThatIsFencedKeepsItsMemoryUntilTheServerHasAnswered) {
  for (const bool is_lost : {false, true}) {
    outcomes_.clear();
    open_producer(2);
    for (const char name : {'a', 'b', 'c'}) push(name);  // two of them are sent
    acknowledge(0, Code::FENCED, 0);
    EXPECT_EQ(outcomes_['a'].status.code(), Code::FENCED);
    EXPECT_EQ(outcomes_['b'].count, 0) << "the server may still be reading it";
    EXPECT_EQ(outcomes_['c'].status.code(), Code::FENCED);
    push('d');
    EXPECT_EQ(outcomes_['d'].status.code(), Code::FENCED);
    if (is_lost) {
      lane_.lose(true);
    } else {
      acknowledge(1, Code::BUSY, 0);
    }
    EXPECT_EQ(outcomes_['b'].count, 1);
    EXPECT_EQ(outcomes_['b'].status.code(), Code::FENCED);
    EXPECT_EQ(client_->counters().memory_quarantined_bytes, 0u);
    Producer::close(std::move(producer_), [] {});
    lane_.run();
    if (!is_lost) lane_.lose(true);
    lane_.pass_ms(100);
  }
}

// A consumer of two partitions, with handles 1 and 2, and what a test says of its seeks.
class SeekTest : public ClientTest {
 protected:
  void open_two() {
    auto topic = std::make_shared<TopicRecord>(*topic_);
    topic->slots = {0, 0};
    topic->info.partition_count = 2;
    topic_ = topic;
    Consumer::open(
        *client_, topic_, {}, [] {},
        [this](Result<std::shared_ptr<Consumer>> opened) {
          if (opened.ok()) consumer_ = opened.take();
        });
    lane_.run();
    let_in();
    opened(0, 1);
    opened(1, 2);
    ASSERT_NE(consumer_, nullptr);
    lane_.sent.clear();
  }
  // The answer to the n-th CONSUMER_OPEN since `sent` was cleared.
  void opened(size_t n, uint32_t handle, Code code = Code::OK) {
    for (const SentMessage& message : lane_.sent) {
      if (message.type() != MessageType::kConsumerOpen || n-- > 0) continue;
      wire::ConsumerOpened opened{};
      opened.handle = handle;
      opened.code = static_cast<int32_t>(code);
      opened.start_offset = 100 + handle;
      writer_.begin(MessageType::kConsumerOpened, token_, message.reader().header().request_id);
      writer_.put(opened);
      return lane_.deliver(writer_);
    }
    FAIL() << "it was not opened";
  }
  void seek(std::vector<uint32_t> partitions = {}) {
    lane_.sent.clear();
    outcomes_of_seek_.clear();
    consumer_->seek(std::move(partitions), wire::From::kOffset, 7,
                    [this](const Status& status) { outcomes_of_seek_.push_back(status.code()); });
    lane_.run();
  }
  void failed(uint32_t handle) {
    writer_.begin(MessageType::kConsumerFailed, token_, 0);
    writer_.put(wire::ConsumerFailed{handle, static_cast<int32_t>(Code::CORRUPT), 0});
    lane_.deliver(writer_);
  }
  // The partitions whose streams said that they failed.
  std::vector<uint32_t> polled() {
    std::vector<uint32_t> partitions;
    ConsumerFrame frame;
    while (consumer_->poll(frame)) partitions.push_back(frame.partition);
    return partitions;
  }
  std::vector<uint32_t> closed_handles() {
    std::vector<uint32_t> handles;
    for (const SentMessage& message : lane_.sent) {
      if (message.type() != MessageType::kConsumerClose) continue;
      wire::MessageReader reader = message.reader();
      handles.push_back(reader.take<wire::ConsumerClose>()->handle);
    }
    return handles;
  }
  void TearDown() override {
    if (consumer_) {
      if (lane_.peer != 0) lane_.lose(true);
      EXPECT_TRUE(close(consumer_));
    }
    ClientTest::TearDown();
  }
  using Codes = std::vector<Code>;
  using Numbers = std::vector<uint32_t>;

  std::shared_ptr<Consumer> consumer_;
  Codes outcomes_of_seek_;
};

TEST_F(SeekTest, TakesThePlaceOfTheStreamsWhenAllAreThere) {
  open_two();
  failed(1);  // nobody has polled it: dropped
  seek();
  opened(0, 3);
  failed(3);  // of behind the seek: held until then
  EXPECT_EQ(outcomes_of_seek_, Codes());
  opened(1, 4);
  EXPECT_EQ(outcomes_of_seek_, Codes{Code::OK});
  EXPECT_EQ(closed_handles(), (Numbers{1, 2}));
  EXPECT_EQ(polled(), Numbers{0});
  EXPECT_EQ(consumer_->position(0).value().start_offset, 103u);
  EXPECT_EQ(consumer_->position(1).value().start_offset, 104u);
  failed(2);  // crossed its end on the way
  EXPECT_EQ(polled(), Numbers());
  failed(4);
  EXPECT_EQ(polled(), Numbers{1});
}

TEST_F(SeekTest, ThatOnePartitionRefusesChangesNothing) {
  open_two();
  seek();
  opened(0, 3);
  failed(3);
  opened(1, 0, Code::TRUNCATED);
  EXPECT_EQ(outcomes_of_seek_, Codes{Code::TRUNCATED});
  EXPECT_EQ(closed_handles(), Numbers{3});
  EXPECT_EQ(consumer_->position(0).value().start_offset, 101u);
  failed(3);
  EXPECT_EQ(polled(), Numbers());
  failed(1);
  failed(2);
  EXPECT_EQ(polled(), (Numbers{0, 1}));
  // Also one that had failed is read again.
  seek({1});
  opened(0, 5);
  EXPECT_EQ(outcomes_of_seek_, Codes{Code::OK});
  failed(5);
  EXPECT_EQ(polled(), Numbers{1});
}

TEST_F(SeekTest, ThatIsLostChangesNothingEither) {
  open_two();
  seek();
  opened(0, 3);
  lane_.lose(true);
  EXPECT_EQ(outcomes_of_seek_, Codes{Code::PEER_LOST});
  EXPECT_EQ(client_->counters().memory_quarantined_bytes, 0u);
  seek();
  EXPECT_EQ(outcomes_of_seek_, Codes{Code::PARTITION_UNAVAILABLE});
  lane_.sent.clear();
  lane_.pass_ms(100);
  let_in();
  // Where it was: the streams of before are opened again.
  wire::MessageReader reader = lane_.newest(MessageType::kConsumerOpen)->reader();
  EXPECT_EQ(reader.take<wire::ConsumerOpen>()->value, 102u);
}

TEST_F(SeekTest, IsOneAtATimeAndIsWaitedForByAClose) {
  open_two();
  seek();
  consumer_->seek({}, wire::From::kLatest, 0,
                  [this](const Status& status) { outcomes_of_seek_.push_back(status.code()); });
  lane_.run();
  EXPECT_EQ(outcomes_of_seek_, Codes{Code::BUSY});
  EXPECT_FALSE(close(consumer_));
  opened(0, 3);
  opened(1, 4);
  EXPECT_EQ(outcomes_of_seek_, (Codes{Code::BUSY, Code::OK}));
  lane_.run();
  EXPECT_EQ(closed_handles(), (Numbers{1, 2, 3, 4}));
  lane_.lose(true);
}

TEST_F(SeekTest, TheRingThatIsLeftIsLentAgainOnceTheServerHasClosedIt) {
  open_two();
  seek({0});
  std::byte* const first = lane_.registered_last;
  opened(0, 3);
  answer(MessageType::kConsumerClose, MessageType::kConsumerClosed, wire::ConsumerClose{1, 0});
  seek({0});
  std::byte* const second = lane_.registered_last;
  EXPECT_NE(first, second);
  opened(0, 4);
  answer(MessageType::kConsumerClose, MessageType::kConsumerClosed, wire::ConsumerClose{3, 0});
  seek({0});
  EXPECT_EQ(lane_.registered_last, first);
  // Not as long as it may still be written into.
  opened(0, 5);
  seek({0});
  EXPECT_NE(lane_.registered_last, first);
  EXPECT_NE(lane_.registered_last, second);
}

TEST_F(ClientTest, ARingThatALostServerMayWriteIntoIsNotLentAgain) {
  std::shared_ptr<Consumer> consumer;
  open_consumer(consumer, 1, true);
  lose_and_let_in(true);
  consumer_opened(1);
  EXPECT_EQ(client_->counters().memory_quarantined_bytes, 0u);
  lose_and_let_in(false);
  consumer_opened(1);
  EXPECT_EQ(client_->counters().memory_quarantined_bytes, consumer->options().prefetch_bytes);
  lane_.lose(true);
  EXPECT_TRUE(close(consumer));
}

TEST_F(ClientTest, AFetchThatTimedOutSaysThatItsMemoryIsNotSafe) {
  std::shared_ptr<Consumer> consumer;
  open_consumer(consumer, 1, true);
  std::vector<std::byte> memory(64);
  const FakeRegion region(memory.data(), memory.size());
  Status status;
  FetchResult result;
  const wire::Selection selection{};
  consumer->fetch({0}, {std::string(reinterpret_cast<const char*>(&selection), sizeof selection)}, &region,
                  [&](const Status& ended, const FetchResult& what) {
                    status = ended;
                    result = what;
                  });
  lane_.run();
  lane_.pass_ms(5200);
  EXPECT_EQ(status.code(), Code::TIMED_OUT);
  EXPECT_FALSE(result.memory_safe);
  lane_.lose(true);
  EXPECT_TRUE(close(consumer));
}

TEST_F(ClientTest, AFetchIntoPlainMemoryIsWrittenIntoOursAndCopied) {
  std::shared_ptr<Consumer> consumer;
  open_consumer(consumer, 1, true);
  const wire::Selection selection{};
  const std::string encoded(reinterpret_cast<const char*>(&selection), sizeof selection);
  std::string into(8, '.');
  auto* place = reinterpret_cast<std::byte*>(into.data());
  Status status;
  const auto fetch = [&] {
    status = Status(Code::INTERNAL, "not ended");
    const Status begun = consumer->fetch_and_copy({0, 0}, {encoded, encoded}, {{place + 5, 2}, {place, 3}},
                                                  [&](const Status& ended, const FetchResult&) { status = ended; });
    EXPECT_TRUE(begun.ok()) << begun.text();
    lane_.run();
  };
  const auto write = [](std::byte* to, const char* text) { std::memcpy(to, text, 5); };
  fetch();
  std::byte* const memory = lane_.registered_last;
  ASSERT_TRUE(memory < place || memory >= place + into.size()) << "the server is shown the caller's memory";
  write(memory, "abcde");
  answer(MessageType::kDataRequest, MessageType::kDataReply, wire::DataReply{});
  EXPECT_TRUE(status.ok()) << status.text();
  EXPECT_EQ(into, "cde..ab.");
  // Asked again over the next connection, under the key that the earlier one knew: not used for another after that.
  fetch();
  EXPECT_EQ(lane_.registered_last, memory) << "memory that was answered for serves the next fetch";
  lose_and_let_in(false);
  consumer_opened(1);
  write(memory, "ABCDE");
  answer(MessageType::kDataRequest, MessageType::kDataReply, wire::DataReply{});
  EXPECT_EQ(into, "CDE..AB.");
  const int live = FakeRegion::live;
  fetch();
  EXPECT_EQ(FakeRegion::live, live + 1) << "it needs a key of its own";
  std::byte* const unsafe = lane_.registered_last;
  const uint64_t quarantined_bytes = client_->counters().memory_quarantined_bytes;
  lane_.pass_ms(5200);
  EXPECT_EQ(status.code(), Code::TIMED_OUT);
  EXPECT_GT(client_->counters().memory_quarantined_bytes, quarantined_bytes);
  write(unsafe, "12345");  // the server wakes up: the memory is still there, and still ours
  EXPECT_EQ(into, "CDE..AB.");
  fetch();
  EXPECT_NE(lane_.registered_last, unsafe);
  lane_.lose(true);
  EXPECT_TRUE(close(consumer));
}

TEST_F(ClientTest, HugeTimeLimitsDoNotOverflow) {
  Status status(Code::INTERNAL, "not ended");
  client_->control(0, "{}", UINT64_MAX, [&](Result<std::string> reply) { status = reply.status(); });
  lane_.run();
  let_in();
  lane_.pass_ms(10'000);
  EXPECT_EQ(status.code(), Code::INTERNAL) << "it ended early: " << status.text();
  client_->session(0).close(Status(Code::CLOSED, "the end"));
  EXPECT_EQ(status.code(), Code::CLOSED);
}

TEST_F(ClientTest, PiecesThatTheServerWouldEndTheSessionForAreRefused) {
  open_producer();
  Batch* batch = producer_->take().take();
  batch->arena->metadata_end()[0] = 0;
  const auto submit = [&](uint64_t length, const BatchPiece& piece) {
    batch->arena->data_length()[0] = length;
    return producer_->submit(batch, 0, 1, 0, 0, {&piece, 1}).code();
  };
  const std::byte* own = batch->arena->data();
  const uint64_t room = batch->arena->shape().data_bytes;
  EXPECT_EQ(submit(room + 64, {own, room + 64, 0, nullptr}), Code::INVALID_ARGUMENT);
  EXPECT_EQ(submit(64, {own, UINT64_MAX, 0, nullptr}), Code::INVALID_ARGUMENT);
  EXPECT_EQ(submit(64, {own, 128, UINT64_MAX - 63, nullptr}), Code::INVALID_ARGUMENT);
  EXPECT_EQ(submit(128, {own, 64, 64, nullptr}), Code::INVALID_ARGUMENT) << "a gap that the server refuses";
  EXPECT_EQ(submit(64, {nullptr, 64, 0, nullptr}), Code::INVALID_ARGUMENT);
  EXPECT_EQ(submit(UINT64_MAX, {own, 64, 0, nullptr}), Code::EVENT_TOO_LARGE);
  producer_->give_back(batch);
}

}  // namespace
}  // namespace weft::client::test
