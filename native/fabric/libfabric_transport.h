// Any libfabric provider with FI_EP_RDM, messages and RMA, as a transport: one endpoint, one completion queue.
// libfabric_endpoint.cc opens and closes it, libfabric_memory.cc registers, libfabric_messages.cc sends and receives,
// libfabric_rma.cc reads and writes. What a provider needs is read from its fi_info; oddities are in quirks.cc.
#pragma once

#include <memory>
#include <string>

#include "fabric/quirks.h"
#include "fabric/transport.h"

namespace weft::fabric {

Result<std::unique_ptr<Transport>> open_libfabric_transport(const std::string& name, const LaneOptions& options,
                                                            const LaneToken& token);

}  // namespace weft::fabric
