// The C++ face, as its users have it: the way of an event, and what becomes of objects that outlive their job.
#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <type_traits>

#include "server_process.h"
#include "weftline/weftline.hpp"

namespace {

using weft_test::Server;
using weft_test::TemporaryFolder;

static_assert(!std::is_copy_constructible_v<weftline::job> && std::is_nothrow_move_constructible_v<weftline::job>);
static_assert(!std::is_copy_constructible_v<weftline::region> && std::is_move_assignable_v<weftline::producer>);
static_assert(std::is_copy_constructible_v<weftline::selection>);

struct Record {
  uint32_t step;
  double time;
};

class CppFace : public testing::Test {
 protected:
  TemporaryFolder folder_;
  Server server_{folder_.path(),
                 {{"t", 2},
                  {"records", 1, 0, 1, 2, 0, 0,
                   R"({"packed":{"fields":[{"name":"step","type":"u32"},)"
                   R"({"name":"time","type":"f64"}]}})"}}};
  weftline::job job_ = weftline::job::attach(server_.group().c_str()).value();
};

TEST_F(CppFace, EventsComeBackAsTheyWerePushed) {
  constexpr uint64_t kRows = 64;
  constexpr uint64_t kColumns = 128;
  std::vector<double> field(kRows * kColumns);
  std::iota(field.begin(), field.end(), 0.0);
  auto out = job_.open_producer("t").value();
  auto region = job_.register_memory(std::span(field)).value();
  const auto whole = out.push(R"({"step":1})", region).value();
  const auto half = out.push("2", region.slice(kColumns * 8, field.size() * 4)).value();
  const std::array<weftline::piece, 3> pieces{weftline::bytes_view("head"), region.slice(0, 16),
                                              std::span(field).subspan(2, 1)};
  const auto third = out.push_pieces("3", pieces, 1).value();
  out.flush().value();
  EXPECT_EQ(out.wait(third, 0).value().partition, 1u);
  EXPECT_NE(out.wait(whole).value().partition, out.wait(half).value().partition) << "round robin";
  EXPECT_LT(out.partition_of_key("key").value(), 2);
  EXPECT_EQ(out.stored_before(0).value(), 0u);
  EXPECT_EQ(out.stored_before(2).code(), WEFT_PARTITION_RANGE);

  weftline::consumer_options options;
  options.until = WEFT_UNTIL_END;
  options.name = "reader";
  auto in = job_.open_consumer("t", options).value();
  const auto box = weftline::selection::box<2>({kRows, kColumns}, {3, 5}, {4, 2}, 8).value();
  const auto column = box.narrow(weftline::selection::box<2>({4, 2}, {0, 1}, {4, 1}, 8).value()).value();
  const weftline::selection copied = column;
  size_t seen = 0;
  auto event = in.pull();
  for (; event; event = in.pull()) {
    ++seen;
    if (event->metadata() == R"({"step":1})") {
      EXPECT_EQ(event->data_length(), field.size() * 8);
      std::array<double, 4> values{};
      event->fetch(copied, std::span(values)).value();
      EXPECT_EQ(values, (std::array<double, 4>{390, 518, 646, 774}));
      auto memory = job_.allocate(event->data_length()).value();
      event->fetch(weftline::selection::all(), memory).value();
      EXPECT_TRUE(std::equal(field.begin(), field.end(), memory.as<double>().begin()));
      std::array<double, 1> small{};
      EXPECT_EQ(event->fetch(weftline::selection::all(), std::span(small)).code(), WEFT_INVALID_ARGUMENT);
      const auto strided = weftline::selection::strided(8, 8, kColumns * 8, 2);
      EXPECT_EQ(strided.bytes(event->data_length()), 16u);
      event->fetch(strided, std::span(values).first(2)).value();
      EXPECT_EQ(values[1], 129.0);
    } else if (event->metadata() == "3") {
      std::array<char, 28> bytes{};
      event->fetch(weftline::selection::all(), std::span(bytes)).value();
      EXPECT_EQ(std::string_view(bytes.data(), 4), "head");
      std::array<char, 2> ends{};
      const std::array<std::pair<uint64_t, uint64_t>, 2> list{{{3, 4}, {0, 1}}};
      event->fetch(weftline::selection::ranges(list), std::span(ends)).value();
      EXPECT_EQ(std::string_view(ends.data(), 2), "dh");
    }
    event->ack().value();
  }
  EXPECT_EQ(event.code(), WEFT_END_OF_STREAM);
  EXPECT_EQ(seen, 3u);
  in.commit_acknowledged().value();
  EXPECT_EQ(in.lag(1).value().next_offset, in.lag(1).value().visible_end);
  in.close().value();
  EXPECT_EQ(in.pull(0).code(), WEFT_WRONG_HANDLE);
  in = job_.open_consumer("t", options).value();
  EXPECT_EQ(in.pull(0).code(), WEFT_END_OF_STREAM) << "all is acknowledged";
  region.wait().value();
  region.release().value();
}

TEST_F(CppFace, RecordsAreStructs) {
  auto out = job_.open_producer("records").value();
  out.push(weftline::record(Record{7, 1.5})).value();
  EXPECT_EQ(out.push("short").code(), WEFT_METADATA_INVALID);
  out.close().value();
  auto in = job_.open_consumer("records").value();
  const auto event = in.pull(20'000).value();
  EXPECT_EQ(event.record<Record>().value().step, 7u);
  EXPECT_EQ(event.record<Record>().value().time, 1.5);
  const auto longer = event.record<std::array<Record, 2>>();
  EXPECT_EQ(longer.code(), WEFT_METADATA_INVALID);
}

TEST_F(CppFace, BatchesAreWrittenInPlaceAndFramesReadInPlace) {
  auto out = job_.open_producer("t").value();
  {
    auto unused = out.open_batch().value();
    EXPECT_NE(unused.memory().value().metadata, nullptr);
  }
  auto batch = out.open_batch().value();
  const weft_batch_memory memory = batch.memory().value();
  std::memcpy(memory.metadata, "12", 2);
  memory.metadata_end[0] = 1;
  memory.metadata_end[1] = 2;
  memory.time_delta_us[0] = memory.time_delta_us[1] = 0;
  batch.submit(1, 2, 2, 1'000, {}, 42).value();
  EXPECT_EQ(batch.get(), nullptr);
  auto in = job_.open_consumer("t").value();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  std::optional<weftline::frame> frame;
  while (!frame && std::chrono::steady_clock::now() < deadline) frame = in.poll().value();
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->get().count, 2u);
  EXPECT_EQ(frame->metadata(1), "2");
  bool completed = false;
  while (!completed && std::chrono::steady_clock::now() < deadline) {
    const auto completion = job_.poll();
    completed = completion && completion->get().kind == WEFT_COMPLETION_BATCH && completion->get().tag == 42;
  }
  EXPECT_TRUE(completed);
}

TEST_F(CppFace, FailuresCarryTheirWordsAndThrowOnlyWhenAsked) {
  // A server without a control plane does not say that the topic will never come: the limit of the join ends it.
  weftline::join_options options;
  options.timeout_ms = 3'000;
  auto job = weftline::job::attach(server_.group().c_str(), options).value();
  const auto missing = job.open_producer("nowhere");
  EXPECT_FALSE(missing.ok());
  EXPECT_EQ(missing.why().name(), "WEFT_TOPIC_UNKNOWN");
  const std::string words = missing.text();
  EXPECT_NE(words.find("nowhere"), std::string::npos);
  EXPECT_FALSE(weftline::selection::box<1>({4}, {3}, {2}, 8).ok());
  EXPECT_EQ(missing.text(), words) << "they stay when the thread calls again";
  try {
    missing.value();
    ADD_FAILURE() << "it did not throw";
  } catch (const weftline::error& error) {
    EXPECT_EQ(error.code(), WEFT_TOPIC_UNKNOWN);
    EXPECT_EQ(error.what(), words);
  }
  EXPECT_EQ(weftline::selection::box({}, {}, {}, 8).code(), WEFT_INVALID_ARGUMENT);
}

TEST_F(CppFace, WhatOutlivesItsJobIsEmpty) {
  auto job = weftline::job::attach(server_.group().c_str()).value();
  auto topic = job.open_topic("t").value();
  EXPECT_EQ(topic.describe().value().partition_count, 2u);
  EXPECT_EQ(topic.query(0).value().visible_end, 0u);
  auto out = job.open_producer("t").value();
  auto in = job.open_consumer("t").value();
  auto region = job.allocate(4096).value();
  auto moved = std::move(region);
  EXPECT_FALSE(region);  // NOLINT(bugprone-use-after-move): that it is empty is the point
  EXPECT_EQ(job.describe().value().world_size, 1);
  EXPECT_NE(job.counters().value().find('{'), std::string::npos);
  EXPECT_EQ(job.control("{}", 0, 100).code() == WEFT_OK, false) << "nobody answers here";
  job.close().value();
  EXPECT_FALSE(job);
  EXPECT_FALSE(out);
  EXPECT_FALSE(in);
  EXPECT_FALSE(moved);
  EXPECT_FALSE(topic);
  EXPECT_EQ(out.push("1").code(), WEFT_WRONG_HANDLE);
  EXPECT_EQ(in.close().code(), WEFT_CLOSED);
  EXPECT_EQ(moved.wait().code(), WEFT_CLOSED);
}

}  // namespace
