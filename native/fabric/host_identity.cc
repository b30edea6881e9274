#include "fabric/host_identity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>

#include "base/random.h"

namespace weft::fabric {

namespace {

// Small files of /proc; "" when it cannot be read.
std::string read_small_file(const char* path) {
  const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return {};
  char buffer[1024];
  const ssize_t got = read(descriptor, buffer, sizeof buffer);
  close(descriptor);
  return got > 0 ? std::string(buffer, static_cast<size_t>(got)) : std::string();
}

std::array<uint64_t, 2> read_boot_id() {
  std::array<uint64_t, 2> words{};
  int digits = 0;
  for (const char c : read_small_file("/proc/sys/kernel/random/boot_id")) {
    const int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (value < 0 || digits == 32) continue;
    uint64_t& word = words[static_cast<size_t>(digits / 16)];
    word = word << 4 | static_cast<uint64_t>(value);
    digits++;
  }
  return words;
}

uint64_t nonce_memory = 0;

HostIdentity make_identity() {
  HostIdentity identity;
  identity.boot_id = read_boot_id();
  struct stat entry {};
  if (stat("/proc/self/ns/pid", &entry) == 0) identity.pid_namespace = entry.st_ino;
  if (stat("/dev/shm", &entry) == 0) identity.shm_device = entry.st_dev;
  identity.pid = static_cast<uint32_t>(getpid());
  identity.user = static_cast<uint32_t>(geteuid());
  identity.start_time = process_start_time(getpid());
  nonce_memory = secure_random_u64();
  identity.nonce = nonce_memory;
  identity.nonce_address = reinterpret_cast<uint64_t>(&nonce_memory);
  return identity;
}

}  // namespace

uint64_t process_start_time(pid_t pid) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(pid));
  const std::string text = read_small_file(path);
  // The second field is the program's name in brackets and may hold anything: count from the last bracket.
  size_t at = text.rfind(')');
  if (at == std::string::npos) return 0;
  for (int field = 2; field < 22; field++) {
    at = text.find(' ', at + 1);
    if (at == std::string::npos) return 0;
  }
  return std::strtoull(text.c_str() + at + 1, nullptr, 10);
}

const HostIdentity& own_identity() {
  static std::mutex mutex;
  static HostIdentity& identity = *new HostIdentity;  // never destroyed: used while the process ends
  const std::lock_guard<std::mutex> lock(mutex);
  if (identity.pid != static_cast<uint32_t>(getpid())) identity = make_identity();
  return identity;
}

bool claims_same_host(const HostIdentity& other) {
  const HostIdentity& own = own_identity();
  return own.boot_id[0] != 0 && own.boot_id == other.boot_id && own.pid_namespace != 0 &&
         own.pid_namespace == other.pid_namespace && own.user == other.user;
}

int prove_same_host(const HostIdentity& other) {
  uint64_t seen = 0;
  const iovec local{&seen, sizeof seen};
  const iovec remote{reinterpret_cast<void*>(other.nonce_address), sizeof seen};
  const ssize_t got = process_vm_readv(static_cast<pid_t>(other.pid), &local, 1, &remote, 1, 0);
  if (got < 0) return errno;
  return got == sizeof seen && seen == other.nonce ? 0 : EIO;
}

}  // namespace weft::fabric
