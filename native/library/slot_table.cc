#include "library/slot_table.h"

#include <algorithm>
#include <utility>

#include "fabric/address.h"
#include "group/group_directory.h"

namespace weft::library {

namespace {
// Of what the join exchanged: long enough for the first connections of a launch, too short for a slot to move unseen.
constexpr uint64_t kFreshNs = 30 * kNsPerSecond;
}  // namespace

void SlotTable::set_group(std::string directory, const wire::Uuid& job) {
  const std::lock_guard lock(mutex_);
  group_ = std::move(directory);
  job_ = job;
}

void SlotTable::put(uint32_t slot, uint32_t epoch, std::string address) {
  const std::lock_guard lock(mutex_);
  entries_[slot] = {epoch, std::move(address), clock_.monotonic_ns() + kFreshNs};
}

void SlotTable::announce(uint32_t slot) {
  const std::lock_guard lock(mutex_);
  entries_.try_emplace(slot, Entry{0, "", 0});
}

uint32_t SlotTable::count() const {
  const std::lock_guard lock(mutex_);
  return static_cast<uint32_t>(entries_.size());
}

std::vector<uint32_t> SlotTable::slots() const {
  const std::lock_guard lock(mutex_);
  std::vector<uint32_t> slots;
  for (const auto& [slot, entry] : entries_) slots.push_back(slot);
  return slots;
}

Result<std::string> SlotTable::find_address(uint32_t slot) {
  std::string directory;
  wire::Uuid job{};
  {
    const std::lock_guard lock(mutex_);
    directory = group_;
    job = job_;
    const auto known = entries_.find(slot);
    if (known != entries_.end() && clock_.monotonic_ns() < std::exchange(known->second.fresh_until_ns, 0))
      return known->second.address;
  }
  Status reason;
  if (!directory.empty()) {
    Result<group::SlotRecord> record = group::read_slot(directory, slot);
    if (record.ok() && record.value().job != job) {
      return Status(Code::GROUP_OTHER_JOB,
                    join_text("the group directory '", directory, "' now belongs to another job"));
    }
    reason = record.status();
    const std::lock_guard lock(mutex_);
    const auto known = entries_.find(slot);
    if (record.ok() && (known == entries_.end() || record.value().epoch >= known->second.epoch)) {
      entries_[slot] = {record.value().epoch, record.value().address, 0};
    } else if (reason.code() == Code::GROUP_STALE) {
      return reason;
    }
  }
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(slot);
  if (found != entries_.end() && !found->second.address.empty()) return found->second.address;
  if (!reason.ok()) return reason;
  return Status(Code::PARTITION_UNAVAILABLE, join_text("no server of slot ", slot, " has joined"));
}

bool SlotTable::is_local(uint32_t slot) {
  std::string address;
  {
    const std::lock_guard lock(mutex_);
    const auto known = entries_.find(slot);
    if (known != entries_.end()) address = known->second.address;
  }
  if (address.empty()) {
    Result<std::string> found = find_address(slot);
    if (!found.ok()) return false;  // it is away: nowhere
    address = found.take();
  }
  const Result<fabric::LaneAddress> decoded =
      fabric::decode_address(std::as_bytes(std::span(address.data(), address.size())));
  return decoded.ok() && fabric::claims_same_host(decoded.value().host);
}

std::vector<uint32_t> early_slots(const std::vector<uint32_t>& slots, uint64_t seed,
                                  const std::function<bool(uint32_t)>& is_there) {
  std::vector<uint32_t> early;
  const size_t others = slots.size() - std::min<size_t>(slots.size(), 1);
  for (size_t i = 0; i < slots.size() && early.size() < kEarlySlotsMax; ++i) {
    const uint32_t slot = i == 0 ? slots.front() : slots[1 + (seed % others + i - 1) % others];
    if (!is_there || is_there(slot)) early.push_back(slot);
  }
  return early;
}

}  // namespace weft::library
