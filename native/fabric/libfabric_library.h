// libfabric, loaded at run time. Never linked: Debian's build takes over SIGTERM, SIGINT, SIGSEGV, SIGBUS and SIGABRT
// from a constructor of a library below it, and the application's MPI may bring its own. No FI_* variable is ever set,
// for the same reason. Any thread; loaded once and never unloaded.
#pragma once

#include <rdma/fabric.h>
#include <signal.h>

#include <array>
#include <string>

#include "base/status.h"

namespace weft::fabric {

// The functions that libfabric exports; all others are inline calls through its objects.
struct LibfabricLibrary {
  decltype(&::fi_getinfo) getinfo;
  decltype(&::fi_freeinfo) freeinfo;
  decltype(&::fi_dupinfo) dupinfo;
  decltype(&::fi_fabric) fabric;
  decltype(&::fi_strerror) strerror;
  decltype(&::fi_version) version;

  // WEFT_FABRIC with the loader's words when it cannot be had.
  static Result<const LibfabricLibrary*> load();
  // "Connection refused (libfabric error 111)"; takes negative numbers too.
  std::string error_text(int64_t error) const;
};

// Keeps the process's signal handlers as they are while foreign code that replaces them runs.
class SignalGuard {
 public:
  SignalGuard();
  ~SignalGuard();
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;

 private:
  static constexpr std::array<int, 8> kSignals = {SIGTERM, SIGINT, SIGSEGV, SIGBUS, SIGABRT, SIGHUP, SIGQUIT, SIGPIPE};
  std::array<struct sigaction, kSignals.size()> saved_;
};

}  // namespace weft::fabric
