// Files of format version 1 as they were first written, in test/golden/log-1: this build reads them, and still writes
// the same bytes. If the second test fails, the format changed: raise its version, keep the old files, add new ones.
// WEFT_WRITE_GOLDEN=1 writes the files of the present version.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>

#include "log/cursor_file.h"
#include "log/verify.h"
#include "log_test_support.h"

namespace weft::log {
namespace {

namespace fs = std::filesystem;

const std::string kGolden = std::string(WEFT_GOLDEN_DIRECTORY) + "/log-1";
constexpr uint64_t kBatches = 24;

TestBatch batch_at(uint64_t number) {
  if (number % 3 == 0) return make_batch(number + 1, 4, 33);
  return make_batch(number + 1, 2, 50, {number * 10, 77});
}

FileLogOptions options_in(const std::string& path, Clock& clock) {
  FileLogOptions options;
  options.metadata_directory = path + "/metadata";
  options.data_directory = path + "/data";
  options.segment_bytes = 4096;
  options.boot_id = "golden";
  options.clock = &clock;
  return options;
}

void write_log(const std::string& path) {
  TestClock clock;
  auto log = open_file_log(options_in(path, clock), nullptr).take();
  for (uint64_t number = 0; number < kBatches; ++number) ASSERT_TRUE(store(*log, batch_at(number)).ok());
  auto cursors = CursorFile::open(FileSystem::real(), path, *log, nullptr).take();
  ASSERT_TRUE(cursors->set("analysis", {1, 17}).ok());
  ASSERT_TRUE(cursors->sync().ok());
  ASSERT_TRUE(log->close().ok());
}

std::map<std::string, std::string> contents(const std::string& path) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    files[fs::relative(entry.path(), path)] = {std::istreambuf_iterator<char>(file), {}};
  }
  return files;
}

TEST(LogGolden, Version1IsRead) {
  if (std::getenv("WEFT_WRITE_GOLDEN") != nullptr) {
    fs::remove_all(kGolden);
    fs::create_directories(kGolden);
    write_log(kGolden);
  }
  const auto verified = verify_partition(FileSystem::real(), kGolden + "/metadata", kGolden + "/data");
  ASSERT_TRUE(verified.ok()) << verified.status().text();
  EXPECT_TRUE(verified.value().ok);
  const TestFolder folder;
  fs::copy(kGolden, folder.path() + "/log", fs::copy_options::recursive);
  TestClock clock;
  RecoveryReport report;
  auto opened = open_file_log(options_in(folder.path() + "/log", clock), &report);
  ASSERT_TRUE(opened.ok()) << opened.status().text();
  EXPECT_FALSE(report.truncated);
  EXPECT_FALSE(report.ids_skipped);
  const auto log = opened.take();
  uint64_t offset = 0;
  for (uint64_t number = 0; number < kBatches; ++number) {
    ASSERT_EQ(difference(*log, offset, batch_at(number)), "") << number;
    offset += batch_at(number).header.event_count;
  }
  EXPECT_EQ(log->state().next_offset, offset);
  ASSERT_NE(log->producer(batch_at(0).header.producer_id), nullptr);
  EXPECT_EQ(log->producer(batch_at(0).header.producer_id)->next_sequence, kBatches + 1);
  auto cursors = CursorFile::open(FileSystem::real(), folder.path() + "/log", *log, nullptr);
  ASSERT_TRUE(cursors.ok());
  EXPECT_EQ(cursors.value()->get("analysis"), (Cursor{1, 17}));
}

TEST(LogGolden, TheSameBytesAreStillWritten) {
  const TestFolder folder;
  write_log(folder.path());
  const auto golden = contents(kGolden);
  const auto written = contents(folder.path());
  EXPECT_GE(golden.size(), 6u);
  for (const auto& [name, bytes] : golden) {
    ASSERT_TRUE(written.contains(name)) << name;
    EXPECT_TRUE(written.at(name) == bytes) << name << " has other bytes";
  }
  EXPECT_EQ(written.size(), golden.size());
}

}  // namespace
}  // namespace weft::log
