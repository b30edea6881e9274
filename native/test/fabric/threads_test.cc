// Where threads meet: the queue, the doorbell, posting and registering from several threads.
#include <gtest/gtest.h>
#include <poll.h>

#include <thread>

#include "base/doorbell.h"
#include "base/mpsc_queue.h"
#include "lane_host.h"

namespace weft::fabric::test {
namespace {

struct Node {
  Node* next = nullptr;
  int producer = 0;
  int number = 0;
};

TEST(MpscQueue, KeepsEachProducersOrderAndLosesNothingWhileTheConsumerSleeps) {
  constexpr int kProducers = 3;
  constexpr int kEach = 20'000;
  MpscQueue<Node> queue;
  auto doorbell = Doorbell::open().take();
  std::vector<std::vector<Node>> nodes(kProducers, std::vector<Node>(kEach));
  std::vector<std::thread> producers;
  for (int p = 0; p < kProducers; p++) {
    producers.emplace_back([&, p] {
      for (int i = 0; i < kEach; i++) {
        Node& node = nodes[static_cast<size_t>(p)][static_cast<size_t>(i)];
        node.producer = p;
        node.number = i;
        queue.push(&node);
        doorbell->ring();
      }
    });
  }
  int next[kProducers] = {};
  int seen = 0;
  while (seen < kProducers * kEach) {
    Node* node = queue.take_all();
    if (node == nullptr) {
      doorbell->begin_sleep();
      if (queue.empty()) {
        pollfd bell{doorbell->descriptor(), POLLIN, 0};
        // A lost ring would show as this limit.
        ASSERT_EQ(poll(&bell, 1, 10'000), 1) << "slept through a ring after " << seen;
      }
      doorbell->end_sleep();
    }
    for (; node != nullptr; seen++) {
      Node* following = node->next;
      ASSERT_EQ(node->number, next[node->producer]++);
      node = following;
    }
  }
  for (std::thread& producer : producers) producer.join();
}

TEST(Doorbell, ABurstRingsOnce) {
  auto doorbell = Doorbell::open().take();
  EXPECT_FALSE(doorbell->ring()) << "nobody sleeps";
  doorbell->begin_sleep();
  EXPECT_TRUE(doorbell->ring());
  for (int i = 0; i < 100; i++) EXPECT_FALSE(doorbell->ring());
  doorbell->end_sleep();
  EXPECT_FALSE(doorbell->ring());
}

TEST(LaneThreads, PostAndRegisterFromSeveralThreads) {
  LaneHost host(options_for(""));
  host.start();
  constexpr int kThreads = 4;
  constexpr int kRounds = 200;
  struct Counter {
    int ran = 0;  // progress thread
  } counter;
  struct Count : Task {
    Counter* counter;
  };
  std::vector<std::vector<Count>> tasks(kThreads, std::vector<Count>(kRounds));
  std::vector<std::thread> threads;
  std::atomic<int> failed{0};
  for (int t = 0; t < kThreads; t++) {
    threads.emplace_back([&, t] {
      std::vector<std::byte> memory(4096);
      for (int i = 0; i < kRounds; i++) {
        Count& task = tasks[static_cast<size_t>(t)][static_cast<size_t>(i)];
        task.counter = &counter;
        task.run = [](Task* base) { static_cast<Count*>(base)->counter->ran++; };
        host.lane().post(&task);
        auto region = host.lane().register_memory(memory.data(), memory.size(), kRemoteRead);
        if (!region.ok()) failed++;
        if (host.lane().counters().registrations == 0) failed++;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  int ran = 0;
  host.run([&] { ran = counter.ran; });
  EXPECT_EQ(ran, kThreads * kRounds);
  EXPECT_EQ(failed.load(), 0);
}

TEST(LaneThreads, TimersFireInOrderAndNotWhenDisarmed) {
  LaneHost host(options_for("inprocess"));
  host.start();
  struct Fired : Timer {
    LaneHost* host;
    std::vector<int>* order;
    int number;
  };
  std::vector<int> order;
  Fired timers[4];
  host.run([&] {
    for (int i = 0; i < 4; i++) {
      timers[i].host = &host;
      timers[i].order = &order;
      timers[i].number = i;
      timers[i].fire = [](Timer* base) {
        auto* self = static_cast<Fired*>(base);
        const std::lock_guard<std::mutex> lock(self->host->mutex_);
        self->order->push_back(self->number);
        self->host->changed_.notify_all();
      };
    }
    host.lane().arm(&timers[0], 30 * kNsPerMs);
    host.lane().arm(&timers[1], 10 * kNsPerMs);
    host.lane().arm(&timers[2], 5 * kNsPerMs);
    host.lane().arm(&timers[3], 20 * kNsPerMs);
    host.lane().disarm(&timers[2]);
  });
  ASSERT_TRUE(host.wait([&] { return order.size() == 3; }));
  EXPECT_EQ(order, (std::vector<int>{1, 3, 0}));
}

TEST(LaneOptionsCheck, NonsenseIsRefused) {
  LaneOptions options = options_for("inprocess");
  options.peer_timeout_ms = 1;
  EXPECT_EQ(Lane::open(options).status().code(), Code::INVALID_ARGUMENT);
  options = options_for("no-such-provider");
  const Status status = Lane::open(options).status();
  EXPECT_EQ(status.code(), Code::FABRIC);
  EXPECT_NE(status.message().find("no-such-provider"), std::string::npos) << status.text();
}

}  // namespace
}  // namespace weft::fabric::test
