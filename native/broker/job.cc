#include "broker/job.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>

namespace weft::broker {

JobReturn::JobReturn(fabric::Lane& lane, std::function<void()> after) : lane_(lane), after_(std::move(after)) {
  task_.run = &JobReturn::run;
  task_.owner = this;
}

void JobReturn::push(Job* job) {
  queue_.push(job);
  if (!posted_.exchange(true, std::memory_order_seq_cst)) lane_.post(&task_);
}

void JobReturn::run(fabric::Task* task) {
  auto* self = static_cast<JobReturn*>(task->owner);
  // Before the queue is emptied: a job that comes later posts the task again.
  self->posted_.store(false, std::memory_order_seq_cst);
  for (Job* job = self->queue_.take_all(); job != nullptr;) {
    Job* next = job->next;
    job->done(job);
    job = next;
  }
  self->after_();
}

EndingThread::EndingThread(std::function<void()> run) {
  std::promise<void> promise;
  ended_ = promise.get_future();
  thread_ = std::thread([run = std::move(run), promise = std::move(promise)]() mutable {
    run();
    promise.set_value();
  });
}

bool EndingThread::join_by(std::chrono::steady_clock::time_point deadline) {
  if (thread_.joinable() && ended_.wait_until(deadline) != std::future_status::ready) return false;
  join();
  return true;
}

void EndingThread::join() {
  if (thread_.joinable()) thread_.join();
}

Result<std::unique_ptr<LogWriter>> LogWriter::start(JobReturn& back) {
  auto doorbell = Doorbell::open();
  if (!doorbell.ok()) return doorbell.status();
  std::unique_ptr<LogWriter> writer(new LogWriter(back, doorbell.take()));
  writer->thread_.emplace([raw = writer.get()] { raw->loop(); });
  return writer;
}

LogWriter::~LogWriter() {
  begin_end();
  if (thread_) thread_->join();
}

void LogWriter::begin_end() {
  stopping_.store(true, std::memory_order_seq_cst);
  doorbell_->ring();
}

bool LogWriter::ended_by(std::chrono::steady_clock::time_point deadline) { return thread_->join_by(deadline); }

void LogWriter::push(Job* job) {
  queue_.push(job);
  doorbell_->ring();
}

void LogWriter::at_burst_end(BurstEnd* end) {
  if (end->listed) return;
  end->listed = true;
  ends_.push_back(end);
}

void LogWriter::run_burst(Job* jobs) {
  while (jobs != nullptr) {
    Job* next = jobs->next;
    if (jobs->run(jobs)) back_.push(jobs);
    jobs = next;
  }
  for (BurstEnd* end : ends_) {
    end->listed = false;
    end->finish(end);
  }
  ends_.clear();
}

void LogWriter::loop() {
  while (true) {
    if (Job* jobs = queue_.take_all(); jobs != nullptr) {
      run_burst(jobs);
      continue;
    }
    if (stopping_.load(std::memory_order_seq_cst)) return;
    doorbell_->begin_sleep();
    if (queue_.empty() && !stopping_.load(std::memory_order_seq_cst)) {
      pollfd descriptor{doorbell_->descriptor(), POLLIN, 0};
      // The limit only bounds the harm of a lost wake-up; none is known.
      const int count = ::poll(&descriptor, 1, 1000);
      WEFT_ASSERT(count >= 0 || errno == EINTR);
    }
    doorbell_->end_sleep();
  }
}

ReaderPool::ReaderPool(JobReturn& back, uint32_t thread_count) : back_(back) {
  for (uint32_t i = 0; i < thread_count; ++i) threads_.emplace_back([this] { loop(); });
}

ReaderPool::~ReaderPool() {
  begin_end();
  for (EndingThread& thread : threads_) thread.join();
}

void ReaderPool::begin_end() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_all();
}

bool ReaderPool::ended_by(std::chrono::steady_clock::time_point deadline) {
  return std::all_of(threads_.begin(), threads_.end(), [&](EndingThread& thread) { return thread.join_by(deadline); });
}

void ReaderPool::push(Job* job) {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    job->next = nullptr;
    (first_ == nullptr ? first_ : last_->next) = job;
    last_ = job;
    wake = idle_ > 0;
  }
  if (wake) ready_.notify_one();
}

void ReaderPool::loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    while (first_ == nullptr) {
      if (stopping_) return;
      ++idle_;
      ready_.wait(lock);
      --idle_;
    }
    Job* job = first_;
    first_ = job->next;
    if (first_ == nullptr) last_ = nullptr;
    lock.unlock();
    if (job->run(job)) back_.push(job);
    lock.lock();
  }
}

}  // namespace weft::broker
