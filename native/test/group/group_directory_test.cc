// The group directory: what is written is read back; damage, wrong owners and modes, other kinds of files, dead
// processes and foreign slots are refused with the right code; nothing is left behind.
#include "group/group_directory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace weft::group {
namespace {

namespace fs = std::filesystem;

class GroupDirectory : public ::testing::Test {
 protected:
  GroupDirectory() {
    std::string pattern = (fs::temp_directory_path() / "weft-group-XXXXXX").string();
    root_ = mkdtemp(pattern.data());
    directory_ = root_ + "/group";
  }
  ~GroupDirectory() override { fs::remove_all(root_); }

  static JobRecord some_job() {
    JobRecord job;
    for (size_t i = 0; i < job.job.size(); ++i) job.job[i] = static_cast<uint8_t>(i * 17);
    for (size_t i = 0; i < job.secret.size(); ++i) job.secret[i] = static_cast<uint8_t>(255 - i);
    job.slot_count = 3;
    return job;
  }
  static SlotRecord some_slot(uint32_t slot) {
    SlotRecord record;
    record.job = some_job().job;
    record.slot = slot;
    record.epoch = 7;
    record.address = std::string("\0\1 address\n\xff", 12);
    record.process = this_process();
    return record;
  }
  static std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  static void write_file(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
  }
  size_t file_count() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(directory_), fs::directory_iterator()));
  }

  std::string root_;
  std::string directory_;
};

TEST_F(GroupDirectory, GivesBackWhatWasWritten) {
  ASSERT_TRUE(write_job(directory_, some_job()).ok());
  ASSERT_TRUE(write_slot(directory_, some_slot(2)).ok());
  const Result<JobRecord> job = read_job(directory_);
  ASSERT_TRUE(job.ok()) << job.status().text();
  EXPECT_EQ(job.value().job, some_job().job);
  EXPECT_EQ(job.value().secret, some_job().secret);
  EXPECT_EQ(job.value().slot_count, 3u);
  const Result<SlotRecord> slot = read_slot(directory_, 2);
  ASSERT_TRUE(slot.ok()) << slot.status().text();
  EXPECT_EQ(slot.value().job, some_job().job);
  EXPECT_EQ(slot.value().slot, 2u);
  EXPECT_EQ(slot.value().epoch, 7u);
  EXPECT_EQ(slot.value().address, some_slot(2).address);
  EXPECT_EQ(slot.value().process.pid, static_cast<uint64_t>(getpid()));
  EXPECT_EQ(file_count(), 2u) << "no temporary file stays";
}

TEST_F(GroupDirectory, IsForTheOwnerOnly) {
  const mode_t before = umask(0);
  ASSERT_TRUE(write_job(directory_, some_job()).ok());
  umask(before);
  struct stat facts {};
  ASSERT_EQ(stat(directory_.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777u, 0700u);
  ASSERT_EQ(stat((directory_ + "/job").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777u, 0600u);
  for (const mode_t mode : {0604u, 0640u, 0602u, 0620u}) {
    ASSERT_EQ(chmod((directory_ + "/job").c_str(), mode), 0);
    EXPECT_EQ(read_job(directory_).status().code(), Code::GROUP_UNREADABLE) << std::oct << mode;
  }
}

TEST_F(GroupDirectory, RefusesDamageAtEveryByte) {
  ASSERT_TRUE(write_job(directory_, some_job()).ok());
  ASSERT_TRUE(write_slot(directory_, some_slot(0)).ok());
  for (const char* name : {"/job", "/slot-0"}) {
    const std::string path = directory_ + name;
    const std::string whole = read_file(path);
    const bool is_job = std::string(name) == "/job";
    const auto code = [&] {
      return is_job ? read_job(directory_).status().code() : read_slot(directory_, 0).status().code();
    };
    for (size_t at = 0; at < whole.size(); ++at) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x04);
      write_file(path, damaged);
      ASSERT_EQ(code(), Code::GROUP_UNREADABLE) << name << " with byte " << at << " changed";
    }
    for (size_t length = 0; length < whole.size(); ++length) {
      write_file(path, whole.substr(0, length));
      ASSERT_EQ(code(), Code::GROUP_UNREADABLE) << name << " cut to " << length;
    }
    write_file(path, whole + std::string(100'000, 'x'));
    ASSERT_EQ(code(), Code::GROUP_UNREADABLE) << name << " far too long";
    write_file(path, whole);
    ASSERT_EQ(code(), Code::OK);
  }
}

TEST_F(GroupDirectory, SaysWhatIsMissing) {
  EXPECT_EQ(read_job(directory_).status().code(), Code::GROUP_MISSING);
  ASSERT_TRUE(write_job(directory_, some_job()).ok());
  EXPECT_EQ(read_slot(directory_, 1).status().code(), Code::GROUP_MISSING);
}

TEST_F(GroupDirectory, FollowsNoLinkAndOpensNoPipe) {
  ASSERT_TRUE(write_job(directory_, some_job()).ok());
  const std::string path = directory_ + "/job";
  fs::rename(path, root_ + "/elsewhere");
  fs::create_symlink(root_ + "/elsewhere", path);
  EXPECT_EQ(read_job(directory_).status().code(), Code::GROUP_UNREADABLE);
  fs::remove(path);
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(read_job(directory_).status().code(), Code::GROUP_UNREADABLE) << "and does not hang";
  fs::remove(path);
  fs::create_directory(path);
  EXPECT_EQ(read_job(directory_).status().code(), Code::GROUP_UNREADABLE);
}

TEST_F(GroupDirectory, KnowsAFileOfAnotherSlot) {
  ASSERT_TRUE(write_slot(directory_, some_slot(0)).ok());
  fs::rename(directory_ + "/slot-0", directory_ + "/slot-1");
  EXPECT_EQ(read_slot(directory_, 1).status().code(), Code::GROUP_UNREADABLE);
}

TEST_F(GroupDirectory, KnowsAProcessThatHasEnded) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  ASSERT_GT(child, 0);
  SlotRecord record = some_slot(0);
  record.process.pid = static_cast<uint64_t>(child);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  ASSERT_TRUE(write_slot(directory_, record).ok());
  EXPECT_EQ(read_slot(directory_, 0).status().code(), Code::GROUP_STALE);
  // The same number, taken by a later process.
  record.process = this_process();
  record.process.start_time += 1;
  ASSERT_TRUE(write_slot(directory_, record).ok());
  EXPECT_EQ(read_slot(directory_, 0).status().code(), Code::GROUP_STALE);
}

TEST_F(GroupDirectory, ProvesNothingAboutProcessesElsewhere) {
  ProcessIdentity process = this_process();
  EXPECT_FALSE(proven_dead(process));
  process.start_time += 1;
  EXPECT_TRUE(proven_dead(process));
  ProcessIdentity other_boot = process;
  other_boot.boot_id = "another";
  EXPECT_FALSE(proven_dead(other_boot));
  ProcessIdentity other_namespace = process;
  other_namespace.pid_namespace += 1;
  EXPECT_FALSE(proven_dead(other_namespace));
}

TEST_F(GroupDirectory, AProcessThatEndedIsDeadAlsoBeforeItsParentWaitsForIt) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    char byte = 0;
    static_cast<void>(read(ends[0], &byte, 1));
    _exit(0);
  }
  ProcessIdentity process = this_process();
  process.pid = static_cast<uint64_t>(child);
  std::ifstream stat("/proc/" + std::to_string(child) + "/stat");
  std::string field;
  for (int i = 1; i <= 21; ++i) stat >> field;
  stat >> process.start_time;
  EXPECT_FALSE(proven_dead(process));
  EXPECT_TRUE(proven_alive(process));
  ASSERT_EQ(write(ends[1], "e", 1), 1);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);  // it stays a zombie
  EXPECT_TRUE(proven_dead(process));
  EXPECT_FALSE(proven_alive(process));
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
  close(ends[0]);
  close(ends[1]);
}

TEST_F(GroupDirectory, GoesWithItsLastFileAndWhatAKilledWriterLeft) {
  ASSERT_TRUE(write_job(directory_, some_job()).ok());
  ASSERT_TRUE(write_slot(directory_, some_slot(0)).ok());
  ASSERT_TRUE(write_slot(directory_, some_slot(1)).ok());
  write_file(directory_ + "/job.new.123", "half of a secr");
  write_file(directory_ + "/slot-1.new.99", "");
  ASSERT_TRUE(remove_slot(directory_, 1).ok());
  ASSERT_TRUE(remove_slot(directory_, 0).ok());
  EXPECT_TRUE(fs::exists(directory_));
  ASSERT_TRUE(remove_job(directory_).ok());
  EXPECT_FALSE(fs::exists(directory_));
  EXPECT_TRUE(remove_job(directory_).ok()) << "twice is fine";
}

TEST_F(GroupDirectory, ReadersSeeOldOrNewButNeverHalf) {
  ASSERT_TRUE(write_slot(directory_, some_slot(0)).ok());
  std::atomic<bool> writing{true};
  std::thread writer([&] {
    SlotRecord record = some_slot(0);
    for (uint32_t epoch = 8; epoch < 200; ++epoch) {
      record.epoch = epoch;
      EXPECT_TRUE(write_slot(directory_, record).ok());
    }
    writing = false;
  });
  uint32_t last = 0;
  while (writing) {
    const Result<SlotRecord> record = read_slot(directory_, 0);
    EXPECT_TRUE(record.ok()) << record.status().text();
    if (!record.ok()) break;
    EXPECT_GE(record.value().epoch, last);
    last = record.value().epoch;
  }
  writer.join();
}

TEST_F(GroupDirectory, NamesADirectoryThatCannotBeMade) {
  const Status status = write_job(root_ + "/no/such/parent", some_job());
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("/no/such/parent"), std::string::npos) << status.text();
}

}  // namespace
}  // namespace weft::group
