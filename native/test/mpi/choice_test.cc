// Which MPI is chosen for which environment, and the table for a world of one. No MPI is loaded here.
#include <gtest/gtest.h>

#include <cstring>

#include "mpi/loader.h"

namespace weft {
namespace {

const ResidentMpi kNoResident;
const ResidentMpi kResidentMpich{MpiFamily::kMpich, "/opt/lib/libmpich.so.12"};
const ResidentMpi kResidentOpenMpi{MpiFamily::kOpenMpi, "/opt/lib/libmpi.so.40"};

MpiChoice chosen(const Environment& environment, const ResidentMpi& resident = kNoResident) {
  Result<MpiChoice> choice = choose_mpi(environment, resident);
  EXPECT_TRUE(choice.ok()) << choice.status().text();
  return choice.ok() ? choice.take() : MpiChoice{};
}

TEST(ChooseMpi, NoSignIsAWorldOfOne) {
  const MpiChoice choice = chosen({{"PATH", "/bin"}, {"SLURM_NTASKS", "8"}});
  EXPECT_EQ(choice.family, MpiFamily::kNone);
  EXPECT_EQ(choice.expected_size, 0);
  EXPECT_TRUE(check_world_size(choice, 1).ok());
}

TEST(ChooseMpi, HydraAndPmi2AreMpich) {
  for (const char* variable : {"PMI_RANK", "PMI_FD", "PALS_RANKID"}) {
    const MpiChoice choice = chosen({{variable, "0"}, {"PMI_SIZE", "4"}});
    EXPECT_EQ(choice.family, MpiFamily::kMpich) << variable;
    EXPECT_EQ(choice.expected_size, 4);
    EXPECT_EQ(choice.expected_source, "PMI_SIZE");
    EXPECT_NE(choice.reason.find(variable), std::string::npos);
  }
}

TEST(ChooseMpi, OmpiAndPmixAreOpenMpi) {
  const MpiChoice ompi = chosen({{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "3"}});
  EXPECT_EQ(ompi.family, MpiFamily::kOpenMpi);
  EXPECT_EQ(ompi.expected_size, 3);
  const MpiChoice pmix = chosen({{"PMIX_RANK", "0"}, {"SLURM_STEP_NUM_TASKS", "5"}});
  EXPECT_EQ(pmix.family, MpiFamily::kOpenMpi);
  EXPECT_EQ(pmix.expected_size, 5);
  EXPECT_EQ(pmix.expected_source, "SLURM_STEP_NUM_TASKS");
}

TEST(ChooseMpi, OpenMpiInsideAPmi2StepIsOpenMpi) {
  const MpiChoice choice =
      chosen({{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}, {"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "6"}});
  EXPECT_EQ(choice.family, MpiFamily::kOpenMpi);
  EXPECT_EQ(choice.expected_size, 6);
}

TEST(ChooseMpi, TheResidentLibraryWinsOverTheLauncher) {
  const Environment hydra = {{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}};
  const MpiChoice choice = chosen(hydra, kResidentOpenMpi);
  EXPECT_EQ(choice.family, MpiFamily::kOpenMpi);
  EXPECT_EQ(choice.expected_size, 2);  // and the world of 1 that follows is noticed
  const Status status = check_world_size(choice, 1);
  EXPECT_EQ(status.code(), Code::MPI_WRONG_LAUNCHER);
  EXPECT_NE(status.message().find("started 2 processes (PMI_SIZE)"), std::string::npos) << status.text();
  EXPECT_NE(status.message().find("mpiexec.openmpi"), std::string::npos) << status.text();
  EXPECT_EQ(chosen({}, kResidentMpich).family, MpiFamily::kMpich);
}

TEST(ChooseMpi, OverrideNamesAFamilyOrAPath) {
  const Environment base = {{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}};
  Environment environment = base;
  environment["WEFTLINE_MPI"] = "openmpi";
  EXPECT_EQ(chosen(environment).family, MpiFamily::kOpenMpi);
  EXPECT_EQ(chosen(environment).expected_size, 2);
  environment["WEFTLINE_MPI"] = "/opt/site/weftline_mpi_site.so";
  EXPECT_EQ(chosen(environment).module_path, "/opt/site/weftline_mpi_site.so");
  environment["WEFTLINE_MPI"] = "none";
  EXPECT_EQ(chosen(environment, kResidentMpich).family, MpiFamily::kNone);
  EXPECT_EQ(chosen(environment).expected_size, 0);  // asked for: not a mistake
  environment["WEFTLINE_MPI"] = "";
  EXPECT_EQ(chosen(environment).family, MpiFamily::kMpich);  // empty is not set
}

TEST(ChooseMpi, OverrideThatCannotBe) {
  EXPECT_EQ(choose_mpi({{"WEFTLINE_MPI", "mvapich"}}, kNoResident).status().code(), Code::INVALID_ARGUMENT);
  const Status two = choose_mpi({{"WEFTLINE_MPI", "mpich"}}, kResidentOpenMpi).status();
  EXPECT_EQ(two.code(), Code::MPI);
  EXPECT_NE(two.message().find("libmpi.so.40"), std::string::npos);
}

TEST(ChooseMpi, SrunWithoutMpiIsNamed) {
  const Environment step = {{"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_PROCID", "2"}};
  EXPECT_EQ(choose_mpi(step, kNoResident).status().code(), Code::MPI_WRONG_LAUNCHER);
  Environment alone = step;
  alone["SLURM_STEP_NUM_TASKS"] = "1";
  EXPECT_EQ(chosen(alone).family, MpiFamily::kNone);
}

TEST(ChooseMpi, NumbersThatAreNoneAreIgnored) {
  for (const char* text : {"", "0", "-3", "four", "4x", "99999999999999999999"}) {
    EXPECT_EQ(chosen({{"PMI_RANK", "0"}, {"PMI_SIZE", text}}).expected_size, 0) << text;
  }
}

TEST(CheckWorldSize, OnlyASmallerWorldIsWrong) {
  MpiChoice choice;
  choice.family = MpiFamily::kMpich;
  choice.expected_size = 3;
  EXPECT_TRUE(check_world_size(choice, 3).ok());
  EXPECT_TRUE(check_world_size(choice, 4).ok());
  EXPECT_EQ(check_world_size(choice, 2).code(), Code::MPI_WRONG_LAUNCHER);
}

class WorldOfOne : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(table_->init(), WEFT_MPI_OK);
    ASSERT_EQ(table_->comm_world(&world_), WEFT_MPI_OK);
  }
  void TearDown() override {
    if (world_ != nullptr) {
      EXPECT_EQ(table_->comm_free(world_), WEFT_MPI_OK);
    }
  }
  const weft_mpi_table* table_ = world_of_one_table();
  weft_mpi_comm* world_ = nullptr;
};

TEST_F(WorldOfOne, HasNoEmptyPlaceInTheTable) {
  // A table that grew and was not filled would crash at a call.
  const char* bytes = reinterpret_cast<const char*>(table_);
  for (size_t at = offsetof(weft_mpi_table, family); at < sizeof *table_; at += sizeof(void*)) {
    void* entry = nullptr;
    memcpy(&entry, bytes + at, sizeof entry);
    EXPECT_NE(entry, nullptr) << "at offset " << at;
  }
}

TEST_F(WorldOfOne, FactsAndRanks) {
  weft_mpi_facts facts = {};
  EXPECT_EQ(table_->facts(&facts), WEFT_MPI_INVALID);
  facts.size_bytes = sizeof facts;
  ASSERT_EQ(table_->facts(&facts), WEFT_MPI_OK);
  EXPECT_EQ(facts.world_size, 1);
  EXPECT_EQ(facts.appnum, -1);
  int32_t rank = -1;
  int32_t size = -1;
  EXPECT_EQ(table_->comm_rank(world_, &rank), WEFT_MPI_OK);
  EXPECT_EQ(table_->comm_size(world_, &size), WEFT_MPI_OK);
  EXPECT_EQ(rank, 0);
  EXPECT_EQ(size, 1);
}

TEST_F(WorldOfOne, CollectivesAreCopies) {
  char received[16] = "..............";
  EXPECT_EQ(table_->allgather(world_, "abcd", 4, received), WEFT_MPI_OK);
  const uint64_t count = 3;
  const uint64_t offset = 6;
  weft_mpi_request* request = nullptr;
  EXPECT_EQ(table_->iallgatherv(world_, "xyz", 3, received, &count, &offset, &request), WEFT_MPI_OK);
  int32_t done = 0;
  EXPECT_EQ(table_->test(request, &done), WEFT_MPI_OK);
  EXPECT_EQ(done, 1);
  EXPECT_EQ(std::string(received), "abcd..xyz.....");
  EXPECT_EQ(table_->allgather(world_, "a", WEFT_MPI_BYTES_MAX + 1, received), WEFT_MPI_LIMIT);
  EXPECT_EQ(table_->bcast(world_, received, 1, 1), WEFT_MPI_INVALID);
}

TEST_F(WorldOfOne, SplitAndFortran) {
  weft_mpi_comm* part = world_;
  EXPECT_EQ(table_->comm_split(world_, -1, 0, &part), WEFT_MPI_OK);
  EXPECT_EQ(part, nullptr);
  EXPECT_EQ(table_->comm_split(world_, 3, 0, &part), WEFT_MPI_OK);
  EXPECT_EQ(table_->comm_free(part), WEFT_MPI_OK);
  const int code = table_->comm_from_fortran(0x44000000, &part);
  EXPECT_EQ(code, WEFT_MPI_UNSUPPORTED);
  EXPECT_EQ(mpi_status(*table_, code).code(), Code::UNSUPPORTED);
}

TEST_F(WorldOfOne, FinalizeConsumesTheCommunicatorAndInitStartsAgain) {
  int32_t outcome = -1;
  EXPECT_EQ(table_->finalize(world_, 0, &outcome), WEFT_MPI_OK);
  world_ = nullptr;
  EXPECT_EQ(outcome, WEFT_MPI_FINALIZED);
  weft_mpi_comm* again = nullptr;
  EXPECT_EQ(table_->comm_world(&again), WEFT_MPI_NOT_INITIALIZED);
  EXPECT_EQ(table_->init(), WEFT_MPI_OK);
}

}  // namespace
}  // namespace weft
