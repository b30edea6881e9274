// Chooses the MPI of this process and loads its module: the only way from Weftline to MPI.
// Owns no thread; load_mpi() may be called from any thread and does its work once per process. Promises that never
// two MPI libraries meet in one process, and that a launcher and a library that do not belong together are noticed
// (MPI itself does not: every process is then alone in a world of size 1). A process with no launcher and no MPI gets
// a world of one through the same table, with no MPI loaded. What can fail: no module for the launcher's MPI, a module
// that does not load or has another version, a second MPI, MPI_Init itself.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "mpi/mpi_table.h"

namespace weft {

enum class MpiFamily { kNone, kMpich, kOpenMpi };

// "none", "mpich", "openmpi": the words of WEFTLINE_MPI and of weft_mpi_table.family.
const char* mpi_family_name(MpiFamily family);

// The variables of the process; a map, so that the choice is a pure function that tests can call.
using Environment = std::map<std::string, std::string>;
Environment process_environment();

// An MPI library that is in the process already (a C program linked with it); path is empty when it is not a file.
struct ResidentMpi {
  MpiFamily family = MpiFamily::kNone;
  std::string path;
};
Result<ResidentMpi> find_resident_mpi();

struct MpiChoice {
  MpiFamily family = MpiFamily::kNone;
  std::string module_path;      // an explicit path from WEFTLINE_MPI; otherwise empty
  std::string reason;           // for people: "PMI_RANK is set (hydra, Slurm pmi2, PALS)"
  int64_t expected_size = 0;    // ranks that the launcher says it started; 0 when it does not say
  std::string expected_source;  // the variable that expected_size is from
};

// Order: WEFTLINE_MPI (mpich, openmpi, none, or the path of a module), the resident MPI, the launcher's variables.
Result<MpiChoice> choose_mpi(const Environment& environment, const ResidentMpi& resident);

// WEFT_MPI_WRONG_LAUNCHER when the launcher started more processes than the world has ranks.
Status check_world_size(const MpiChoice& choice, int64_t world_size);

struct LoadedMpi {
  const weft_mpi_table* table = nullptr;
  MpiChoice choice;
  std::string module_path;  // empty for a world of one
};

struct MpiLoadOptions {
  // Where the modules lie; empty: WEFTLINE_MPI_MODULE_DIR, else the folder of the library that holds this code, else
  // the folder mpi/ in it.
  std::string module_directory;
};

// Chooses and loads, once; later calls return the same. MPI is not initialized yet.
Result<const LoadedMpi*> load_mpi(const MpiLoadOptions& options = {});

// What load_mpi() would load, and what else lies there; nothing is loaded.
struct MpiPlan {
  MpiChoice choice;
  std::string module_path;           // empty for a world of one
  std::vector<std::string> modules;  // every weftline_mpi_*.so in the folders that are looked at
};
// The errors of load_mpi(), as far as they show without loading; `modules` of `plan` is filled all the same.
Status plan_mpi(MpiPlan& plan, const MpiLoadOptions& options = {});

// table->init(), then the facts, then check_world_size. Collective over MPI_COMM_WORLD if MPI is not initialized yet.
Result<weft_mpi_facts> init_mpi(const LoadedMpi& mpi);

// The table for a world of one: every collective is a copy. Never fails to load.
const weft_mpi_table* world_of_one_table();

// A table function's code as a Status: "MPI_Iallgather … failed: …" with the code WEFT_MPI (or INVALID_ARGUMENT,
// LIMIT, OUT_OF_MEMORY, UNSUPPORTED). Call it on the thread that made the call, before its next one.
Status mpi_status(const weft_mpi_table& table, int code);

}  // namespace weft
