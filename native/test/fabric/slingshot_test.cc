// The choice of a Slingshot NIC and key, from what launchers of such machines set, and from what goes wrong there.
#include "fabric/slingshot.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "fabric/locality.h"

namespace weft::fabric::test {
namespace {

// Four NICs, one for each of four NUMA nodes; a job step of srun --network=job_vni with the job's VNI second.
const Variables kFourNics = {{"SLINGSHOT_VNIS", "1310,1271"},
                             {"SLINGSHOT_DEVICES", "cxi0,cxi1,cxi2,cxi3"},
                             {"SLINGSHOT_SVC_IDS", "5,6,7,8"},
                             {"SLURM_LOCALID", "5"}};
// Two NICs, PALS with --single-node-vni.
const Variables kTwoNics = {{"SLINGSHOT_VNIS", "12,9"},
                            {"SLINGSHOT_DEVICES", "cxi0,cxi1"},
                            {"SLINGSHOT_SVC_IDS", "3,4"},
                            {"PALS_LOCAL_RANKID", "3"}};

std::vector<NetworkDevice> devices(std::initializer_list<int> distances) {
  std::vector<NetworkDevice> made;
  for (const int distance : distances) made.push_back({"cxi" + std::to_string(made.size()), distance});
  return made;
}

Variables with(Variables variables, const char* name, const char* text) {
  if (text == nullptr) {
    variables.erase(name);
  } else {
    variables[name] = text;
  }
  return variables;
}

SlingshotChoice chosen(const Variables& environment, const std::vector<NetworkDevice>& given) {
  Result<SlingshotChoice> choice = choose_slingshot(environment, given);
  EXPECT_TRUE(choice.ok()) << choice.status().text();
  return choice.ok() ? choice.take() : SlingshotChoice{};
}

std::string refusal(const Variables& environment, const std::vector<NetworkDevice>& given = devices({10, 12})) {
  Result<SlingshotChoice> choice = choose_slingshot(environment, given);
  EXPECT_FALSE(choice.ok());
  if (choice.ok()) return "";
  EXPECT_EQ(choice.status().code(), Code::FABRIC);
  return choice.status().message();
}

TEST(Slingshot, TheNearestNicWithItsServiceAndTheVniOfTheJob) {
  const SlingshotChoice choice = chosen(kFourNics, devices({12, 12, 10, 12}));
  EXPECT_EQ(choice.device, "cxi2");
  EXPECT_TRUE(choice.has_key);
  EXPECT_TRUE(choice.reaches_job);
  EXPECT_EQ(choice.key.vni, 1271);
  EXPECT_EQ(choice.key.service_id, 7u);
  EXPECT_NE(choice.reason.find("nearest"), std::string::npos) << choice.reason;
}

TEST(Slingshot, NicsThatAreEquallyNearAreSharedOutByLocalRank) {
  // No NIC on the process's own NUMA node, two as far.
  EXPECT_EQ(chosen(kTwoNics, devices({12, 12})).device, "cxi1");
  EXPECT_EQ(chosen(with(kTwoNics, "PALS_LOCAL_RANKID", "2"), devices({12, 12})).device, "cxi0");
  const SlingshotChoice choice = chosen(kTwoNics, devices({12, 12}));
  EXPECT_EQ(choice.key.service_id, 4u);
  EXPECT_EQ(choice.key.vni, 9);
}

TEST(Slingshot, AnUnknownDistanceLeavesTheLocalRank) {
  // A process that may run on all NUMA nodes, or NICs whose numa_node reads -1.
  EXPECT_EQ(chosen(kFourNics, devices({-1, -1, -1, -1})).device, "cxi1");
  EXPECT_EQ(chosen(kFourNics, devices({10, -1, 12, 12})).device, "cxi1");
  EXPECT_EQ(chosen(with(kFourNics, "SLURM_LOCALID", nullptr), devices({-1, -1, -1, -1})).device, "cxi0");
  EXPECT_EQ(chosen(with(kFourNics, "SLURM_LOCALID", "x"), devices({-1, -1, -1, -1})).device, "cxi0");
  const Variables open_mpi = with(with(kFourNics, "SLURM_LOCALID", nullptr), "OMPI_COMM_WORLD_LOCAL_RANK", "2");
  EXPECT_EQ(chosen(open_mpi, devices({-1, -1, -1, -1})).device, "cxi2");
}

TEST(Slingshot, OneVniIsTheLaunchsOwnAndLeftToLibfabric) {
  // One VNI and services that differ by NIC.
  const Variables one = {
      {"SLINGSHOT_VNIS", "4034"}, {"SLINGSHOT_DEVICES", "cxi0,cxi1,cxi2,cxi3"}, {"SLINGSHOT_SVC_IDS", "11,11,12,11"}};
  const SlingshotChoice choice = chosen(one, devices({12, 12, 10, 12}));
  EXPECT_EQ(choice.device, "cxi2");
  EXPECT_FALSE(choice.has_key);
  EXPECT_FALSE(choice.reaches_job);
  EXPECT_EQ(choice.key.vni, 4034);
  EXPECT_EQ(choice.key.service_id, 12u);
}

TEST(Slingshot, OnlyNicsOfTheLauncherAreTaken) {
  const Variables second = with(with(kTwoNics, "SLINGSHOT_DEVICES", "cxi1"), "SLINGSHOT_SVC_IDS", "4");
  const SlingshotChoice choice = chosen(second, devices({10, 12}));
  EXPECT_EQ(choice.device, "cxi1");
  EXPECT_EQ(choice.key.service_id, 4u);
  // In another order the services go along.
  const Variables turned = with(with(kTwoNics, "SLINGSHOT_DEVICES", "cxi1,cxi0"), "SLINGSHOT_SVC_IDS", "4,3");
  EXPECT_EQ(chosen(turned, devices({10, 12})).key.service_id, 3u);
}

TEST(Slingshot, WithoutVariablesANicButNoKeyAndWhatHelps) {
  const SlingshotChoice choice = chosen({}, devices({12, 10}));
  EXPECT_EQ(choice.device, "cxi1");
  EXPECT_FALSE(choice.has_key);
  EXPECT_NE(choice.reason.find("SLINGSHOT_VNIS is not set"), std::string::npos) << choice.reason;
  const std::string advice = slingshot_advice();
  EXPECT_NE(advice.find("srun --network=job_vni,single_node_vni"), std::string::npos);
  EXPECT_NE(advice.find("mpiexec --single-node-vni"), std::string::npos);
}

TEST(Slingshot, NoNicIsNoFault) {
  const SlingshotChoice choice = chosen(kTwoNics, {});
  EXPECT_EQ(choice.device, "");
  EXPECT_FALSE(choice.has_key);
}

TEST(Slingshot, WhatCannotBeReadIsRefusedByName) {
  for (const char* text : {"abc", "12,", ",9", "0", "65536", "12;9", "-3", " 12", "12,9x"}) {
    EXPECT_NE(refusal(with(kTwoNics, "SLINGSHOT_VNIS", text)).find("SLINGSHOT_VNIS is"), std::string::npos) << text;
  }
  EXPECT_NE(refusal(with(kTwoNics, "SLINGSHOT_SVC_IDS", "3,4294967296")).find("SLINGSHOT_SVC_IDS"), std::string::npos);
  EXPECT_NE(refusal(with(kTwoNics, "SLINGSHOT_SVC_IDS", "3")).find("2 NICs"), std::string::npos);
  EXPECT_NE(refusal(with(kTwoNics, "SLINGSHOT_DEVICES", "cxi0,")).find("SLINGSHOT_DEVICES"), std::string::npos);
  EXPECT_NE(refusal(with(kTwoNics, "SLINGSHOT_DEVICES", "cxi4,cxi5")).find("none of them"), std::string::npos);
  for (const char* name : {"SLINGSHOT_VNIS", "SLINGSHOT_DEVICES", "SLINGSHOT_SVC_IDS"}) {
    EXPECT_NE(refusal(with(kTwoNics, name, nullptr)).find(join_text(name, " is not set")), std::string::npos) << name;
    EXPECT_NE(refusal(with(kTwoNics, name, "")).find(join_text(name, " is not set")), std::string::npos) << name;
  }
}

// A made-up /sys.
class Sys {
 public:
  Sys() {
    std::string path = std::filesystem::temp_directory_path() / "weft-sys-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    root_ = path;
  }
  ~Sys() { std::filesystem::remove_all(root_); }
  void put(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = root_ + "/" + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text << "\n";
  }
  const std::string& root() const { return root_; }

 private:
  std::string root_;
};

TEST(Locality, DevicesAndTheirDistancesComeFromSys) {
  const Sys sys;
  sys.put("devices/system/node/node0/distance", "10 12 32 32");
  sys.put("devices/system/node/node1/distance", "12 10 32 32");
  sys.put("class/cxi/cxi0/device/numa_node", "0");
  sys.put("class/cxi/cxi1/device/numa_node", "3");
  sys.put("class/cxi/cxi2/device/numa_node", "-1");
  sys.put("class/cxi/cxi10/device/numa_node", "1");
  const std::vector<NetworkDevice> found = devices_of_class("cxi", 1, sys.root());
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[0].name, "cxi0");
  EXPECT_EQ(found[0].distance, 12);
  EXPECT_EQ(found[1].distance, 32);
  EXPECT_EQ(found[2].distance, -1);
  EXPECT_EQ(found[3].name, "cxi10");
  EXPECT_EQ(found[3].distance, 10);
  for (const NetworkDevice& device : devices_of_class("cxi", -1, sys.root())) EXPECT_EQ(device.distance, -1);
  EXPECT_TRUE(devices_of_class("verbs", 1, sys.root()).empty());
}

TEST(Locality, AProcessIsOnANumaNodeOnlyIfAllItsCpusAre) {
  cpu_set_t allowed;
  ASSERT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  std::string own;
  std::string first;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    if (first.empty()) first = std::to_string(cpu);
    own += (own.empty() ? "" : ",") + std::to_string(cpu);
  }
  const Sys one;
  one.put("devices/system/node/node0/cpulist", "4000-4100");
  one.put("devices/system/node/node7/cpulist", own);
  EXPECT_EQ(own_numa_node(one.root()), 7);
  const Sys two;
  two.put("devices/system/node/node0/cpulist", own);
  two.put("devices/system/node/node1/cpulist", first);
  EXPECT_EQ(own_numa_node(two.root()), -1);
  EXPECT_EQ(own_numa_node(two.root() + "/none"), -1);
}

}  // namespace
}  // namespace weft::fabric::test
