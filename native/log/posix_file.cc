// Files of the operating system behind the seam of file.h. Any thread; one File is used by one writer and any number
// of readers at once (pread and pwrite carry their own position).
//
// What can fail: everything. EINTR and short transfers are gone on with; ENOSPC and EDQUOT become WEFT_NO_SPACE;
// a failed fdatasync becomes WEFT_SYNC_FAILED, whatever its errno, and is not tried again: the kernel marks the
// pages clean after it, so that a second call would lie.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "log/file.h"

namespace weft::log {

namespace {

Code code_of(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return Code::NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::NOT_WRITABLE;
    case ENOMEM:
      return Code::OUT_OF_MEMORY;
    default:
      return Code::IO;
  }
}

Status failed(const char* action, const std::string& path, int error_number) {
  return Status(code_of(error_number), join_text(action, " ", path, ": ", errno_text(error_number)));
}

class PosixFile final : public File {
 public:
  PosixFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  ~PosixFile() override {
    // What had to be durable was synced before; an error here has nobody left to tell.
    static_cast<void>(::close(descriptor_));
  }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  Status read_at(uint64_t position, std::span<std::byte> into) override {
    while (!into.empty()) {
      const ssize_t got = ::pread(descriptor_, into.data(), into.size(), static_cast<off_t>(position));
      if (got < 0) {
        if (errno == EINTR) continue;
        return failed("reading", path_, errno);
      }
      if (got == 0) {
        return Status(Code::CORRUPT, join_text(path_, " ends at ", position, ", ", into.size(), " bytes are missing"));
      }
      position += static_cast<uint64_t>(got);
      into = into.subspan(static_cast<size_t>(got));
    }
    return {};
  }

  Status write_at(uint64_t position, std::span<const std::byte> from) override {
    while (!from.empty()) {
      const ssize_t put = ::pwrite(descriptor_, from.data(), from.size(), static_cast<off_t>(position));
      if (put < 0) {
        if (errno == EINTR) continue;
        return failed("writing", path_, errno);
      }
      if (put == 0) return Status(Code::IO, join_text("writing ", path_, ": the system wrote nothing"));
      position += static_cast<uint64_t>(put);
      from = from.subspan(static_cast<size_t>(put));
    }
    return {};
  }

  Status write_vector_at(uint64_t position, std::span<const std::span<const std::byte>> pieces) override {
    constexpr size_t kPiecesMax = 16;  // of one call; far below IOV_MAX, enough for one record
    std::array<iovec, kPiecesMax> vector;
    size_t piece = 0;
    size_t piece_done = 0;  // bytes of pieces[piece] that are written
    while (true) {
      int count = 0;
      for (size_t at = piece; at < pieces.size() && count < static_cast<int>(kPiecesMax); ++at) {
        const auto rest = pieces[at].subspan(at == piece ? piece_done : 0);
        // const_cast: iovec has one type for reading and writing; pwritev only reads.
        vector[static_cast<size_t>(count++)] = {const_cast<std::byte*>(rest.data()), rest.size()};
      }
      size_t wanted = 0;
      for (int at = 0; at < count; ++at) wanted += vector[static_cast<size_t>(at)].iov_len;
      if (wanted == 0) {
        piece += static_cast<size_t>(count);
        piece_done = 0;
        if (piece >= pieces.size()) return {};
        continue;
      }
      const ssize_t put = ::pwritev(descriptor_, vector.data(), count, static_cast<off_t>(position));
      if (put < 0) {
        if (errno == EINTR) continue;
        return failed("writing", path_, errno);
      }
      if (put == 0) return Status(Code::IO, join_text("writing ", path_, ": the system wrote nothing"));
      position += static_cast<uint64_t>(put);
      size_t left = static_cast<size_t>(put);
      while (left > 0) {
        const size_t step = std::min(left, pieces[piece].size() - piece_done);
        left -= step;
        piece_done += step;
        if (piece_done == pieces[piece].size()) {
          ++piece;
          piece_done = 0;
        }
      }
    }
  }

  Status sync_data() override {
    while (::fdatasync(descriptor_) != 0) {
      if (errno == EINTR) continue;  // interrupted before it did anything
      return Status(Code::SYNC_FAILED, join_text("fdatasync of ", path_, ": ", errno_text(errno)));
    }
    return {};
  }

  Status truncate(uint64_t length) override {
    while (::ftruncate(descriptor_, static_cast<off_t>(length)) != 0) {
      if (errno == EINTR) continue;
      return failed("truncating", path_, errno);
    }
    return {};
  }

  Status punch_hole(uint64_t position, uint64_t length) override {
    while (::fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(position),
                       static_cast<off_t>(length)) != 0) {
      if (errno == EINTR) continue;
      if (errno == EOPNOTSUPP || errno == ENOSYS) return {};
      return failed("giving back room of", path_, errno);
    }
    return {};
  }

  Result<uint64_t> size() override {
    struct stat info;
    if (::fstat(descriptor_, &info) != 0) return failed("asking the size of", path_, errno);
    return static_cast<uint64_t>(info.st_size);
  }

 private:
  const int descriptor_;
  const std::string path_;
};

std::string parent_of(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    int flags = O_CLOEXEC;
    if (mode == OpenMode::kReadOnly) flags |= O_RDONLY;
    if (mode == OpenMode::kReadWrite) flags |= O_RDWR;
    if (mode == OpenMode::kCreateNew) flags |= O_RDWR | O_CREAT | O_EXCL;
    int descriptor;
    do {
      descriptor = ::open(path.c_str(), flags, 0640);
    } while (descriptor < 0 && errno == EINTR);
    if (descriptor < 0) return failed(mode == OpenMode::kCreateNew ? "creating" : "opening", path, errno);
    return std::unique_ptr<File>(std::make_unique<PosixFile>(descriptor, path));
  }

  Status remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return failed("removing", path, errno);
    return {};
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return failed("renaming to", to, errno);
    return {};
  }

  Status make_directories(const std::string& path) override {
    struct stat info;
    if (::stat(path.c_str(), &info) == 0) {
      if (S_ISDIR(info.st_mode)) return {};
      return Status(Code::NOT_WRITABLE, join_text(path, " exists and is no directory"));
    }
    const std::string parent = parent_of(path);
    if (parent != path && parent != ".") WEFT_RETURN_IF_ERROR(make_directories(parent));
    if (::mkdir(path.c_str(), 0750) != 0 && errno != EEXIST) return failed("making directory", path, errno);
    return sync_directory(parent);
  }

  Status sync_directory(const std::string& path) override {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return failed("opening directory", path, errno);
    int error = 0;
    while (::fsync(descriptor) != 0) {
      if (errno == EINTR) continue;
      error = errno;
      break;
    }
    static_cast<void>(::close(descriptor));
    // EINVAL: a file system whose directories need no sync (some network file systems).
    if (error != 0 && error != EINVAL) {
      return Status(Code::SYNC_FAILED, join_text("fsync of directory ", path, ": ", errno_text(error)));
    }
    return {};
  }

  Result<std::vector<std::string>> list(const std::string& path) override {
    DIR* directory = ::opendir(path.c_str());
    if (directory == nullptr) return failed("listing", path, errno);
    std::vector<std::string> names;
    int error = 0;
    while (true) {
      errno = 0;
      const dirent* entry = ::readdir(directory);
      if (entry == nullptr) {
        error = errno;
        break;
      }
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
    }
    static_cast<void>(::closedir(directory));
    if (error != 0) return failed("listing", path, error);
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<bool> exists(const std::string& path) override {
    struct stat info;
    if (::stat(path.c_str(), &info) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return failed("looking for", path, errno);
  }
};

}  // namespace

FileSystem& FileSystem::real() {
  static PosixFileSystem file_system;
  return file_system;
}

}  // namespace weft::log
