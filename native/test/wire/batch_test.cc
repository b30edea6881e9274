// The batch codec: what it builds it reads, and it rejects everything that does not add up.
#include "wire/batch.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <vector>

#include "base/checksum.h"
#include "base/random.h"

namespace weft::wire {
namespace {

struct Batch {
  BatchHeader header{};
  std::vector<std::byte> body;

  template <typename Number>
  void put(uint64_t at, Number value) {
    std::memcpy(body.data() + at, &value, sizeof value);
  }
  void seal() { seal_batch(header, body); }
  // After the header alone was changed.
  void seal_header() { header.header_checksum = crc32c(&header, offsetof(BatchHeader, header_checksum)); }
  Result<BatchView> parse() const { return BatchView::parse(std::as_bytes(std::span(&header, 1)), body, true); }
};

// Metadata "a", "", "ccc"; data of 100, 0 and 7 bytes.
Batch three_events() {
  Batch batch;
  const BatchShape shape = batch_shape(3, true, 4);
  batch.body.resize(shape.body_bytes);
  const uint32_t ends[] = {1, 1, 4};
  const uint32_t deltas[] = {0, 5, 9};
  const uint64_t lengths[] = {100, 0, 7};
  for (uint32_t event = 0; event < 3; ++event) {
    batch.put(shape.metadata_end_at + event * 4, ends[event]);
    batch.put(shape.time_delta_at + event * 4, deltas[event]);
    batch.put(shape.data_length_at + event * 8, lengths[event]);
  }
  std::memcpy(batch.body.data() + shape.metadata_at, "accc", 4);
  batch.header.flags = kBatchHasData;
  batch.header.event_count = 3;
  batch.header.data_bytes = 135;  // 100, then nothing, then 7 at 128
  batch.header.base_time_ns = 1000;
  batch.seal();
  return batch;
}

TEST(Batch, ReadsWhatItHolds) {
  const Batch batch = three_events();
  auto parsed = batch.parse();
  ASSERT_TRUE(parsed.ok()) << parsed.status().text();
  const BatchView& view = parsed.value();
  ASSERT_EQ(view.count(), 3u);
  const auto text = [&](uint32_t event) {
    const auto bytes = view.metadata(event);
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  EXPECT_EQ(text(0), "a");
  EXPECT_EQ(text(1), "");
  EXPECT_EQ(text(2), "ccc");
  EXPECT_EQ(view.time_ns(2), 10'000u);
  EXPECT_EQ(view.data_length(0), 100u);
  EXPECT_EQ(view.data_position(0), 0u);
  EXPECT_EQ(view.data_position(1), 128u);
  EXPECT_EQ(view.data_position(2), 128u);
}

TEST(Batch, RejectsWhatDoesNotAddUp) {
  const BatchShape shape = batch_shape(3, true, 4);
  const std::pair<const char*, std::function<void(Batch&)>> cases[] = {
      {"magic", [](Batch& batch) { batch.header.magic ^= 1, batch.seal_header(); }},
      {"unknown flag", [](Batch& batch) { batch.header.flags |= 1u << 9, batch.seal_header(); }},
      {"reserved", [](Batch& batch) { batch.header.reserved1[1] = 1, batch.seal_header(); }},
      {"no events", [](Batch& batch) { batch.header.event_count = 0, batch.seal_header(); }},
      {"too many events", [](Batch& batch) { batch.header.event_count = kBatchEventsMax + 1, batch.seal_header(); }},
      {"another count", [](Batch& batch) { batch.header.event_count = 2, batch.seal_header(); }},
      {"body too long", [](Batch& batch) { batch.header.body_bytes = kBatchBodyBytesMax + 8, batch.seal_header(); }},
      {"body not of 8", [](Batch& batch) { batch.header.body_bytes -= 1, batch.seal_header(); }},
      {"body cut", [](Batch& batch) { batch.body.resize(batch.body.size() - 8); }},
      {"data sum", [](Batch& batch) { batch.header.data_bytes += 1, batch.seal_header(); }},
      {"data without flag", [](Batch& batch) { batch.header.flags = 0, batch.seal_header(); }},
      {"data too long", [](Batch& batch) { batch.header.data_bytes = kBatchDataBytesMax + 1, batch.seal_header(); }},
      {"data length overflows", [&](Batch& batch) { batch.put(shape.data_length_at, ~uint64_t{0}), batch.seal(); }},
      {"data lengths wrap to the sum",
       [&](Batch& batch) {
         batch.put(shape.data_length_at, uint64_t{0} - 64);
         batch.put(shape.data_length_at + 8, uint64_t{64 + 128});
         batch.seal();
       }},
      {"ends fall", [&](Batch& batch) { batch.put(shape.metadata_end_at + 4, uint32_t{0}), batch.seal(); }},
      {"end behind the body",
       [&](Batch& batch) { batch.put(shape.metadata_end_at + 8, uint32_t{4000}), batch.seal(); }},
      {"body bit", [&](Batch& batch) { batch.body[shape.metadata_at] ^= std::byte{4}; }},
      {"header bit", [](Batch& batch) { batch.header.sequence ^= 1; }},
  };
  for (const auto& [name, change] : cases) {
    Batch batch = three_events();
    change(batch);
    const auto parsed = batch.parse();
    EXPECT_FALSE(parsed.ok()) << name;
    if (!parsed.ok()) {
      EXPECT_EQ(parsed.status().code(), Code::CORRUPT) << name << ": " << parsed.status().text();
    }
  }
}

TEST(Batch, NamesANewerVersion) {
  Batch batch = three_events();
  batch.header.version = 2;
  batch.seal_header();
  EXPECT_EQ(batch.parse().status().code(), Code::FORMAT_NEWER);
}

// Garbage of every length, half of it with checksums that match: nothing is read outside the body.
TEST(Batch, SurvivesGarbage) {
  SeededRandom random(1);
  uint64_t accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    Batch batch = three_events();
    const uint64_t changes = 1 + random.below(3);
    for (uint64_t change = 0; change < changes; ++change) {
      batch.body[random.below(batch.body.size())] = static_cast<std::byte>(random.next());
    }
    if (random.chance(1, 4)) batch.header.event_count = static_cast<uint32_t>(random.below(8));
    if (random.chance(1, 2)) batch.seal();
    auto parsed = batch.parse();
    if (!parsed.ok()) continue;
    ++accepted;
    uint64_t total = 0;
    for (uint32_t event = 0; event < parsed.value().count(); ++event) {
      for (const std::byte byte : parsed.value().metadata(event)) total += static_cast<uint8_t>(byte);
      EXPECT_LE(parsed.value().data_position(event) + parsed.value().data_length(event), batch.header.data_bytes);
    }
    EXPECT_LE(total, 255u * batch.body.size());
  }
  EXPECT_GT(accepted, 0u);  // changed metadata bytes alone are a good batch once sealed
}

}  // namespace
}  // namespace weft::wire
