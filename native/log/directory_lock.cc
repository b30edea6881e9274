// Uses open-file-description locks: they belong to the open file, not to the process, so that a second server inside
// one process is kept out too, and closing another descriptor of the file does not let go.
#include "log/directory_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>

#include "log/checkpoint.h"
#include "log/data_directory.h"

namespace weft::log {

namespace {

constexpr size_t kOwnerBytesMax = 2048;

uint64_t process_start_time() {
  std::ifstream stat("/proc/self/stat");
  std::string text;
  std::getline(stat, text);
  // The name in parentheses may hold spaces; the start time is the 20th field behind it.
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  size_t at = name_end + 1;
  for (int field = 0; field < 19 && at != std::string::npos; ++field) at = text.find(' ', at + 1);
  uint64_t ticks = 0;
  if (at != std::string::npos) std::from_chars(text.data() + at + 1, text.data() + text.size(), ticks);
  return ticks;
}

std::string owner_text(const std::string& job) {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '?';
  return join_text("host ", host.data(), "\nboot ", current_boot_id(), "\npid ", ::getpid(), "\nstart ",
                   process_start_time(), "\njob ", job, "\n");
}

LockOwner read_owner(int descriptor) {
  std::array<char, kOwnerBytesMax> buffer;
  const ssize_t got = ::pread(descriptor, buffer.data(), buffer.size(), 0);
  LockOwner owner;
  if (got <= 0) return owner;
  std::string_view text(buffer.data(), static_cast<size_t>(got));
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const size_t space = line.find(' ');
    if (space == std::string_view::npos) continue;
    const std::string_view key = line.substr(0, space);
    const std::string_view value = line.substr(space + 1);
    if (key == "host") owner.host = value;
    if (key == "boot") owner.boot_id = value;
    if (key == "job") owner.job = value;
    if (key == "pid") std::from_chars(value.data(), value.data() + value.size(), owner.pid);
    if (key == "start") std::from_chars(value.data(), value.data() + value.size(), owner.start_time);
  }
  return owner;
}

Status write_owner(int descriptor, const std::string& path, const std::string& job) {
  const std::string text = owner_text(job);
  if (::ftruncate(descriptor, 0) != 0) {
    return Status(Code::NOT_WRITABLE, join_text("writing ", path, ": ", errno_text(errno)));
  }
  const ssize_t put = ::pwrite(descriptor, text.data(), text.size(), 0);
  if (put == static_cast<ssize_t>(text.size())) return {};
  // A full disk must not keep a server from serving what is there: the lock holds without the record.
  if (put >= 0 || errno == ENOSPC || errno == EDQUOT) return {};
  return Status(Code::NOT_WRITABLE, join_text("writing ", path, ": ", errno_text(errno)));
}

}  // namespace

Result<std::unique_ptr<DirectoryLock>> DirectoryLock::take(const std::string& data_directory, const std::string& job,
                                                           bool force) {
  WEFT_RETURN_IF_ERROR(FileSystem::real().make_directories(data_directory));
  const std::string path = lock_path(data_directory);
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (descriptor < 0) {
    const Code code = errno == ENOSPC || errno == EDQUOT ? Code::NO_SPACE : Code::NOT_WRITABLE;
    return Status(code, join_text("opening ", path, ": ", errno_text(errno),
                                  "; correct the permissions or use another directory"));
  }
  struct flock request {};
  request.l_type = F_WRLCK;
  request.l_whence = SEEK_SET;
  bool locked = true;
  if (::fcntl(descriptor, F_OFD_SETLK, &request) != 0) {
    const int error = errno;
    if (error == EAGAIN || error == EACCES) {
      const LockOwner owner = read_owner(descriptor);
      static_cast<void>(::close(descriptor));
      return Status(Code::DATA_DIRECTORY_LOCKED,
                    join_text(data_directory, " is in use by process ", owner.pid, " on host ",
                              owner.host.empty() ? "?" : owner.host, " (job '", owner.job,
                              "'); stop that server or use another directory"));
    }
    if (!force) {
      static_cast<void>(::close(descriptor));
      return Status(Code::UNSUPPORTED,
                    join_text("the file system of ", data_directory, " has no locks (", errno_text(error),
                              "); use another one, or force it if no other server "
                              "can be using the directory"));
    }
    locked = false;
  }
  LockOwner previous = read_owner(descriptor);
  Status written = write_owner(descriptor, path, job);
  if (!written.ok()) {
    static_cast<void>(::close(descriptor));
    return written;
  }
  return std::unique_ptr<DirectoryLock>(new DirectoryLock(descriptor, locked, std::move(previous)));
}

DirectoryLock::~DirectoryLock() {
  // An empty record: let go by itself. The lock ends with the descriptor.
  static_cast<void>(::ftruncate(descriptor_, 0) == 0);
  static_cast<void>(::close(descriptor_));
}

}  // namespace weft::log
