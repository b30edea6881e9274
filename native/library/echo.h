// Echo mode: no server, no fabric. A batch is checked as a server would check it, answered at once, and handed to the
// consumers of its topic in the same job; so a binding's marshalling is tested by itself. Nothing is stored.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "client/consumer.h"
#include "client/producer.h"

namespace weft::library {

class EchoTopics {
 public:
  // Any name is a topic of two partitions; one that begins with "raw" takes raw metadata, others JSON.
  Result<std::shared_ptr<const client::TopicRecord>> topic(const std::string& name);
  std::function<Status(client::Batch&, client::BatchResult&)> answer(std::shared_ptr<const client::TopicRecord> topic);
  // From here on names and batches are answered with WEFT_CLOSED.
  void close();
  void add_consumer(const std::string& topic, std::shared_ptr<client::Consumer> consumer);

 private:
  Status echo(const std::string& topic, client::Batch& batch, client::BatchResult& result);

  std::mutex mutex_;
  bool closed_ = false;
  std::map<std::string, std::vector<std::weak_ptr<client::Consumer>>> consumers_;
  std::map<std::pair<std::string, uint32_t>, uint64_t> next_offset_;
};

}  // namespace weft::library
