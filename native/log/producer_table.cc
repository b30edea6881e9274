#include "log/producer_table.h"

#include <algorithm>
#include <functional>

namespace weft::log {

const ProducerState* ProducerTable::find(const wire::ProducerId& id) const {
  const auto found = states_.find(id);
  return found == states_.end() ? nullptr : &found->second;
}

ProducerState& ProducerTable::state_of(const wire::ProducerId& id) {
  const auto found = states_.find(id);
  if (found != states_.end()) return found->second;
  if (states_.size() >= kProducersMax) {
    // One whose epoch was given and that stored nothing yet must not be given that epoch again: as good as returned.
    const auto returned = [](const auto& each) {
      return each.second.recent.size() > 1 || each.second.next_sequence == 0;
    };
    // Those with one batch first: many that came once must not push out the ones that come again. But they have a
    // quarter of the places: else all new ones shared the last place of a table full of producers that came before.
    const bool once_first = std::count_if(states_.begin(), states_.end(), std::not_fn(returned)) >
                            static_cast<ptrdiff_t>(kProducersMax / 4);
    const auto idle = std::min_element(states_.begin(), states_.end(), [&](const auto& left, const auto& right) {
      if (once_first && returned(left) != returned(right)) return returned(right);
      return left.second.last_append_time_ns < right.second.last_append_time_ns;
    });
    states_.erase(idle);
  }
  ProducerState& state = states_[id];
  state.id = id;
  state.recent.reserve(kRecentBatchesMax);
  return state;
}

void ProducerTable::note(const wire::BatchHeader& batch, uint64_t first_offset, uint64_t append_time_ns) {
  ProducerState& state = state_of(batch.producer_id);
  const bool of_earlier_epoch = !state.recent.empty() && state.recent.front().sequence == kEarlierEpoch;
  if (state.epoch != batch.producer_epoch || of_earlier_epoch) {
    state.recent.clear();
    state.epoch = batch.producer_epoch;
  }
  state.next_sequence = batch.sequence + 1;
  state.last_append_time_ns = append_time_ns;
  if (state.recent.size() == kRecentBatchesMax) state.recent.erase(state.recent.begin());
  state.recent.push_back({batch.sequence, first_offset, batch.event_count});
}

void ProducerTable::begin_epoch(const wire::ProducerId& id, uint32_t epoch, uint64_t now_ns) {
  ProducerState& state = state_of(id);
  if (!state.recent.empty()) {
    state.recent.front() = state.recent.back();
    state.recent.front().sequence = kEarlierEpoch;
    state.recent.resize(1);
  }
  state.epoch = epoch;
  state.next_sequence = 0;
  state.last_append_time_ns = std::max(state.last_append_time_ns, now_ns);
}

void ProducerTable::save(std::vector<std::byte>& into) const {
  const auto put = [&into](const auto& object) {
    const auto bytes = std::as_bytes(std::span(&object, 1));
    into.insert(into.end(), bytes.begin(), bytes.end());
  };
  for (const auto& [id, state] : states_) {
    CheckpointProducer producer{};
    producer.id = id;
    producer.next_sequence = state.next_sequence;
    producer.last_append_time_ns = state.last_append_time_ns;
    producer.epoch = state.epoch;
    producer.recent_count = static_cast<uint32_t>(state.recent.size());
    put(producer);
    for (const ProducerState::Recent& recent : state.recent) {
      put(CheckpointRecent{recent.sequence, recent.first_offset, recent.event_count, 0});
    }
  }
}

Status ProducerTable::load(uint32_t count, std::span<const std::byte> from) {
  const auto take = [&from](auto& object) {
    if (from.size() < sizeof object) return false;
    std::memcpy(&object, from.data(), sizeof object);
    from = from.subspan(sizeof object);
    return true;
  };
  states_.clear();
  if (count > kProducersMax) return Status(Code::CORRUPT, join_text("it has ", count, " producers"));
  for (uint32_t index = 0; index < count; ++index) {
    CheckpointProducer producer;
    if (!take(producer) || producer.recent_count > kRecentBatchesMax) {
      return Status(Code::CORRUPT, join_text("producer ", index, " is cut off"));
    }
    ProducerState& state = state_of(producer.id);
    state.epoch = producer.epoch;
    state.next_sequence = producer.next_sequence;
    state.last_append_time_ns = producer.last_append_time_ns;
    state.recent.clear();
    for (uint32_t batch = 0; batch < producer.recent_count; ++batch) {
      CheckpointRecent recent;
      if (!take(recent)) return Status(Code::CORRUPT, join_text("producer ", index, " is cut off"));
      state.recent.push_back({recent.sequence, recent.first_offset, recent.event_count});
    }
  }
  if (!from.empty()) return Status(Code::CORRUPT, "there are bytes behind the last producer");
  return {};
}

}  // namespace weft::log
