#include "group/group_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/random.h"
#include "group/record_text.h"

namespace weft::group {

namespace {
constexpr char kJobTitle[] = "weftline-job 1";
constexpr char kSlotTitle[] = "weftline-slot 1";
constexpr size_t kRecordBytesMax = 64 * 1024;
constexpr uint64_t kSlotsMax = 65536;

constexpr char kTemporary[] = ".new.";

std::string job_path(const std::string& directory) { return directory + "/job"; }
std::string slot_path(const std::string& directory, uint32_t slot) { return join_text(directory, "/slot-", slot); }

std::string read_small_file(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  std::string result = text.str();
  while (!result.empty() && result.back() == '\n') result.pop_back();
  return result;
}

// No process starts then.
constexpr uint64_t kEndedStartTime = UINT64_MAX;

// Field 22 of /proc/PID/stat, counted behind the last ')' since the name may hold anything. 0: no such process.
uint64_t start_time_of(uint64_t pid) {
  const std::string stat = read_small_file(join_text("/proc/", pid, "/stat"));
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(stat.substr(name_end + 1));
  std::string skipped;
  std::string state;
  fields >> state;
  // Ended, and not yet waited for by its parent (a launcher may take its time): it will not come back.
  if (state == "Z" || state == "X") return kEndedStartTime;
  for (int field = 4; field < 22; ++field) fields >> skipped;
  uint64_t start_time = 0;
  fields >> start_time;
  return start_time;
}

uint64_t pid_namespace_inode() {
  struct stat facts {};
  return stat("/proc/self/ns/pid", &facts) == 0 ? facts.st_ino : 0;
}

Status file_error(const char* doing, const std::string& path, int error) {
  const Code code = error == EACCES || error == EPERM || error == EROFS ? Code::NOT_WRITABLE
                    : error == ENOSPC || error == EDQUOT                ? Code::NO_SPACE
                                                                        : Code::IO;
  return Status(code, join_text(doing, " '", path, "' of the group directory failed: ", errno_text(error),
                                "; choose another place with WEFTLINE_GROUP"));
}

Status write_all(int file, const std::string& text, const std::string& path) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = write(file, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return file_error("writing", path, errno);
    done += static_cast<size_t>(count);
  }
  // Readers on other nodes of a shared file system, and a crash, must see all of it or none.
  if (fsync(file) != 0) return file_error("syncing", path, errno);
  return {};
}

Status replace_file(const std::string& directory, const std::string& path, const std::string& text) {
  // A name that nobody can have made before, with a mode or an owner of their choice: the job's secret goes into it.
  uint64_t number = 0;
  secure_random(std::as_writable_bytes(std::span(&number, 1)));
  const std::string temporary = join_text(path, kTemporary, number);
  int file = -1;
  // Again when the last slot that ends removes the directory between the two calls.
  for (int attempt = 0; file < 0 && attempt < 10; ++attempt) {
    if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return file_error("making", directory, errno);
    file = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0 && errno != ENOENT && errno != EINTR) break;
  }
  if (file < 0) return file_error("creating", temporary, errno);
  Status status = write_all(file, text, temporary);
  if (close(file) != 0 && status.ok()) status = file_error("closing", temporary, errno);
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) status = file_error("renaming to", path, errno);
  if (!status.ok()) unlink(temporary.c_str());
  return status;
}

Result<std::string> read_record_file(const std::string& directory, const std::string& path) {
  // Not to be held up by a pipe or a device of that name.
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return Status(Code::GROUP_MISSING,
                    join_text("there is no file '", path,
                              "': no server has written this group directory, or it ended; start one, "
                              "or correct WEFTLINE_GROUP or --group"));
    }
    return Status(Code::GROUP_UNREADABLE, join_text("opening '", path, "' failed: ", errno_text(errno),
                                                    "; only the user who started the job can read '", directory, "'"));
  }
  struct stat facts {};
  std::string text(kRecordBytesMax, '\0');
  size_t length = 0;
  ssize_t count = fstat(file, &facts);
  const bool is_file = count == 0 && S_ISREG(facts.st_mode);
  while (is_file && length < text.size()) {
    count = read(file, text.data() + length, text.size() - length);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    length += static_cast<size_t>(count);
  }
  const int error = errno;
  close(file);
  if (count >= 0 && !is_file) {
    return Status(Code::GROUP_UNREADABLE, join_text("'", path, "' is not a file; correct WEFTLINE_GROUP or --group"));
  }
  if (count < 0) return Status(Code::GROUP_UNREADABLE, join_text("reading '", path, "' failed: ", errno_text(error)));
  // A file that others may write could lead us to an impostor, one that others may read has given the secret away.
  if ((facts.st_mode & 077) != 0 || (facts.st_uid != geteuid() && geteuid() != 0)) {
    char mode[8];
    std::snprintf(mode, sizeof mode, "%04o", facts.st_mode & 0777u);
    return Status(Code::GROUP_UNREADABLE, join_text("'", path, "' belongs to user ", facts.st_uid, " with mode ", mode,
                                                    ": it must be the caller's own and closed to others (chmod 600)"));
  }
  text.resize(length);
  return text;
}

// What a writer of this file left when it was killed. Called by the file's only writer.
void remove_temporaries(const std::string& directory, const std::string& path) {
  const std::string prefix = path.substr(directory.size() + 1) + kTemporary;
  DIR* entries = opendir(directory.c_str());
  if (entries == nullptr) return;
  while (const dirent* entry = readdir(entries)) {
    const std::string name = entry->d_name;
    if (name.rfind(prefix, 0) == 0) unlinkat(dirfd(entries), name.c_str(), 0);
  }
  closedir(entries);
}

Result<uint32_t> number_up_to(const RecordText& text, const char* key, uint64_t limit, const std::string& path) {
  Result<uint64_t> number = text.get_number(key);
  if (!number.ok()) return number.status();
  if (number.value() <= limit) return static_cast<uint32_t>(number.value());
  return Status(Code::GROUP_UNREADABLE, join_text("'", path, "' says ", key, " ", number.value(), ", over ", limit));
}
}  // namespace

ProcessIdentity this_process() {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  const auto pid = static_cast<uint64_t>(getpid());
  return {host, read_small_file("/proc/sys/kernel/random/boot_id"), pid_namespace_inode(), pid, start_time_of(pid)};
}

bool proven_dead(const ProcessIdentity& process) {
  if (process.boot_id.empty() || process.boot_id != read_small_file("/proc/sys/kernel/random/boot_id")) return false;
  if (process.pid == 0 || process.pid > INT32_MAX || process.pid_namespace == 0 ||
      process.pid_namespace != pid_namespace_inode())
    return false;
  const uint64_t start_time = start_time_of(process.pid);
  if (start_time != 0) return start_time != process.start_time;
  // Not being able to read its file (no descriptor left, a hidden /proc) is no proof.
  return kill(static_cast<pid_t>(process.pid), 0) != 0 && errno == ESRCH;
}

bool proven_alive(const ProcessIdentity& process) {
  if (process.boot_id.empty() || process.boot_id != read_small_file("/proc/sys/kernel/random/boot_id")) return false;
  if (process.pid_namespace == 0 || process.pid_namespace != pid_namespace_inode()) return false;
  return process.pid != static_cast<uint64_t>(getpid()) && start_time_of(process.pid) == process.start_time;
}

Status write_job(const std::string& directory, const JobRecord& record) {
  RecordText text{kJobTitle};
  text.put_bytes("job", record.job);
  text.put_bytes("secret", record.secret);
  text.put_number("slots", record.slot_count);
  return replace_file(directory, job_path(directory), text.text());
}

Status write_slot(const std::string& directory, const SlotRecord& record) {
  RecordText text{kSlotTitle};
  text.put_bytes("job", record.job);
  text.put_number("slot", record.slot);
  text.put_number("epoch", record.epoch);
  text.put_bytes("address", {reinterpret_cast<const uint8_t*>(record.address.data()), record.address.size()});
  text.put("host", record.process.host);
  text.put("boot-id", record.process.boot_id);
  text.put_number("pid-namespace", record.process.pid_namespace);
  text.put_number("pid", record.process.pid);
  text.put_number("start-time", record.process.start_time);
  return replace_file(directory, slot_path(directory, record.slot), text.text());
}

Result<JobRecord> read_job(const std::string& directory) {
  const std::string path = job_path(directory);
  Result<std::string> bytes = read_record_file(directory, path);
  if (!bytes.ok()) return bytes.status();
  Result<RecordText> text = RecordText::parse(bytes.value(), kJobTitle, path);
  if (!text.ok()) return text.status();
  JobRecord record;
  WEFT_RETURN_IF_ERROR(text.value().get_bytes("job", record.job));
  WEFT_RETURN_IF_ERROR(text.value().get_bytes("secret", record.secret));
  Result<uint32_t> slots = number_up_to(text.value(), "slots", kSlotsMax, path);
  if (!slots.ok()) return slots.status();
  record.slot_count = slots.value();
  return record;
}

Result<SlotRecord> read_slot(const std::string& directory, uint32_t slot) {
  const std::string path = slot_path(directory, slot);
  Result<std::string> bytes = read_record_file(directory, path);
  if (!bytes.ok()) return bytes.status();
  Result<RecordText> parsed = RecordText::parse(bytes.value(), kSlotTitle, path);
  if (!parsed.ok()) return parsed.status();
  const RecordText& text = parsed.value();
  SlotRecord record;
  WEFT_RETURN_IF_ERROR(text.get_bytes("job", record.job));
  Result<std::string> address = text.get_bytes("address");
  if (!address.ok()) return address.status();
  record.address = address.take();
  Result<uint32_t> slot_there = number_up_to(text, "slot", kSlotsMax, path);
  if (!slot_there.ok()) return slot_there.status();
  if (slot_there.value() != slot) {
    return Status(Code::GROUP_UNREADABLE, join_text("'", path, "' is the file of slot ", slot_there.value(),
                                                    "; it was copied or renamed: remove it"));
  }
  Result<uint32_t> epoch = number_up_to(text, "epoch", UINT32_MAX, path);
  if (!epoch.ok()) return epoch.status();
  uint64_t numbers[3] = {};
  const char* const keys[3] = {"pid-namespace", "pid", "start-time"};
  for (int i = 0; i < 3; ++i) {
    Result<uint64_t> number = text.get_number(keys[i]);
    if (!number.ok()) return number.status();
    numbers[i] = number.value();
  }
  record.slot = slot;
  record.epoch = epoch.value();
  record.process = {text.get("host"), text.get("boot-id"), numbers[0], numbers[1], numbers[2]};
  if (proven_dead(record.process)) {
    return Status(Code::GROUP_STALE, join_text("'", path, "' names process ", numbers[1],
                                               " on this host, which has ended without "
                                               "removing it; start the server again (weftline serve)"));
  }
  return record;
}

Status remove_slot(const std::string& directory, uint32_t slot) {
  const std::string path = slot_path(directory, slot);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return file_error("removing", path, errno);
  remove_temporaries(directory, path);
  rmdir(directory.c_str());  // succeeds for the last one only, which is what is wanted
  return {};
}

Status remove_job(const std::string& directory) {
  const std::string path = job_path(directory);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return file_error("removing", path, errno);
  remove_temporaries(directory, path);
  rmdir(directory.c_str());
  return {};
}

}  // namespace weft::group
