// What an event costs in the native library, to be counted and not timed: a server and a client in this one process,
// over the in-process lane, events of metadata only into a partition in memory, through the C API.
//   instructions produce|consume EVENTS [METADATA_BYTES]
// produce pushes and flushes; consume does the same, and pulls them again. Under callgrind the difference of two runs
// with different numbers of events is what the events cost. Prints the number of events that came back or were stored.
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "weftline/weftline_server.h"

namespace {

void check(int code, const char* what) {
  if (code == WEFT_OK) return;
  std::fprintf(stderr, "instructions: %s: %s\n", what, weft_error_text(nullptr));
  std::exit(1);
}

constexpr uint64_t kPartitionTag = 1000;
// Whatever is pushed: preparing it costs the same in every run.
constexpr uint64_t kPartitionBytes = uint64_t{256} << 20;
// As native/wire numbers them.
constexpr uint32_t kInMemory = 1, kDurableInMemory = 0, kRaw = 1;

// One slot with one topic "t" of one raw partition in memory.
class Server {
 public:
  explicit Server(const std::string& data) {
    weft_join_options options = WEFT_JOIN_OPTIONS_DEFAULT;
    options.role = "server";
    options.transports = "inprocess";
    check(weft_join_begin(WEFT_COMM_WORLD, &options, &job_), "joining");
    weft_server_options server_options = WEFT_SERVER_OPTIONS_DEFAULT;
    server_options.data = data.c_str();
    check(weft_server_start(job_, &server_options, &server_), "starting the server");
    weft_server_topic topic{};
    topic.size = sizeof topic;
    topic.name = "t";
    topic.partition_count = 1;
    topic.uuid[0] = 1;
    const uint32_t slot = 0;
    topic.slots = &slot;
    topic.storage = kInMemory;
    topic.durability = kDurableInMemory;
    topic.serializer = kRaw;
    topic.json = "{}";
    check(weft_server_topic_put(server_, &topic), "putting the topic");
    weft_server_partition partition{};
    partition.size = sizeof partition;
    partition.topic = topic.name;
    std::memcpy(partition.uuid, topic.uuid, sizeof partition.uuid);
    partition.storage = topic.storage;
    partition.durability = topic.durability;
    partition.memory_data_bytes = 1 << 20;
    partition.memory_metadata_bytes = kPartitionBytes;
    check(weft_server_partition_open_async(server_, &partition, kPartitionTag), "opening the partition");
    for (bool open = false; !open;) {
      weft_completion completion;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      while (weft_poll(job_, &completion, 1) == 1) {
        check(completion.code, "opening the partition");
        open = open || completion.tag == kPartitionTag;
        weft_free(completion.text);
      }
    }
    check(weft_join_finish(job_, server_, nullptr), "finishing the join");
  }
  Server(const Server&) = delete;
  ~Server() { check(weft_close(job_), "closing the server"); }

  std::string group() const {
    weft_server_facts facts;
    check(weft_server_describe(server_, &facts), "describing the server");
    return facts.group;
  }

 private:
  weft_job* job_ = nullptr;
  weft_server* server_ = nullptr;
};

uint64_t produce(weft_job* job, uint64_t events, uint64_t metadata_bytes) {
  weft_producer* producer = nullptr;
  weft_producer_options options = WEFT_PRODUCER_OPTIONS_DEFAULT;
  options.batches_in_flight = 64;  // seldom waits: waiting costs as many instructions as it takes time
  check(weft_producer_open(job, "t", &options, &producer), "opening the producer");
  std::vector<char> metadata(metadata_bytes, 'm');
  for (uint64_t event = 0; event < events; ++event) {
    std::memcpy(metadata.data(), &event, std::min<uint64_t>(sizeof event, metadata_bytes));
    check(weft_push(producer, metadata.data(), metadata_bytes, nullptr, 0, 0, nullptr), "pushing");
  }
  check(weft_flush(producer, WEFT_FOREVER), "flushing");
  check(weft_producer_close(producer, WEFT_FOREVER), "closing the producer");
  return events;
}

uint64_t consume(weft_job* job, uint64_t events) {
  weft_consumer_options options = WEFT_CONSUMER_OPTIONS_DEFAULT;
  options.from = WEFT_FROM_EARLIEST;
  weft_consumer* consumer = nullptr;
  check(weft_consumer_open(job, "t", &options, &consumer), "opening the consumer");
  uint64_t right = 0;
  for (uint64_t number = 0; number < events; ++number) {
    weft_event event;
    event.size = sizeof event;
    check(weft_pull(consumer, 60'000, &event), "pulling");
    right += std::memcmp(event.metadata, &number, std::min<uint64_t>(sizeof number, event.metadata_length)) == 0;
  }
  check(weft_consumer_close(consumer), "closing the consumer");
  return right;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (argc < 3 || argc > 4 || (mode != "produce" && mode != "consume")) {
    std::fprintf(stderr, "use: instructions produce|consume EVENTS [METADATA_BYTES]\n");
    return 2;
  }
  const uint64_t events = std::strtoull(argv[2], nullptr, 10);
  const uint64_t metadata_bytes = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 256;
  if (events > kPartitionBytes / (metadata_bytes + 64)) {
    std::fprintf(stderr, "instructions: so many events do not fit into the partition of %" PRIu64 " bytes\n",
                 kPartitionBytes);
    return 2;
  }
  std::string folder = (std::filesystem::temp_directory_path() / "weftline-instructions-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) {
    std::perror("instructions: making a folder");
    return 1;
  }
  uint64_t done = 0;
  {
    const Server server(folder + "/data");
    weft_join_options options = WEFT_JOIN_OPTIONS_DEFAULT;
    options.transports = "inprocess";
    weft_job* job = nullptr;
    check(weft_attach(server.group().c_str(), &options, &job), "attaching");
    done = produce(job, events, metadata_bytes);
    if (mode == "consume") done = consume(job, events);
    check(weft_close(job), "closing the client");
  }
  std::filesystem::remove_all(folder);
  std::printf("{\"events\":%" PRIu64 "}\n", done);
  return done == events ? 0 : 1;
}
