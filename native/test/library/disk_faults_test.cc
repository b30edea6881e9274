// Disks that are full, and files that were damaged while the server was down, seen through the C API.
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "fault_support.h"

namespace {

using weft_test::Client;
using weft_test::Reader;
using weft_test::Server;
using weft_test::ServerChild;
using weft_test::TemporaryFolder;

constexpr int64_t kTimeoutMs = 30'000;

// A file system of its own with so many bytes; nothing else can fill or empty it.
class SmallDisk {
 public:
  SmallDisk(const std::string& path, uint64_t bytes) : path_(path) {
    std::filesystem::create_directory(path);
    const std::string options = "size=" + std::to_string(bytes);
    mounted_ = mount("weft-test", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }

 private:
  std::string path_;
  bool mounted_ = false;
};

void write_bytes(const std::string& path, uint64_t bytes) {
  const std::string block(1 << 20, 'x');
  std::ofstream file(path, std::ios::binary);
  for (uint64_t done = 0; done < bytes; done += block.size()) file << block;
  ASSERT_TRUE(file.good());
}

class FullDisk : public ::testing::TestWithParam<uint32_t> {};

TEST_P(FullDisk, IsAnErrorToTheProducerAndNothingAcknowledgedIsHurt) {
  TemporaryFolder folder;
  SmallDisk disk(folder.path() + "/disk", 40u << 20);
  if (!disk.mounted()) GTEST_SKIP() << "mounting a small file system needs root";
  const std::string filler = folder.path() + "/disk/filler";
  write_bytes(filler, 16u << 20);
  const std::string data = folder.path() + "/disk/data";
  std::set<uint32_t> acknowledged;
  uint32_t number = 0;
  {
    Server server(data, {{"t", 1, 0, GetParam()}});
    Client client(server.group());
    weft_producer* producer = client.producer("t", nullptr, 4);
    std::vector<uint32_t> bytes;
    int refused = 0;
    // Until it was refused several times: large events, then ones that go nowhere but into the metadata.
    const auto push_until_refused = [&](uint64_t data_bytes, int times) {
      const int wanted = refused + times;
      const auto deadline = weft_test::Clock::now() + std::chrono::seconds(60);
      while (refused < wanted && weft_test::Clock::now() < deadline) {
        uint64_t receipt = 0;
        ASSERT_WEFT_OK(weft_test::push_numbered(producer, 0, number, bytes, data_bytes, &receipt));
        const int code = weft_receipt_wait(producer, receipt, kTimeoutMs, nullptr);
        ASSERT_TRUE(code == WEFT_OK || code == WEFT_NO_SPACE) << weft_error_text(nullptr);
        if (code == WEFT_OK) acknowledged.insert(number);
        if (code == WEFT_NO_SPACE) ++refused;
        ++number;
      }
      ASSERT_EQ(refused, wanted);
    };
    push_until_refused(700'000, 3);
    push_until_refused(30'000, 3);
    ASSERT_GT(acknowledged.size(), 10u);
    EXPECT_EQ(weft_flush(producer, kTimeoutMs), WEFT_NO_SPACE);
    // Reading goes on while the disk is full.
    Reader reader(client.consumer("t"));
    reader.read_to(acknowledged.size());
    for (const uint32_t one : acknowledged) EXPECT_TRUE(reader.has(0, one)) << one;
    // There is room again: the same producer goes on by itself.
    std::filesystem::remove(filler);
    uint64_t receipt = 0;
    for (int i = 0; i < 10; ++i) {
      ASSERT_WEFT_OK(weft_test::push_numbered(producer, 0, number, bytes, 700'000, &receipt));
      ASSERT_WEFT_OK(weft_receipt_wait(producer, receipt, kTimeoutMs, nullptr));
      acknowledged.insert(number++);
    }
    reader.read_to(acknowledged.size());
  }
  // And all of it is there after a restart, and nothing else.
  Server server(data, {{"t", 1, 0, GetParam()}});
  Client client(server.group());
  Reader reader(client.consumer("t"));
  reader.read_to(acknowledged.size());
  for (const uint32_t one : acknowledged) EXPECT_TRUE(reader.has(0, one)) << one;
  EXPECT_EQ(reader.read(100), WEFT_TIMED_OUT);
}

INSTANTIATE_TEST_SUITE_P(Durability, FullDisk, ::testing::Values(1, 2),
                         [](const auto& parameters) { return parameters.param == 1 ? "written" : "synced"; });

enum class Damage { kCutMetadata, kFlippedMetadata, kFlippedData, kCutData, kLostMetadata };
enum class Stop { kClean, kKilled };

// The one file below the folder that ends so.
std::string only_file(const std::string& folder, const std::string& ending) {
  std::string found;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ending) continue;
    EXPECT_EQ(found, "") << "more than one " << ending << " in " << folder;
    found = entry.path().string();
  }
  EXPECT_NE(found, "") << "no " << ending << " in " << folder;
  return found;
}

void flip_bit(const std::string& path, uint64_t at) {
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(file, 0);
  uint8_t byte = 0;
  ASSERT_EQ(pread(file, &byte, 1, static_cast<off_t>(at)), 1);
  byte ^= 0x10;
  ASSERT_EQ(pwrite(file, &byte, 1, static_cast<off_t>(at)), 1);
  close(file);
}

void damage_partition(const std::string& partition, Damage damage) {
  const std::string metadata = only_file(partition + "/metadata", ".meta");
  const std::string data = only_file(partition + "/data", ".data");
  const uint64_t metadata_bytes = std::filesystem::file_size(metadata);
  const uint64_t data_bytes = std::filesystem::file_size(data);
  switch (damage) {
    case Damage::kCutMetadata:
      return std::filesystem::resize_file(metadata, metadata_bytes / 2 + 3);
    case Damage::kFlippedMetadata:
      return flip_bit(metadata, metadata_bytes / 2);
    case Damage::kFlippedData:
      // Extents begin at multiples of 64: no other place is sure to hold data, and not what lies between two of them.
      return flip_bit(data, data_bytes / 2 / 64 * 64);
    case Damage::kCutData:
      return std::filesystem::resize_file(data, data_bytes / 2 + 3);
    case Damage::kLostMetadata:
      std::filesystem::remove(metadata);
  }
}

class Damaged : public ::testing::TestWithParam<std::tuple<Stop, Damage>> {};

TEST_P(Damaged, FilesCostTheirOwnEventsAndGiveACode) {
  const auto [stop, damage] = GetParam();
  constexpr uint32_t kEvents = 400;  // in each partition
  TemporaryFolder folder;
  const std::string data = folder.path() + "/data";
  {
    ServerChild server(data, 2, 0, 1);
    server.start();
    Client client(server.group());
    weft_producer* producer = client.producer("t", nullptr, 8);
    std::vector<uint32_t> bytes;
    for (uint32_t i = 0; i < 2 * kEvents; ++i) {
      ASSERT_WEFT_OK(weft_test::push_numbered(producer, 0, i, bytes, 4000, nullptr, static_cast<int32_t>(i % 2)));
    }
    ASSERT_WEFT_OK(weft_flush(producer, kTimeoutMs));
    weft_consumer* named = client.consumer("t", "named");
    ASSERT_WEFT_OK(weft_commit(named, 0, kEvents - 1, kTimeoutMs));
    ASSERT_WEFT_OK(weft_commit(named, 1, kEvents - 1, kTimeoutMs));
    client.close();
    if (stop == Stop::kKilled) {
      server.kill_now();
    } else {
      EXPECT_EQ(server.end(), 0) << server.output();
    }
  }
  damage_partition(data + "/topics/t/0", damage);
  ServerChild server(data, 2, 0, 1);
  server.start();
  Client client(server.group());
  weft_consumer* consumer = client.consumer("t");
  uint32_t whole[2] = {0, 0};
  std::set<int> codes;
  std::vector<uint32_t> bytes(1000);
  int code = WEFT_OK;
  for (int errors = 0; errors < 5;) {
    weft_event event;
    code = weft_pull(consumer, whole[1] < kEvents ? kTimeoutMs : 300, &event);
    if (code == WEFT_TIMED_OUT) break;
    if (code != WEFT_OK) {
      codes.insert(code);
      EXPECT_NE(std::string(weft_error_text(nullptr)), "");
      ++errors;
      continue;
    }
    const weft_run all{0, event.data_length, 0, nullptr};
    const weft_selection selection{event.offset, 0, &all, 1};
    code = weft_data_fetch(consumer, event.partition, &selection, 1, bytes.data(), 4000, nullptr);
    if (code != WEFT_OK) {
      codes.insert(code);
      continue;
    }
    // What is given out is right: the number over and over, as pushed.
    const uint32_t number = static_cast<uint32_t>(event.offset) * 2 + event.partition;
    EXPECT_EQ(weft_test::metadata_of(event), "{\"p\":0,\"n\":" + std::to_string(number) + "}");
    EXPECT_TRUE(std::all_of(bytes.begin(), bytes.end(), [number](uint32_t word) { return word == number; }));
    ++whole[event.partition];
  }
  EXPECT_EQ(whole[1], kEvents) << "the other partition must not suffer";
  EXPECT_LT(whole[0], kEvents) << "the damage was not noticed";
  // Damage inside is an error to whoever reads it. Where the end is missing the log ends earlier: a reader that comes
  // to that end waits there, as at any other; one that wants what was behind it is told below.
  const bool end_is_missing =
      stop == Stop::kKilled || damage == Damage::kCutMetadata || damage == Damage::kLostMetadata;
  EXPECT_TRUE(end_is_missing || !codes.empty());
  for (const int each : codes) EXPECT_TRUE(each == WEFT_CORRUPT || each == WEFT_TRUNCATED) << weft_code_name(each);
  // An offset that was given out and is gone is said to be gone.
  weft_consumer_options options = WEFT_CONSUMER_OPTIONS_DEFAULT;
  const uint32_t first_partition = 0;
  options.partitions = &first_partition;
  options.partition_count = 1;
  options.from = WEFT_FROM_OFFSET;
  options.from_value = kEvents - 1;
  weft_consumer* late = nullptr;
  code = weft_consumer_open(client.job, "t", &options, &late);
  weft_event event{};
  if (code == WEFT_OK) code = weft_pull(late, 1000, &event);
  if (code == WEFT_OK) {
    EXPECT_FALSE(end_is_missing);
    EXPECT_EQ(event.offset, kEvents - 1);  // damage in the middle leaves the end readable
  } else {
    EXPECT_TRUE(code == WEFT_TRUNCATED || code == WEFT_CORRUPT) << weft_code_name(code) << weft_error_text(nullptr);
  }
  // The healthy partition takes more.
  weft_producer_options producer_options = WEFT_PRODUCER_OPTIONS_DEFAULT;
  weft_producer* producer = nullptr;
  code = weft_producer_open(client.job, "t", &producer_options, &producer);
  ASSERT_EQ(code, WEFT_OK) << weft_error_text(nullptr);
  uint64_t receipt = 0;
  ASSERT_WEFT_OK(weft_test::push_numbered(producer, 1, 0, bytes, 4000, &receipt, 1));
  weft_event_id id;
  ASSERT_WEFT_OK(weft_receipt_wait(producer, receipt, kTimeoutMs, &id));
  EXPECT_EQ(id.offset, kEvents);
  client.close();
  EXPECT_EQ(server.end(), 0) << server.output();
}

std::string damage_name(const ::testing::TestParamInfo<std::tuple<Stop, Damage>>& parameters) {
  static const char* const kNames[] = {"cut_metadata", "flipped_metadata", "flipped_data", "cut_data", "lost_metadata"};
  const auto& [stop, damage] = parameters.param;
  return std::string(stop == Stop::kClean ? "clean_" : "killed_") + kNames[static_cast<int>(damage)];
}

INSTANTIATE_TEST_SUITE_P(Files, Damaged,
                         ::testing::Combine(::testing::Values(Stop::kClean, Stop::kKilled),
                                            ::testing::Values(Damage::kCutMetadata, Damage::kFlippedMetadata,
                                                              Damage::kFlippedData, Damage::kCutData,
                                                              Damage::kLostMetadata)),
                         damage_name);

}  // namespace
