// What the log's tests share: batches made from a seed, writing and reading them whole, and a folder of their own.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "base/random.h"
#include "log/partition_log.h"

namespace weft::log {

// A folder that is removed again.
class TestFolder {
 public:
  TestFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weft_log_XXXXXX").string();
    const char* made = ::mkdtemp(pattern.data());
    EXPECT_NE(made, nullptr);
    path_ = pattern;
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Time that a test owns.
class TestClock final : public Clock {
 public:
  uint64_t monotonic_ns() override { return now_ns; }
  uint64_t realtime_ns() override { return now_ns += step_ns; }
  uint64_t now_ns = 1'000'000'000;
  uint64_t step_ns = 1000;
};

struct TestBatch {
  wire::BatchHeader header{};
  std::vector<std::byte> body;
  std::vector<std::byte> data;  // the whole extent
  std::vector<uint32_t> block_checksums;
};

// `metadata_bytes` for each event; one entry of data_lengths for each event, or none at all.
inline TestBatch make_batch(uint64_t seed, uint32_t count, uint64_t metadata_bytes,
                            const std::vector<uint64_t>& data_lengths = {}) {
  SeededRandom random(seed);
  TestBatch batch;
  const bool has_data = !data_lengths.empty();
  const wire::BatchShape shape = wire::batch_shape(count, has_data, count * metadata_bytes);
  batch.body.resize(shape.body_bytes);
  uint64_t data_end = 0;
  for (uint32_t event = 0; event < count; ++event) {
    const uint32_t end = static_cast<uint32_t>((event + 1) * metadata_bytes);
    std::memcpy(batch.body.data() + shape.metadata_end_at + event * 4, &end, 4);
    std::memcpy(batch.body.data() + shape.time_delta_at + event * 4, &event, 4);
    if (has_data) {
      std::memcpy(batch.body.data() + shape.data_length_at + event * 8, &data_lengths[event], 8);
      if (data_lengths[event] > 0) data_end = wire::align_up(data_end, wire::kDataAlignmentBytes) + data_lengths[event];
    }
  }
  for (uint64_t at = shape.metadata_at; at < shape.metadata_at + count * metadata_bytes; ++at) {
    batch.body[at] = static_cast<std::byte>(random.next());
  }
  batch.data.resize(data_end);
  for (std::byte& byte : batch.data) byte = static_cast<std::byte>(random.next());
  for (uint64_t at = 0; at < data_end; at += kDataBlockBytes) {
    batch.block_checksums.push_back(crc32c(batch.data.data() + at, std::min(kDataBlockBytes, data_end - at)));
  }
  batch.header.flags = has_data ? wire::kBatchHasData : 0;
  batch.header.event_count = count;
  batch.header.data_bytes = data_end;
  batch.header.base_time_ns = 1'700'000'000'000'000'000;
  batch.header.sequence = seed;
  batch.header.producer_id.bytes[0] = 7;
  batch.header.producer_epoch = 1;
  wire::seal_batch(batch.header, batch.body);
  return batch;
}

// reserve, write (or place in memory), append.
inline Result<AppendResult> store(PartitionLog& log, const TestBatch& batch) {
  auto extent = log.reserve(batch.header.data_bytes);
  if (!extent.ok()) return extent.status();
  std::byte* memory = log.memory(extent.value());
  Status written;
  if (memory != nullptr) {
    std::memcpy(memory, batch.data.data(), batch.data.size());
  } else if (!batch.data.empty()) {
    const size_t half = batch.data.size() / 2;
    written = log.write_data(extent.value(), 0, std::span(batch.data).first(half));
    if (written.ok()) written = log.write_data(extent.value(), half, std::span(batch.data).subspan(half));
  }
  if (!written.ok()) {
    log.abandon(extent.value());
    return written;
  }
  auto appended = log.append({&batch.header, batch.body, extent.value(), batch.block_checksums});
  if (!appended.ok()) log.abandon(extent.value());
  return appended;
}

// The batch at the offset, metadata and data, is this one; "" or what differs.
inline std::string difference(const PartitionLog& log, uint64_t offset, const TestBatch& batch,
                              ReadAhead* ahead = nullptr) {
  StoredBatch stored;
  Status status = log.read_batch(offset, stored, ahead);
  if (!status.ok()) return status.text();
  if (stored.first_offset != offset) return join_text("first offset ", stored.first_offset);
  if (std::memcmp(&stored.header, &batch.header, sizeof batch.header) != 0) return "another header";
  if (stored.body != batch.body) return "another body";
  if (stored.block_checksums != batch.block_checksums) return "other block checksums";
  std::vector<std::byte> data(batch.data.size());
  status = log.read_data(stored, 0, data);
  if (!status.ok()) return status.text();
  return data == batch.data ? "" : "other data";
}

}  // namespace weft::log
