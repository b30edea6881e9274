// Peers in one process: another lane, or this one itself. Messages are copied into the target's inbox, RMA is memcpy by
// the thread that asked for it. Real, not a stand-in for tests: a server and a client in one process use it.
// Closing a registration takes the access back: it waits for a copy under way, and later ones find no key.
#pragma once

#include <memory>

#include "base/doorbell.h"
#include "fabric/transport.h"

namespace weft::fabric {

// `doorbell` wakes the lane's thread.
std::unique_ptr<Transport> make_inprocess_transport(const LaneToken& token, std::shared_ptr<Doorbell> doorbell);

}  // namespace weft::fabric
