// Micro-benchmarks of the native parts, each without the others: checksum, batch codec, the queue between threads,
// logs.
//   micro --benchmark_format=json
// Sizes are those of the base case of the suite: 128 events of 256 B of metadata.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "base/mpsc_queue.h"
#include "log/partition_log.h"
#include "wire/batch.h"

namespace {

constexpr uint32_t kEvents = 128;
constexpr uint64_t kMetadataBytes = 256;

struct Batch {
  weft::wire::BatchHeader header{};
  std::vector<std::byte> body;
};

Batch make_batch() {
  Batch batch;
  const weft::wire::BatchShape shape = weft::wire::batch_shape(kEvents, false, kEvents * kMetadataBytes);
  batch.body.resize(shape.body_bytes);
  for (uint32_t event = 0; event < kEvents; ++event) {
    const auto end = static_cast<uint32_t>((event + 1) * kMetadataBytes);
    std::memcpy(batch.body.data() + shape.metadata_end_at + event * sizeof end, &end, sizeof end);
  }
  batch.header.event_count = kEvents;
  batch.header.producer_id.bytes[0] = 7;
  batch.header.producer_epoch = 1;
  weft::wire::seal_batch(batch.header, batch.body);
  return batch;
}

void checksum(benchmark::State& state) {
  const std::vector<std::byte> bytes(static_cast<size_t>(state.range(0)), std::byte{7});
  for (auto _ : state) benchmark::DoNotOptimize(weft::crc32c(bytes));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(checksum)->Arg(256)->Arg(64 << 10)->Arg(1 << 20);

void codec_seal(benchmark::State& state) {
  Batch batch = make_batch();
  for (auto _ : state) weft::wire::seal_batch(batch.header, batch.body);
  state.SetItemsProcessed(state.iterations() * kEvents);
}
BENCHMARK(codec_seal);

void codec_parse(benchmark::State& state) {
  const Batch batch = make_batch();
  const auto header = std::as_bytes(std::span(&batch.header, 1));
  for (auto _ : state) {
    auto view = weft::wire::BatchView::parse(header, batch.body, true);
    if (!view.ok()) state.SkipWithError("the batch is refused");
    benchmark::DoNotOptimize(view);
  }
  state.SetItemsProcessed(state.iterations() * kEvents);
}
BENCHMARK(codec_parse);

struct Node {
  Node* next = nullptr;
};

void ring_push_take(benchmark::State& state) {
  weft::MpscQueue<Node> queue;
  std::vector<Node> nodes(kEvents);
  for (auto _ : state) {
    for (Node& node : nodes) queue.push(&node);
    benchmark::DoNotOptimize(queue.take_all());
  }
  state.SetItemsProcessed(state.iterations() * kEvents);
}
BENCHMARK(ring_push_take);

// Batches into the page cache; the folder goes with it.
class LogFolder {
 public:
  LogFolder() {
    const std::string pattern = (std::filesystem::temp_directory_path() / "weft_micro_XXXXXX").string();
    path_ = pattern;
    made_ = ::mkdtemp(path_.data()) != nullptr;
  }
  ~LogFolder() {
    std::error_code ignored;
    if (made_) std::filesystem::remove_all(path_, ignored);
  }
  LogFolder(const LogFolder&) = delete;
  LogFolder& operator=(const LogFolder&) = delete;
  bool made() const { return made_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  bool made_ = false;
};

void log_append(benchmark::State& state) {
  const LogFolder folder;
  weft::log::FileLogOptions options;
  options.metadata_directory = folder.path() + "/metadata";
  options.data_directory = folder.path() + "/data";
  auto log = weft::log::open_file_log(options, nullptr);
  if (!folder.made() || !log.ok()) return state.SkipWithError("no log could be opened");
  Batch batch = make_batch();
  for (auto _ : state) {
    const auto appended = log.value()->append({&batch.header, batch.body, {}, {}});
    if (!appended.ok()) state.SkipWithError("a batch was not stored");
    batch.header.sequence += 1;
    weft::wire::seal_batch(batch.header, batch.body);
  }
  static_cast<void>(log.value()->close());
  state.SetItemsProcessed(state.iterations() * kEvents);
}
BENCHMARK(log_append)->Iterations(20'000);

}  // namespace

BENCHMARK_MAIN();
