// A producer or a consumer rank of the suite through the C API, in the place of bench/driver/rank.ts: the same
// collectives in the same order, the same events, the same clock; on one host.
//   c_driver ROLE GATE PREFIX RUNS TRANSPORT ENCODING METADATA_BYTES DATA_BYTES BATCH PARTITIONS PRODUCERS CONSUMERS
//   EVENTS WARM_UP MODE LOAD
// ROLE: producer or consumer. Before topic PREFIX-i it waits for the file GATE/go-i. EVENTS are all producers'
// together, WARM_UP each one's. MODE: separate, both, or latency at LOAD arrivals a second, all producers together. It
// is C++ for its containers, its threads and the library's checksum; of Weftline it knows weftline.h alone.
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "c_driver_payload.h"
#include "c_driver_world.h"
#include "weftline/weftline.h"

namespace {

using weft::bench::cpu_seconds;
using weft::bench::Metadata;
using weft::bench::now_us;
using weft::bench::World;

constexpr uint64_t kMebibyte = 1 << 20;
constexpr uint64_t kFetchBytes = 32 * kMebibyte;
constexpr uint64_t kFetchEvents = 128;
constexpr int64_t kPullTimeoutMs = 60'000;

enum class Mode { kSeparate, kBoth, kLatency };

struct Plan {
  bool produces = false;
  std::string gate, prefix, transport, encoding;
  uint64_t runs, metadata_bytes, data_bytes, batch, partitions, producers, consumers, events, warm_up;
  Mode mode = Mode::kSeparate;
  double load = 0;
  uint64_t each() const { return events / producers; }
  // Large events go singly to the partitions in turn, as scenario.ts has it.
  uint64_t partition_of(uint64_t index) const {
    return index / (metadata_bytes + data_bytes >= kMebibyte ? 1 : batch) % partitions;
  }
  // The first of each partition that is measured.
  uint64_t offset_after_warm_up() const { return producers * warm_up / partitions; }
};

// What one rank did in a phase: PhaseNumbers of topic-run.ts.
struct Part {
  double begin_us = 0, end_us = 0, events = 0, bytes = 0, steps = 0;
  std::vector<double> samples = {};  // latencies in microseconds, if that is what is measured
};

// Receipts in the order of their pushes, waited for on a thread of their own: a push never waits for the one before.
class Acknowledgements {
 public:
  explicit Acknowledgements(weft_producer* producer) : producer_(producer), thread_([this] { wait(); }) {}
  ~Acknowledgements() {
    if (thread_.joinable()) static_cast<void>(samples());
  }
  Acknowledgements(const Acknowledgements&) = delete;
  Acknowledgements& operator=(const Acknowledgements&) = delete;

  void expect(uint64_t receipt, double due_us) {
    const std::lock_guard lock(mutex_);
    expected_.emplace_back(receipt, due_us);
    changed_.notify_one();
  }
  // After the last: from when each was due to its acknowledgement.
  std::vector<double> samples() {
    {
      const std::lock_guard lock(mutex_);
      complete_ = true;
      changed_.notify_one();
    }
    thread_.join();
    return std::move(samples_);
  }

 private:
  void wait() {
    for (std::unique_lock lock(mutex_);;) {
      changed_.wait(lock, [this] { return complete_ || !expected_.empty(); });
      if (expected_.empty()) return;
      const auto [receipt, due_us] = expected_.front();
      expected_.pop_front();
      lock.unlock();
      WEFT_TRY(weft_receipt_wait(producer_, receipt, WEFT_FOREVER, nullptr));
      samples_.push_back(now_us() - due_us);
      lock.lock();
    }
  }

  weft_producer* const producer_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<uint64_t, double>> expected_;  // under mutex_
  bool complete_ = false;                             // under mutex_
  std::vector<double> samples_;                       // the thread's, until it is joined
  std::thread thread_;                                // last: it uses the others
};

class Producer {
 public:
  Producer(const Plan& plan, weft_job* job, const std::string& topic)
      : plan_(plan), metadata_(plan.encoding, plan.metadata_bytes) {
    weft_producer_options options = WEFT_PRODUCER_OPTIONS_DEFAULT;
    options.batch_events = static_cast<uint32_t>(plan.batch);
    // At a fixed load nothing is gained by waiting for more.
    if (plan.mode == Mode::kLatency) options.linger_ms = 0;
    WEFT_TRY(weft_producer_open(job, topic.c_str(), &options, &producer_));
    if (plan.data_bytes == 0) return;
    const uint64_t slots = std::max<uint64_t>(1, 256 * kMebibyte / plan.producers / plan.data_bytes);
    ring_bytes_ = plan.data_bytes * std::min(slots, plan.each());
    WEFT_TRY(weft_region_allocate(job, ring_bytes_, &region_));
    auto* bytes = static_cast<uint8_t*>(weft_region_memory(region_));
    for (uint64_t at = 0; at < ring_bytes_; ++at) bytes[at] = static_cast<uint8_t>(at * 31 >> 3);
  }
  // As fast as it goes, until all is acknowledged.
  Part send(uint64_t first, uint64_t count) {
    Part part = part_of(count);
    part.begin_us = now_us();
    for (uint64_t index = first; index < first + count; ++index) push(index, 0, nullptr);
    WEFT_TRY(weft_flush(producer_, WEFT_FOREVER));
    part.end_us = now_us();
    return part;
  }
  // At a fixed load, whatever becomes of the events before: one that is pushed late is late against its due time.
  Part arrive(uint64_t first, uint64_t count) {
    Part part = part_of(count);
    Acknowledgements acknowledgements(producer_);
    const double interval_us = 1e6 * static_cast<double>(plan_.producers) / plan_.load;
    part.begin_us = now_us() + 1000;
    for (uint64_t index = 0; index < count; ++index) {
      const double due_us = part.begin_us + static_cast<double>(index) * interval_us;
      weft::bench::sleep_until(due_us);
      uint64_t receipt = 0;
      push(first + index, due_us, &receipt);
      acknowledgements.expect(receipt, due_us);
    }
    part.samples = acknowledgements.samples();
    part.end_us = now_us();
    return part;
  }
  void close() {
    WEFT_TRY(weft_producer_close(producer_, WEFT_FOREVER));
    if (region_ != nullptr) WEFT_TRY(weft_region_release(region_));
  }

 private:
  Part part_of(uint64_t count) const {
    Part part;
    part.events = static_cast<double>(count);
    part.bytes = static_cast<double>(count * (plan_.metadata_bytes + plan_.data_bytes));
    return part;
  }
  void push(uint64_t index, double due_us, uint64_t* receipt) {
    const std::string& metadata = metadata_.at(index, due_us);
    const uint64_t at = region_ == nullptr ? 0 : index * plan_.data_bytes % ring_bytes_;
    const auto* data = region_ == nullptr ? nullptr : static_cast<uint8_t*>(weft_region_memory(region_)) + at;
    const weft_piece piece{data, plan_.data_bytes, region_};
    WEFT_TRY(weft_push_pieces(producer_, static_cast<int32_t>(plan_.partition_of(index)), metadata.data(),
                              metadata.size(), region_ == nullptr ? nullptr : &piece, region_ == nullptr ? 0 : 1,
                              receipt));
  }

  const Plan& plan_;
  Metadata metadata_;
  weft_producer* producer_ = nullptr;
  weft_region* region_ = nullptr;
  uint64_t ring_bytes_ = 0;
};

class Consumer {
 public:
  Consumer(const Plan& plan, weft_job* job, std::string topic, uint64_t number)
      : plan_(plan), job_(job), topic_(std::move(topic)), metadata_(plan.encoding, plan.metadata_bytes) {
    for (uint64_t partition = number; partition < plan.partitions; partition += plan.consumers) {
      partitions_.push_back(static_cast<uint32_t>(partition));
    }
    if (plan.data_bytes == 0) return;
    WEFT_TRY(weft_region_allocate(job, std::max(kFetchBytes, plan.data_bytes), &region_));
  }
  ~Consumer() {
    if (region_ != nullptr) static_cast<void>(weft_region_release(region_));
  }
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  uint64_t events_of(uint64_t first, uint64_t count) const {
    uint64_t events = 0;
    for (uint64_t index = first; index < first + count; ++index) {
      events += std::ranges::count(partitions_, plan_.partition_of(index)) > 0 ? 1 : 0;
    }
    return events * plan_.producers;
  }
  void start(uint64_t offset) {
    weft_consumer_options options = WEFT_CONSUMER_OPTIONS_DEFAULT;
    options.from = WEFT_FROM_OFFSET;
    options.from_value = offset;
    options.partitions = partitions_.data();
    options.partition_count = static_cast<uint32_t>(partitions_.size());
    WEFT_TRY(weft_consumer_open(job_, topic_.c_str(), &options, &consumer_));
  }
  // Events that come while others are produced: their data is fetched as soon as no more metadata is there.
  Part receive(uint64_t count) {
    Part part;
    uint32_t checksum = 0;
    part.begin_us = now_us();
    for (uint64_t got = 0; got < count;) {
      weft_event event;
      event.size = sizeof event;
      const bool has_work = plan_.mode != Mode::kSeparate && !selections_.empty();
      const int code = weft_pull(consumer_, has_work ? 0 : kPullTimeoutMs, &event);
      if (code == WEFT_TIMED_OUT && has_work) {
        fetch(&part);
        continue;
      }
      WEFT_TRY(code);
      ++got;
      part.steps += static_cast<double>(metadata_.step_of(event, &checksum));
      part.bytes += static_cast<double>(event.metadata_length + event.data_length);
      if (plan_.mode == Mode::kLatency) due_us_.push_back(metadata_.due_of(event));
      if (event.data_length > 0) {
        collect(event, &part);
      } else {
        deliver(&part);
      }
    }
    fetch(&part);
    checksum_ = checksum_ ^ checksum;
    part.end_us = now_us();
    part.events = static_cast<double>(count);
    return part;
  }
  // From the opening of the consumer on.
  Part read(uint64_t offset, uint64_t count) {
    const double begin_us = now_us();
    start(offset);
    Part part = receive(count);
    part.begin_us = begin_us;
    return part;
  }
  void stop() { WEFT_TRY(weft_consumer_close(consumer_)); }

 private:
  // Data of many events comes by one request, as long as they are of one partition and fit.
  void collect(const weft_event& event, Part* part) {
    const bool fits = selections_.size() < kFetchEvents && fetch_bytes_ + event.data_length <= kFetchBytes;
    if (!selections_.empty() && (!fits || event.partition != fetch_partition_)) fetch(part);
    fetch_partition_ = event.partition;
    runs_.push_back({0, event.data_length, 0, nullptr});
    selections_.push_back({event.offset, fetch_bytes_, nullptr, 1});
    fetch_bytes_ += event.data_length;
  }
  void fetch(Part* part) {
    if (selections_.empty()) return;
    for (size_t index = 0; index < selections_.size(); ++index) selections_[index].runs = &runs_[index];
    void* memory = weft_region_memory(region_);
    WEFT_TRY(weft_data_fetch(consumer_, fetch_partition_, selections_.data(), static_cast<uint32_t>(selections_.size()),
                             memory, fetch_bytes_, region_));
    checksum_ = checksum_ ^ weft::crc32c(memory, fetch_bytes_);
    selections_.clear();
    runs_.clear();
    fetch_bytes_ = 0;
    deliver(part);
  }
  // All bytes of the events that wait are here, and were read.
  void deliver(Part* part) {
    const double here_us = now_us();
    for (const double due_us : due_us_) part->samples.push_back(here_us - due_us);
    due_us_.clear();
  }

  const Plan& plan_;
  weft_job* job_;
  const std::string topic_;
  Metadata metadata_;
  std::vector<uint32_t> partitions_;
  weft_consumer* consumer_ = nullptr;
  weft_region* region_ = nullptr;
  std::vector<weft_run> runs_;
  std::vector<weft_selection> selections_;
  std::vector<double> due_us_;  // of events that wait for their data
  uint64_t fetch_bytes_ = 0;
  uint32_t fetch_partition_ = 0;
  volatile uint32_t checksum_ = 0;  // so that taking it is not optimised away
};

void wait_for_turn(const Plan& plan, uint64_t run) {
  const std::string file = plan.gate + "/go-" + std::to_string(run);
  while (access(file.c_str(), F_OK) != 0) usleep(5000);
}

template <typename Work>
void phase(const Plan& plan, World& world, const Work& work) {
  world.barrier();
  const double cpu = cpu_seconds();
  const Part part = work();
  world.barrier();
  world.gather({part.begin_us, part.end_us, part.events, part.bytes, cpu_seconds() - cpu, part.steps});
  world.gather({plan.produces ? 1.0 : 2.0});
  if (plan.mode == Mode::kLatency) world.gather_samples(part.samples);
}

// TopicRun.measure, and what it does in "separate" mode.
void produce_apart(const Plan& plan, World& world, Producer& producer) {
  world.barrier();
  producer.send(0, plan.warm_up);
  world.barrier();
  phase(plan, world, [&] { return producer.send(plan.warm_up, plan.each()); });
  phase(plan, world, [] { return Part{}; });
}
void consume_apart(const Plan& plan, World& world, Consumer& consumer) {
  world.barrier();
  world.barrier();
  consumer.read(0, consumer.events_of(0, plan.warm_up));
  consumer.stop();
  phase(plan, world, [] { return Part{}; });
  phase(plan, world,
        [&] { return consumer.read(plan.offset_after_warm_up(), consumer.events_of(plan.warm_up, plan.each())); });
  consumer.stop();
}

// And in "both" and "latency": the warm-up is of both at the same time as well.
void produce_together(const Plan& plan, World& world, Producer& producer) {
  world.barrier();
  producer.send(0, plan.warm_up);
  phase(plan, world, [&] {
    return plan.mode == Mode::kLatency ? producer.arrive(plan.warm_up, plan.each())
                                       : producer.send(plan.warm_up, plan.each());
  });
}
void consume_together(const Plan& plan, World& world, Consumer& consumer) {
  consumer.start(0);
  world.barrier();
  consumer.receive(consumer.events_of(0, plan.warm_up));
  phase(plan, world, [&] { return consumer.receive(consumer.events_of(plan.warm_up, plan.each())); });
  consumer.stop();
}

void measure_topic(const Plan& plan, weft_job* job, World& world, uint64_t number, const std::string& topic) {
  world.barrier();
  const bool apart = plan.mode == Mode::kSeparate;
  if (plan.produces) {
    Producer producer(plan, job, topic);
    apart ? produce_apart(plan, world, producer) : produce_together(plan, world, producer);
    producer.close();
  } else {
    Consumer consumer(plan, job, topic, number);
    apart ? consume_apart(plan, world, consumer) : consume_together(plan, world, consumer);
  }
  world.barrier();
}

Mode mode_of(const std::string& name) {
  return name == "separate" ? Mode::kSeparate : name == "both" ? Mode::kBoth : Mode::kLatency;
}

// What rank.ts finds as well, and says: each rank gives its role (0 server, 1 producer, 2 consumer) and whether it
// cannot go on.
bool ranks_fit(const Plan& plan, World& world) {
  const std::vector<double> ranks = world.gather({plan.produces ? 1.0 : 2.0, 0.0});
  uint64_t producers = 0;
  uint64_t consumers = 0;
  bool can = true;
  for (size_t i = 0; i + 1 < ranks.size(); i += 2) {
    producers += ranks[i] == 1.0 ? 1 : 0;
    consumers += ranks[i] == 2.0 ? 1 : 0;
    can = can && ranks[i + 1] == 0.0;
  }
  return can && producers == plan.producers && consumers == plan.consumers;
}
}  // namespace

int main(int argc, char** argv) {
  if (argc != 17) {
    std::fprintf(stderr,
                 "use: c_driver ROLE GATE PREFIX RUNS TRANSPORT ENCODING METADATA_BYTES DATA_BYTES BATCH PARTITIONS "
                 "PRODUCERS CONSUMERS EVENTS WARM_UP MODE LOAD\n");
    return 2;
  }
  const auto number = [&](int index) { return std::strtoull(argv[index], nullptr, 10); };
  Plan plan;
  plan.produces = std::string(argv[1]) == "producer";
  plan.gate = argv[2];
  plan.prefix = argv[3];
  plan.transport = argv[5];
  plan.runs = number(4);
  plan.encoding = argv[6];
  plan.metadata_bytes = std::max<uint64_t>(plan.encoding == "packed" ? 72 : 64, number(7));
  plan.data_bytes = number(8);
  plan.batch = number(9);
  plan.partitions = number(10);
  plan.producers = number(11);
  plan.consumers = number(12);
  plan.events = number(13);
  plan.warm_up = number(14);
  plan.mode = mode_of(argv[15]);
  plan.load = std::strtod(argv[16], nullptr);
  weft_join_options options = WEFT_JOIN_OPTIONS_DEFAULT;
  options.name = argv[1];
  options.transports = plan.transport.c_str();
  weft_job* job = nullptr;
  WEFT_TRY(weft_join(WEFT_COMM_WORLD, &options, &job));
  weft_job_facts facts;
  facts.size = sizeof facts;
  WEFT_TRY(weft_job_describe(job, &facts));
  {
    World world(job);
    if (!ranks_fit(plan, world)) {
      WEFT_TRY(weft_close(job));
      return 2;
    }
    world.gather({weft::bench::host_number()});
    for (uint64_t run = 0; run < plan.runs; ++run) {
      wait_for_turn(plan, run);
      const std::string topic = plan.prefix + "-" + std::to_string(run);
      measure_topic(plan, job, world, static_cast<uint64_t>(facts.group_rank), topic);
    }
    world.barrier();
  }
  WEFT_TRY(weft_close(job));
  return 0;
}
