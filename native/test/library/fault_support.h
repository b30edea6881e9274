// What the fault tests share: clients, checked events, counters and log lines of a server in this process.
#pragma once

#include <cstdio>
#include <map>
#include <mutex>
#include <set>

#include "child_process.h"
#include "server_process.h"

namespace weft_test {

struct Client {
  explicit Client(const std::string& group, const char* transports = nullptr, int64_t delivery_timeout_ms = 60'000,
                  int64_t timeout_ms = 20'000) {
    weft_join_options options = WEFT_JOIN_OPTIONS_DEFAULT;
    options.transports = transports;
    options.delivery_timeout_ms = delivery_timeout_ms;
    options.timeout_ms = timeout_ms;
    // A server process says where it is a little after its start.
    const auto deadline = Clock::now() + milliseconds(20'000);
    int code = WEFT_OK;
    do {
      code = weft_attach(group.c_str(), &options, &job);
    } while (code != WEFT_OK && weft_code_can_retry(code) != 0 && Clock::now() < deadline);
    EXPECT_EQ(code, WEFT_OK) << weft_error_text(nullptr);
  }
  ~Client() { close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  void close() {
    EXPECT_WEFT_OK(weft_close(job));
    job = nullptr;
  }

  weft_producer* producer(const char* topic, const char* name = nullptr, uint32_t batch_events = 32) {
    weft_producer_options options = WEFT_PRODUCER_OPTIONS_DEFAULT;
    options.name = name;
    options.batch_events = batch_events;
    weft_producer* opened = nullptr;
    EXPECT_WEFT_OK(weft_producer_open(job, topic, &options, &opened));
    return opened;
  }
  weft_consumer* consumer(const char* topic, const char* name = nullptr) {
    weft_consumer_options options = WEFT_CONSUMER_OPTIONS_DEFAULT;
    options.name = name;
    weft_consumer* opened = nullptr;
    EXPECT_WEFT_OK(weft_consumer_open(job, topic, &options, &opened));
    return opened;
  }

  weft_job* job = nullptr;
};

inline std::string metadata_of(const weft_event& event) {
  return {reinterpret_cast<const char*>(event.metadata), static_cast<size_t>(event.metadata_length)};
}

// An event of producer `producer` with number `number`: the data is the number over and over.
inline int push_numbered(weft_producer* out, int producer, uint32_t number, std::vector<uint32_t>& data,
                         uint64_t data_bytes, uint64_t* receipt = nullptr, int32_t partition = -1) {
  const std::string metadata = "{\"p\":" + std::to_string(producer) + ",\"n\":" + std::to_string(number) + "}";
  data.assign(data_bytes / 4, number);
  const weft_piece piece{data.data(), data.size() * 4, nullptr};
  return weft_push_pieces(out, partition, metadata.data(), metadata.size(), &piece, 1, receipt);
}

// Reads numbered events and checks them as they come: no gap in the offsets, no event twice, the right data.
class Reader {
 public:
  explicit Reader(weft_consumer* consumer) : consumer_(consumer) {}

  // WEFT_OK after an event was read and found right; else pull's code, or -1 with a failure reported.
  int read(int64_t timeout_ms) {
    weft_event event;
    const int code = weft_pull(consumer_, timeout_ms, &event);
    return code == WEFT_OK ? check(event) : code;
  }
  // Reads until `total` events were read.
  void read_to(uint64_t total, milliseconds limit = milliseconds(60'000)) {
    const auto deadline = Clock::now() + limit;
    while (count_ < total) {
      const int code = read(100);
      ASSERT_TRUE(code == WEFT_OK || code == WEFT_TIMED_OUT) << code << ": " << weft_error_text(nullptr);
      ASSERT_LT(Clock::now(), deadline) << count_ << " of " << total << " events came";
    }
  }

  uint64_t count() const { return count_; }
  bool has(int producer, uint32_t number) const { return seen_.count({producer, number}) > 0; }

 private:
  int check(const weft_event& event) {
    const std::string metadata = metadata_of(event);
    int producer = 0;
    uint32_t number = 0;
    const bool parsed = std::sscanf(metadata.c_str(), "{\"p\":%d,\"n\":%u}", &producer, &number) == 2;
    EXPECT_TRUE(parsed) << metadata;
    const bool first = next_offset_.count(event.partition) == 0;
    EXPECT_TRUE(first || next_offset_[event.partition] == event.offset)
        << "partition " << event.partition << ": offset " << event.offset << " came, " << next_offset_[event.partition]
        << " was next";
    next_offset_[event.partition] = event.offset + 1;
    EXPECT_TRUE(seen_.emplace(producer, number).second) << metadata << " is stored twice";
    ++count_;
    if (event.data_length == 0) return parsed ? WEFT_OK : -1;
    data_.assign(event.data_length / 4, ~number);
    const weft_run all{0, event.data_length, 0, nullptr};
    const weft_selection selection{event.offset, 0, &all, 1};
    const int fetched =
        weft_data_fetch(consumer_, event.partition, &selection, 1, data_.data(), event.data_length, nullptr);
    if (fetched != WEFT_OK) return fetched;
    const auto wrong = std::find_if(data_.begin(), data_.end(), [number](uint32_t word) { return word != number; });
    EXPECT_EQ(wrong, data_.end()) << "the data of " << metadata << " is wrong at word " << wrong - data_.begin();
    return parsed && wrong == data_.end() ? WEFT_OK : -1;
  }

  weft_consumer* consumer_;
  uint64_t count_ = 0;
  std::map<uint32_t, uint64_t> next_offset_;
  std::set<std::pair<int, uint32_t>> seen_;
  std::vector<uint32_t> data_;
};

// Of this process, in memory now.
inline uint64_t resident_bytes() {
  std::istringstream fields(read_file("/proc/self/statm"));
  uint64_t all = 0;
  uint64_t resident = 0;
  fields >> all >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// Lines of level info and above that the server in this process has for its log, taken out of its queue.
inline std::vector<std::string> take_log(weft_job* server_job) {
  std::vector<std::string> lines;
  weft_completion completion;
  while (weft_poll(server_job, &completion, 1) == 1) {
    if (completion.kind == WEFT_COMPLETION_LOG && completion.value[0] > 0) lines.emplace_back(completion.text);
    weft_free(completion.text);
  }
  return lines;
}

// A server as a process of its own (server_main.cc); the group directory lies in its data directory.
class ServerChild : public ChildProcess {
 public:
  ServerChild(const std::string& data, int partitions, int storage, int durability)
      : ChildProcess(
            {TEST_SERVER, data, "t", std::to_string(partitions), std::to_string(storage), std::to_string(durability)},
            data + ".log"),
        group_(data + "/group") {}
  const std::string& group() const { return group_; }

 private:
  std::string group_;
};

// A client as a process of its own (client_main.cc).
inline std::vector<std::string> client_command(const std::string& mode, const std::string& group,
                                               const std::string& transports, const std::string& more = "0") {
  return {TEST_CLIENT, mode, group, "t", transports, more};
}

}  // namespace weft_test
