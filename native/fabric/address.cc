#include "fabric/address.h"

#include <algorithm>

#include "base/checksum.h"
#include "fabric/bytes.h"

namespace weft::fabric {

namespace {
constexpr uint32_t kAddressMagic = 0x414E4C57;  // "WLNA"
constexpr uint8_t kAddressFormat = 1;

Status not_an_address(std::string_view why) {
  return Status(Code::INVALID_ARGUMENT,
                join_text("the lane address is not valid: ", why, "; read it again from where it was published"));
}
}  // namespace

const AddressEntry* LaneAddress::find(std::string_view transport) const {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const AddressEntry& entry) { return entry.transport == transport; });
  return found == entries.end() ? nullptr : &*found;
}

Status version_mismatch(uint8_t theirs) {
  return Status(
      Code::PROTOCOL_VERSION,
      join_text("the other lane speaks lane protocol version ", static_cast<int>(theirs), ", this one version ",
                static_cast<int>(kLaneVersion), "; use one version of Weftline for all processes of the job"));
}

Result<std::string> encode_address(const LaneAddress& address) {
  ByteWriter out;
  out.put(kAddressMagic);
  out.put(kAddressFormat);
  out.put(address.lane_version);
  out.put(static_cast<uint16_t>(address.entries.size()));
  out.put(address.token);
  out.put(address.host);
  for (const AddressEntry& entry : address.entries) {
    out.put(static_cast<uint16_t>(entry.transport.size()));
    out.put_text(entry.transport);
    out.put(static_cast<uint16_t>(entry.bytes.size()));
    out.put_text(entry.bytes);
  }
  out.put(crc32c(out.view()));
  const std::span<const std::byte> bytes = out.view();
  if (bytes.size() > kAddressBytesMax || address.entries.size() > kAddressEntriesMax) {
    return Status(Code::FABRIC, join_text("the lane's address has ", bytes.size(), " bytes, the limit is ",
                                          kAddressBytesMax, "; allow fewer transports"));
  }
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<LaneAddress> decode_address(std::span<const std::byte> bytes, bool any_version) {
  if (bytes.size() < sizeof(uint32_t) + sizeof(kAddressMagic)) return not_an_address("it is too short");
  if (bytes.size() > kAddressBytesMax) return not_an_address("it is too long");
  ByteReader in(bytes.first(bytes.size() - sizeof(uint32_t)));
  ByteReader trailer(bytes.last(sizeof(uint32_t)));
  if (in.get<uint32_t>() != kAddressMagic) return not_an_address("it does not begin as one");
  if (trailer.get<uint32_t>() != crc32c(bytes.first(bytes.size() - sizeof(uint32_t)))) {
    return not_an_address("its checksum does not match");
  }
  LaneAddress address;
  const auto format = in.get<uint8_t>();
  address.lane_version = in.get<uint8_t>();
  if (format != kAddressFormat || (address.lane_version != kLaneVersion && !any_version)) {
    return version_mismatch(address.lane_version);
  }
  const auto count = in.get<uint16_t>();
  if (count > kAddressEntriesMax) return not_an_address("it names too many transports");
  address.token = in.get<LaneToken>();
  address.host = in.get<HostIdentity>();
  for (uint16_t i = 0; i < count; i++) {
    AddressEntry entry;
    entry.transport = in.get_text(in.get<uint16_t>());
    entry.bytes = in.get_text(in.get<uint16_t>());
    address.entries.push_back(std::move(entry));
  }
  if (!in.ok() || in.left() != 0) return not_an_address("its lengths do not add up");
  return address;
}

}  // namespace weft::fabric
