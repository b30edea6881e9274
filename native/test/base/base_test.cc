// The small things that everything stands on: known checksums, codes, messages, seeded random numbers.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "base/available_memory.h"
#include "base/checksum.h"
#include "base/clock.h"
#include "base/pages.h"
#include "base/random.h"
#include "base/status.h"

namespace weft {
namespace {

TEST(Checksum, IsCrc32c) {
  EXPECT_EQ(crc32c("123456789", 9), 0xE3069283u);
  EXPECT_EQ(crc32c("", 0), 0u);
  // RFC 3720, B.4: 32 bytes of zeros, and of ones.
  std::array<unsigned char, 32> bytes{};
  EXPECT_EQ(crc32c(bytes.data(), bytes.size()), 0x8A9136AAu);
  bytes.fill(0xFF);
  EXPECT_EQ(crc32c(bytes.data(), bytes.size()), 0x62A8AB43u);
}

TEST(Checksum, GoesOnFromPieceToPiece) {
  std::vector<unsigned char> bytes(10'000);
  SeededRandom random(3);
  for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(random.next());
  const uint32_t whole = crc32c(bytes.data(), bytes.size());
  for (const size_t cut : {size_t{0}, size_t{1}, size_t{4096}, bytes.size()}) {
    EXPECT_EQ(crc32c(bytes.data() + cut, bytes.size() - cut, crc32c(bytes.data(), cut)), whole) << cut;
  }
}

TEST(Status, CarriesCodeAndWords) {
  const Status fine;
  EXPECT_TRUE(fine.ok());
  EXPECT_EQ(fine.code(), Code::OK);
  EXPECT_EQ(fine.message(), "");
  const Status busy(Code::BUSY, join_text("partition ", 3, " of ", "field"));
  EXPECT_EQ(busy.text(), "WEFT_BUSY: partition 3 of field");
  EXPECT_EQ(busy.with_context("pushing").text(), "WEFT_BUSY: pushing: partition 3 of field");
  EXPECT_TRUE(fine.with_context("pushing").ok());
  const Status copy = busy;
  EXPECT_EQ(copy.message(), busy.message());
  EXPECT_NE(errno_text(2).find("errno 2"), std::string::npos);
}

TEST(Status, CodesAreUniqueAndFound) {
  std::set<int> numbers;
#define WEFT_CODE(code_name, number, retry, words, after)             \
  EXPECT_TRUE(numbers.insert(number).second) << #code_name;           \
  ASSERT_NE(code_info(Code::code_name), nullptr) << #code_name;       \
  EXPECT_STREQ(code_info(Code::code_name)->name, "WEFT_" #code_name); \
  EXPECT_EQ(code_info(Code::code_name)->can_retry, (retry) != 0) << #code_name;
  WEFT_ERROR_TABLE(WEFT_CODE)
#undef WEFT_CODE
  EXPECT_EQ(code_info(static_cast<Code>(9999)), nullptr);
}

TEST(Result, HoldsAValueOrAStatus) {
  Result<std::string> good(std::string("value"));
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(good.take(), "value");
  const Result<std::string> bad(Status(Code::LIMIT, "too many"));
  EXPECT_FALSE(bad.ok());
  EXPECT_EQ(bad.status().code(), Code::LIMIT);
  EXPECT_DEATH(static_cast<void>(bad.value()), "ok");
}

TEST(Random, IsTheSameFromTheSameSeed) {
  SeededRandom one(42);
  SeededRandom other(42);
  SeededRandom different(43);
  bool differs = false;
  for (int count = 0; count < 100; ++count) {
    const uint64_t value = one.next();
    EXPECT_EQ(value, other.next());
    differs = differs || value != different.next();
  }
  EXPECT_TRUE(differs);
  // SplitMix64 from seed 0, as its authors give it.
  EXPECT_EQ(SeededRandom(0).next(), 0xE220A8397B1DCDAFu);
  for (int count = 0; count < 1000; ++count) EXPECT_LT(one.below(7), 7u);
  EXPECT_NE(secure_random_u64(), secure_random_u64());
}

TEST(AvailableMemory, IsTheLeastOfTheSystemAndOfEachGroupAbove) {
  EXPECT_GT(available_memory_bytes(), 0u);
  std::string root = (std::filesystem::temp_directory_path() / "weft_memory_XXXXXX").string();
  ASSERT_NE(::mkdtemp(root.data()), nullptr);
  const auto put = [&root](const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root + path).parent_path());
    std::ofstream(root + path) << text;
  };
  EXPECT_EQ(available_memory_bytes(root), UINT64_MAX);
  put("/proc/meminfo", "MemTotal:  900 kB\nMemFree:  100 kB\nMemAvailable:     700 kB\n");
  EXPECT_EQ(available_memory_bytes(root), 700u * 1024);
  put("/proc/self/cgroup", "0::/job/step\n");
  put("/sys/fs/cgroup/job/step/memory.max", "max\n");
  put("/sys/fs/cgroup/job/step/memory.current", "5000\n");
  EXPECT_EQ(available_memory_bytes(root), 700u * 1024);
  put("/sys/fs/cgroup/job/memory.max", "100000\n");
  put("/sys/fs/cgroup/job/memory.current", "90000\n");
  EXPECT_EQ(available_memory_bytes(root), 10'000u);
  put("/sys/fs/cgroup/job/memory.stat", "anon 1\ninactive_file 20000\nactive_file 1000\n");
  EXPECT_EQ(available_memory_bytes(root), 31'000u);
  put("/proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/one\n");
  put("/sys/fs/cgroup/memory/one/memory.limit_in_bytes", "4000\n");
  put("/sys/fs/cgroup/memory/one/memory.usage_in_bytes", "5000\n");
  EXPECT_EQ(available_memory_bytes(root), 0u);
  std::filesystem::remove_all(root);
}

TEST(Clock, DoesNotGoBack) {
  Clock& clock = Clock::system();
  uint64_t last = clock.monotonic_ns();
  for (int count = 0; count < 1000; ++count) {
    const uint64_t now = clock.monotonic_ns();
    EXPECT_GE(now, last);
    last = now;
  }
  // After 2020, before 2100.
  EXPECT_GT(clock.realtime_ns(), 1'577'836'800ull * kNsPerSecond);
  EXPECT_LT(clock.realtime_ns(), 4'102'444'800ull * kNsPerSecond);
}

TEST(Pages, AreZeroWritableAndAtLargePagesWhereThereIsRoomForOne) {
  for (const uint64_t length : {uint64_t{1}, uint64_t{4097}, uint64_t{2} << 20, (uint64_t{5} << 20) + 123}) {
    for (const Touch touch : {Touch::kAll, Touch::kWhenUsed}) {
      Result<std::byte*> pages = map_pages(length, touch);
      ASSERT_TRUE(pages.ok()) << pages.status().text();
      std::byte* start = pages.value();
      EXPECT_EQ(reinterpret_cast<uint64_t>(start) % (length >= (2 << 20) ? 2 << 20 : 4096), 0u) << length;
      EXPECT_TRUE(std::all_of(start, start + length, [](std::byte each) { return each == std::byte{0}; }));
      start[0] = start[length - 1] = std::byte{1};
      EXPECT_EQ(munmap(start, length), 0);
    }
  }
}

TEST(Pages, MoreThanThereIsIsAnError) {
  for (const uint64_t length : {uint64_t{1} << 60, UINT64_MAX - 4096, UINT64_MAX}) {
    EXPECT_EQ(map_pages(length, Touch::kAll).status().code(), Code::OUT_OF_MEMORY) << length;
  }
}

}  // namespace
}  // namespace weft
