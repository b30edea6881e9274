#include "library/slot_table.h"

#include <utility>

#include "group/group_directory.h"

namespace weft::library {

void SlotTable::set_group(std::string directory, const wire::Uuid& job) {
  const std::lock_guard lock(mutex_);
  group_ = std::move(directory);
  job_ = job;
}

void SlotTable::put(uint32_t slot, uint32_t epoch, std::string address) {
  const std::lock_guard lock(mutex_);
  entries_[slot] = {epoch, std::move(address)};
}

void SlotTable::announce(uint32_t slot) {
  const std::lock_guard lock(mutex_);
  entries_.try_emplace(slot, Entry{0, "", false});
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
  }
  {
    const std::lock_guard lock(mutex_);
    const auto known = entries_.find(slot);
    if (known != entries_.end() && std::exchange(known->second.is_fresh, false)) return known->second.address;
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
      entries_[slot] = {record.value().epoch, record.value().address, false};
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

std::vector<uint32_t> early_slots(const std::vector<uint32_t>& slots, uint64_t seed) {
  if (slots.size() <= kEarlySlotsMax) return slots;
  std::vector<uint32_t> early = {slots.front()};
  const size_t others = slots.size() - 1;
  for (size_t i = 0; i + 1 < kEarlySlotsMax; ++i) early.push_back(slots[1 + (seed % others + i) % others]);
  return early;
}

}  // namespace weft::library
