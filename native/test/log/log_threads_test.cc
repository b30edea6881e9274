// Readers on other threads against one writer, on a file log that rolls and on a memory log whose memory is used
// again. Meant for ThreadSanitizer; the contents are checked in every build.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "log_test_support.h"

namespace weft::log {
namespace {

constexpr uint64_t kBatches = 400;

TestBatch batch_at(uint64_t number) { return make_batch(number + 1, 2, 30, {number % 500, 70}); }

// Follows the log to its last batch and checks each one; what retention removed is passed over.
void follow(const PartitionLog& log, std::atomic<uint64_t>& checked, std::atomic<bool>& failed) {
  StoredBatch stored;
  uint64_t offset = 0;
  while (offset < kBatches * 2 && !failed) {
    const Status status = log.read_batch(offset, stored);
    if (status.code() == Code::END_OF_STREAM) {
      std::this_thread::yield();
      continue;
    }
    if (status.code() == Code::OFFSET_GONE) {
      offset = stored.first_offset;
      continue;
    }
    const TestBatch expected = batch_at(offset / 2);
    bool good = status.ok() && stored.first_offset == offset && stored.body == expected.body;
    std::vector<std::byte> data(expected.data.size());
    const Status read = good ? log.read_data(stored, 0, data) : Status();
    // Removed between the two reads.
    if (read.code() != Code::OFFSET_GONE) good = good && read.ok() && data == expected.data;
    if (!good) {
      ADD_FAILURE() << "offset " << offset << ": " << status.text() << " " << read.text();
      failed = true;
    }
    const PartitionState state = log.state();
    if (state.next_offset < offset + 2 || !log.offset_at_time(stored.append_time_ns).ok()) failed = true;
    offset += 2;
    ++checked;
  }
}

void write_and_follow(PartitionLog& log, uint64_t keep_batches) {
  std::atomic<uint64_t> checked{0};
  std::atomic<bool> failed{false};
  std::thread one([&] { follow(log, checked, failed); });
  std::thread two([&] { follow(log, checked, failed); });
  for (uint64_t number = 0; number < kBatches && !failed; ++number) {
    const TestBatch batch = batch_at(number);
    if (number >= keep_batches && number % 8 == 0) {
      EXPECT_TRUE(log.remove_below((number - keep_batches) * 2).ok());
    }
    const auto appended = store(log, batch);
    if (!appended.ok() || appended.value().first_offset != number * 2) {
      ADD_FAILURE() << number << ": " << appended.status().text();
      failed = true;
    }
    if (number % 50 == 0) {
      EXPECT_TRUE(log.sync().ok());
    }
  }
  one.join();
  two.join();
  EXPECT_FALSE(failed);
  EXPECT_GT(checked, 0u);
}

TEST(LogThreads, ReadersFollowAFileLog) {
  const TestFolder folder;
  FileLogOptions options;
  options.metadata_directory = folder.path() + "/metadata";
  options.data_directory = folder.path() + "/data";
  options.segment_bytes = 16 * 1024;
  auto log = open_file_log(options, nullptr).take();
  write_and_follow(*log, kBatches);
}

// Opens for reading only when the test lets it.
class SlowFileSystem final : public FileSystem {
 public:
  ~SlowFileSystem() override { go_on(); }
  void hold() { held_ = true; }
  void go_on() {
    held_ = false;
    held_.notify_all();
  }
  bool reached() const { return reached_; }
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    if (mode == OpenMode::kReadOnly) {
      if (held_) reached_ = true;
      held_.wait(true);
    }
    return real_.open(path, mode);
  }
  Status remove(const std::string& path) override { return real_.remove(path); }
  Status rename(const std::string& from, const std::string& to) override { return real_.rename(from, to); }
  Status make_directories(const std::string& path) override { return real_.make_directories(path); }
  Status sync_directory(const std::string& path) override { return real_.sync_directory(path); }
  Result<std::vector<std::string>> list(const std::string& path) override { return real_.list(path); }
  Result<bool> exists(const std::string& path) override { return real_.exists(path); }

 private:
  FileSystem& real_ = FileSystem::real();
  std::atomic<bool> held_{false};
  std::atomic<bool> reached_{false};
};

// A reader that opened an old segment once held up everybody else, the broker's progress thread among them.
TEST(LogThreads, OpeningAnOldSegmentHoldsUpNobody) {
  const TestFolder folder;
  SlowFileSystem files;
  FileLogOptions options;
  options.metadata_directory = folder.path() + "/metadata";
  options.data_directory = folder.path() + "/data";
  options.segment_bytes = 4096;
  options.file_system = &files;
  auto log = open_file_log(options, nullptr).take();
  for (uint64_t seed = 0; seed < 100; ++seed) ASSERT_TRUE(store(*log, make_batch(seed, 1, 500)).ok());
  const uint64_t bytes = log->state().metadata_bytes;
  EXPECT_GT(bytes, 50'000u);
  const auto on_thread = [](auto call) {
    auto done = std::make_shared<std::promise<Status>>();
    auto future = done->get_future();
    std::thread([done, call] { done->set_value(call()); }).detach();
    return future;
  };
  const auto read = [&log](uint64_t offset) {
    return [&log, offset] {
      StoredBatch stored;
      return log->read_batch(offset, stored);
    };
  };
  files.hold();
  auto old = on_thread(read(0));
  auto also_old = on_thread([&log] {
    const auto found = log->offset_at_time(1);
    return found.ok() && found.value() == 0 ? Status() : Status(Code::INTERNAL, "another offset");
  });
  while (!files.reached()) std::this_thread::yield();
  auto state = on_thread([&log, bytes] {
    return log->state().metadata_bytes == bytes ? Status() : Status(Code::INTERNAL, "other bytes");
  });
  auto newest = on_thread(read(99));
  constexpr auto kLimit = std::chrono::seconds(20);
  EXPECT_EQ(state.wait_for(kLimit), std::future_status::ready);
  EXPECT_EQ(newest.wait_for(kLimit), std::future_status::ready);
  EXPECT_EQ(old.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  files.go_on();
  for (auto* each : {&old, &also_old, &state, &newest}) {
    const Status status = each->get();
    EXPECT_TRUE(status.ok()) << status.text();
  }
  EXPECT_EQ(difference(*log, 0, make_batch(0, 1, 500)), "");
}

TEST(LogThreads, ReadersFollowAMemoryLogThatUsesItsMemoryAgain) {
  MemoryLogOptions options;
  options.data_limit_bytes = 64 * 1024;
  options.metadata_limit_bytes = 64 * 1024;
  auto log = open_memory_log(options).take();
  write_and_follow(*log, 40);
  EXPECT_GT(log->state().first_offset, 0u);
}

TEST(MemoryLog, SaysWhenItIsFullAndGoesOnWhenThereIsRoom) {
  MemoryLogOptions options;
  options.data_limit_bytes = 8192;
  options.metadata_limit_bytes = 8192;
  options.epoch = 5;
  auto log = open_memory_log(options).take();
  EXPECT_EQ(data_area(*log).size(), 8192u);
  EXPECT_EQ(log->reserve(8193).status().code(), Code::EVENT_TOO_LARGE);
  const TestBatch batch = make_batch(1, 1, 10, {3000});
  ASSERT_TRUE(store(*log, batch).ok());
  ASSERT_TRUE(store(*log, batch).ok());
  EXPECT_EQ(log->reserve(3000).status().code(), Code::NO_SPACE);
  ASSERT_TRUE(log->remove_below(1).ok());
  auto third = store(*log, batch);
  ASSERT_TRUE(third.ok()) << third.status().text();
  EXPECT_EQ(third.value().first_offset, 2u);
  EXPECT_EQ(third.value().partition_epoch, 5u);
  EXPECT_EQ(difference(*log, 1, batch), "");
  EXPECT_EQ(difference(*log, 2, batch), "");
  StoredBatch stored;
  EXPECT_EQ(log->read_batch(0, stored).code(), Code::OFFSET_GONE);
  EXPECT_EQ(stored.first_offset, 1u);
  ASSERT_TRUE(log->read_batch(2, stored).ok());
  const std::byte* data = log->data_memory(stored);
  ASSERT_NE(data, nullptr);
  EXPECT_EQ(std::memcmp(data, batch.data.data(), batch.data.size()), 0);
  EXPECT_GE(data, data_area(*log).data());
  // All of it free again: the largest event fits, wherever the ring stands.
  ASSERT_TRUE(log->remove_below(3).ok());
  auto largest = log->reserve(8192);
  ASSERT_TRUE(largest.ok()) << largest.status().text();
  log->abandon(largest.value());
  EXPECT_TRUE(log->reserve(8192).ok());
}

// Nothing is removed here: what failed batches took must come back by itself.
TEST(MemoryLog, AbandonedExtentsComeBackBehindStoredOnes) {
  MemoryLogOptions options;
  options.data_limit_bytes = 8192;
  options.metadata_limit_bytes = 8192;
  auto log = open_memory_log(options).take();
  const TestBatch batch = make_batch(1, 1, 10, {3000});
  ASSERT_TRUE(store(*log, batch).ok());
  for (int round = 0; round < 20; ++round) {
    // Two at once, given up in either order.
    auto first = log->reserve(2000);
    auto second = log->reserve(3000);
    ASSERT_TRUE(first.ok() && second.ok()) << round;
    log->abandon(round % 2 == 0 ? first.value() : second.value());
    log->abandon(round % 2 == 0 ? second.value() : first.value());
  }
  const TestBatch other = make_batch(2, 1, 10, {5000});
  ASSERT_TRUE(store(*log, other).ok());
  EXPECT_EQ(difference(*log, 0, batch), "");
  EXPECT_EQ(difference(*log, 1, other), "");
  // Round the ring's end: what was skipped there comes back as well.
  ASSERT_TRUE(log->remove_below(1).ok());
  auto skips = log->reserve(1000);
  ASSERT_TRUE(skips.ok());
  log->abandon(skips.value());
  EXPECT_TRUE(log->reserve(128).ok());
  EXPECT_TRUE(log->reserve(3008).ok());
  EXPECT_EQ(difference(*log, 1, other), "");
}

TEST(MemoryLog, MetadataHasItsOwnLimit) {
  MemoryLogOptions options;
  options.data_limit_bytes = 4096;
  options.metadata_limit_bytes = 4096;
  auto log = open_memory_log(options).take();
  EXPECT_EQ(store(*log, make_batch(1, 1, 5000)).status().code(), Code::EVENT_TOO_LARGE);
  uint64_t count = 0;
  while (store(*log, make_batch(count + 1, 1, 500)).ok()) ++count;
  EXPECT_GT(count, 2u);
  EXPECT_EQ(store(*log, make_batch(1, 1, 500)).status().code(), Code::NO_SPACE);
  ASSERT_TRUE(log->remove_below(2).ok());
  EXPECT_TRUE(store(*log, make_batch(1, 1, 500)).ok());
}

}  // namespace
}  // namespace weft::log
