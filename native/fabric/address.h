// A lane's address: the opaque bytes that others give to connect(). Magic, versions, the lane's random token, the
// identity of its process, one entry per transport, and a checksum over all. Parsing is bounded and checks everything,
// because addresses come from files and messages.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "fabric/host_identity.h"
#include "fabric/protocol.h"

namespace weft::fabric {

constexpr size_t kAddressBytesMax = 1024;
constexpr size_t kAddressEntriesMax = 16;

struct AddressEntry {
  std::string transport;
  std::string bytes;  // the transport's own
};

struct LaneAddress {
  uint8_t lane_version = kLaneVersion;
  LaneToken token;
  HostIdentity host;
  std::vector<AddressEntry> entries;

  const AddressEntry* find(std::string_view transport) const;
};

// Fails with WEFT_FABRIC when it would be longer than kAddressBytesMax.
Result<std::string> encode_address(const LaneAddress& address);
// WEFT_INVALID_ARGUMENT when the bytes are no address; WEFT_PROTOCOL_VERSION when they are one of another version.
// `any_version`: the layout is the same in all versions; to be able to answer another one.
Result<LaneAddress> decode_address(std::span<const std::byte> bytes, bool any_version = false);

// What both versions are called in a message.
Status version_mismatch(uint8_t theirs);

}  // namespace weft::fabric
