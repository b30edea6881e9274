// What libfabric's tcp leaves open on the socket it listens on. It accepts connections that stay blocking until their
// request has been read, on the thread that makes progress, and has no limit for a peer that acknowledges nothing.
// Accepted sockets inherit both limits set here.
#pragma once

#include <cstdint>
#include <string>

namespace weft::fabric {

// `address`: a sockaddr as fi_getname gives it. True if the listening socket was found and both limits were set.
bool limit_tcp_listener(const std::string& address, uint32_t peer_timeout_ms);

}  // namespace weft::fabric
