// Messages as a peer may send them: cut at every length, with counts that lie, with any bit changed. A decoder says so
// and reads nothing behind the message (which lies at the end of its memory, for the address sanitizer).
#include "wire/messages.h"

#include <gtest/gtest.h>

#include <memory>

#include "base/random.h"

namespace weft::wire {
namespace {

// A copy with nothing behind it, 8-aligned as a receive buffer is.
class Received {
 public:
  explicit Received(std::span<const std::byte> bytes)
      : length_(bytes.size()), memory_(new std::byte[bytes.size() + 1]) {
    std::copy(bytes.begin(), bytes.end(), memory_.get());
  }
  std::span<std::byte> bytes() { return {memory_.get(), length_}; }
  // As a sender that lies less: the header's length fits.
  void say_length() {
    const auto length = static_cast<uint32_t>(length_);
    if (length_ >= sizeof(MessageHeader)) std::memcpy(memory_.get() + offsetof(MessageHeader, length), &length, 4);
  }

 private:
  size_t length_;
  std::unique_ptr<std::byte[]> memory_;
};

// Two selections: a box of two levels and two ranges, and one of everything.
std::vector<std::byte> data_request() {
  MessageWriter writer;
  writer.begin(MessageType::kDataRequest, 9, 4);
  writer.put(DataRequest{3, 2, {0x1000, 5, 1 << 20}});
  writer.put(Selection{17, 0, 3, 0});
  writer.put(Run{64, 16, 2, 0});
  writer.put(RunLevel{256, 4});
  writer.put(RunLevel{4096, 3});
  writer.put(Run{0, 8, 0, 0});
  writer.put(Run{100, 50, 0, 0});
  writer.put(Selection{18, 250, 1, 0});
  writer.put(Run{0, 1000, 0, 0});
  const auto bytes = writer.finish();
  return {bytes.begin(), bytes.end()};
}

// How many selections were read before the message said that it is cut off.
int read_selections(std::span<const std::byte> message, SelectionView& view) {
  auto reader = MessageReader::open(message);
  if (!reader.ok()) return -1;
  MessageReader& in = reader.value();
  const auto* request = in.take<DataRequest>();
  if (request == nullptr) return 0;
  int count = 0;
  while (count < 2 && take_selection(in, view).ok()) ++count;
  return count;
}

TEST(Messages, AreReadAsTheyWereWritten) {
  Received message(data_request());
  auto reader = MessageReader::open(message.bytes());
  ASSERT_TRUE(reader.ok()) << reader.status().text();
  EXPECT_EQ(reader.value().header().type, MessageType::kDataRequest);
  EXPECT_EQ(reader.value().header().session, 9u);
  EXPECT_EQ(reader.value().header().request_id, 4u);
  ASSERT_NE(reader.value().take<DataRequest>(), nullptr);
  SelectionView view{};
  ASSERT_TRUE(take_selection(reader.value(), view).ok());
  EXPECT_EQ(view.selection->offset, 17u);
  ASSERT_EQ(view.runs.size(), 3u);
  EXPECT_EQ(view.runs[0].levels.size(), 2u);
  EXPECT_EQ(view.bytes, 16u * 4 * 3 + 8 + 50);
  EXPECT_EQ(view.end, 64u + 3 * 256 + 2 * 4096 + 16);
  ASSERT_TRUE(take_selection(reader.value(), view).ok());
  EXPECT_EQ(view.bytes, 1000u);
  EXPECT_TRUE(reader.value().rest().empty());
}

TEST(Messages, CutAtAnyLengthAreRefused) {
  const std::vector<std::byte> whole = data_request();
  SelectionView view{};
  for (size_t length = 0; length < whole.size(); ++length) {
    Received cut(std::span<const std::byte>(whole).first(length));
    EXPECT_EQ(read_selections(cut.bytes(), view), -1) << "the header says more than the " << length << " bytes";
    cut.say_length();
    EXPECT_LT(read_selections(cut.bytes(), view), 2) << length << " of " << whole.size() << " bytes";
  }
  Received longer(whole);
  EXPECT_EQ(read_selections(longer.bytes(), view), 2);
}

TEST(Messages, ThatAreNotAlignedAreRefused) {
  alignas(8) std::byte memory[64] = {};
  const uint32_t length = 24;
  std::memcpy(memory + 1 + offsetof(MessageHeader, length), &length, sizeof length);
  EXPECT_EQ(MessageReader::open({memory + 1, 24}).status().code(), Code::INVALID_ARGUMENT);
}

// What taking a selection of one run says.
std::string refusal(const Selection& selection, const Run& run, const std::vector<RunLevel>& levels) {
  MessageWriter writer;
  writer.begin(MessageType::kDataRequest, 1, 1);
  writer.put(selection);
  writer.put(run);
  for (const RunLevel& level : levels) writer.put(level);
  Received message(writer.finish());
  auto reader = MessageReader::open(message.bytes());
  SelectionView view{};
  const Status status = take_selection(reader.value(), view);
  return status.ok() ? std::string("taken") : status.message();
}

TEST(Messages, CountsThatLieAndSizesThatOverflowAreRefused) {
  const auto has = [](const std::string& words, const char* part) { return words.find(part) != std::string::npos; };
  EXPECT_EQ(refusal({0, 0, 1, 0}, {0, 8, 1, 0}, {{8, 2}}), "taken");
  EXPECT_TRUE(has(refusal({0, 0, kRunsMax + 1, 0}, {0, 8, 0, 0}, {}), "more runs"));
  EXPECT_TRUE(has(refusal({0, 0, 2, 0}, {0, 8, 0, 0}, {}), "a run is cut off"));
  EXPECT_TRUE(has(refusal({0, 0, 1, 0}, {0, 8, kRunLevelsMax + 1, 0}, {}), "more levels"));
  EXPECT_TRUE(has(refusal({0, 0, 1, 0}, {0, 8, 2, 0}, {{8, 2}}), "a level is cut off"));
  EXPECT_TRUE(has(refusal({0, 0, 1, 0}, {0, UINT64_MAX, 1, 0}, {{0, 2}}), "overflows"));
  EXPECT_TRUE(has(refusal({0, 0, 1, 0}, {0, 8, 1, 0}, {{UINT64_MAX, 3}}), "overflows"));
  EXPECT_TRUE(has(refusal({0, 0, 1, 0}, {UINT64_MAX, 8, 0, 0}, {}), "overflows"));
}

// WEFT_SEED replays one.
TEST(Messages, WithAnyBytesChangedNeverReachBehindThemselves) {
  const char* only = std::getenv("WEFT_SEED");
  const uint64_t first = only ? std::strtoull(only, nullptr, 10) : 1;
  const std::vector<std::byte> whole = data_request();
  for (uint64_t seed = first; seed < first + (only ? 1 : 20'000); ++seed) {
    SCOPED_TRACE(join_text("seed ", seed));
    SeededRandom random(seed);
    Received changed(std::span<const std::byte>(whole).first(random.below(whole.size() + 1)));
    for (uint64_t count = random.below(4); count > 0 && !changed.bytes().empty(); --count)
      changed.bytes()[random.below(changed.bytes().size())] = static_cast<std::byte>(random.next());
    changed.say_length();
    SelectionView view{};
    if (read_selections(changed.bytes(), view) < 1) continue;
    const std::byte* end = changed.bytes().data() + changed.bytes().size();
    for (const SelectionView::RunView& run : view.runs) {
      ASSERT_LE(reinterpret_cast<const std::byte*>(run.run + 1), end);
      ASSERT_LE(run.levels.size(), kRunLevelsMax);
    }
  }
}

TEST(Names, AreOfTheCharactersOfAFileName) {
  for (const char* good : {"a", "A-Z_0.9", "quakes"}) EXPECT_TRUE(check_name("topic", good).ok()) << good;
  for (const char* bad : {"", ".", "..", ".hidden", "a/b", "a b", "\xc3\xa4", "a\n"}) {
    EXPECT_EQ(check_name("topic", bad).code(), Code::INVALID_ARGUMENT) << bad;
  }
  EXPECT_TRUE(check_name("topic", std::string(kNameBytesMax, 'x')).ok());
  EXPECT_FALSE(check_name("topic", std::string(kNameBytesMax + 1, 'x')).ok());
}

}  // namespace
}  // namespace weft::wire
