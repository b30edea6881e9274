#include "fabric/libfabric_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>

#include "fabric/exit_gate.h"
#include "fabric/locality.h"

namespace weft::fabric {

SignalGuard::SignalGuard() {
  for (size_t i = 0; i < kSignals.size(); i++) {
    const int got = sigaction(kSignals[i], nullptr, &saved_[i]);
    WEFT_ASSERT(got == 0);
  }
}

SignalGuard::~SignalGuard() {
  for (size_t i = 0; i < kSignals.size(); i++) {
    const int set = sigaction(kSignals[i], &saved_[i], nullptr);
    WEFT_ASSERT(set == 0);
  }
}

namespace {
constexpr char kLibraryName[] = "libfabric.so.1";

Result<const LibfabricLibrary*> load_once() {
  // The two switches of the infinipath library that replaces the handlers; left alone if the user set them.
  setenv("IPATH_NO_BACKTRACE", "1", 0);
  setenv("HFI_NO_BACKTRACE", "1", 0);
  // A child process of the application would take pages away from under a Slingshot NIC (libcxi looks once, early).
  if (!devices_of_class("cxi", -1).empty()) setenv("CXI_FORK_SAFE", "1", 0);
  const SignalGuard guard;
  void* handle = dlopen(kLibraryName, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    return Status(Code::FABRIC, join_text("loading ", kLibraryName, ": ", dlerror(),
                                          "; install libfabric (Debian: libfabric1) or set LD_LIBRARY_PATH"));
  }
  static LibfabricLibrary library;
  std::string missing;
  const auto find = [&](const char* name, auto& function) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, name));
    if (function == nullptr) missing = name;
  };
  find("fi_getinfo", library.getinfo);
  find("fi_freeinfo", library.freeinfo);
  find("fi_dupinfo", library.dupinfo);
  find("fi_fabric", library.fabric);
  find("fi_strerror", library.strerror);
  find("fi_version", library.version);
  if (!missing.empty()) {
    return Status(Code::FABRIC, join_text(kLibraryName, " has no function ", missing, "; use libfabric 1.15 or newer"));
  }
  watch_exit();
  return static_cast<const LibfabricLibrary*>(&library);
}
}  // namespace

Result<const LibfabricLibrary*> LibfabricLibrary::load() {
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  static const Result<const LibfabricLibrary*> loaded = load_once();
  return loaded;
}

std::string LibfabricLibrary::error_text(int64_t error) const {
  const int number = static_cast<int>(error < 0 ? -error : error);
  return join_text(strerror(number), " (libfabric error ", number, ")");
}

}  // namespace weft::fabric
