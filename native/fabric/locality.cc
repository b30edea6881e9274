#include "fabric/locality.h"

#include <dirent.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>

namespace weft::fabric {

namespace {
constexpr int kNodesMax = 1024;
constexpr int kCpusMax = 8192;

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> opened(opendir(directory.c_str()), closedir);
  if (opened == nullptr) return names;
  while (const dirent* entry = readdir(opened.get())) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  // cxi2 before cxi10.
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() < b.size() : a < b;
  });
  return names;
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// "0-3,8" as the kernel writes lists of CPUs: whether one of them is allowed.
bool any_allowed(const std::string& list, const cpu_set_t* allowed, size_t bytes) {
  std::istringstream parts(list);
  for (std::string part; std::getline(parts, part, ',');) {
    char* end = nullptr;
    const long first = strtol(part.c_str(), &end, 10);
    const long last = *end == '-' ? strtol(end + 1, nullptr, 10) : first;
    for (long cpu = std::max(0L, first); cpu <= std::min<long>(last, kCpusMax - 1); cpu++) {
      if (CPU_ISSET_S(static_cast<size_t>(cpu), bytes, allowed)) return true;
    }
  }
  return false;
}
}  // namespace

int own_numa_node(const std::string& sys) {
  const size_t bytes = CPU_ALLOC_SIZE(kCpusMax);
  const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> allowed(CPU_ALLOC(kCpusMax),
                                                                 [](cpu_set_t* set) { CPU_FREE(set); });
  if (allowed == nullptr || sched_getaffinity(0, bytes, allowed.get()) != 0) return -1;
  int found = -1;
  for (const std::string& name : names_in(sys + "/devices/system/node")) {
    if (name.rfind("node", 0) != 0 || name.size() < 5) continue;
    const std::string cpus = first_line(sys + "/devices/system/node/" + name + "/cpulist");
    if (cpus.empty() || !any_allowed(cpus, allowed.get(), bytes)) continue;
    if (found >= 0) return -1;
    found = atoi(name.c_str() + 4);
  }
  return found;
}

std::vector<NetworkDevice> devices_of_class(const std::string& name, int numa_node, const std::string& sys) {
  std::vector<int> distances;
  if (numa_node >= 0) {
    std::istringstream line(first_line(sys + "/devices/system/node/node" + std::to_string(numa_node) + "/distance"));
    for (int distance; distances.size() < kNodesMax && line >> distance;) distances.push_back(distance);
  }
  std::vector<NetworkDevice> devices;
  for (const std::string& device : names_in(sys + "/class/" + name)) {
    const std::string text = first_line(sys + "/class/" + name + "/" + device + "/device/numa_node");
    const int node = text.empty() ? -1 : atoi(text.c_str());
    const bool known = node >= 0 && static_cast<size_t>(node) < distances.size();
    devices.push_back({device, known ? distances[static_cast<size_t>(node)] : -1});
  }
  return devices;
}

}  // namespace weft::fabric
