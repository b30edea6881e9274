// The limit for large data in memory: RMA between two processes, and CRC32C of what was moved, nothing else.
//   limit_rma TRANSPORT read|write ITEM_BYTES COUNT SOURCES RING IN_FLIGHT
// read: this process reads COUNT items out of the other one's memory into a ring, and takes the checksum of each: what
// a server does with pushed data. write: it writes items out of the ring into the other one's memory: what a server
// does with consumed data, whose checksums were taken before. The working set is that of the real thing: SOURCES items
// in the other process, all distinct, a ring of RING items in large pages here, both touched beforehand. Prints one
// line of JSON: {"bytes":…,"seconds":…,"cpuSeconds":…}, the last of both processes.
#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <vector>

#include "base/checksum.h"
#include "base/pages.h"
#include "base/random.h"
#include "other_half.h"

namespace {
using weft::Clock;
using weft::Status;
using namespace weft::bench;
using namespace weft::fabric;

constexpr uint64_t kBlockBytes = 64 * 1024;  // a checksum each, as stored data has

struct Plan {
  std::string transport;
  bool is_write = false;
  uint64_t item_bytes = 0;
  uint64_t count = 0;
  uint64_t source_bytes = 0;
  uint64_t ring_bytes = 0;
  uint64_t in_flight = 0;
};

// As the real thing has it: there, and in large pages.
std::byte* map_memory(uint64_t bytes) {
  weft::Result<std::byte*> memory = weft::map_pages(bytes, weft::Touch::kAll);
  if (!memory.ok()) stop("no memory for the working set: give smaller sizes");
  return memory.value();
}

std::unique_ptr<Region> register_memory(Lane& lane, std::byte* memory, uint64_t bytes) {
  auto region = lane.register_memory(memory, bytes, kRemoteRead | kRemoteWrite);
  if (!region.ok()) stop(region.status().text());
  return region.take();
}

// The other half: shows its memory to whoever asks.
class Owner final : public Handler {
 public:
  explicit Owner(const Plan& plan) : lane_(open_lane(plan.transport)) {
    lane_->set_handler(Channel::kServer, this);
    std::byte* memory = map_memory(plan.source_bytes);
    weft::SeededRandom random(1);
    for (uint64_t at = 0; at < plan.source_bytes; at += sizeof(uint64_t)) {
      const uint64_t value = random.next();
      std::memcpy(memory + at, &value, sizeof value);
    }
    region_ = register_memory(*lane_, memory, plan.source_bytes);
    start_lane(*lane_);
  }
  const std::string& address() const { return lane_->address(); }

  void on_message(PeerId peer, std::span<const std::byte>) override {
    const RemoteMemory named = region_->describe(peer);
    send_message(*lane_, peer, std::as_bytes(std::span(&named, 1)));
  }
  void on_peer_up(PeerId) override {}
  void on_peer_lost(PeerId, const Status&, bool) override {}

 private:
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<Region> region_;
};

// This half: its state belongs to the progress thread once the lane has started.
class Mover final : public Handler {
 public:
  Mover(const Plan& plan, const OtherHalf& other)
      : plan_(plan),
        other_(other),
        ring_(map_memory(plan.ring_bytes)),
        transfers_(plan.in_flight),
        lane_(open_lane(plan.transport)) {
    lane_->set_handler(Channel::kClient, this);
    region_ = register_memory(*lane_, ring_, plan_.ring_bytes);
    start_lane(*lane_);
    begin_.owner = this;
    begin_.run = [](Task* task) {
      auto* self = static_cast<Mover*>(task->owner);
      static_cast<void>(self->lane_->connect(self->other_.address(), Channel::kClient));
    };
    lane_->post(&begin_);
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return done_; });
  }

  double seconds() const { return static_cast<double>(end_ns_ - begin_ns_) / 1e9; }
  double cpu_seconds() const { return cpu_end_ - cpu_begin_; }
  uint32_t checksum() const { return checksum_; }

  void on_peer_up(PeerId peer) override {
    peer_ = peer;
    send_message(*lane_, peer, {});
  }
  void on_message(PeerId, std::span<const std::byte> message) override {
    if (message.size() != sizeof remote_) stop("the other half answered with something else than its memory");
    std::memcpy(&remote_, message.data(), sizeof remote_);
    begin_ns_ = Clock::system().monotonic_ns();
    cpu_begin_ = other_.cpu_seconds_of_both();
    for (Transfer& transfer : transfers_) next(&transfer);
  }
  void on_peer_lost(PeerId, const Status& reason, bool) override { stop(reason.text()); }

 private:
  void next(Transfer* transfer) {
    if (begun_ == plan_.count) return;
    const uint64_t at = begun_++ * plan_.item_bytes;
    transfer->owner = this;
    transfer->done = [](Transfer* done, const Status& status) {
      static_cast<Mover*>(done->owner)->finish(done, status);
    };
    transfer->peer = peer_;
    transfer->region = region_.get();
    transfer->remote = remote_;
    transfer->length = plan_.item_bytes;
    transfer->local = ring_ + at % plan_.ring_bytes;
    transfer->remote_at = at % plan_.source_bytes;
    plan_.is_write ? lane_->write(transfer) : lane_->read(transfer);
  }
  void finish(Transfer* transfer, const Status& status) {
    if (!status.ok()) stop(status.text());
    if (!plan_.is_write) {
      for (uint64_t at = 0; at < transfer->length; at += kBlockBytes) {
        checksum_ ^= weft::crc32c({transfer->local + at, std::min(kBlockBytes, transfer->length - at)});
      }
    }
    if (++finished_ < plan_.count) return next(transfer);
    end_ns_ = Clock::system().monotonic_ns();
    cpu_end_ = other_.cpu_seconds_of_both();
    const std::lock_guard<std::mutex> lock(mutex_);
    done_ = true;
    changed_.notify_all();
  }

  const Plan& plan_;
  const OtherHalf& other_;
  std::byte* ring_;
  std::vector<Transfer> transfers_;
  PeerId peer_ = 0;
  RemoteMemory remote_{};
  uint64_t begun_ = 0, finished_ = 0, begin_ns_ = 0, end_ns_ = 0;
  double cpu_begin_ = 0, cpu_end_ = 0;
  uint32_t checksum_ = 0;  // so that taking it is not optimised away
  Task begin_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;  // under mutex_
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<Region> region_;
};
}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) stop("use: limit_rma TRANSPORT read|write ITEM_BYTES COUNT SOURCES RING IN_FLIGHT");
  const auto number = [&](int index) { return std::strtoull(argv[index], nullptr, 10); };
  Plan plan;
  plan.transport = argv[1];
  plan.is_write = std::string(argv[2]) == "write";
  plan.item_bytes = number(3);
  plan.count = number(4);
  plan.source_bytes = plan.item_bytes * number(5);
  plan.ring_bytes = plan.item_bytes * number(6);
  plan.in_flight = number(7);
  if (plan.item_bytes == 0 || plan.source_bytes == 0 || plan.ring_bytes == 0 || plan.in_flight == 0 ||
      plan.source_bytes % sizeof(uint64_t) != 0 || plan.count < plan.in_flight) {
    stop("limit_rma: the sources must be whole words, and the count at least what is in flight");
  }
  const OtherHalf other([&] { return (new Owner(plan))->address(); });
  double seconds = 0;
  double cpu_seconds = 0;
  uint32_t checksum = 0;
  {
    const Mover mover(plan, other);
    seconds = mover.seconds();
    cpu_seconds = mover.cpu_seconds();
    checksum = mover.checksum();
  }
  std::printf("{\"bytes\":%llu,\"seconds\":%.6f,\"cpuSeconds\":%.6f,\"checksum\":%u}\n",
              static_cast<unsigned long long>(plan.count * plan.item_bytes), seconds, cpu_seconds, checksum);
  return 0;
}
