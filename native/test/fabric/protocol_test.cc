// What a peer may put on the wire of a lane: cut, changed, made up. It is refused, or it is whole: the checksum covers
// header and body. WEFT_SEED replays one seed.
#include "fabric/protocol.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "base/random.h"
#include "base/status.h"
#include "fabric/address.h"

namespace weft::fabric::test {
namespace {

constexpr uint64_t kSeeds = 20'000;

std::vector<std::byte> message_of(Kind kind, std::span<const std::byte> body) {
  LaneHeader header;
  header.kind = kind;
  header.receiver = 7;
  header.sequence = 3;
  const std::span<const std::byte> pieces[] = {body};
  seal_header(header, pieces);
  std::vector<std::byte> wire(wire_length(body.size()));
  std::memcpy(wire.data(), &header, sizeof header);
  std::copy(body.begin(), body.end(), wire.begin() + sizeof header);
  return wire;
}

std::vector<std::byte> hello_body() {
  static constexpr char kAddress[] = "an address of twenty-nine byte";
  Hello hello;
  hello.sender.words = {1, 2};
  hello.receiver.words = {3, 4};
  hello.sender_peer = 9;
  hello.address = std::as_bytes(std::span(kAddress));
  return encode_hello(hello);
}

TEST(LaneProtocol, ReadsWhatItWrote) {
  const auto body = hello_body();
  LaneHeader header;
  std::span<const std::byte> got;
  const auto wire = message_of(Kind::kHello, body);
  ASSERT_EQ(parse_message(wire, header, got), HeaderFault::kNone);
  EXPECT_EQ(header.receiver, 7u);
  const auto hello = decode_hello(got);
  ASSERT_TRUE(hello.has_value());
  EXPECT_EQ(hello->receiver, (LaneToken{{3, 4}}));
  const auto reject = decode_reject(encode_reject({42, "no room"}));
  ASSERT_TRUE(reject.has_value());
  EXPECT_EQ(reject->text, "no room");
  const auto welcome = decode_welcome(encode_welcome({{{5, 6}}, 8}));
  ASSERT_TRUE(welcome.has_value());
  EXPECT_EQ(welcome->sender_peer, 8u);
}

TEST(LaneProtocol, BodiesCutAtAnyLengthAreRefusedOrShorter) {
  const auto whole = hello_body();
  for (size_t length = 0; length < whole.size(); ++length) {
    const std::vector<std::byte> cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length));
    const auto hello = decode_hello(cut);
    EXPECT_TRUE(!hello || hello->address.size() < length) << length;
    static_cast<void>(decode_welcome(cut));
    const auto reject = decode_reject(cut);
    EXPECT_TRUE(!reject || reject->text.size() <= kRejectTextBytesMax) << length;
  }
}

TEST(LaneProtocol, ChangedOrCutMessagesAreNeverTaken) {
  const char* only = std::getenv("WEFT_SEED");
  const uint64_t first = only ? std::strtoull(only, nullptr, 10) : 1;
  const auto whole = message_of(Kind::kHello, hello_body());
  const size_t sealed = sizeof(LaneHeader) + hello_body().size();  // behind it is padding, which nobody reads
  for (uint64_t seed = first; seed < first + (only ? 1 : kSeeds); ++seed) {
    SeededRandom random(seed);
    std::vector<std::byte> changed = whole;
    if (random.chance(1, 4)) changed.resize(random.below(sealed));
    if (!changed.empty()) {
      const size_t at = random.below(std::min(changed.size(), sealed));
      changed[at] ^= static_cast<std::byte>(1 + random.below(255));
    }
    LaneHeader header;
    std::span<const std::byte> body;
    EXPECT_NE(parse_message(changed, header, body), HeaderFault::kNone) << "seed " << seed;
  }
}

TEST(LaneProtocol, AddressesOfAnyBytesAreRefused) {
  const char* only = std::getenv("WEFT_SEED");
  const uint64_t first = only ? std::strtoull(only, nullptr, 10) : 1;
  LaneAddress address;
  address.lane_version = kLaneVersion;
  address.entries = {{"tcp", "127.0.0.1:4000"}, {"shm", "4711"}};
  const std::string whole = encode_address(address).value();
  ASSERT_TRUE(decode_address(std::as_bytes(std::span(whole)), false).ok());
  for (uint64_t seed = first; seed < first + (only ? 1 : kSeeds); ++seed) {
    SeededRandom random(seed);
    std::string changed = whole.substr(0, 1 + random.below(whole.size()));
    changed[random.below(changed.size())] ^= static_cast<char>(1 + random.below(255));
    EXPECT_FALSE(decode_address(std::as_bytes(std::span(changed)), false).ok()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace weft::fabric::test
