#include "fabric/left_over_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "fabric/host_identity.h"

namespace weft::fabric {

std::string left_over_file_name(uint64_t random) {
  const HostIdentity& own = own_identity();
  char name[96];
  std::snprintf(name, sizeof name, "weftline-%llx-%x-%llx-%08llx", static_cast<unsigned long long>(own.pid_namespace),
                own.pid, static_cast<unsigned long long>(own.start_time),
                static_cast<unsigned long long>(random & 0xFFFFFFFFu));
  return name;
}

void remove_left_over_files() {
  DIR* folder = ::opendir("/dev/shm");
  if (folder == nullptr) return;  // then there is nothing of ours in it
  const HostIdentity& own = own_identity();
  while (const dirent* entry = ::readdir(folder)) {
    unsigned long long pid_namespace = 0;
    unsigned long long start = 0;
    unsigned int pid = 0;
    if (std::sscanf(entry->d_name, "weftline-%llx-%x-%llx-", &pid_namespace, &pid, &start) != 3) continue;
    struct stat status {};
    if (pid_namespace != own.pid_namespace || pid == 0 || start == 0 ||
        ::fstatat(::dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode) ||
        status.st_uid != own.user || process_start_time(static_cast<pid_t>(pid)) == start) {
      continue;
    }
    // Another process may remove it at the same time: then it is gone, which is what was wanted.
    static_cast<void>(::unlinkat(::dirfd(folder), entry->d_name, 0));
  }
  ::closedir(folder);
}

}  // namespace weft::fabric
