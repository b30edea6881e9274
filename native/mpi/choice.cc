// Which MPI belongs to this process: a pure function of the environment and of what is loaded already.
#include <cerrno>
#include <cstdlib>
#include <limits>

#include "mpi/loader.h"

extern char** environ;

namespace weft {

namespace {
constexpr const char* kOverride = "WEFTLINE_MPI";

const std::string* find(const Environment& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() || found->second.empty() ? nullptr : &found->second;
}

// 0 when the variable is not there or is no number above 0.
int64_t positive(const Environment& environment, const char* name) {
  const std::string* text = find(environment, name);
  if (text == nullptr) return 0;
  char* end = nullptr;
  errno = 0;
  const long long number = strtoll(text->c_str(), &end, 10);
  if (errno != 0 || *end != 0 || number <= 0 || number > std::numeric_limits<int32_t>::max()) return 0;
  return number;
}

// The launcher's own count. The chosen family's variable comes first: a job that was started inside another one has
// the outer launcher's variables too.
void expect_size(const Environment& environment, MpiChoice& choice) {
  const char* first = choice.family == MpiFamily::kOpenMpi ? "OMPI_COMM_WORLD_SIZE" : "PMI_SIZE";
  const char* second = choice.family == MpiFamily::kOpenMpi ? "PMI_SIZE" : "OMPI_COMM_WORLD_SIZE";
  // SLURM_NTASKS is also there outside a step (in the batch script, and so under mpiexec): it counts nothing for sure.
  for (const char* name : {first, second, "SLURM_STEP_NUM_TASKS"}) {
    choice.expected_size = positive(environment, name);
    if (choice.expected_size > 0) {
      choice.expected_source = name;
      return;
    }
  }
}

struct Sign {
  const char* variable;
  MpiFamily family;
  const char* launcher;
};
// Open MPI first: its mpiexec may run inside a Slurm step that has PMI variables of its own.
constexpr Sign kSigns[] = {
    {"OMPI_COMM_WORLD_RANK", MpiFamily::kOpenMpi, "Open MPI's mpiexec"},
    {"PMIX_RANK", MpiFamily::kOpenMpi, "srun --mpi=pmix or a PMIx launcher"},
    {"PMI_RANK", MpiFamily::kMpich, "hydra, srun --mpi=pmi2 or PALS"},
    {"PMI_FD", MpiFamily::kMpich, "hydra or srun --mpi=pmi2"},
    {"PALS_RANKID", MpiFamily::kMpich, "PALS"},
};

Result<MpiChoice> choose_by_override(const Environment& environment, const ResidentMpi& resident,
                                     const std::string& wanted) {
  MpiChoice choice;
  choice.reason = join_text(kOverride, "=", wanted);
  if (wanted == "none") return choice;
  if (wanted == "mpich") {
    choice.family = MpiFamily::kMpich;
  } else if (wanted == "openmpi") {
    choice.family = MpiFamily::kOpenMpi;
  } else if (wanted.find('/') != std::string::npos) {
    choice.module_path = wanted;  // the family is read from the module
    choice.family = resident.family;
  } else {
    return Status(Code::INVALID_ARGUMENT,
                  join_text(kOverride, " is '", wanted, "'; give mpich, openmpi, none, or the path of a module"));
  }
  if (resident.family != MpiFamily::kNone && resident.family != choice.family) {
    return Status(Code::MPI, join_text(kOverride, "=", wanted, ", but this program is linked with another MPI (",
                                       mpi_family_name(resident.family), ": ", resident.path,
                                       "); two cannot live in one process: unset ", kOverride));
  }
  expect_size(environment, choice);
  return choice;
}
}  // namespace

const char* mpi_family_name(MpiFamily family) {
  switch (family) {
    case MpiFamily::kMpich:
      return "mpich";
    case MpiFamily::kOpenMpi:
      return "openmpi";
    case MpiFamily::kNone:
      break;
  }
  return "none";
}

Environment process_environment() {
  Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

Result<MpiChoice> choose_mpi(const Environment& environment, const ResidentMpi& resident) {
  if (const std::string* wanted = find(environment, kOverride)) {
    return choose_by_override(environment, resident, *wanted);
  }
  MpiChoice choice;
  if (resident.family != MpiFamily::kNone) {
    choice.family = resident.family;
    choice.reason = join_text("the program is linked with ", resident.path.empty() ? "it" : resident.path);
    expect_size(environment, choice);
    return choice;
  }
  for (const Sign& sign : kSigns) {
    if (find(environment, sign.variable) == nullptr) continue;
    choice.family = sign.family;
    choice.reason = join_text(sign.variable, " is set (", sign.launcher, ")");
    expect_size(environment, choice);
    return choice;
  }
  const int64_t tasks = positive(environment, "SLURM_STEP_NUM_TASKS");
  if (tasks > 1) {
    return Status(Code::MPI_WRONG_LAUNCHER,
                  join_text("srun started ", tasks,
                            " tasks without MPI (neither PMI_RANK nor PMIX_RANK is set): use srun --mpi=pmi2 for an "
                            "MPICH, --mpi=pmix for Open MPI, or set ",
                            kOverride, "=none to run ", tasks, " processes that know nothing of each other"));
  }
  choice.reason = "no launcher's variables are set and no MPI is loaded: a world of one";
  return choice;
}

Status check_world_size(const MpiChoice& choice, int64_t world_size) {
  if (choice.expected_size <= world_size) return {};
  return Status(
      Code::MPI_WRONG_LAUNCHER,
      join_text("the launcher started ", choice.expected_size, " processes (", choice.expected_source,
                "), but MPI sees a world of ", world_size, ": the ", mpi_family_name(choice.family),
                " library in use (", choice.reason, ") is not the launcher's; start with the mpiexec of the same MPI ",
                choice.family == MpiFamily::kMpich ? "(mpiexec.mpich or srun --mpi=pmi2)"
                                                   : "(mpiexec.openmpi or srun --mpi=pmix)",
                ", or, where the program is not linked with an MPI, set ", kOverride, "=",
                choice.family == MpiFamily::kMpich ? "openmpi" : "mpich"));
}

}  // namespace weft
