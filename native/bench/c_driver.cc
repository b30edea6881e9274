// A producer or a consumer rank of the suite through the C API, in the place of bench/driver/rank.ts: the same
// collectives in the same order, the same events, the same clock. For scenarios whose mode is "separate", on one host.
//   c_driver ROLE GATE PREFIX RUNS TRANSPORT ENCODING METADATA_BYTES DATA_BYTES BATCH PARTITIONS PRODUCERS CONSUMERS
//   EVENTS WARM_UP
// ROLE: producer or consumer. Before topic PREFIX-i it waits for the file GATE/go-i. EVENTS are all producers'
// together, WARM_UP each one's. It is C++ for its containers and the library's checksum; of Weftline it knows
// weftline.h alone.
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "weftline/weftline.h"

namespace {

constexpr uint64_t kMebibyte = 1 << 20;
constexpr uint64_t kStepBase = 100'000'000;  // numbers of equal length, as payload.ts has them
constexpr uint64_t kFetchBytes = 32 * kMebibyte;
constexpr uint64_t kFetchEvents = 128;

struct Plan {
  bool produces = false;
  std::string gate, prefix, transport, encoding;
  uint64_t runs, metadata_bytes, data_bytes, batch, partitions, producers, consumers, events, warm_up;
  uint64_t each() const { return events / producers; }
  // Large events go singly to the partitions in turn, as scenario.ts has it.
  uint64_t partition_of(uint64_t index) const {
    return index / (metadata_bytes + data_bytes >= kMebibyte ? 1 : batch) % partitions;
  }
};

// What one rank did in a phase: PhaseNumbers of topic-run.ts.
struct Part {
  double begin_us = 0, end_us = 0, events = 0, bytes = 0, steps = 0;
};

double now_us() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// 48 bits of the boot's identity, as clock.ts takes them.
double host_number() {
  char text[64] = "";
  std::FILE* file = std::fopen("/proc/sys/kernel/random/boot_id", "r");
  if (file == nullptr || std::fgets(text, sizeof text, file) == nullptr) std::exit(1);
  std::fclose(file);
  std::string digits;
  for (const char* at = text; *at != '\0' && digits.size() < 12; ++at) {
    if (*at != '-') digits += *at;
  }
  return static_cast<double>(std::strtoull(digits.c_str(), nullptr, 16));
}

class World {
 public:
  explicit World(weft_job* job) { WEFT_TRY(weft_communicator_world(job, &world_)); }
  void barrier() {
    weft_collective* collective = nullptr;
    WEFT_TRY(weft_barrier_start(world_, &collective));
    finish(collective);
  }
  // Every rank's numbers, which this program does not look at, but for the first one's.
  std::vector<double> gather(const std::vector<double>& numbers) {
    int32_t size = 0;
    WEFT_TRY(weft_communicator_size(world_, nullptr, &size));
    std::vector<double> all(numbers.size() * static_cast<size_t>(size));
    weft_collective* collective = nullptr;
    WEFT_TRY(weft_allgather_start(world_, numbers.data(), numbers.size() * sizeof(double), all.data(), &collective));
    finish(collective);
    return all;
  }

 private:
  static void finish(weft_collective* collective) {
    for (int done = 0;;) {
      WEFT_TRY(weft_collective_test(collective, &done));
      if (done != 0) return;
      usleep(200);
    }
  }
  weft_communicator* world_ = nullptr;
};

// Metadata as payload.ts makes it: a number, and filling. As JSON short of the facts of a simulation; a packed record
// is the struct of the schema there.
class Metadata {
 public:
  Metadata(const std::string& encoding, uint64_t bytes) : encoding_(encoding == "json" ? kJson : kBinary) {
    if (encoding == "json") {
      text_ = R"({"step":100000000,"due":100000000000000,"note":")";
      text_.append(bytes - text_.size() - 2, 'x');
      text_ += "\"}";
    } else if (encoding == "packed") {
      Record record{};
      record.rank = 100;
      std::memcpy(record.field, "temperature", 11);
      record.min = 273.15;
      record.valid = 1;
      record.note_bytes = static_cast<uint32_t>(bytes - sizeof record);
      text_.assign(reinterpret_cast<const char*>(&record), sizeof record);
      text_.append(record.note_bytes, 'x');
      base_ = kStepBase;
    } else {
      text_.assign(bytes, 'x');
    }
  }
  const std::string& at(uint64_t step) {
    if (encoding_ == kBinary) {
      const auto number = static_cast<uint32_t>(base_ + step);
      std::memcpy(text_.data(), &number, sizeof number);
      return text_;
    }
    char digits[24];
    std::snprintf(digits, sizeof digits, "%09llu", static_cast<unsigned long long>(kStepBase + step));
    std::memcpy(text_.data() + kStepAt, digits, 9);
    return text_;
  }
  // `checksum`: joined with that of bytes that nothing else reads.
  uint64_t step_of(const weft_event& event, uint32_t* checksum) const {
    if (encoding_ == kJson) {
      return std::strtoull(reinterpret_cast<const char*>(event.metadata) + kStepAt, nullptr, 10) - kStepBase;
    }
    *checksum ^= weft::crc32c(event.metadata, event.metadata_length);
    uint32_t step = 0;
    std::memcpy(&step, event.metadata, sizeof step);
    return step - base_;
  }

 private:
  struct Record {
    uint32_t step, rank;
    double due;
    char field[16];
    uint32_t origin[3], shape[3];
    double min;
    uint8_t valid;
    uint32_t note_bytes;
  };
  static_assert(sizeof(Record) == 72);
  enum Kind { kJson, kBinary };
  static constexpr size_t kStepAt = 8;  // behind {"step":
  Kind encoding_;
  uint64_t base_ = 0;
  std::string text_;
};

class Producer {
 public:
  Producer(const Plan& plan, weft_job* job, const std::string& topic)
      : plan_(plan), metadata_(plan.encoding, plan.metadata_bytes) {
    weft_producer_options options = WEFT_PRODUCER_OPTIONS_DEFAULT;
    options.batch_events = static_cast<uint32_t>(plan.batch);
    WEFT_TRY(weft_producer_open(job, topic.c_str(), &options, &producer_));
    if (plan.data_bytes == 0) return;
    const uint64_t slots = std::max<uint64_t>(1, 256 * kMebibyte / plan.producers / plan.data_bytes);
    ring_bytes_ = plan.data_bytes * std::min(slots, plan.each());
    WEFT_TRY(weft_region_allocate(job, ring_bytes_, &region_));
    auto* bytes = static_cast<uint8_t*>(weft_region_memory(region_));
    for (uint64_t at = 0; at < ring_bytes_; ++at) bytes[at] = static_cast<uint8_t>(at * 31 >> 3);
  }
  Part send(uint64_t first, uint64_t count) {
    Part part;
    part.begin_us = now_us();
    for (uint64_t index = first; index < first + count; ++index) {
      const std::string& metadata = metadata_.at(index);
      const uint64_t at = region_ == nullptr ? 0 : index * plan_.data_bytes % ring_bytes_;
      const auto* data = region_ == nullptr ? nullptr : static_cast<uint8_t*>(weft_region_memory(region_)) + at;
      const weft_piece piece{data, plan_.data_bytes, region_};
      WEFT_TRY(weft_push_pieces(producer_, static_cast<int32_t>(plan_.partition_of(index)), metadata.data(),
                                metadata.size(), region_ == nullptr ? nullptr : &piece, region_ == nullptr ? 0 : 1,
                                nullptr));
    }
    WEFT_TRY(weft_flush(producer_, WEFT_FOREVER));
    part.end_us = now_us();
    part.events = static_cast<double>(count);
    part.bytes = static_cast<double>(count * (plan_.metadata_bytes + plan_.data_bytes));
    return part;
  }
  void close() {
    WEFT_TRY(weft_producer_close(producer_, WEFT_FOREVER));
    if (region_ != nullptr) WEFT_TRY(weft_region_release(region_));
  }

 private:
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
  Part receive(uint64_t offset, uint64_t count) {
    weft_consumer_options options = WEFT_CONSUMER_OPTIONS_DEFAULT;
    options.from = WEFT_FROM_OFFSET;
    options.from_value = offset;
    options.partitions = partitions_.data();
    options.partition_count = static_cast<uint32_t>(partitions_.size());
    Part part;
    uint32_t checksum = 0;
    part.begin_us = now_us();
    weft_consumer* consumer = nullptr;
    WEFT_TRY(weft_consumer_open(job_, topic_.c_str(), &options, &consumer));
    for (uint64_t got = 0; got < count; ++got) {
      weft_event event;
      event.size = sizeof event;
      WEFT_TRY(weft_pull(consumer, 60'000, &event));
      part.steps += static_cast<double>(metadata_.step_of(event, &checksum));
      part.bytes += static_cast<double>(event.metadata_length + event.data_length);
      if (event.data_length > 0) collect(consumer, event);
    }
    fetch(consumer);
    checksum_ = checksum_ ^ checksum;
    part.end_us = now_us();
    part.events = static_cast<double>(count);
    WEFT_TRY(weft_consumer_close(consumer));
    return part;
  }

 private:
  // Data of many events comes by one request, as long as they are of one partition and fit.
  void collect(weft_consumer* consumer, const weft_event& event) {
    const bool fits = selections_.size() < kFetchEvents && fetch_bytes_ + event.data_length <= kFetchBytes;
    if (!selections_.empty() && (!fits || event.partition != fetch_partition_)) fetch(consumer);
    fetch_partition_ = event.partition;
    runs_.push_back({0, event.data_length, 0, nullptr});
    selections_.push_back({event.offset, fetch_bytes_, nullptr, 1});
    fetch_bytes_ += event.data_length;
  }
  void fetch(weft_consumer* consumer) {
    if (selections_.empty()) return;
    for (size_t index = 0; index < selections_.size(); ++index) selections_[index].runs = &runs_[index];
    void* memory = weft_region_memory(region_);
    WEFT_TRY(weft_data_fetch(consumer, fetch_partition_, selections_.data(), static_cast<uint32_t>(selections_.size()),
                             memory, fetch_bytes_, region_));
    checksum_ = checksum_ ^ weft::crc32c(memory, fetch_bytes_);
    selections_.clear();
    runs_.clear();
    fetch_bytes_ = 0;
  }

  const Plan& plan_;
  weft_job* job_;
  const std::string topic_;
  Metadata metadata_;
  std::vector<uint32_t> partitions_;
  weft_region* region_ = nullptr;
  std::vector<weft_run> runs_;
  std::vector<weft_selection> selections_;
  uint64_t fetch_bytes_ = 0;
  uint32_t fetch_partition_ = 0;
  volatile uint32_t checksum_ = 0;  // so that taking it is not optimised away
};

void wait_for_turn(const Plan& plan, uint64_t run) {
  const std::string file = plan.gate + "/go-" + std::to_string(run);
  while (access(file.c_str(), F_OK) != 0) usleep(5000);
}

template <typename Work>
void phase(World& world, bool produces, const Work& work) {
  world.barrier();
  const double cpu = cpu_seconds();
  const Part part = work();
  world.barrier();
  world.gather({part.begin_us, part.end_us, part.events, part.bytes, cpu_seconds() - cpu, part.steps});
  world.gather({produces ? 1.0 : 2.0});
}

// The collectives of TopicRun.measure and of its "separate" mode.
void measure_topic(const Plan& plan, weft_job* job, World& world, uint64_t number, const std::string& topic) {
  world.barrier();
  if (plan.produces) {
    Producer producer(plan, job, topic);
    world.barrier();
    producer.send(0, plan.warm_up);
    world.barrier();
    phase(world, true, [&] { return producer.send(plan.warm_up, plan.each()); });
    phase(world, true, [] { return Part{}; });
    producer.close();
  } else {
    Consumer consumer(plan, job, topic, number);
    world.barrier();
    world.barrier();
    consumer.receive(0, consumer.events_of(0, plan.warm_up));
    phase(world, false, [] { return Part{}; });
    phase(world, false, [&] {
      return consumer.receive(plan.producers * plan.warm_up / plan.partitions,
                              consumer.events_of(plan.warm_up, plan.each()));
    });
  }
  world.barrier();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 15) {
    std::fprintf(stderr,
                 "use: c_driver ROLE GATE PREFIX RUNS TRANSPORT ENCODING METADATA_BYTES DATA_BYTES BATCH PARTITIONS "
                 "PRODUCERS CONSUMERS EVENTS WARM_UP\n");
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
    world.gather({host_number()});
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
