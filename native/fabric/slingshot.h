// Which Slingshot NIC a process takes, and with which key: a pure function of its environment, of the NICs of the host
// and of where the process runs, so that tests can give it what other machines have. Slingshot lets two processes talk
// only when their endpoints carry the same VNI, which the launcher hands out: one to each step, and one to the whole
// job where that was asked for. libfabric takes the first, the step's, by itself; processes of two steps need the
// job's.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"

namespace weft::fabric {

using Variables = std::map<std::string, std::string>;

struct NetworkDevice {
  std::string name;  // "cxi0"
  // From the process's memory, as the kernel counts (10: the same NUMA node, more: farther); -1: not known.
  int distance = -1;
};

// libfabric's, of rdma/fi_cxi_ext.h, which Debian does not have: the size and the layout are the interface.
struct CxiAuthKey {
  uint32_t service_id = 0;
  uint16_t vni = 0;
};
static_assert(sizeof(CxiAuthKey) == 8);

struct SlingshotChoice {
  std::string device;        // empty: there is no NIC
  bool has_key = false;      // false: libfabric takes the first VNI by itself, or the NIC's default
  CxiAuthKey key;            // of `device`; 0 where no VNI is known
  bool reaches_job = false;  // the VNI is the job's, so that other steps can be reached
  std::string reason;        // for people: why this NIC, why this VNI
};

// WEFT_FABRIC when the launcher's variables contradict themselves or cannot be read; it names the variable.
Result<SlingshotChoice> choose_slingshot(const Variables& environment, const std::vector<NetworkDevice>& devices);

// Those of this process's environment that the choice looks at.
Variables slingshot_variables();

// What helps a process that has no VNI, or only its step's.
const char* slingshot_advice();

}  // namespace weft::fabric
