#include "fabric/protocol.h"

#include <algorithm>

#include "base/checksum.h"
#include "fabric/bytes.h"

namespace weft::fabric {

namespace {
uint32_t checksum_of(LaneHeader header, uint32_t body_checksum) {
  header.checksum = 0;
  return crc32c(&header, sizeof header, body_checksum);
}
}  // namespace

uint64_t pieces_length(Pieces pieces) {
  uint64_t length = 0;
  for (const auto& piece : pieces) length += piece.size();
  return length;
}

void seal_header(LaneHeader& header, Pieces pieces) {
  uint64_t length = 0;
  uint32_t checksum = 0;
  for (const auto& piece : pieces) {
    checksum = crc32c(piece, checksum);
    length += piece.size();
  }
  header.length = static_cast<uint32_t>(length);
  header.checksum = checksum_of(header, checksum);
}

HeaderFault parse_message(std::span<const std::byte> wire, LaneHeader& header, std::span<const std::byte>& body) {
  if (wire.size() < sizeof(LaneHeader)) return HeaderFault::kNotOurs;
  std::memcpy(&header, wire.data(), sizeof header);
  if (header.magic != kLaneMagic) return HeaderFault::kNotOurs;
  if (header.length > wire.size() - sizeof header) return HeaderFault::kDamaged;
  body = wire.subspan(sizeof header, header.length);
  if (header.checksum != checksum_of(header, crc32c(body))) return HeaderFault::kDamaged;
  if (header.version != kLaneVersion) return HeaderFault::kOtherVersion;
  return HeaderFault::kNone;
}

std::vector<std::byte> encode_hello(const Hello& hello) {
  ByteWriter out;
  out.put(hello.sender);
  out.put(hello.receiver);
  out.put(hello.sender_peer);
  out.put(static_cast<uint32_t>(hello.address.size()));
  out.put_bytes(hello.address);
  return out.take();
}

std::optional<Hello> decode_hello(std::span<const std::byte> body) {
  ByteReader in(body);
  Hello hello;
  hello.sender = in.get<LaneToken>();
  hello.receiver = in.get<LaneToken>();
  hello.sender_peer = in.get<uint64_t>();
  hello.address = in.get_bytes(in.get<uint32_t>());
  if (!in.ok() || hello.sender_peer == 0) return std::nullopt;
  return hello;
}

std::vector<std::byte> encode_welcome(const Welcome& welcome) {
  ByteWriter out;
  out.put(welcome.sender);
  out.put(welcome.sender_peer);
  return out.take();
}

std::optional<Welcome> decode_welcome(std::span<const std::byte> body) {
  ByteReader in(body);
  Welcome welcome;
  welcome.sender = in.get<LaneToken>();
  welcome.sender_peer = in.get<uint64_t>();
  if (!in.ok() || welcome.sender_peer == 0) return std::nullopt;
  return welcome;
}

std::vector<std::byte> encode_reject(const Reject& reject) {
  ByteWriter out;
  const std::string_view text = std::string_view(reject.text).substr(0, kRejectTextBytesMax);
  out.put(reject.code);
  out.put(static_cast<uint32_t>(text.size()));
  out.put_text(text);
  return out.take();
}

std::optional<Reject> decode_reject(std::span<const std::byte> body) {
  ByteReader in(body);
  Reject reject;
  reject.code = in.get<uint32_t>();
  const auto length = in.get<uint32_t>();
  if (length > kRejectTextBytesMax) return std::nullopt;
  reject.text = in.get_text(length);
  if (!in.ok()) return std::nullopt;
  return reject;
}

}  // namespace weft::fabric
