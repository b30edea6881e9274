// The file log on real files: what is written is read, across rolls, reopening and retention.
#include <gtest/gtest.h>

#include "log/fault_file.h"
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
  // As readers that go on do it: from several places, across segments, through batches larger and smaller than a read.
  ReadAhead ahead;
  for (const size_t first : {size_t{0}, size_t{7}, stored.size() / 2}) {
    for (size_t i = first; i < stored.size(); ++i) {
      ASSERT_EQ(difference(*log, stored[i].first, batch_of(stored[i].second), &ahead), "") << i;
    }
  }
  // What was not there at the last read is read, not remembered as missing.
  auto next = store(*log, batch_of(stored.size()));
  ASSERT_TRUE(next.ok());
  EXPECT_EQ(difference(*log, next.value().first_offset, batch_of(stored.size()), &ahead), "");
  StoredBatch none;
  EXPECT_EQ(log->read_batch(log->state().next_offset, none).code(), Code::END_OF_STREAM);
  EXPECT_EQ(log->read_batch(log->state().next_offset + 1, none).code(), Code::TRUNCATED);
  EXPECT_EQ(none.first_offset, log->state().next_offset);
}

// A producer opened, stored nothing, and the next one was given its epoch after a power loss.
TEST(FileLog, FencesAreDurableAndKeepWhatWasStored) {
  FaultFileSystem files(1);
  FileLogOptions options;
  options.metadata_directory = "/p/metadata";
  options.data_directory = "/p/data";
  options.file_system = &files;
  options.boot_id = "boot1";
  auto log = open_log(options);
  const TestBatch batch = make_batch(3, 2, 10);  // sequence 3
  wire::ProducerId stored = batch.header.producer_id;
  wire::ProducerId fresh = stored;
  fresh.bytes[1] = 9;
  ASSERT_TRUE(store(*log, batch).ok());
  log->fence(stored, 2);
  log->fence(fresh, 1);
  ASSERT_TRUE(log->sync_fences().ok());
  EXPECT_EQ(log->state().synced_offset, 2u);
  files.lose_power();
  options.boot_id = "boot2";
  log = open_log(options);
  ASSERT_NE(log, nullptr);
  EXPECT_EQ(difference(*log, 0, batch), "");
  for (const auto& [id, epoch] : {std::pair(stored, 2u), std::pair(fresh, 1u)}) {
    const ProducerState* state = log->producer(id);
    ASSERT_NE(state, nullptr);
    EXPECT_EQ(state->epoch, epoch);
    EXPECT_EQ(state->next_sequence, 0u);
    EXPECT_EQ(state->recent.size(), id == stored ? 1u : 0u);  // where it goes on
  }
  const ProducerState::Recent last = log->producer(stored)->recent.front();
  EXPECT_EQ(last.sequence, kEarlierEpoch);
  EXPECT_EQ(last.first_offset + last.event_count, 2u);
  // No room: to be tried again. A failed sync: for good.
  files.set_capacity(files.used_bytes());
  log->fence(fresh, 2);
  EXPECT_EQ(log->sync_fences().code(), Code::NO_SPACE);
  files.allow_all();
  EXPECT_TRUE(log->sync_fences().ok());
  files.fail_sync_after(0);
  EXPECT_EQ(log->sync_fences().code(), Code::SYNC_FAILED);
  EXPECT_TRUE(log->state().read_only);
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

// Two jobs with a topic of one name and one dataDirectory: the second one found data segments that its fresh metadata
// did not know, and deleted them as left over.
TEST(FileLog, DirectoriesOfAnotherPartitionAreRefusedAndStayAsTheyAre) {
  const TestFolder folder;
  FileLogOptions first = options_in(folder);
  first.owner = "11111111-2222-3333-4444-555555555555/0";
  auto log = open_log(first);
  ASSERT_NE(log, nullptr);
  for (uint64_t seed = 0; seed < 8; ++seed) ASSERT_TRUE(store(*log, batch_of(seed)).ok());
  ASSERT_TRUE(log->sync().ok());

  FileLogOptions second = first;
  second.owner = "99999999-2222-3333-4444-555555555555/0";
  for (const std::string& metadata : {folder.path() + "/metadata-of-second", first.metadata_directory}) {
    second.metadata_directory = metadata;
    for (const bool live : {true, false}) {
      if (live != (log != nullptr)) log = live ? open_log(first) : nullptr;
      const auto refused = open_file_log(second, nullptr);
      EXPECT_EQ(refused.status().code(), Code::TOPIC_EXISTS) << refused.status().text();
      EXPECT_NE(refused.status().message().find(first.owner), std::string::npos) << refused.status().text();
    }
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path() + "/metadata-of-second"));
  log = open_log(first);
  ASSERT_NE(log, nullptr);
  uint64_t offset = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    EXPECT_EQ(difference(*log, offset, batch_of(seed)), "") << seed;
    offset += batch_of(seed).header.event_count;
  }
}

TEST(FileLog, DataSegmentsStayWhereNoCheckpointSaysWhatTheyAre) {
  const TestFolder folder;
  FileLogOptions options = options_in(folder);
  auto log = open_log(options);
  ASSERT_TRUE(store(*log, batch_of(2)).ok());
  log.reset();
  FileLogOptions fresh = options;
  fresh.metadata_directory = folder.path() + "/metadata-of-another";
  ASSERT_TRUE(store(*open_log(fresh), batch_of(2)).ok());  // behind it, in a segment of its own
  EXPECT_EQ(difference(*open_log(options), 0, batch_of(2)), "");
}

TEST(FileLog, IsOpenOnceAtATime) {
  const TestFolder folder;
  FileLogOptions options = options_in(folder);
  options.owner = "11111111-2222-3333-4444-555555555555/0";
  auto log = open_log(options);
  ASSERT_NE(log, nullptr);
  const auto second = open_file_log(options, nullptr);
  EXPECT_EQ(second.status().code(), Code::DATA_DIRECTORY_LOCKED) << second.status().text();
  ASSERT_TRUE(log->close().ok());
  log.reset();
  EXPECT_NE(open_log(options), nullptr);
}

}  // namespace
}  // namespace weft::log
