// The group directory: how a process outside the MPI world finds the job, and how everybody finds a slot again after it
// was restarted. One file for the job (written by slot 0, with the job's secret), one per slot (written by that slot's
// process), each replaced atomically, readable by the owner only. Blocking file I/O: not for the progress thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "wire/handshake.h"

namespace weft::group {

struct ProcessIdentity {
  std::string host;
  std::string boot_id;     // of the running kernel
  uint64_t pid_namespace;  // inode: pids mean something only in the same one
  uint64_t pid;
  uint64_t start_time;  // ticks since boot: tells a reused pid from the first
};
ProcessIdentity this_process();
// True only if it is certain: same boot, same pid namespace, and no such process or another start time.
bool proven_dead(const ProcessIdentity& process);
// True only if it is certain: it runs under this kernel, in this pid namespace, and is not this process.
bool proven_alive(const ProcessIdentity& process);

struct JobRecord {
  wire::Uuid job{};
  wire::Secret secret{};
  uint32_t slot_count = 0;
};
struct SlotRecord {
  wire::Uuid job{};
  uint32_t slot = 0;
  uint32_t epoch = 0;
  std::string address;  // fabric::Lane::address()
  ProcessIdentity process;
};

// Makes the directory (mode 0700) if need be. WEFT_NOT_WRITABLE, WEFT_IO.
Status write_job(const std::string& directory, const JobRecord& record);
Status write_slot(const std::string& directory, const SlotRecord& record);
// WEFT_GROUP_MISSING, WEFT_GROUP_UNREADABLE (permissions, owner, damage).
Result<JobRecord> read_job(const std::string& directory);
// WEFT_GROUP_MISSING when the slot has no file; WEFT_GROUP_STALE when its process is proven dead.
Result<SlotRecord> read_slot(const std::string& directory, uint32_t slot);
// At a clean end. A file that is not there is fine; the directory goes with its last file.
Status remove_slot(const std::string& directory, uint32_t slot);
Status remove_job(const std::string& directory);

}  // namespace weft::group
