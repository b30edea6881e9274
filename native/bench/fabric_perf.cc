// What the fabric can do between two processes of this machine: the limit that other measurements are compared with.
//   fabric_perf [TRANSPORT[,TRANSPORT…]] [SECONDS]
// Starts its other half itself (fork). Prints, per transport: the half round trip of an 8 B message (p50, p99), the
// time of a hand-over to the progress thread and back, and the rate of RMA reads and writes at several sizes with
// several in flight, over distinct sources in memory that was touched before.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include "fabric/fabric.h"

namespace {
using weft::Clock;
using weft::Status;
using namespace weft::fabric;

constexpr uint64_t kMemoryBytes = uint64_t{256} << 20;

[[noreturn]] void stop(const Status& status) {
  std::fprintf(stderr, "fabric_perf: %s\n", status.text().c_str());
  std::exit(1);
}

LaneOptions options_for(const std::string& transport) {
  LaneOptions options;
  options.transports = {transport};
  return options;
}

// Answers every message with itself; an empty one with its memory.
class Server final : public Handler {
 public:
  int run(const std::string& transport, int address_pipe) {
    auto lane = Lane::open(options_for(transport));
    if (!lane.ok()) stop(lane.status());
    lane_ = lane.value().get();
    lane_->set_handler(Channel::kServer, this);
    memory_.assign(kMemoryBytes, std::byte{7});
    auto region = lane_->register_memory(memory_.data(), memory_.size(), kRemoteRead | kRemoteWrite);
    if (!region.ok()) stop(region.status());
    region_ = region.value().get();
    const Status started = lane_->start();
    if (!started.ok()) stop(started);
    const std::string& address = lane_->address();
    if (write(address_pipe, address.data(), address.size()) != static_cast<ssize_t>(address.size())) return 1;
    close(address_pipe);
    for (;;) pause();
  }
  void on_message(PeerId peer, std::span<const std::byte> message) override {
    const RemoteMemory named = region_->describe(peer);
    if (message.empty()) message = std::as_bytes(std::span(&named, 1));
    const Status sent = lane_->send(peer, {&message, 1});
    if (!sent.ok()) stop(sent);
  }
  void on_peer_up(PeerId) override {}
  void on_peer_lost(PeerId, const Status&, bool) override {}

 private:
  Lane* lane_ = nullptr;
  std::vector<std::byte> memory_;
  Region* region_ = nullptr;
};

class Client final : public Handler {
 public:
  Client(const std::string& transport, const std::string& address, uint64_t duration_ns)
      : transport_(transport), duration_ns_(duration_ns), memory_(kMemoryBytes, std::byte{1}) {
    auto lane = Lane::open(options_for(transport));
    if (!lane.ok()) stop(lane.status());
    lane_ = lane.take();
    lane_->set_handler(Channel::kClient, this);
    auto region = lane_->register_memory(memory_.data(), memory_.size(), kLocalOnly);
    if (!region.ok()) stop(region.status());
    region_ = region.take();
    const Status started = lane_->start();
    if (!started.ok()) stop(started);
    on_thread(
        [&] { peer_ = lane_->connect(std::as_bytes(std::span(address.data(), address.size())), Channel::kClient); });
    wait();
  }

  void measure() {
    on_thread([&] { send({}); });
    wait();
    measure_hand_over();
    measure_round_trips();
    for (const bool is_write : {false, true}) {
      for (const uint64_t length : {uint64_t{64} << 10, uint64_t{1} << 20, uint64_t{8} << 20}) {
        for (const size_t in_flight : {size_t{1}, size_t{8}}) measure_rma(is_write, length, in_flight);
      }
    }
  }

  void on_message(PeerId, std::span<const std::byte> message) override {
    if (round_trips_left_ == 0) {
      if (message.size() == sizeof remote_) std::memcpy(&remote_, message.data(), sizeof remote_);
      signal();
      return;
    }
    const uint64_t now = Clock::system().monotonic_ns();
    times_.push_back(now - sent_ns_);
    if (--round_trips_left_ == 0) return signal();
    ping();
  }
  void on_peer_up(PeerId) override { signal(); }
  void on_peer_lost(PeerId, const Status& reason, bool) override { stop(reason); }

 private:
  struct Call : Task {
    const std::function<void()>* work;
    Client* client;
  };
  void on_thread(const std::function<void()>& work) {
    Call call;
    call.work = &work;
    call.client = this;
    call.run = [](Task* task) {
      auto* self = static_cast<Call*>(task);
      Client* client = self->client;
      (*self->work)();
      const std::lock_guard<std::mutex> lock(client->mutex_);
      client->called_ = true;
      client->changed_.notify_all();
    };
    std::unique_lock<std::mutex> lock(mutex_);
    called_ = false;
    lane_->post(&call);
    changed_.wait(lock, [&] { return called_; });
  }
  void signal() {
    const std::lock_guard<std::mutex> lock(mutex_);
    signalled_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return signalled_; });
    signalled_ = false;
  }
  void send(std::span<const std::byte> bytes) {
    const Status sent = lane_->send(peer_, {&bytes, 1});
    if (!sent.ok()) stop(sent);
  }
  void ping() {
    const uint64_t payload = 1;
    sent_ns_ = Clock::system().monotonic_ns();
    send(std::as_bytes(std::span(&payload, 1)));
  }
  static double at(std::vector<uint64_t>& sorted, double part) {
    return static_cast<double>(sorted[static_cast<size_t>(static_cast<double>(sorted.size() - 1) * part)]) / 1000.0;
  }

  void measure_hand_over() {
    std::vector<uint64_t> times;
    for (int i = 0; i < 5000; i++) {
      const uint64_t begun = Clock::system().monotonic_ns();
      on_thread([] {});
      times.push_back(Clock::system().monotonic_ns() - begun);
    }
    std::sort(times.begin(), times.end());
    std::printf("%-14s hand-over to the thread and back   p50 %7.2f us   p99 %7.2f us\n", transport_.c_str(),
                at(times, 0.5), at(times, 0.99));
  }

  void measure_round_trips() {
    times_.reserve(30'000);
    on_thread([&] {
      round_trips_left_ = 30'000;
      ping();
    });
    wait();
    std::sort(times_.begin(), times_.end());
    std::printf("%-14s 8 B message, half round trip        p50 %7.2f us   p99 %7.2f us\n", transport_.c_str(),
                at(times_, 0.5) / 2, at(times_, 0.99) / 2);
  }

  void measure_rma(bool is_write, uint64_t length, size_t in_flight) {
    std::vector<Transfer> transfers(in_flight);
    is_write_ = is_write;
    length_ = length;
    next_ = moved_ = 0;
    active_ = in_flight;
    const uint64_t begun = Clock::system().monotonic_ns();
    end_ns_ = begun + duration_ns_;
    on_thread([&] {
      for (Transfer& transfer : transfers) {
        transfer.owner = this;
        transfer.peer = peer_;
        transfer.region = region_.get();
        transfer.remote = remote_;
        transfer.length = length;
        transfer.done = [](Transfer* t, const Status& status) {
          if (!status.ok()) stop(status);
          auto* client = static_cast<Client*>(t->owner);
          client->moved_ += t->length;
          if (Clock::system().monotonic_ns() < client->end_ns_) return client->begin(t);
          if (--client->active_ == 0) client->signal();
        };
        begin(&transfer);
      }
    });
    wait();
    const double seconds = static_cast<double>(Clock::system().monotonic_ns() - begun) / 1e9;
    std::printf("%-14s %-5s %5llu KiB, %zu in flight           %7.2f GB/s\n", transport_.c_str(),
                is_write ? "write" : "read", static_cast<unsigned long long>(length / 1024), in_flight,
                static_cast<double>(moved_) / seconds / 1e9);
    std::fflush(stdout);
  }
  // Distinct places, round and round.
  void begin(Transfer* transfer) {
    const uint64_t at = next_ % kMemoryBytes;
    next_ += length_;
    transfer->local = memory_.data() + at;
    transfer->remote_at = at;
    is_write_ ? lane_->write(transfer) : lane_->read(transfer);
  }

  const std::string transport_;
  const uint64_t duration_ns_;
  std::vector<std::byte> memory_;
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<Region> region_;
  PeerId peer_ = 0;
  RemoteMemory remote_{};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool called_ = false;     // under mutex_
  bool signalled_ = false;  // under mutex_
  uint64_t round_trips_left_ = 0;
  uint64_t sent_ns_ = 0;
  std::vector<uint64_t> times_;
  bool is_write_ = false;
  uint64_t length_ = 0, next_ = 0, moved_ = 0, end_ns_ = 0;
  size_t active_ = 0;
};

int measure_transport(const std::string& transport, uint64_t duration_ns) {
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) return 1;
  const pid_t child = fork();
  if (child < 0) return 1;
  if (child == 0) {
    // Goes with its parent, however that ends.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(pipe_ends[0]);
    Server server;
    _exit(server.run(transport, pipe_ends[1]));
  }
  close(pipe_ends[1]);
  std::string address;
  char buffer[1024];
  for (ssize_t got = 0; (got = read(pipe_ends[0], buffer, sizeof buffer)) > 0;) {
    address.append(buffer, static_cast<size_t>(got));
  }
  close(pipe_ends[0]);
  {
    Client client(transport, address, duration_ns);
    client.measure();
    kill(child, SIGSTOP);  // so that its end does not reach the client as a loss
  }
  kill(child, SIGKILL);
  return waitpid(child, nullptr, 0) == child ? 0 : 1;
}
}  // namespace

int main(int argc, char** argv) {
  std::string names = argc > 1 ? argv[1] : "tcp,shm";
  const double seconds = argc > 2 ? std::atof(argv[2]) : 0.5;
  int failed = 0;
  while (!names.empty()) {
    const size_t comma = names.find(',');
    failed |= measure_transport(names.substr(0, comma), static_cast<uint64_t>(seconds * 1e9));
    names = comma == std::string::npos ? "" : names.substr(comma + 1);
  }
  return failed;
}
