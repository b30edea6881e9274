#include "library/consumer_progress.h"

#include <algorithm>
#include <utility>

namespace weft::library {

namespace {
// Acknowledged behind an event that was not: 64 bytes each at most.
constexpr size_t kOutOfOrderMax = 1'000'000;
}  // namespace

ConsumerProgress::ConsumerProgress(Options options, std::string topic, size_t partition_count)
    : options_(options), topic_(std::move(topic)), places_(partition_count) {}

void ConsumerProgress::begin(uint32_t partition, uint64_t start_offset, uint64_t visible_end) {
  const std::lock_guard lock(mutex_);
  Place& place = places_[partition];
  place.is_read = true;
  place.next = start_offset;
  place.position = place.committed = start_offset;
  if (options_.until == WEFT_UNTIL_END) place.end = visible_end;
  if (options_.until == WEFT_UNTIL_OFFSET) place.end = options_.until_value;
  ++reading_;
  look_at_end(place);
}

void ConsumerProgress::move(uint32_t partition, uint64_t start_offset) {
  const std::lock_guard lock(mutex_);
  Place& place = places_[partition];
  place.next = start_offset;
  place.position = place.committed = start_offset;
  place.done.clear();
  place.ends = false;
  if (std::exchange(place.ended, false)) ++reading_;
  look_at_end(place);
}

void ConsumerProgress::look_at_end(Place& place) {
  if (!place.is_read || !(place.ends || place.next >= place.end) || std::exchange(place.ended, true)) return;
  --reading_;
}

uint64_t ConsumerProgress::begin_frame(uint32_t partition, uint64_t first, uint64_t end, uint64_t append_time_ns) {
  const std::lock_guard lock(mutex_);
  Place& place = places_[partition];
  // Append times grow with the offset.
  const bool too_late = options_.until == WEFT_UNTIL_TIME && append_time_ns >= options_.until_value;
  const uint64_t handed_out_end = place.ends || too_late ? first : std::clamp(place.end, first, end);
  // What retention took away in between is done.
  const uint64_t next = place.next.load(std::memory_order_relaxed);
  if (handed_out_end > first && first > next) static_cast<void>(finish(place, partition, next, first));
  if (handed_out_end < end || handed_out_end == place.end) place.ends = true;
  look_at_end(place);
  return handed_out_end;
}

void ConsumerProgress::end(uint32_t partition) {
  const std::lock_guard lock(mutex_);
  if (partition >= places_.size()) return;
  places_[partition].ends = true;
  look_at_end(places_[partition]);
}

void ConsumerProgress::limit(uint32_t partition, uint64_t offset) {
  const std::lock_guard lock(mutex_);
  places_[partition].end = std::min(places_[partition].end, offset);
  look_at_end(places_[partition]);
}

bool ConsumerProgress::all_ended() const {
  const std::lock_guard lock(mutex_);
  return reading_ == 0;
}

Status ConsumerProgress::ended() const {
  return Status(Code::END_OF_STREAM,
                join_text("the consumer of topic '", topic_, "' has handed out all that it was opened for"));
}

uint64_t ConsumerProgress::ends_at_ns() const {
  if (options_.until != WEFT_UNTIL_TIME) return 0;
  return without_limit().empty() ? 0 : options_.until_value;
}

std::vector<uint32_t> ConsumerProgress::without_limit() const {
  std::vector<uint32_t> found;
  const std::lock_guard lock(mutex_);
  for (uint32_t partition = 0; partition < places_.size(); ++partition) {
    const Place& place = places_[partition];
    if (place.is_read && !place.ended && place.end == UINT64_MAX) found.push_back(partition);
  }
  return found;
}

std::string ConsumerProgress::label(uint32_t partition) const { return join_text(topic_, "/", partition); }

Result<uint64_t> ConsumerProgress::next_offset(uint32_t partition) const {
  const std::lock_guard lock(mutex_);
  if (partition < places_.size() && places_[partition].is_read)
    return places_[partition].next.load(std::memory_order_relaxed);
  return Status(Code::PARTITION_RANGE,
                join_text("the consumer does not read partition ", label(partition), "; open one that does"));
}

Status ConsumerProgress::finish(Place& place, uint32_t partition, uint64_t start, uint64_t end) {
  if (start > place.position) {
    if (place.done.size() >= kOutOfOrderMax && !place.done.contains(start)) {
      return Status(Code::LIMIT,
                    join_text("event ", place.position, " of partition ", label(partition),
                              " was never acknowledged, but ", kOutOfOrderMax, " behind it; acknowledge it"));
    }
    place.done[start] = end;
    return {};
  }
  place.position = std::max(place.position, end);
  for (auto next = place.done.begin(); next != place.done.end() && next->first <= place.position;) {
    place.position = std::max(place.position, next->second);
    next = place.done.erase(next);
  }
  return {};
}

Status ConsumerProgress::acknowledge(uint32_t partition, uint64_t offset, std::vector<Commit>* due) {
  const Result<uint64_t> next = next_offset(partition);
  if (!next.ok()) return next.status();
  if (offset >= next.value()) {
    return Status(Code::INVALID_ARGUMENT, join_text("event ", offset, " of partition ", label(partition),
                                                    " was not handed out yet; acknowledge what weft_pull returned"));
  }
  {
    const std::lock_guard lock(mutex_);
    Place& place = places_[partition];
    if (offset >= place.position) WEFT_RETURN_IF_ERROR(finish(place, partition, offset, offset + 1));
    ++acknowledged_;
    if (options_.ack_every_events == 0 || acknowledged_ < options_.ack_every_events) return {};
    acknowledged_ = 0;
  }
  *due = to_commit();
  return {};
}

std::vector<ConsumerProgress::Commit> ConsumerProgress::to_commit() {
  std::vector<Commit> found;
  const std::lock_guard lock(mutex_);
  for (uint32_t partition = 0; partition < places_.size(); ++partition) {
    Place& place = places_[partition];
    if (!place.is_read || place.position <= place.committed) continue;
    found.push_back({partition, place.position});
  }
  return found;
}

void ConsumerProgress::committed(const Commit& commit, const Status& status) {
  const std::lock_guard lock(mutex_);
  Place& place = places_[commit.partition];
  if (!status.ok()) {
    if (commit_error_.ok()) commit_error_ = status;
  } else if (commit.offset <= place.position) {  // else it is of before a move back
    place.committed = std::max(place.committed, commit.offset);
  }
}

Status ConsumerProgress::take_commit_error() {
  const std::lock_guard lock(mutex_);
  return std::exchange(commit_error_, Status());
}

}  // namespace weft::library
