// The limit for data on disk: CRC32C and writes of one thread, nothing else.
//   limit_file DIRECTORY ITEM_BYTES COUNT SOURCES SEGMENT_MIB ITEMS_PER_BATCH BATCHES_PER_SYNC
// Writes COUNT items out of SOURCES distinct ones, takes their checksums, and after each batch writes one record of
// checksums to a second file: the files, sizes and order of a partition on disk. BATCHES_PER_SYNC 0: into the page
// cache only; else data and records are synced after so many batches, and at the end. A new data file each SEGMENT_MIB,
// the first one half as long, so that as many segments as in a long run are sealed: synced, and their directory as
// well. Removes its files. Prints one line of JSON: {"bytes":…,"seconds":…,"cpuSeconds":…,"syncs":…}.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "base/clock.h"
#include "base/random.h"
#include "process_cpu.h"

namespace {
constexpr uint64_t kBlockBytes = 64 * 1024;  // a checksum each, as stored data has
constexpr uint64_t kRecordHeadBytes = 256;   // of a batch: header, columns, metadata

struct Plan {
  std::string directory;
  uint64_t item_bytes = 0;
  uint64_t count = 0;
  uint64_t source_bytes = 0;
  uint64_t segment_bytes = 0;
  uint64_t items_per_batch = 0;
  uint64_t batches_per_sync = 0;
};

[[noreturn]] void stop(const std::string& what) {
  std::fprintf(stderr, "limit_file: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

class OutputFile {
 public:
  explicit OutputFile(const std::string& path)
      : path_(path), descriptor_(open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600)) {
    if (descriptor_ < 0) stop("creating " + path);
  }
  ~OutputFile() { close(descriptor_); }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void append(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t put = pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(end_));
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) stop("writing " + path_);
      bytes = bytes.subspan(static_cast<size_t>(put));
      end_ += static_cast<uint64_t>(put);
    }
  }
  void sync() {
    if (fdatasync(descriptor_) != 0) stop("syncing " + path_);
  }
  uint64_t end() const { return end_; }

 private:
  const std::string path_;
  const int descriptor_;
  uint64_t end_ = 0;
};

void sync_directory(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0 || fsync(descriptor) != 0) stop("syncing " + path);
  close(descriptor);
}

std::vector<uint64_t> make_sources(uint64_t bytes) {
  std::vector<uint64_t> words(bytes / sizeof(uint64_t));
  weft::SeededRandom random(1);
  for (uint64_t& word : words) word = random.next();
  return words;
}

void measure(const Plan& plan) {
  const std::vector<uint64_t> words = make_sources(plan.source_bytes);
  const auto sources = std::as_bytes(std::span(words));
  std::vector<std::unique_ptr<OutputFile>> segments;
  std::vector<uint32_t> record;
  uint64_t syncs = 0;
  const uint64_t begun_ns = weft::Clock::system().monotonic_ns();
  const double cpu_before = weft::bench::process_cpu_seconds();
  OutputFile records(plan.directory + "/records");
  const auto new_segment = [&] {
    segments.push_back(std::make_unique<OutputFile>(plan.directory + "/data-" + std::to_string(segments.size())));
  };
  const auto sync = [&] {
    segments.back()->sync();
    records.sync();
    syncs++;
  };
  new_segment();
  uint64_t batches_unsynced = 0;
  for (uint64_t item = 0; item < plan.count; item++) {
    const uint64_t segment_bytes = segments.size() == 1 ? plan.segment_bytes / 2 : plan.segment_bytes;
    if (segments.back()->end() + plan.item_bytes > segment_bytes) {
      segments.back()->sync();  // sealed, whatever the durability
      new_segment();
      sync_directory(plan.directory);
    }
    const auto bytes = sources.subspan(item * plan.item_bytes % plan.source_bytes, plan.item_bytes);
    segments.back()->append(bytes);
    for (uint64_t at = 0; at < bytes.size(); at += kBlockBytes) {
      record.push_back(weft::crc32c(bytes.subspan(at, std::min(kBlockBytes, bytes.size() - at))));
    }
    if ((item + 1) % plan.items_per_batch != 0 && item + 1 != plan.count) continue;
    record.resize(record.size() + kRecordHeadBytes / sizeof(uint32_t));
    records.append(std::as_bytes(std::span(record)));
    record.clear();
    if (plan.batches_per_sync != 0 && ++batches_unsynced == plan.batches_per_sync) {
      sync();
      batches_unsynced = 0;
    }
  }
  if (batches_unsynced > 0) sync();
  const double seconds = static_cast<double>(weft::Clock::system().monotonic_ns() - begun_ns) / 1e9;
  const double cpu_seconds = weft::bench::process_cpu_seconds() - cpu_before;
  std::printf("{\"bytes\":%llu,\"seconds\":%.6f,\"cpuSeconds\":%.6f,\"syncs\":%llu}\n",
              static_cast<unsigned long long>(plan.count * plan.item_bytes), seconds, cpu_seconds,
              static_cast<unsigned long long>(syncs));
}
}  // namespace

int main(int argc, char** argv) {
  errno = EINVAL;
  if (argc != 8) stop("use: DIRECTORY ITEM_BYTES COUNT SOURCES SEGMENT_MIB ITEMS_PER_BATCH BATCHES_PER_SYNC");
  const auto number = [&](int index) { return std::strtoull(argv[index], nullptr, 10); };
  const Plan plan{argv[1], number(2), number(3), number(2) * number(4), number(5) << 20, number(6), number(7)};
  if (plan.item_bytes == 0 || plan.count == 0 || plan.source_bytes == 0 || plan.source_bytes % sizeof(uint64_t) != 0 ||
      plan.segment_bytes < 2 * plan.item_bytes || plan.items_per_batch == 0) {
    stop("the sources must be whole words, a segment at least two items, a batch at least one");
  }
  measure(plan);
  return 0;
}
