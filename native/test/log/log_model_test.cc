// Random work on a partition over the fault file system, against a model of what was acknowledged.
//
// Each seed is one history: appends, syncs, rolls, cursors, retention, full disks, failing calls and syncs, clean ends,
// process crashes and power losses, and after each reopening the whole log is read and compared:
//   - after a process crash every batch whose append returned is there; after a power loss every batch that a sync
//     covered; what is there is unchanged, in order, once;
//   - ids are never given out twice, the epoch never goes back;
//   - the producer table knows the last batch of each producer;
//   - a synced cursor is there, and never ahead of the log;
//   - a flipped bit is found, or harmless.
// WEFT_SEEDS: how many (default 10,000; 500 with a sanitizer). WEFT_SEED: just this one.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "log/cursor_file.h"
#include "log/fault_file.h"
#include "log/verify.h"
#include "log_test_support.h"

namespace weft::log {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kDefaultSeeds = 500;
#else
constexpr uint64_t kDefaultSeeds = 10'000;
#endif

struct ModelBatch {
  uint64_t offset = 0;
  TestBatch batch;
  bool synced = false;
};

class History {
 public:
  explicit History(uint64_t seed) : random_(seed), files_(seed * 31 + 7) {
    options_.metadata_directory = "/p/metadata";
    options_.data_directory = "/p/data";
    options_.owner = "model/0";
    options_.segment_bytes = 4096 + random_.below(3) * 4096;
    options_.checkpoint_bytes = 1000 + random_.below(20'000);
    options_.offset_lease = 20 + random_.below(200);
    options_.file_system = &files_;
    options_.clock = &clock_;
  }

  // "" or what went wrong.
  std::string run() {
    if (!reopen()) return trouble_;
    epoch_ = log_->state().epoch;
    const uint64_t steps = 20 + random_.below(30);
    for (uint64_t step = 0; step < steps && trouble_.empty(); ++step) act();
    if (trouble_.empty()) end_and_reopen();
    return trouble_;
  }

 private:
  void fail(std::string words) {
    if (trouble_.empty()) trouble_ = std::move(words);
  }

  void act() {
    const uint64_t choice = random_.below(100);
    if (choice < 55) return append();
    if (choice < 68) return sync();
    if (choice < 76) return set_cursor();
    if (choice < 79) return remove();
    if (choice < 82) return fill_disk();
    if (choice < 86) return files_.fail_after(random_.below(40));
    if (choice < 88) return files_.fail_sync_after(random_.below(3));
    if (choice < 91) return read_one();
    if (choice < 94) return flip_bit();
    end_and_reopen();
  }

  TestBatch make() {
    const uint32_t count = 1 + static_cast<uint32_t>(random_.below(4));
    std::vector<uint64_t> lengths;
    if (random_.chance(1, 2)) {
      for (uint32_t event = 0; event < count; ++event) lengths.push_back(random_.below(700));
      if (random_.chance(1, 40)) lengths[0] = 70'000;  // more than a segment, and two blocks
    }
    TestBatch batch = make_batch(++batch_number_, count, random_.below(120), lengths);
    const uint8_t producer = static_cast<uint8_t>(random_.below(3));
    batch.header.producer_id.bytes[0] = producer;
    batch.header.sequence = next_sequence_[producer];
    wire::seal_batch(batch.header, batch.body);
    return batch;
  }

  void append() {
    const TestBatch batch = make();
    // Sometimes a producer dies in the middle of its pull.
    if (batch.header.data_bytes > 0 && random_.chance(1, 8)) {
      auto extent = log_->reserve(batch.header.data_bytes);
      if (extent.ok()) {
        static_cast<void>(log_->write_data(extent.value(), 0, batch.data).ok());
        log_->abandon(extent.value());
      }
    }
    auto appended = store(*log_, batch);
    if (!appended.ok()) {
      // Not acknowledged: it may be found after a crash, or not.
      maybe_ = ModelBatch{log_->state().next_offset, batch, false};
      if (appended.status().code() != Code::NO_SPACE && !log_->state().read_only) {
        fail("append failed without stopping the partition: " + appended.status().text());
      }
      return;
    }
    maybe_.reset();
    const uint64_t offset = appended.value().first_offset;
    if (offset < given_out_) fail(join_text("offset ", offset, " was given out before (below ", given_out_, ")"));
    given_out_ = offset + batch.header.event_count;
    next_sequence_[batch.header.producer_id.bytes[0]] = batch.header.sequence + 1;
    batches_.push_back({offset, batch, false});
    note_synced();
    if (!files_.sync_failed()) expect_batch(batches_.back());
  }

  // A roll or a checkpoint inside a call may have synced.
  void note_synced() {
    const uint64_t synced = log_->state().synced_offset;
    for (ModelBatch& batch : batches_) {
      if (batch.offset + batch.batch.header.event_count <= synced) batch.synced = true;
    }
  }

  void sync() {
    if (log_->sync().ok() && log_->state().synced_offset != log_->state().next_offset) fail("synced, but not all");
    note_synced();
  }

  void expect_batch(const ModelBatch& batch) {
    const std::string differs = difference(*log_, batch.offset, batch.batch);
    if (!differs.empty() && !faulty()) fail(join_text("offset ", batch.offset, ": ", differs));
  }
  // Calls may be failing for reading too.
  bool faulty() { return log_->state().read_only || calls_fail(); }
  bool calls_fail() {
    auto there = files_.exists("/p/metadata/checkpoint");
    return !there.ok();
  }

  void read_one() {
    if (batches_.empty() || files_.sync_failed()) return;
    expect_batch(batches_[random_.below(batches_.size())]);
  }

  // Storage that rots: a batch reads as it was stored or as WEFT_CORRUPT, and verify finds any bit of a record, and
  // whatever a reader finds.
  void flip_bit() {
    if (files_.sync_failed() || log_->state().read_only) return;
    files_.allow_all();
    const bool in_metadata = random_.chance(1, 2);
    const std::string& directory = in_metadata ? options_.metadata_directory : options_.data_directory;
    std::vector<std::string> segments;
    const auto names = files_.list(directory);
    for (const std::string& name : names.value()) {
      if (name.ends_with(in_metadata ? ".meta" : ".data")) segments.push_back(join_text(directory, "/", name));
    }
    if (segments.empty()) return;
    const std::string path = segments[random_.below(segments.size())];
    const uint64_t bytes = files_.open(path, OpenMode::kReadOnly).value()->size().value();
    if (bytes == 0) return;
    const PartitionVerification before = verified();
    const uint64_t bit = random_.below(bytes * 8);
    files_.flip_bit(path, bit);
    const PartitionVerification after = verified();
    const std::string where = join_text("bit ", bit % 8, " of byte ", bit / 8, " of ", path, " (", bytes, " bytes)");
    bool found = false;
    for (const ModelBatch& batch : batches_) {
      const std::string differs = difference(*log_, batch.offset, batch.batch);
      if (differs.empty()) continue;
      found = true;
      if (differs.rfind("WEFT_CORRUPT", 0) != 0) fail(join_text(where, ": offset ", batch.offset, ": ", differs));
    }
    // The end of the last segment that no checkpoint vouches for counts as a batch that was not finished.
    const bool noticed = !after.ok || after.unfinished_bytes > 0;
    if (before.ok && before.unfinished_bytes == 0 && !noticed && (found || in_metadata)) {
      fail(join_text(where, ": verify found nothing", found ? ", reading did" : ""));
    }
    files_.flip_bit(path, bit);
    if (verified().ok != before.ok) fail(join_text(where, ": the damage stayed when the bit was put back"));
  }

  PartitionVerification verified() {
    auto verification = verify_partition(files_, options_.metadata_directory, options_.data_directory);
    if (verification.ok()) return verification.take();
    PartitionVerification impossible;  // a newer format, by its version's bit
    if (verification.status().code() != Code::FORMAT_NEWER) fail("verify: " + verification.status().text());
    return impossible;
  }

  void set_cursor() {
    const std::string name = join_text("consumer", random_.below(3));
    // A consumer commits what it has seen; the broker commits cursors only up to what is synced.
    // Here also ahead of that: such a cursor may be moved at opening, but never stay ahead of the log.
    const PartitionState state = log_->state();
    const uint64_t unsynced = state.next_offset - state.synced_offset;
    Cursor cursor{state.epoch, state.synced_offset + random_.below(unsynced + 1)};
    if (const auto before = cursors_->get(name)) cursor.offset = std::max(cursor.offset, before->offset);
    if (!cursors_->set(name, cursor).ok()) return fail("a cursor was refused");
    if (random_.chance(1, 2)) static_cast<void>(cursors_->write().ok());
    if (random_.chance(1, 2) && cursors_->sync().ok()) {
      for (const auto& [other, value] : cursors_->list()) synced_cursors_[other] = value;
    }
  }

  void remove() {
    if (batches_.empty()) return;
    const uint64_t below = batches_[random_.below(batches_.size())].offset;
    // What is removed is decided before anything is written, and stays removed even if that fails.
    const bool removed = log_->remove_below(below).ok();
    removed_maybe_below_ = std::max(removed_maybe_below_, below);
    note_synced();
    const uint64_t first = log_->state().first_offset;
    if (first > below && first > removed_below_) fail(join_text("removed up to ", first, ", asked was ", below));
    if (removed) removed_below_ = first;
    std::erase_if(batches_, [first](const ModelBatch& batch) { return batch.offset < first; });
  }

  void fill_disk() {
    files_.set_capacity(files_.used_bytes() + random_.below(2000));
    for (int count = 0; count < 4 && trouble_.empty(); ++count) append();
    if (calls_fail() || files_.sync_failed()) return;
    files_.set_capacity(~uint64_t{0} - 1);
    // There is room again: the partition goes on by itself.
    if (log_->state().read_only) return;
    const size_t before = batches_.size();
    append();
    if (batches_.size() == before && !faulty()) fail("the partition did not go on when there was room");
  }

  void end_and_reopen() {
    const uint64_t how = random_.below(3);
    bool clean = false;
    if (how == 0) clean = log_->close().ok();
    if (clean) note_synced();
    const bool power = how == 2;
    const bool dropped = files_.sync_failed();
    if (power) {
      files_.lose_power();
      ++boot_;
    } else {
      files_.crash_process();
    }
    files_.allow_all();
    check_after(power || dropped, clean);
  }

  bool reopen() {
    options_.boot_id = join_text("boot", boot_);
    RecoveryReport report;
    log_.reset();
    cursors_.reset();
    auto opened = open_file_log(options_, &report);
    if (!opened.ok()) {
      fail("opening: " + opened.status().text());
      return false;
    }
    log_ = opened.take();
    reason_ = report.reason;
    auto cursors = CursorFile::open(files_, "/p", *log_, nullptr);
    if (!cursors.ok()) {
      fail("opening the cursors: " + cursors.status().text());
      return false;
    }
    cursors_ = cursors.take();
    return true;
  }

  void check_after(bool may_lose_unsynced, bool clean) {
    const uint32_t epoch_before = epoch_;
    // Sometimes the first attempt to open is cut short by a second crash.
    for (uint64_t attempt = 0; attempt < 3 && random_.chance(1, 3); ++attempt) {
      files_.fail_after(random_.below(60));
      options_.boot_id = join_text("boot", boot_);
      log_.reset();
      cursors_.reset();
      auto half = open_file_log(options_, nullptr);
      if (half.ok()) epoch_ = std::max(epoch_, half.value()->state().epoch);
      if (random_.chance(1, 2)) {
        files_.lose_power();
        ++boot_;
        may_lose_unsynced = true;
      } else {
        files_.crash_process();
      }
      files_.allow_all();
    }
    if (!reopen()) return;
    const PartitionState state = log_->state();
    if (state.epoch < epoch_before) fail(join_text("the epoch went back to ", state.epoch));
    if (state.next_offset < given_out_) {
      fail(join_text("next offset ", state.next_offset, ", but ids below ", given_out_, " were given out; ", reason_));
    }
    compare(may_lose_unsynced, clean, epoch_before);
    epoch_ = state.epoch;
    check_cursors();
    check_producers();
  }

  void compare(bool may_lose_unsynced, bool clean, uint32_t epoch_before) {
    std::vector<ModelBatch> found;
    StoredBatch stored;
    const PartitionState state = log_->state();
    uint64_t offset = state.first_offset;
    if (offset < removed_below_ || offset > std::max(removed_maybe_below_, removed_below_)) {
      fail(join_text("first offset ", offset, ", removed was below ", removed_below_));
    }
    std::vector<ModelBatch> known = batches_;
    if (maybe_) known.push_back(*maybe_);
    while (trouble_.empty()) {
      const Status status = log_->read_batch(offset, stored);
      if (status.code() == Code::END_OF_STREAM) break;
      if (!status.ok()) return fail(join_text("reading ", offset, ": ", status.text()));
      const auto match = std::find_if(known.begin(), known.end(),
                                      [&](const ModelBatch& batch) { return batch.offset == stored.first_offset; });
      if (match == known.end()) {
        // Taken out of the model when a removal failed halfway; the files may still be there.
        if (stored.first_offset >= removed_maybe_below_) {
          return fail(join_text("a batch at ", stored.first_offset, " that was never stored or was lost before"));
        }
      } else {
        const std::string differs = difference(*log_, match->offset, match->batch);
        if (!differs.empty()) return fail(join_text("offset ", match->offset, ": ", differs));
        found.push_back(*match);
      }
      offset = stored.first_offset + stored.header.event_count;
    }
    for (const ModelBatch& batch : batches_) {
      const bool there = std::any_of(found.begin(), found.end(),
                                     [&](const ModelBatch& other) { return other.offset == batch.offset; });
      if (there || batch.offset < state.first_offset) continue;
      if (batch.synced || clean || !may_lose_unsynced) {
        return fail(join_text("the batch at ", batch.offset, batch.synced ? " (synced)" : "", " is gone; ", reason_));
      }
      lost_ = true;
    }
    if (lost_ && state.epoch == epoch_before) fail("events are gone and the epoch is the same");
    lost_ = false;
    batches_ = std::move(found);
    // Opening makes what it found durable.
    for (ModelBatch& batch : batches_) batch.synced = true;
    if (!batches_.empty()) {
      const ModelBatch& last = batches_.back();
      given_out_ = std::max(given_out_, last.offset + last.batch.header.event_count);
    }
    maybe_.reset();
  }

  void check_cursors() {
    for (const auto& [name, cursor] : cursors_->list()) {
      StoredBatch batch;
      const Status status = log_->read_batch(cursor.offset, batch);
      if (cursor.offset > log_->state().next_offset) fail(join_text("cursor ", name, " is ahead of the log"));
      if (status.code() == Code::TRUNCATED) fail(join_text("cursor ", name, " is in a gap at ", cursor.offset));
    }
    for (const auto& [name, cursor] : synced_cursors_) {
      const auto there = cursors_->get(name);
      if (!there) return fail(join_text("the synced cursor ", name, " is gone"));
      if (there->offset < cursor.offset) {
        fail(join_text("the synced cursor ", name, " went back from ", cursor.offset, " to ", there->offset));
      }
    }
  }

  void check_producers() {
    std::map<uint8_t, const ModelBatch*> last;
    for (const ModelBatch& batch : batches_) last[batch.batch.header.producer_id.bytes[0]] = &batch;
    for (const auto& [number, batch] : last) {
      const ProducerState* producer = log_->producer(batch->batch.header.producer_id);
      if (producer == nullptr) return fail(join_text("producer ", number, " is not known"));
      next_sequence_[number] = batch->batch.header.sequence + 1;
      if (producer->next_sequence != next_sequence_[number] || producer->recent.empty() ||
          producer->recent.back().first_offset != batch->offset) {
        fail(join_text("producer ", number, " is remembered at sequence ", producer->next_sequence, ", not ",
                       next_sequence_[number]));
      }
    }
  }

  SeededRandom random_;
  FaultFileSystem files_;
  TestClock clock_;
  FileLogOptions options_;
  std::unique_ptr<PartitionLog> log_;
  std::unique_ptr<CursorFile> cursors_;
  uint64_t boot_ = 0;
  uint64_t batch_number_ = 0;
  std::string trouble_;
  std::string reason_;

  // The model.
  std::vector<ModelBatch> batches_;
  std::optional<ModelBatch> maybe_;  // the last append, which failed
  std::map<uint8_t, uint64_t> next_sequence_;
  std::map<std::string, Cursor> synced_cursors_;
  uint64_t given_out_ = 0;
  uint64_t removed_below_ = 0;
  uint64_t removed_maybe_below_ = 0;
  uint32_t epoch_ = 0;
  bool lost_ = false;
};

TEST(LogModel, NothingAcknowledgedIsLostChangedOrDoubled) {
  const char* only = std::getenv("WEFT_SEED");
  const char* wanted = std::getenv("WEFT_SEEDS");
  const uint64_t first = only ? std::strtoull(only, nullptr, 10) : 1;
  const uint64_t count = only ? 1 : wanted ? std::strtoull(wanted, nullptr, 10) : kDefaultSeeds;
  ASSERT_GT(count, 0u);
  int failures = 0;
  for (uint64_t seed = first; seed < first + count && failures < 5; ++seed) {
    const std::string trouble = History(seed).run();
    if (trouble.empty()) continue;
    ++failures;
    ADD_FAILURE() << "seed " << seed << ": " << trouble << "\n  replay: env WEFT_SEED=" << seed
                  << " ./test_log --gtest_filter=LogModel.NothingAcknowledgedIsLostChangedOrDoubled";
  }
}

}  // namespace
}  // namespace weft::log
