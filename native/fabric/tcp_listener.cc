#include "fabric/tcp_listener.h"

#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <charconv>
#include <cstring>
#include <memory>

namespace weft::fabric {

namespace {
// A connection request is two small pieces that are sent as one. Whoever sends the first alone and waits held up the
// whole lane for ever (libfabric 1.17.0); now for so long, once.
constexpr suseconds_t kRequestUsMax = 50'000;

// Family, port and address; the rest of a sockaddr_in is padding.
bool same_address(const sockaddr_storage& one, const std::string& other) {
  sockaddr_storage wanted{};
  if (other.size() > sizeof wanted) return false;
  std::memcpy(&wanted, other.data(), other.size());
  if (one.ss_family != wanted.ss_family) return false;
  if (one.ss_family == AF_INET) {
    const auto& a = reinterpret_cast<const sockaddr_in&>(one);
    const auto& b = reinterpret_cast<const sockaddr_in&>(wanted);
    return a.sin_port == b.sin_port && a.sin_addr.s_addr == b.sin_addr.s_addr;
  }
  if (one.ss_family != AF_INET6) return false;
  const auto& a = reinterpret_cast<const sockaddr_in6&>(one);
  const auto& b = reinterpret_cast<const sockaddr_in6&>(wanted);
  return a.sin6_port == b.sin6_port && std::memcmp(&a.sin6_addr, &b.sin6_addr, sizeof a.sin6_addr) == 0;
}

bool listens_at(int descriptor, const std::string& address) {
  int listens = 0;
  socklen_t length = sizeof listens;
  if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0 || listens == 0) return false;
  sockaddr_storage bound{};
  length = sizeof bound;
  return getsockname(descriptor, reinterpret_cast<sockaddr*>(&bound), &length) == 0 && same_address(bound, address);
}

bool limit(int descriptor, uint32_t peer_timeout_ms) {
  const timeval request{0, kRequestUsMax};
  return setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &request, sizeof request) == 0 &&
         setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &peer_timeout_ms, sizeof peer_timeout_ms) == 0;
}
}  // namespace

bool limit_tcp_listener(const std::string& address, uint32_t peer_timeout_ms) {
  // libfabric shows its sockets to nobody.
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc/self/fd"), closedir);
  if (folder == nullptr) return false;
  bool limited = false;
  while (const dirent* entry = readdir(folder.get())) {
    int descriptor = -1;
    const char* end = entry->d_name + std::strlen(entry->d_name);
    if (std::from_chars(entry->d_name, end, descriptor).ptr != end) continue;  // "." and ".."
    if (listens_at(descriptor, address)) limited |= limit(descriptor, peer_timeout_ms);
  }
  return limited;
}

}  // namespace weft::fabric
