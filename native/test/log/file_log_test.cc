// The file log on real files: what is written is read, across rolls, reopening and retention.
#include <gtest/gtest.h>

#include "log_test_support.h"

namespace weft::log {
namespace {

FileLogOptions options_in(const TestFolder& folder) {
  FileLogOptions options;
  options.metadata_directory = folder.path() + "/metadata";
  options.data_directory = folder.path() + "/data";
  return options;
}

std::unique_ptr<PartitionLog> open_log(const FileLogOptions& options, RecoveryReport* report = nullptr) {
  auto log = open_file_log(options, report);
  EXPECT_TRUE(log.ok()) << log.status().text();
  return log.ok() ? log.take() : nullptr;
}

TestBatch batch_of(uint64_t seed) {
  switch (seed % 4) {
    case 0:
      return make_batch(seed, 3, 17);
    case 1:
      return make_batch(seed, 2, 100, {0, 1000});
    case 2:
      return make_batch(seed, 1, 0, {200'000});
    default:
      return make_batch(seed, 5, 40, {1, 64, 65, 0, 0});
  }
}

TEST(FileLog, ReadsWhatWasWrittenAcrossRollsAndReopening) {
  const TestFolder folder;
  FileLogOptions options = options_in(folder);
  options.segment_bytes = 16 * 1024;
  std::vector<std::pair<uint64_t, uint64_t>> stored;  // offset, seed
  for (int run = 0; run < 4; ++run) {
    RecoveryReport report;
    auto log = open_log(options, &report);
    ASSERT_NE(log, nullptr);
    EXPECT_FALSE(report.truncated) << report.reason;
    EXPECT_FALSE(report.ids_skipped);
    for (const auto& [offset, seed] : stored) ASSERT_EQ(difference(*log, offset, batch_of(seed)), "") << offset;
    for (int count = 0; count < 100; ++count) {
      const uint64_t seed = stored.size();
      const uint64_t expected = log->state().next_offset;
      auto appended = store(*log, batch_of(seed));
      ASSERT_TRUE(appended.ok()) << appended.status().text();
      ASSERT_EQ(appended.value().first_offset, expected);
      stored.emplace_back(expected, seed);
    }
    if (run % 2 == 0) {  // the other runs end as a process that dies
      ASSERT_TRUE(log->close().ok());
    }
  }
  auto log = open_log(options);
  for (const auto& [offset, seed] : stored) ASSERT_EQ(difference(*log, offset, batch_of(seed)), "") << offset;
  StoredBatch none;
  EXPECT_EQ(log->read_batch(log->state().next_offset, none).code(), Code::END_OF_STREAM);
  EXPECT_EQ(log->read_batch(log->state().next_offset + 1, none).code(), Code::TRUNCATED);
  EXPECT_EQ(none.first_offset, log->state().next_offset);
}

TEST(PosixFile, AHoleTakesNothingFromItsNeighbours) {
  const TestFolder folder;
  auto file = FileSystem::real().open(folder.path() + "/file", OpenMode::kCreateNew).take();
  const std::vector<std::byte> written(100'000, std::byte{9});
  ASSERT_TRUE(file->write_at(0, written).ok());
  const Status status = file->punch_hole(10'001, 50'000);
  ASSERT_TRUE(status.ok()) << status.text();
  EXPECT_EQ(file->size().value(), written.size());
  std::vector<std::byte> read(written.size());
  ASSERT_TRUE(file->read_at(0, read).ok());
  // Nothing happens where the file system cannot do it: all of the hole is as before then.
  const std::byte inside = read[10'001];
  for (uint64_t at = 0; at < read.size(); ++at) {
    ASSERT_EQ(read[at], at >= 10'001 && at < 60'001 ? inside : std::byte{9}) << at;
  }
}

TEST(FileLog, MemoryLogReadsWhatWasWritten) {
  MemoryLogOptions options;
  options.data_limit_bytes = 4 << 20;
  options.metadata_limit_bytes = 1 << 20;
  auto log = open_memory_log(options).take();
  uint64_t offset = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    auto appended = store(*log, batch_of(seed));
    ASSERT_TRUE(appended.ok()) << appended.status().text();
    ASSERT_EQ(appended.value().first_offset, offset);
    ASSERT_EQ(difference(*log, offset, batch_of(seed)), "");
    offset += batch_of(seed).header.event_count;
  }
}

}  // namespace
}  // namespace weft::log
