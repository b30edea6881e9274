// The network cards of this host and how far they are from the process, out of /sys. Any thread; reads files.
#pragma once

#include <string>
#include <vector>

#include "fabric/slingshot.h"

namespace weft::fabric {

// The NUMA node that all CPUs this thread may use belong to; -1: several, or not known.
int own_numa_node(const std::string& sys = "/sys");
// The devices of a class ("cxi"), by name, with their distances from a NUMA node (-1: none is known).
std::vector<NetworkDevice> devices_of_class(const std::string& name, int numa_node, const std::string& sys = "/sys");

}  // namespace weft::fabric
