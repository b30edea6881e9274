// One event of more than 4 GiB, given as a list of segments that are all the same 64 MiB: stored on disk and read back
// in ranges, each with its checksum, without ever being in memory as a whole. Takes 5 GB of disk for its run.
#include "fault_support.h"

namespace {

using weft_test::Client;
using weft_test::Server;
using weft_test::TemporaryFolder;

class LargeEvent : public ::testing::TestWithParam<const char*> {};

TEST_P(LargeEvent, OfMoreThan4GiBIsReadBackInRanges) {
  constexpr uint64_t kSegment = uint64_t{64} << 20;
  constexpr uint64_t kSegments = 65;
  constexpr uint64_t kTail = 12'345;
  constexpr uint64_t kTotal = kSegments * kSegment + kTail;
  static_assert(kTotal > uint64_t{1} << 32);
  TemporaryFolder folder;
  const std::filesystem::space_info room = std::filesystem::space(folder.path());
  if (room.available < 2 * kTotal) GTEST_SKIP() << "needs " << 2 * kTotal << " bytes of disk";
  Server server(folder.path(), {{"t"}});
  Client client(server.group(), GetParam(), 600'000);
  weft_producer* producer = client.producer("t");
  weft_region* region = nullptr;
  ASSERT_WEFT_OK(weft_region_allocate(client.job, kSegment, &region));
  auto* memory = static_cast<uint8_t*>(weft_region_memory(region));
  for (uint64_t i = 0; i < kSegment / 8; ++i) {
    const uint64_t word = (i + 1) * UINT64_C(0x9E3779B97F4A7C15);
    std::memcpy(memory + i * 8, &word, 8);
  }
  std::vector<weft_piece> pieces(kSegments, weft_piece{memory, kSegment, region});
  pieces.push_back({memory, kTail, region});
  const uint64_t resident_before = weft_test::resident_bytes();
  uint64_t receipt = 0;
  ASSERT_WEFT_OK(weft_push_pieces(producer, 0, "{}", 2, pieces.data(), static_cast<uint32_t>(pieces.size()), &receipt));
  ASSERT_WEFT_OK(weft_receipt_wait(producer, receipt, 600'000, nullptr));

  weft_consumer* consumer = client.consumer("t");
  weft_event event;
  ASSERT_WEFT_OK(weft_pull(consumer, 20'000, &event));
  ASSERT_EQ(event.data_length, kTotal);
  weft_region* landing = nullptr;
  ASSERT_WEFT_OK(weft_region_allocate(client.job, kSegment, &landing));
  const auto fetch = [&](uint64_t start, uint64_t length) {
    const weft_run run{start, length, 0, nullptr};
    const weft_selection selection{event.offset, 0, &run, 1};
    ASSERT_WEFT_OK(weft_data_fetch(consumer, 0, &selection, 1, weft_region_memory(landing), kSegment, landing));
  };
  const uint32_t wanted = weft_crc32c(memory, kSegment, 0);
  for (uint64_t i = 0; i < kSegments; ++i) {
    fetch(i * kSegment, kSegment);
    ASSERT_EQ(weft_crc32c(weft_region_memory(landing), kSegment, 0), wanted) << "segment " << i;
  }
  fetch(kSegments * kSegment, kTail);
  EXPECT_EQ(weft_crc32c(weft_region_memory(landing), kTail, 0), weft_crc32c(memory, kTail, 0));
  // Across the 4 GiB line, at odd places.
  const uint64_t line = uint64_t{1} << 32;
  fetch(line - 4097, 8191);
  const auto* got = static_cast<const uint8_t*>(weft_region_memory(landing));
  for (uint64_t i = 0; i < 8191; ++i) ASSERT_EQ(got[i], memory[(line - 4097 + i) % kSegment]) << i;
  // A little more than the buffers that were asked for: never a part of the event that grows with it.
  EXPECT_LT(weft_test::resident_bytes(), resident_before + (uint64_t{512} << 20));
  const weft_run outside{kTotal - 1, 2, 0, nullptr};
  const weft_selection selection{event.offset, 0, &outside, 1};
  EXPECT_EQ(weft_data_fetch(consumer, 0, &selection, 1, weft_region_memory(landing), kSegment, landing),
            WEFT_SELECTION_OUTSIDE);
}

INSTANTIATE_TEST_SUITE_P(Transports, LargeEvent, ::testing::Values("tcp", "shm"),
                         [](const auto& parameters) { return std::string(parameters.param); });

}  // namespace
