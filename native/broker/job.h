// Work handed from the progress thread to threads that may block on files, and back.
// A Job is run once on a worker and then comes back: `done` on the progress thread, in the order of completion. Both
// ways wake the other thread at most once per burst. Jobs are embedded in their owners: handing over allocates nothing.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/doorbell.h"
#include "base/mpsc_queue.h"
#include "base/status.h"
#include "fabric/fabric.h"

namespace weft::broker {

struct Job {
  // On the worker. False: the job was kept (for the end of the burst) and is returned by whoever kept it.
  bool (*run)(Job* job) = nullptr;
  void (*done)(Job* job) = nullptr;  // on the progress thread
  void* owner = nullptr;             // the object that it is embedded in
  void* context = nullptr;           // the broker
  Job* next = nullptr;               // the queue's
};

// The way back to the progress thread.
class JobReturn {
 public:
  // `after` runs on the progress thread behind each burst of returned jobs.
  JobReturn(fabric::Lane& lane, std::function<void()> after);
  void push(Job* job);  // any thread

 private:
  static void run(fabric::Task* task);

  fabric::Lane& lane_;
  std::function<void()> after_;
  MpscQueue<Job> queue_;
  std::atomic<bool> posted_{false};
  fabric::Task task_;
};

// Something to do once behind a burst of jobs: a group commit.
struct BurstEnd {
  void (*finish)(BurstEnd* end) = nullptr;  // on the log writer
  void* owner = nullptr;
  bool listed = false;  // the writer's
};

// A thread whose end can be waited for with a time limit: a system call on a device that does not answer never returns.
class EndingThread {
 public:
  explicit EndingThread(std::function<void()> run);
  // False: it still runs.
  bool join_by(std::chrono::steady_clock::time_point deadline);
  void join();

 private:
  std::future<void> ended_;
  std::thread thread_;
};

// One thread that runs jobs in the order they were pushed: the writer of a group of partitions.
class LogWriter {
 public:
  static Result<std::unique_ptr<LogWriter>> start(JobReturn& back);
  ~LogWriter();
  // Runs what was pushed, then ends its thread; what is pushed later is not run.
  void begin_end();
  bool ended_by(std::chrono::steady_clock::time_point deadline);

  void push(Job* job);  // progress thread
  // On the writer, from inside a job: `end->finish` runs once, after all jobs that are there now.
  void at_burst_end(BurstEnd* end);
  void give_back(Job* job) { back_.push(job); }  // on the writer

 private:
  LogWriter(JobReturn& back, std::unique_ptr<Doorbell> doorbell) : back_(back), doorbell_(std::move(doorbell)) {}
  void loop();
  void run_burst(Job* jobs);

  JobReturn& back_;
  MpscQueue<Job> queue_;
  std::unique_ptr<Doorbell> doorbell_;
  std::atomic<bool> stopping_{false};
  std::vector<BurstEnd*> ends_;
  std::optional<EndingThread> thread_;
};

// A few threads for cold reads and for opening partitions.
class ReaderPool {
 public:
  ReaderPool(JobReturn& back, uint32_t thread_count);
  ~ReaderPool();
  // Runs what was pushed, then ends its threads; what is pushed later is not run.
  void begin_end();
  bool ended_by(std::chrono::steady_clock::time_point deadline);

  void push(Job* job);  // progress thread

 private:
  void loop();

  JobReturn& back_;
  std::mutex mutex_;
  std::condition_variable ready_;
  Job* first_ = nullptr;  // guarded by mutex_, as are the next three
  Job* last_ = nullptr;
  uint32_t idle_ = 0;
  bool stopping_ = false;
  std::vector<EndingThread> threads_;
};

}  // namespace weft::broker
