// Peers on the same host: messages through rings in shared memory, RMA by process_vm_readv/writev on the thread that
// asked for it, a doorbell for a receiver that sleeps. Our own, because libfabric's shm (1.17.0) has no wait object,
// fills its target's queue with RMA until that target runs, does not take access back, replaces signal handlers and
// leaves files in /dev/shm (docs/fabric.md); that one can be chosen as "libfabric-shm".
//
// Fault model. Each link has a unix socket that carries nothing after the set-up: its end is the end of the peer's
// process or of its lane, and since a lane closes it only after its last copy, nothing of that peer can touch our
// memory any more. A stopped peer is noticed by the lane's heartbeats. Closing a registration stops every later piece
// (1 MiB) of a peer's transfer, not the one under way.
#pragma once

#include <memory>

#include "fabric/transport.h"

namespace weft::fabric {

Result<std::unique_ptr<Transport>> make_shm_transport(const LaneToken& token, const LaneOptions& options);

}  // namespace weft::fabric
