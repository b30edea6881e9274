// The limit for one event: messages of a few bytes to and fro between the lanes of two processes, nothing else. Each is
// sent from the handler of the one before: no other thread takes part.
//   limit_round_trip TRANSPORT COUNT
// Prints one line of JSON: {"p50Us":…,"p99Us":…,"cpuUs":…}, of half a round trip; cpuUs of both processes, for a whole
// one.
#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <vector>

#include "other_half.h"

namespace {
using weft::Clock;
using weft::Status;
using namespace weft::bench;
using namespace weft::fabric;

constexpr size_t kWarmUp = 500;

class Answerer final : public Handler {
 public:
  explicit Answerer(const std::string& transport) : lane_(open_lane(transport)) {
    lane_->set_handler(Channel::kServer, this);
    start_lane(*lane_);
  }
  const std::string& address() const { return lane_->address(); }

  void on_message(PeerId peer, std::span<const std::byte> message) override { send_message(*lane_, peer, message); }
  void on_peer_up(PeerId) override {}
  void on_peer_lost(PeerId, const Status&, bool) override {}

 private:
  std::unique_ptr<Lane> lane_;
};

// This half: its state belongs to the progress thread once the lane has started.
class Asker final : public Handler {
 public:
  Asker(const std::string& transport, const OtherHalf& other, size_t count)
      : other_(other), count_(count + kWarmUp), lane_(open_lane(transport)) {
    times_ns_.reserve(count_);
    lane_->set_handler(Channel::kClient, this);
    start_lane(*lane_);
    begin_.owner = this;
    begin_.run = [](Task* task) {
      auto* self = static_cast<Asker*>(task->owner);
      static_cast<void>(self->lane_->connect(self->other_.address(), Channel::kClient));
    };
    lane_->post(&begin_);
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return done_; });
    times_ns_.erase(times_ns_.begin(), times_ns_.begin() + kWarmUp);
    std::sort(times_ns_.begin(), times_ns_.end());
  }
  // Of half a round trip.
  double us_at(double part) const {
    return static_cast<double>(times_ns_[static_cast<size_t>(static_cast<double>(times_ns_.size() - 1) * part)]) / 2000;
  }
  // Of one round trip.
  double cpu_us() const { return (cpu_end_ - cpu_begin_) * 1e6 / static_cast<double>(times_ns_.size()); }

  void on_peer_up(PeerId peer) override {
    peer_ = peer;
    ask();
  }
  void on_message(PeerId, std::span<const std::byte>) override {
    times_ns_.push_back(Clock::system().monotonic_ns() - sent_ns_);
    if (times_ns_.size() == kWarmUp) cpu_begin_ = other_.cpu_seconds_of_both();
    if (times_ns_.size() < count_) return ask();
    cpu_end_ = other_.cpu_seconds_of_both();
    const std::lock_guard<std::mutex> lock(mutex_);
    done_ = true;
    changed_.notify_all();
  }
  void on_peer_lost(PeerId, const Status& reason, bool) override { stop(reason.text()); }

 private:
  void ask() {
    sent_ns_ = Clock::system().monotonic_ns();
    send_message(*lane_, peer_, std::as_bytes(std::span(&sent_ns_, 1)));
  }

  const OtherHalf& other_;
  const size_t count_;
  PeerId peer_ = 0;
  uint64_t sent_ns_ = 0;
  std::vector<uint64_t> times_ns_;
  double cpu_begin_ = 0, cpu_end_ = 0;
  Task begin_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;  // under mutex_
  std::unique_ptr<Lane> lane_;
};
}  // namespace

int main(int argc, char** argv) {
  const size_t count = argc == 3 ? std::strtoull(argv[2], nullptr, 10) : 0;
  if (count == 0) stop("use: limit_round_trip TRANSPORT COUNT");
  const std::string transport = argv[1];
  const OtherHalf other([&] { return (new Answerer(transport))->address(); });
  double p50_us = 0;
  double p99_us = 0;
  double cpu_us = 0;
  {
    const Asker asker(transport, other, count);
    p50_us = asker.us_at(0.5);
    p99_us = asker.us_at(0.99);
    cpu_us = asker.cpu_us();
  }
  std::printf("{\"p50Us\":%.3f,\"p99Us\":%.3f,\"cpuUs\":%.3f}\n", p50_us, p99_us, cpu_us);
  return 0;
}
