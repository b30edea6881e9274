// A server in this process, hosted through the C API as a control plane would: one topic, put and opened by hand.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "weftline/weftline_server.h"

// Expects WEFT_OK and prints the library's words otherwise.
#define EXPECT_WEFT_OK(call) EXPECT_EQ((call), WEFT_OK) << weft_error_text(nullptr)
#define ASSERT_WEFT_OK(call) ASSERT_EQ((call), WEFT_OK) << weft_error_text(nullptr)

namespace weft_test {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weft-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct TopicPlan {
  std::string name;
  uint32_t partitions = 1;
  uint32_t storage = 0;
  uint32_t durability = 1;
  uint32_t serializer = 0;
  uint32_t flags = 0;
  uint64_t memory_data_bytes = 0;
  std::string json = "{}";
};

// The number behind "name": in the counters of a job.
inline uint64_t counter(weft_job* job, const std::string& name) {
  char* json = nullptr;
  EXPECT_WEFT_OK(weft_job_counters(job, &json));
  const std::string text = json;
  weft_free(json);
  const size_t at = text.find("\"" + name + "\":");
  EXPECT_NE(at, std::string::npos) << name << " is not in " << text;
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + name.size() + 3, nullptr, 10);
}

class Server {
 public:
  Server(const std::string& data, const std::vector<TopicPlan>& topics) {
    weft_join_options options = WEFT_JOIN_OPTIONS_DEFAULT;
    options.role = "server";
    EXPECT_WEFT_OK(weft_join_begin(WEFT_COMM_WORLD, &options, &job));
    weft_server_options server_options = WEFT_SERVER_OPTIONS_DEFAULT;
    server_options.data = data.c_str();
    EXPECT_WEFT_OK(weft_server_start(job, &server_options, &server));
    if (server == nullptr) return;
    for (const TopicPlan& topic : topics) add(topic);
    EXPECT_WEFT_OK(weft_join_finish(job, server, nullptr));
  }
  ~Server() { EXPECT_WEFT_OK(weft_close(job)); }

  std::string group() const {
    weft_server_facts facts;
    EXPECT_WEFT_OK(weft_server_describe(server, &facts));
    return facts.group;
  }

  weft_job* job = nullptr;
  weft_server* server = nullptr;

  // Puts the topic, opens its partitions and waits for them. Also later, where nobody else takes completions.
  void add(const TopicPlan& plan) {
    weft_server_topic topic{};
    topic.size = sizeof topic;
    topic.name = plan.name.c_str();
    topic.partition_count = plan.partitions;
    std::memcpy(topic.uuid, plan.name.data(), std::min(plan.name.size(), sizeof topic.uuid));
    const std::vector<uint32_t> slots(plan.partitions, 0);
    topic.slots = slots.data();
    topic.storage = plan.storage;
    topic.durability = plan.durability;
    topic.serializer = plan.serializer;
    topic.flags = plan.flags;
    topic.event_data_bytes_max = plan.memory_data_bytes;
    topic.json = plan.json.c_str();
    EXPECT_WEFT_OK(weft_server_topic_put(server, &topic));
    for (uint32_t i = 0; i < plan.partitions; ++i) {
      weft_server_partition partition{};
      partition.size = sizeof partition;
      partition.partition = i;
      partition.topic = plan.name.c_str();
      std::memcpy(partition.uuid, topic.uuid, sizeof partition.uuid);
      partition.storage = plan.storage;
      partition.durability = plan.durability;
      partition.memory_data_bytes = plan.memory_data_bytes;
      EXPECT_WEFT_OK(weft_server_partition_open_async(server, &partition, 1000 + i));
      wait_for(WEFT_COMPLETION_SERVER, 1000 + i);
    }
  }

 private:
  void wait_for(uint32_t kind, uint64_t tag) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < deadline) {
      weft_completion completion;
      if (weft_poll(job, &completion, 1) == 0) {
        std::this_thread::yield();
        continue;
      }
      const std::string text = completion.text == nullptr ? "" : completion.text;
      weft_free(completion.text);
      if (completion.kind != kind || completion.tag != tag) continue;
      EXPECT_EQ(completion.code, WEFT_OK) << text;
      return;
    }
    ADD_FAILURE() << "no completion of kind " << kind << " with tag " << tag;
  }
};

// Answers the control requests of a server in this process, on a thread of its own, as a host's control plane would.
// While it lives nobody else may poll the server's job.
class ControlPlane {
 public:
  using Answer = std::function<std::pair<int, std::string>(const std::string& request)>;
  ControlPlane(Server& server, Answer answer)
      : thread_([this, &server, answer = std::move(answer)] {
          while (!ends_) {
            weft_completion completion;
            if (weft_poll(server.job, &completion, 1) == 0) {
              std::this_thread::sleep_for(std::chrono::milliseconds(1));
              continue;
            }
            const std::string text = completion.text == nullptr ? "" : completion.text;
            weft_free(completion.text);
            if (completion.kind != WEFT_COMPLETION_CONTROL_REQUEST) continue;
            const auto [code, words] = answer(text);
            EXPECT_WEFT_OK(weft_server_control_reply(server.server, completion.tag, code, words.data(), words.size()));
          }
        }) {}
  ~ControlPlane() {
    ends_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> ends_{false};
  std::thread thread_;
};

}  // namespace weft_test
