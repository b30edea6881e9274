#include "fabric/quirks.h"

namespace weft::fabric {

namespace {
constexpr Quirks kQuirks[] = {
    {"tcp", "tcp;ofi_rxm", true, 15 * 1024, true, false, true, true, false,
     "Messages above its eager limit (16 KiB) go by segments or rendezvous: such a message may complete after later "
     "ones, and after its multi-receive buffer was handed back. So no longer one is given to it. Plain tcp has no "
     "FI_EP_RDM before 1.18.1, net's wait descriptor spins, sockets and udp;ofi_rxd hang (1.17.0)."},
    {"libfabric-shm", "shm", false, 0, false, true, false, false, false,
     "Two endpoints in one process with multi-receive crashed (1.17.0), so single receives. CMA moves data without the "
     "target's help, also when it is stopped. Closing a registration does not take access back."},
    {"cxi", "cxi", true, 0, false, false, true, false, true,
     "Not tried on its hardware; everything is taken from fi_info (endpoint-bound registrations, manual progress)."},
    {"verbs", "verbs;ofi_rxm", true, 15 * 1024, false, false, true, false, false,
     "Not tried on its hardware; the same layer above it as with tcp, so the same message limit."},
};
}  // namespace

Quirks quirks_of(std::string_view name) {
  for (const Quirks& quirks : kQuirks) {
    if (name == quirks.name) return quirks;
  }
  return {nullptr, nullptr, false, 0, false, false, false, false, false, "unknown: the careful choice everywhere"};
}

// Not libfabric's whole list: each was chosen, and what is not in it can be named in LaneOptions::transports.
std::vector<std::string> network_providers_by_preference() { return {"cxi", "verbs", "tcp"}; }

}  // namespace weft::fabric
