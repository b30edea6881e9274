// A hosted server: its data directory, its broker, its place in the group directory.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "broker/broker.h"
#include "library/job.h"
#include "log/data_directory.h"
#include "log/directory_lock.h"

namespace weft::library {

// Hands what the broker asks to the job's completions.
class ServerHost : public broker::BrokerHost {
 public:
  explicit ServerHost(Completions& completions) : completions_(completions) {}
  void on_control_request(uint64_t token, uint64_t session, std::string json) override;
  void on_log(broker::LogLevel level, std::string line) override;

 private:
  Completions& completions_;
};

// Drains and takes its files out of the group directory; a second caller waits for the first. The broker stays until
// release_server.
Status end_server(weft_server* server, int64_t timeout_ms);
// Before the lane is destroyed, after end_server: no thread of the server uses it any more. False: one does not come
// back from its file, and whatever it uses must stay until the process ends.
[[nodiscard]] bool end_server_threads(weft_server* server);
// After the lane is gone.
void release_server(weft_server* server);

}  // namespace weft::library

struct weft_server {
  static constexpr auto kKind = weft::library::Kind::kServer;
  std::atomic<weft::library::Kind> kind{kKind};
  weft_job* job = nullptr;
  uint32_t slot = 0;
  uint32_t slot_epoch = 0;
  std::string data;                // "" without disk storage
  std::string group;               // directory it wants or has joined, "" if none
  bool rejoined = false;           // came back into a job that is known from the group directory
  uint32_t slot_count_before = 0;  // that the job's record named then
  std::string published_group;     // where its files are
  std::unique_ptr<weft::log::DirectoryLock> lock;
  bool force_lock = false;  // for the directories of partitions too
  std::unique_ptr<weft::library::ServerHost> host;
  std::unique_ptr<weft::broker::Broker> broker;

  std::mutex stop_mutex;  // held while it stops; guards what follows
  bool stopped = false;
  std::mutex stoppers_mutex;
  std::vector<std::thread> stoppers;  // of weft_server_stop_async; under stoppers_mutex
};
