#include "fabric/slingshot.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <optional>

namespace weft::fabric {

namespace {
constexpr const char* kVnis = "SLINGSHOT_VNIS";
constexpr const char* kDevices = "SLINGSHOT_DEVICES";
constexpr const char* kServices = "SLINGSHOT_SVC_IDS";
// Of the ranks of one node, from 0: Slurm, PALS, Open MPI, hydra.
constexpr const char* kLocalRanks[] = {"SLURM_LOCALID", "PALS_LOCAL_RANKID", "OMPI_COMM_WORLD_LOCAL_RANK",
                                       "MPI_LOCALRANKID"};

const std::string* find(const Variables& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() || found->second.empty() ? nullptr : &found->second;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  size_t start = 0;
  for (size_t comma; (comma = text.find(',', start)) != std::string::npos; start = comma + 1) {
    parts.push_back(text.substr(start, comma - start));
  }
  parts.push_back(text.substr(start));
  return parts;
}

std::optional<uint32_t> number(const std::string& text, uint32_t least, uint32_t most) {
  if (text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
  char* end = nullptr;
  errno = 0;
  const unsigned long long value = strtoull(text.c_str(), &end, 10);
  if (errno != 0 || *end != 0 || value < least || value > most) return std::nullopt;
  return static_cast<uint32_t>(value);
}

Status malformed(const char* name, const std::string& text, const char* wanted) {
  return Status(Code::FABRIC, join_text("cxi: ", name, " is '", text, "', which is not ", wanted,
                                        "; start through the launcher, which sets it, and leave it as it is"));
}

Result<std::vector<uint32_t>> numbers(const char* name, const std::string& text, uint32_t least, uint32_t most,
                                      const char* wanted) {
  std::vector<uint32_t> values;
  for (const std::string& part : split(text)) {
    const std::optional<uint32_t> value = number(part, least, most);
    if (!value) return malformed(name, text, wanted);
    values.push_back(*value);
  }
  return values;
}

// What the launcher gave: the same number of services and devices, and a VNI or two.
struct Given {
  std::vector<std::string> devices;
  std::vector<uint32_t> services;
  std::vector<uint32_t> vnis;
};

Result<Given> read_variables(const Variables& environment) {
  Given given;
  const std::string* vnis = find(environment, kVnis);
  const std::string* devices = find(environment, kDevices);
  const std::string* services = find(environment, kServices);
  if (vnis == nullptr && devices == nullptr && services == nullptr) return given;
  for (const auto& [name, text] : {std::pair(kVnis, vnis), {kDevices, devices}, {kServices, services}}) {
    if (text == nullptr) {
      return Status(Code::FABRIC,
                    join_text("cxi: ", name,
                              " is not set, though others of the SLINGSHOT_ variables "
                              "are; start through the launcher, which sets ",
                              kVnis, ", ", kDevices, " and ", kServices, " together, and hand all three on"));
    }
  }
  Result<std::vector<uint32_t>> read = numbers(kVnis, *vnis, 1, UINT16_MAX, "a list of VNIs (1 to 65535)");
  WEFT_RETURN_IF_ERROR(read.status());
  given.vnis = read.take();
  read = numbers(kServices, *services, 0, UINT32_MAX, "a list of service numbers");
  WEFT_RETURN_IF_ERROR(read.status());
  given.services = read.take();
  given.devices = split(*devices);
  if (std::find(given.devices.begin(), given.devices.end(), "") != given.devices.end()) {
    return malformed(kDevices, *devices, "a list of NICs");
  }
  if (given.devices.size() == given.services.size()) return given;
  return Status(Code::FABRIC,
                join_text("cxi: ", kDevices, " names ", given.devices.size(), " NICs, ", kServices, " has ",
                          given.services.size(), " services; start through the launcher, which sets both alike"));
}

// The nearest of `devices`; of several that are as near, the one for this rank of the node.
const NetworkDevice& choose_device(const Variables& environment, const std::vector<NetworkDevice>& devices,
                                   std::string& reason) {
  const bool known = std::all_of(devices.begin(), devices.end(), [](const auto& one) { return one.distance >= 0; });
  std::vector<const NetworkDevice*> nearest;
  int least = 0;
  for (const NetworkDevice& device : devices) {
    if (!nearest.empty() && known && device.distance > least) continue;
    if (!nearest.empty() && known && device.distance < least) nearest.clear();
    least = device.distance;
    nearest.push_back(&device);
  }
  if (devices.size() == 1) {
    reason = "the only one";
    return *nearest[0];
  }
  if (nearest.size() == 1) {
    reason = "the nearest of " + std::to_string(devices.size()) + " by NUMA node";
    return *nearest[0];
  }
  const std::string of = join_text(nearest.size(), known ? " that are equally near" : " whose distance is not known");
  for (const char* name : kLocalRanks) {
    const std::string* text = find(environment, name);
    const std::optional<uint32_t> rank = text == nullptr ? std::nullopt : number(*text, 0, INT32_MAX);
    if (!rank) continue;
    reason = join_text("of ", of, ", by ", name, "=", *rank);
    return *nearest[*rank % nearest.size()];
  }
  reason = join_text("the first of ", of);
  return *nearest[0];
}
}  // namespace

Result<SlingshotChoice> choose_slingshot(const Variables& environment, const std::vector<NetworkDevice>& devices) {
  SlingshotChoice choice;
  if (devices.empty()) {
    choice.reason = "this host has no Slingshot NIC";
    return choice;
  }
  Result<Given> read = read_variables(environment);
  WEFT_RETURN_IF_ERROR(read.status());
  const Given given = read.take();
  std::vector<NetworkDevice> usable;
  const auto is_given = [&given](const NetworkDevice& device) {
    return given.vnis.empty() ||
           std::find(given.devices.begin(), given.devices.end(), device.name) != given.devices.end();
  };
  std::copy_if(devices.begin(), devices.end(), std::back_inserter(usable), is_given);
  if (usable.empty()) {
    return Status(Code::FABRIC, join_text("cxi: ", kDevices, " is '", *find(environment, kDevices),
                                          "', but this host has none of them; start through the launcher on each node, "
                                          "and hand no variables on from another"));
  }
  std::string why;
  const NetworkDevice& device = choose_device(environment, usable, why);
  choice.device = device.name;
  choice.reason = join_text(device.name, " (", why, ")");
  if (given.vnis.empty()) {
    choice.reason += join_text(", no VNI: ", kVnis, " is not set");
    return choice;
  }
  choice.reaches_job = given.vnis.size() > 1;
  choice.has_key = choice.reaches_job;
  choice.key.vni = static_cast<uint16_t>(given.vnis[choice.reaches_job ? 1 : 0]);
  const auto place = std::find(given.devices.begin(), given.devices.end(), device.name) - given.devices.begin();
  choice.key.service_id = given.services[static_cast<size_t>(place)];
  choice.reason +=
      join_text(", VNI ", choice.key.vni, choice.reaches_job ? " of the job" : ", the only one: of this launch",
                ", service ", choice.key.service_id);
  return choice;
}

Variables slingshot_variables() {
  Variables found;
  const auto look = [&found](const char* name) {
    if (const char* text = getenv(name)) found.emplace(name, text);
  };
  for (const char* name : {kVnis, kDevices, kServices}) look(name);
  for (const char* name : kLocalRanks) look(name);
  return found;
}

const char* slingshot_advice() {
  return "under Slurm give every step srun --network=job_vni,single_node_vni; under PALS mpiexec --single-node-vni "
         "(with --cpu-bind none and PALS_LOCAL_LAUNCH=0 for steps on the same node), or start all programs in one "
         "launch";
}

}  // namespace weft::fabric
