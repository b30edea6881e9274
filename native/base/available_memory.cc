#include "base/available_memory.h"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace weft {

namespace {

constexpr uint64_t kUnknown = UINT64_MAX;

// The number behind `key` at the start of a line; with no key the first word of the file. "max" is no number.
uint64_t number_in(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  std::string word;
  uint64_t number = 0;
  if (key.empty()) return file >> number ? number : kUnknown;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    if (words >> word && word == key && words >> number) return number;
  }
  return kUnknown;
}

struct CgroupNames {
  const char* limit;
  const char* usage;
  const char* inactive_file;
  const char* active_file;
};
constexpr CgroupNames kVersion1 = {"/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file",
                                   "total_active_file"};
constexpr CgroupNames kVersion2 = {"/memory.max", "/memory.current", "inactive_file", "active_file"};

uint64_t left_in(const std::string& directory, const CgroupNames& names) {
  const uint64_t limit = number_in(directory + names.limit, "");
  const uint64_t usage = number_in(directory + names.usage, "");
  if (limit == kUnknown || usage == kUnknown) return kUnknown;
  uint64_t taken = usage;
  for (const char* cache : {names.inactive_file, names.active_file}) {
    const uint64_t bytes = number_in(directory + "/memory.stat", cache);
    if (bytes != kUnknown) taken -= std::min(taken, bytes);
  }
  return limit - std::min(limit, taken);
}

// A limit holds for all groups below it. Inside a container the path may be that of outside: what is there counts.
uint64_t left_upwards(const std::string& mount, std::string path, const CgroupNames& names) {
  uint64_t least = left_in(mount, names);
  while (path.size() > 1) {
    least = std::min(least, left_in(mount + path, names));
    path.resize(path.rfind('/'));
  }
  return least;
}

}  // namespace

uint64_t available_memory_bytes(const std::string& root) {
  uint64_t least = kUnknown;
  const uint64_t kibibytes = number_in(root + "/proc/meminfo", "MemAvailable:");
  if (kibibytes != kUnknown) least = kibibytes * 1024;
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    // "hierarchy:controllers:/path"; version 2 has no controllers.
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos || line.compare(second + 1, 1, "/") != 0) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = line.substr(second + 1);
    if (controllers == ",,") {
      least = std::min(least, left_upwards(root + "/sys/fs/cgroup", path, kVersion2));
    } else if (controllers.find(",memory,") != std::string::npos) {
      least = std::min(least, left_upwards(root + "/sys/fs/cgroup/memory", path, kVersion1));
    }
  }
  return least;
}

}  // namespace weft
