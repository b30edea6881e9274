// The one table of what libfabric's providers do differently from what fi_info says. Everything else is read from it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weft::fabric {

struct Quirks {
  const char* name;      // ours
  const char* provider;  // libfabric's, as a hint
  // FI_MULTI_RECV, or single receives of a whole message each.
  bool multi_receive;
  // Longest message given to it, header included; 0: what fi_info says.
  uint32_t message_bytes_max;
  // When its connection to a peer broke, no byte of that peer can arrive any more.
  bool broken_link_revokes;
  // Reaches only processes of this host.
  bool same_host_only;
  // An RMA operation that completes proves that the target's process runs.
  bool operations_prove_life;
  // Over TCP sockets of its own, whose listener needs the limits of tcp_listener.h.
  bool listens_on_tcp;
  // Its NIC and key come from the launcher's variables (slingshot.h).
  bool slingshot;
  const char* reason;
};

// The row for a name; names without a row get a plain one with that provider.
Quirks quirks_of(std::string_view name);

// What "network" tries, best first.
std::vector<std::string> network_providers_by_preference();

}  // namespace weft::fabric
