// How much memory this process can still have before the kernel ends it or another one: what the system says is
// available, or what is left below the limit of its cgroup or one above, whichever is least. Any thread.
#pragma once

#include <cstdint>
#include <string>

namespace weft {

// UINT64_MAX: nothing that can be read says so. What caches of files take counts as available. `root` stands before
// /proc and /sys; tests give one of their own.
uint64_t available_memory_bytes(const std::string& root = "");

}  // namespace weft
