// The bytes between two lanes: a header of 32 bytes before every message, and the bodies with which lanes introduce
// themselves. Little-endian, no I/O, any thread. docs/fabric.md has the tables.
//
// What never changes in any version: the header, and the body of kHello and kReject; so that two versions can at least
// tell each other which they are.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weft::fabric {

constexpr uint32_t kLaneMagic = 0x314E4C57;  // "WLN1"
constexpr uint8_t kLaneVersion = 1;

enum class Kind : uint8_t {
  kMessage = 0,    // the application's; may be one of several pieces (kFlagMore)
  kHello = 1,      // "I am this lane; may I talk to you?"
  kWelcome = 2,    // the answer: "yes, name me so"
  kReject = 3,     // the other answer: a code and words
  kHeartbeat = 4,  // nothing but a sign of life
  kGoodbye = 5,    // the sender forgets the receiver
};

constexpr uint8_t kFlagMore = 1;    // kMessage: the next message of this peer continues this one
constexpr uint8_t kFlagBundle = 2;  // kMessage: it is several, each behind a BundleEntry and padded to 8
constexpr uint8_t kFlagQuiet = 1;   // kGoodbye: no operation of the sender on the receiver's memory is under way

struct LaneHeader {
  uint32_t magic = kLaneMagic;
  uint8_t version = kLaneVersion;
  Kind kind = Kind::kMessage;
  uint8_t flags = 0;
  uint8_t zero = 0;
  uint32_t length = 0;    // bytes of the body, without the padding to 8
  uint32_t checksum = 0;  // CRC32C of body, then of this header with checksum 0
  uint64_t receiver = 0;  // the PeerId that the receiver gave to the sender; 0 in kHello
  uint64_t sequence = 0;  // counts up by 1 per message from a peer, from 1; 0 in kHello, kWelcome, kReject
};
static_assert(sizeof(LaneHeader) == 32);

struct BundleEntry {
  uint32_t length = 0;  // of the message behind it, without the padding
  uint32_t zero = 0;
};
static_assert(sizeof(BundleEntry) == 8);

// Bytes on the wire of a body: header, body, padding, so that the next message in a receive buffer is aligned too.
constexpr uint64_t wire_length(uint64_t body_length) { return sizeof(LaneHeader) + ((body_length + 7) & ~uint64_t{7}); }

using Pieces = std::span<const std::span<const std::byte>>;
uint64_t pieces_length(Pieces pieces);

// Sets length and checksum.
void seal_header(LaneHeader& header, Pieces pieces);

enum class HeaderFault { kNone, kNotOurs, kOtherVersion, kDamaged };
// Reads the header and checks magic, length and checksum. kOtherVersion: all of that is right, the version is not ours.
HeaderFault parse_message(std::span<const std::byte> wire, LaneHeader& header, std::span<const std::byte>& body);

struct LaneToken {
  std::array<uint64_t, 2> words{};
  bool operator==(const LaneToken&) const = default;
};

struct Hello {
  LaneToken sender;
  LaneToken receiver;        // whom the sender believes to reach
  uint64_t sender_peer = 0;  // how to name the sender's peer in answers
  std::span<const std::byte> address;
};
std::vector<std::byte> encode_hello(const Hello& hello);
std::optional<Hello> decode_hello(std::span<const std::byte> body);

struct Welcome {
  LaneToken sender;
  uint64_t sender_peer = 0;
};
std::vector<std::byte> encode_welcome(const Welcome& welcome);
std::optional<Welcome> decode_welcome(std::span<const std::byte> body);

struct Reject {
  uint32_t code = 0;
  std::string text;
};
constexpr size_t kRejectTextBytesMax = 512;
std::vector<std::byte> encode_reject(const Reject& reject);
std::optional<Reject> decode_reject(std::span<const std::byte> body);

}  // namespace weft::fabric
