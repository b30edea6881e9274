// No exception crosses the C API: every allocation that a call makes on its caller's thread fails once, by itself, and
// the call then says WEFT_OUT_OF_MEMORY and leaves all as it was. A failure names the call and the allocation; an
// exception that got out ends the program.
#include <cstdlib>
#include <functional>
#include <new>

#include "fault_support.h"

namespace {
thread_local int64_t allocations_left = -1;  // before one fails; negative: none does
thread_local bool failed = false;
}  // namespace

// Replaces the operators of the whole program, the library's included.
__attribute__((noinline)) void* operator new(size_t bytes) {
  if (allocations_left >= 0 && allocations_left-- == 0) {
    failed = true;
    throw std::bad_alloc();
  }
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
__attribute__((noinline)) void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return std::malloc(bytes);
}
__attribute__((noinline)) void operator delete(void* memory) noexcept { std::free(memory); }
__attribute__((noinline)) void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace {

using weft_test::Client;
using weft_test::Reader;
using weft_test::Server;
using weft_test::TemporaryFolder;

constexpr int64_t kTimeoutMs = 20'000;
constexpr int kAllocationsMax = 5000;  // of one call; more is a loop

// Calls until no allocation failed. Returns how many did. `undo`: for calls that go on without some memory, such as
// what a stream of the standard library wanted.
int fail_each_allocation(const char* what, const std::function<int()>& call,
                         const std::function<void()>& undo = nullptr) {
  for (int count = 0; count < kAllocationsMax; ++count) {
    failed = false;
    allocations_left = count;
    const int code = call();
    allocations_left = -1;
    if (!failed) {
      EXPECT_EQ(code, WEFT_OK) << what << " after all: " << weft_error_text(nullptr);
      return count;
    }
    if (code == WEFT_OK && undo) {
      undo();
      continue;
    }
    EXPECT_EQ(code, WEFT_OUT_OF_MEMORY) << what << ", allocation " << count << ": " << weft_error_text(nullptr);
    if (::testing::Test::HasFailure()) return count;
  }
  ADD_FAILURE() << what << " allocates more than " << kAllocationsMax << " times";
  return 0;
}

TEST(OutOfMemory, IsACodeOfEveryCallAndLosesNothing) {
  TemporaryFolder folder;
  Server server(folder.path(), {{"t", 2}});
  const std::string group = server.group();
  weft_job* job = nullptr;
  EXPECT_GT(fail_each_allocation(
                "weft_attach", [&] { return weft_attach(group.c_str(), nullptr, &job); },
                [&] { EXPECT_WEFT_OK(weft_close(job)); }),
            0);
  ASSERT_NE(job, nullptr);
  weft_topic* topic = nullptr;
  EXPECT_GT(fail_each_allocation("weft_topic_open", [&] { return weft_topic_open(job, "t", &topic); }), 0);
  uint64_t end = 0;
  EXPECT_GT(fail_each_allocation("weft_partition_query", [&] { return weft_partition_query(topic, 0, nullptr, &end); }),
            0);
  weft_producer* producer = nullptr;
  EXPECT_GT(
      fail_each_allocation("weft_producer_open", [&] { return weft_producer_open(job, "t", nullptr, &producer); }), 0);
  weft_region* region = nullptr;
  EXPECT_GT(fail_each_allocation("weft_region_allocate", [&] { return weft_region_allocate(job, 1 << 20, &region); }),
            0);
  // A refused event is not in the batch, and the batch goes on.
  uint32_t number = 0;
  const auto push = [&] {
    const std::string metadata = "{\"p\":0,\"n\":" + std::to_string(number) + "}";
    const weft_piece pieces[2] = {{&number, 4, nullptr}, {weft_region_memory(region), 0, region}};
    return weft_push_pieces(producer, -1, metadata.data(), metadata.size(), pieces, 2, nullptr);
  };
  // One that fills it is, though the batch could not be sent: a later call sends it.
  for (; number < 600; ++number) fail_each_allocation("weft_push_pieces", push, [&] { ++number; });
  ASSERT_WEFT_OK(weft_flush(producer, kTimeoutMs));
  weft_consumer* consumer = nullptr;
  EXPECT_GT(
      fail_each_allocation("weft_consumer_open", [&] { return weft_consumer_open(job, "t", nullptr, &consumer); }), 0);
  {
    Client client(group);
    Reader reader(client.consumer("t"));
    reader.read_to(number, weft_test::milliseconds(20'000));
  }
  weft_event event;
  ASSERT_WEFT_OK(weft_pull(consumer, kTimeoutMs, &event));
  uint32_t got = 0;
  const weft_run all{0, 4, 0, nullptr};
  const weft_selection selection{event.offset, 0, &all, 1};
  EXPECT_GT(fail_each_allocation(
                "weft_data_fetch",
                [&] { return weft_data_fetch(consumer, event.partition, &selection, 1, &got, sizeof got, nullptr); }),
            0);
  char* json = nullptr;
  EXPECT_GT(fail_each_allocation("weft_job_counters", [&] { return weft_job_counters(job, &json); }), 0);
  weft_free(json);
  EXPECT_WEFT_OK(weft_close(job));
}

TEST(OutOfMemory, OfALengthThatNothingHasIsACodeToo) {
  TemporaryFolder folder;
  Server server(folder.path(), {{"t"}});
  Client client(server.group());
  EXPECT_EQ(weft_control(client.job, 0, "{}", UINT64_MAX, kTimeoutMs, nullptr), WEFT_OUT_OF_MEMORY);
  const std::string words = weft_error_text(client.job);
  EXPECT_NE(words.find("look at the lengths"), std::string::npos) << words;
}

}  // namespace
