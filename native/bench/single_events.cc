// One event after another through the C API, as a program that waits for each: pushed, flushed, acknowledged. And what
// it takes to hand something to a thread that sleeps, and be woken by it, with the means of the library.
//   single_events GROUP TOPIC TRANSPORT COUNT
// Prints one line of JSON: {"p50Us":…,"p99Us":…,"handOversUs":…}; handOversUs is the p50 of a hand-over there and one
// back.
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/doorbell.h"
#include "weftline/weftline.h"

namespace {
using weft::Clock;

constexpr size_t kWarmUp = 500;

// Each in ns, without the warm-up, sorted.
template <typename Work>
std::vector<uint64_t> times_of(size_t count, const Work& work) {
  std::vector<uint64_t> times;
  times.reserve(count);
  for (size_t i = 0; i < count + kWarmUp; ++i) {
    const uint64_t begun = Clock::system().monotonic_ns();
    work();
    if (i >= kWarmUp) times.push_back(Clock::system().monotonic_ns() - begun);
  }
  std::sort(times.begin(), times.end());
  return times;
}

double us_at(const std::vector<uint64_t>& times, double part) {
  return static_cast<double>(times[static_cast<size_t>(static_cast<double>(times.size() - 1) * part)]) / 1000;
}

// A thread that sleeps on a doorbell, and answers through a condition variable.
class Partner {
 public:
  Partner() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    auto doorbell = weft::Doorbell::open();
    epoll_event event{};
    event.events = EPOLLIN;
    if (!doorbell.ok() || epoll_ctl(epoll_, EPOLL_CTL_ADD, doorbell.value()->descriptor(), &event) != 0) {
      std::fprintf(stderr, "single_events: no descriptors\n");
      std::exit(1);
    }
    doorbell_ = doorbell.take();
    thread_ = std::thread([this] { answer(); });
  }
  Partner(const Partner&) = delete;
  ~Partner() {
    ends_.store(true);
    doorbell_->ring();
    thread_.join();
    close(epoll_);
  }
  void ask() {
    std::unique_lock lock(mutex_);
    const uint64_t mine = asked_.fetch_add(1) + 1;
    doorbell_->ring();
    changed_.wait(lock, [&] { return answered_ == mine; });
  }

 private:
  void answer() {
    for (uint64_t seen = 0; !ends_.load();) {
      if (asked_.load() == seen) {
        doorbell_->begin_sleep();
        epoll_event event;
        if (asked_.load() == seen && !ends_.load()) static_cast<void>(epoll_wait(epoll_, &event, 1, -1));
        doorbell_->end_sleep();
        continue;
      }
      ++seen;
      const std::lock_guard lock(mutex_);
      answered_ = seen;
      changed_.notify_all();
    }
  }

  int epoll_;
  std::unique_ptr<weft::Doorbell> doorbell_;
  std::atomic<uint64_t> asked_{0};
  std::atomic<bool> ends_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t answered_ = 0;  // under mutex_
  std::thread thread_;
};
}  // namespace

int main(int argc, char** argv) {
  const size_t count = argc == 5 ? std::strtoull(argv[4], nullptr, 10) : 0;
  if (count == 0) {
    std::fprintf(stderr, "use: single_events GROUP TOPIC TRANSPORT COUNT\n");
    return 2;
  }
  weft_join_options options = WEFT_JOIN_OPTIONS_DEFAULT;
  options.name = "single-events";
  options.transports = argv[3];
  weft_job* job = nullptr;
  WEFT_TRY(weft_attach(argv[1], &options, &job));
  weft_producer* producer = nullptr;
  WEFT_TRY(weft_producer_open(job, argv[2], nullptr, &producer));
  constexpr char kMetadata[] = R"({"index":1})";
  const std::vector<uint64_t> events = times_of(count, [&] {
    WEFT_TRY(weft_push(producer, kMetadata, sizeof kMetadata - 1, nullptr, 0, 0, nullptr));
    WEFT_TRY(weft_flush(producer, WEFT_FOREVER));
  });
  WEFT_TRY(weft_producer_close(producer, WEFT_FOREVER));
  WEFT_TRY(weft_close(job));
  Partner partner;
  const std::vector<uint64_t> hand_overs = times_of(count, [&] { partner.ask(); });
  std::printf("{\"p50Us\":%.3f,\"p99Us\":%.3f,\"handOversUs\":%.3f}\n", us_at(events, 0.5), us_at(events, 0.99),
              us_at(hand_overs, 0.5));
  return 0;
}
