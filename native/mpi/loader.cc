// Finds the MPI that is in the process, loads the module, and keeps it until the process ends.
#include "mpi/loader.h"

#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <mutex>
#include <set>
#include <vector>

namespace weft {

namespace {
constexpr const char* kModuleDirectory = "WEFTLINE_MPI_MODULE_DIR";

std::string real_path(const std::string& path) {
  char resolved[PATH_MAX];
  return realpath(path.c_str(), resolved) != nullptr ? resolved : path;
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

int remember_name(dl_phdr_info* info, size_t, void* names) {
  if (info->dlpi_name != nullptr) static_cast<std::vector<std::string>*>(names)->push_back(info->dlpi_name);
  return 0;
}

// The file that holds PMPI_Init as seen from `handle`: tools that wrap MPI_Init leave this name to the library.
bool holds_mpi(void* handle, ResidentMpi& found) {
  void* init = dlsym(handle, "PMPI_Init");
  if (init == nullptr) return false;
  Dl_info info = {};
  if (dladdr(init, &info) != 0 && info.dli_fname != nullptr) found.path = real_path(info.dli_fname);
  found.family = dlsym(handle, "ompi_mpi_comm_world") != nullptr ? MpiFamily::kOpenMpi : MpiFamily::kMpich;
  return true;
}

// Every MPI in the process, by file. Libraries loaded with RTLD_LOCAL do not show in RTLD_DEFAULT, so each loaded
// libmpi* is asked by itself; an MPI linked into the program statically shows only in RTLD_DEFAULT.
std::map<std::string, ResidentMpi> all_resident() {
  std::map<std::string, ResidentMpi> found;
  ResidentMpi one;
  if (holds_mpi(RTLD_DEFAULT, one)) found[one.path] = one;
  std::vector<std::string> names;
  dl_iterate_phdr(remember_name, &names);
  for (const std::string& name : names) {
    const std::string base = name.substr(name.rfind('/') + 1);
    if (base.rfind("libmpi", 0) != 0) continue;
    void* handle = dlopen(name.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    if (handle == nullptr) continue;
    ResidentMpi other;
    if (holds_mpi(handle, other)) found[other.path] = other;
    dlclose(handle);
  }
  return found;
}

// The folder of the library (or program) that this code is in.
std::string own_folder() {
  Dl_info info = {};
  if (dladdr(reinterpret_cast<void*>(&own_folder), &info) != 0 && info.dli_fname != nullptr) {
    char resolved[PATH_MAX];
    if (realpath(info.dli_fname, resolved) != nullptr) return folder_of(resolved);
  }
  char program[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (length <= 0) return ".";
  program[length] = 0;
  return folder_of(program);
}

std::vector<std::string> module_folders(const MpiLoadOptions& options, const Environment& environment) {
  if (!options.module_directory.empty()) return {options.module_directory};
  const auto named = environment.find(kModuleDirectory);
  if (named != environment.end() && !named->second.empty()) return {named->second};
  const std::string own = own_folder();
  return {own, own + "/mpi", own + "/../mpi", own + "/weftline"};
}

Result<std::string> find_module(const MpiChoice& choice, const MpiLoadOptions& options,
                                const Environment& environment) {
  if (!choice.module_path.empty()) return choice.module_path;
  const std::string name = join_text("weftline_mpi_", mpi_family_name(choice.family), ".so");
  std::string looked;
  for (const std::string& folder : module_folders(options, environment)) {
    const std::string path = folder + "/" + name;
    if (access(path.c_str(), R_OK) == 0) return real_path(path);
    looked += (looked.empty() ? "" : ", ") + folder;
  }
  return Status(Code::MPI, join_text(name, " was not found in ", looked, "; it is needed because ", choice.reason,
                                     ": build it with that MPI's mpicxx present (-DWEFT_MPI_COMPILERS=…), or set ",
                                     kModuleDirectory, " to its folder"));
}

Status check_table(const weft_mpi_table* table, const std::string& path) {
  if (table == nullptr || table->version != WEFT_MPI_TABLE_VERSION || table->size_bytes < sizeof(weft_mpi_table)) {
    return Status(Code::MPI, join_text(path, " has version ", table == nullptr ? 0 : table->version,
                                       " of the table, this library needs ", WEFT_MPI_TABLE_VERSION,
                                       ": use the module of the same build"));
  }
  return {};
}

// A module made for one library name (libmpich.so.12) brings that library along even where the program has the same
// MPI under another name (libmpi_cray.so.12): two MPIs, of which one was never initialized.
Status check_only_one(const std::string& module_path) {
  const auto resident = all_resident();
  if (resident.size() <= 1) return {};
  std::string names;
  for (const auto& [path, mpi] : resident) names += (names.empty() ? "" : ", ") + path;
  return Status(Code::MPI, join_text("two MPI libraries are in this process (", names, ") since ", module_path,
                                     " was loaded: build the module with the MPI compiler that the program was built "
                                     "with (-DWEFT_MPI_COMPILERS=…)"));
}

Result<LoadedMpi> load_module(LoadedMpi loaded) {
  const std::string& path = loaded.module_path;
  // UCX, below MPICH and others, watches memory for its cache of registrations, and tries its hooks in MPI_Init by
  // moving the end of the heap up and down again: what another thread's malloc got in between is cut off. Node dies of
  // that in about 1 of 25 launches of three ranks (UCX 1.13.1: "address not mapped", an address of the heap). The MPI
  // that is loaded here serves to meet and for small collectives, which need no such cache. A setting of the user
  // stays.
  if (all_resident().empty()) setenv("UCX_MEM_EVENTS", "no", 0);
  // Never closed: an MPI cannot be unloaded.
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr) {
    return Status(Code::MPI, join_text("loading ", path, " failed: ", dlerror(),
                                       "; put the MPI library's folder on LD_LIBRARY_PATH (module load), or build the "
                                       "module again with the MPI in use"));
  }
  const auto get_table = reinterpret_cast<weft_mpi_table_function>(dlsym(handle, WEFT_MPI_TABLE_SYMBOL));
  if (get_table == nullptr) {
    return Status(Code::MPI, join_text(path, " is not a Weftline MPI module: it has no ", WEFT_MPI_TABLE_SYMBOL));
  }
  loaded.table = get_table();
  WEFT_RETURN_IF_ERROR(check_table(loaded.table, path));
  loaded.choice.family = std::string_view(loaded.table->family) == "openmpi" ? MpiFamily::kOpenMpi : MpiFamily::kMpich;
  // Open MPI's plugins look for its symbols in the global scope.
  if (loaded.choice.family == MpiFamily::kOpenMpi &&
      dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD | RTLD_NODELETE) == nullptr) {
    return Status(Code::MPI, join_text("making ", path, " global failed: ", dlerror()));
  }
  WEFT_RETURN_IF_ERROR(check_only_one(path));
  return loaded;
}

std::vector<std::string> all_modules(const MpiLoadOptions& options, const Environment& environment) {
  std::set<std::string> found;
  for (const std::string& folder : module_folders(options, environment)) {
    for (const MpiFamily family : {MpiFamily::kMpich, MpiFamily::kOpenMpi}) {
      const std::string path = folder + "/weftline_mpi_" + mpi_family_name(family) + ".so";
      if (access(path.c_str(), R_OK) == 0) found.insert(real_path(path));
    }
  }
  return {found.begin(), found.end()};
}

Result<LoadedMpi> load_once(const MpiLoadOptions& options) {
  const Environment environment = process_environment();
  Result<ResidentMpi> resident = find_resident_mpi();
  if (!resident.ok()) return resident.status();
  Result<MpiChoice> choice = choose_mpi(environment, resident.value());
  if (!choice.ok()) return choice.status();
  LoadedMpi loaded;
  loaded.choice = choice.take();
  if (loaded.choice.family == MpiFamily::kNone && loaded.choice.module_path.empty()) {
    loaded.table = world_of_one_table();
    return loaded;
  }
  Result<std::string> path = find_module(loaded.choice, options, environment);
  if (!path.ok()) return path.status();
  loaded.module_path = path.take();
  return load_module(std::move(loaded));
}
}  // namespace

Result<ResidentMpi> find_resident_mpi() {
  const auto found = all_resident();
  if (found.empty()) return ResidentMpi{};
  if (found.size() == 1) return found.begin()->second;
  std::string names;
  for (const auto& [path, mpi] : found) names += (names.empty() ? "" : ", ") + path;
  return Status(Code::MPI, join_text("this program has loaded more than one MPI library (", names,
                                     "): link it, and the libraries it uses, with one"));
}

Status plan_mpi(MpiPlan& plan, const MpiLoadOptions& options) {
  const Environment environment = process_environment();
  plan.modules = all_modules(options, environment);
  Result<ResidentMpi> resident = find_resident_mpi();
  WEFT_RETURN_IF_ERROR(resident.status());
  Result<MpiChoice> choice = choose_mpi(environment, resident.value());
  WEFT_RETURN_IF_ERROR(choice.status());
  plan.choice = choice.take();
  if (plan.choice.family == MpiFamily::kNone && plan.choice.module_path.empty()) return {};
  Result<std::string> path = find_module(plan.choice, options, environment);
  WEFT_RETURN_IF_ERROR(path.status());
  plan.module_path = path.take();
  return {};
}

Result<const LoadedMpi*> load_mpi(const MpiLoadOptions& options) {
  static std::mutex mutex;
  static LoadedMpi* kept = nullptr;  // lives as long as the process, as the module does
  std::lock_guard<std::mutex> lock(mutex);
  if (kept == nullptr) {
    Result<LoadedMpi> loaded = load_once(options);
    if (!loaded.ok()) return loaded.status();
    kept = new LoadedMpi(loaded.take());
  }
  return static_cast<const LoadedMpi*>(kept);
}

Result<weft_mpi_facts> init_mpi(const LoadedMpi& mpi) {
  WEFT_RETURN_IF_ERROR(mpi_status(*mpi.table, mpi.table->init()));
  weft_mpi_facts facts = {};
  facts.size_bytes = sizeof facts;
  WEFT_RETURN_IF_ERROR(mpi_status(*mpi.table, mpi.table->facts(&facts)));
  WEFT_RETURN_IF_ERROR(check_world_size(mpi.choice, facts.world_size));
  return facts;
}

Status mpi_status(const weft_mpi_table& table, int code) {
  switch (code) {
    case WEFT_MPI_OK:
      return {};
    case WEFT_MPI_INVALID:
      return Status(Code::INVALID_ARGUMENT, table.error_text());
    case WEFT_MPI_LIMIT:
      return Status(Code::LIMIT, table.error_text());
    case WEFT_MPI_OUT_OF_MEMORY:
      return Status(Code::OUT_OF_MEMORY, table.error_text());
    case WEFT_MPI_UNSUPPORTED:
      return Status(Code::UNSUPPORTED, table.error_text());
    case WEFT_MPI_NOT_INITIALIZED:
      return Status(Code::CLOSED, table.error_text());
    default:
      return Status(Code::MPI, table.error_text());
  }
}

}  // namespace weft
