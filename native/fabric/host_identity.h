// Who and where a process is, so that two lanes can tell whether they share a host, a user and a pid namespace, and
// prove it: what is only claimed by an address (a container may copy a boot id) is believed after a nonce was read out
// of the other's memory.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>

namespace weft::fabric {

struct HostIdentity {
  std::array<uint64_t, 2> boot_id{};  // 0 where the system has none: then nobody is on our host
  uint64_t pid_namespace = 0;         // inode
  uint64_t start_time = 0;            // of the process, in clock ticks since boot: a reused pid has another
  uint64_t shm_device = 0;            // device number of /dev/shm; containers may have their own
  uint64_t nonce_address = 0;
  uint64_t nonce = 0;
  uint32_t pid = 0;
  uint32_t user = 0;
};
static_assert(sizeof(HostIdentity) == 64);

// This process's; made once. Any thread. Made anew in a forked child.
const HostIdentity& own_identity();

// Same boot, pid namespace and user: claimed only.
bool claims_same_host(const HostIdentity& other);
// Reads the nonce in the other's memory: proves that it is that process, and that memory can be moved by
// process_vm_readv. 0, or errno (EIO when the nonce is another).
int prove_same_host(const HostIdentity& other);

// The start time of a process, 0 if there is none of this pid.
uint64_t process_start_time(pid_t pid);

}  // namespace weft::fabric
