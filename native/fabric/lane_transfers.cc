// RMA: transfers of any length cut into operations that the transport takes; several under way per transfer, a bounded
// number per peer, turn by turn between a peer's transfers so that a small one never waits behind a large one.
#include <algorithm>

#include "fabric/lane.h"

namespace weft::fabric {

namespace {
constexpr uint32_t kOperationsPerTransferMax = 8;
constexpr uint32_t kOperationsPerPeerMax = 64;
constexpr uint64_t kDeadlineCheckNs = 10 * kNsPerMs;

Status range_fault(const Transfer& transfer) {
  const auto* start = transfer.region ? transfer.region->data() : nullptr;
  const uint64_t length = transfer.region ? transfer.region->length() : 0;
  if (transfer.length == 0) return {};
  if (start == nullptr || transfer.local < start || transfer.length > length ||
      static_cast<uint64_t>(transfer.local - start) > length - transfer.length) {
    return Status(Code::INVALID_ARGUMENT, join_text("a transfer of ", transfer.length,
                                                    " bytes reaches outside its local region of ", length, " bytes"));
  }
  if (transfer.remote_at > transfer.remote.length || transfer.length > transfer.remote.length - transfer.remote_at) {
    return Status(Code::INVALID_ARGUMENT,
                  join_text("a transfer of ", transfer.length, " bytes at ", transfer.remote_at,
                            " reaches outside the remote memory of ", transfer.remote.length, " bytes"));
  }
  return {};
}
}  // namespace

void LaneImpl::begin_transfer(Transfer* transfer, bool is_write) {
  WEFT_ASSERT(transfer->done != nullptr);
  auto* state = new (transfer->private_state) TransferState;
  state->is_write = is_write;
  state->deadline_ns = now_ns() + transfer->timeout_ms * kNsPerMs;
  state->next = active_;
  if (active_ != nullptr) {
    TransferState::of(active_).previous = transfer;
  } else {
    deadline_check_ns_ = std::min(now_ns() + kDeadlineCheckNs, state->deadline_ns);
  }
  active_ = transfer;

  Peer* peer = find(transfer->peer);
  Status fault = range_fault(*transfer);
  if (closing_) {
    fault = Status(Code::CLOSED, "the lane was closed");
  } else if (peer == nullptr || peer->doomed) {
    fault = Status(Code::PEER_LOST, "the peer of the transfer is gone");
  } else if (fault.ok() && peer->state != PeerState::kUp) {
    fault = Status(Code::INVALID_ARGUMENT, "the peer of the transfer is not connected yet; wait for on_peer_up");
  } else if (fault.ok() && quarantined_bytes_.load(std::memory_order_relaxed) > options_.quarantine_bytes_max) {
    fault = Status(Code::LIMIT,
                   join_text("more than ", options_.quarantine_bytes_max,
                             " bytes are in quarantine (operations that the fabric does not complete); close the lane, "
                             "or raise quarantine_bytes_max"));
  }
  if (!fault.ok() || transfer->length == 0) {
    finish_transfer(transfer, std::move(fault));
    return;
  }
  state->waits_for_issue = true;
  peer->to_issue.push_back(transfer);
  with_transfers_.insert(peer->id);
  // At once: the next turn of the loop may be a system call away.
  while (state->waits_for_issue && peer->operations < kOperationsPerPeerMax && peer->to_issue.front() == transfer) {
    if (!issue_one(peer, transfer)) break;
  }
}

bool LaneImpl::issue_operations() {
  bool issued = false;
  for (auto at = with_transfers_.begin(); at != with_transfers_.end();) {
    Peer* peer = find(*at);
    if (peer == nullptr || peer->doomed || peer->to_issue.empty()) {
      at = with_transfers_.erase(at);
      continue;
    }
    ++at;
    size_t stuck = 0;
    while (peer->operations < kOperationsPerPeerMax && stuck < peer->to_issue.size()) {
      Transfer* transfer = peer->to_issue.front();
      const bool progressed = issue_one(peer, transfer);
      if (peer->doomed) break;
      issued |= progressed;
      stuck = progressed ? 0 : stuck + 1;
      if (!peer->to_issue.empty() && peer->to_issue.front() == transfer) {
        peer->to_issue.pop_front();
        peer->to_issue.push_back(transfer);
      }
    }
  }
  return issued;
}

// Gives one operation of the transfer, which is the first in to_issue, to the transport; false if it cannot now.
bool LaneImpl::issue_one(Peer* peer, Transfer* transfer) {
  TransferState& state = TransferState::of(transfer);
  if (state.operations >= kOperationsPerTransferMax) return false;
  const auto* region = static_cast<const RegionHandle*>(transfer->region);
  Operation* operation = take_operation();
  operation->link = peer->link;
  operation->is_write = state.is_write;
  operation->local = transfer->local + state.issued;
  operation->length = std::min(transfer->length - state.issued, peer->transport->operation_bytes_max());
  operation->local_registration = region->core()->registrations[peer->transport_index].get();
  operation->remote = transfer->remote;
  operation->remote_at = transfer->remote_at + state.issued;
  const Outcome outcome = peer->transport->submit(operation);
  if (outcome != Outcome::kTaken) {
    give_back(operation);
    if (outcome == Outcome::kFailed) doom(peer, peer->transport->failure(), false);
    return false;
  }
  operation->transfer = transfer;
  operation->peer = peer->id;
  operation->region = region->core();
  operation->region->operations++;
  operation->sibling_previous = nullptr;
  operation->sibling_next = state.first_operation;
  if (state.first_operation != nullptr) state.first_operation->sibling_previous = operation;
  state.first_operation = operation;
  state.operations++;
  state.issued += operation->length;
  peer->operations++;
  if (state.issued == transfer->length) {
    state.waits_for_issue = false;
    peer->to_issue.pop_front();
  }
  return true;
}

void LaneImpl::on_operation_done(Transport& transport, Operation* operation, const Status& status) {
  Peer* peer = find(operation->peer);
  if (peer != nullptr) {
    peer->operations--;
    if (status.ok() && transport.operations_prove_life()) peer->last_heard_ns = now_ns();
  }
  operation->region->operations--;
  TransportCounts& counts = transport.counts;
  if (status.ok()) {
    TransportCounts::add(operation->is_write ? counts.writes : counts.reads, 1);
    TransportCounts::add(operation->is_write ? counts.write_bytes : counts.read_bytes, operation->length);
  } else {
    TransportCounts::add(counts.errors, 1);
  }
  Transfer* transfer = operation->transfer;
  if (transfer == nullptr) {
    quarantined_bytes_.fetch_sub(operation->length, std::memory_order_relaxed);
    give_back(operation);
    return;
  }
  TransferState& state = TransferState::of(transfer);
  (operation->sibling_previous ? operation->sibling_previous->sibling_next : state.first_operation) =
      operation->sibling_next;
  if (operation->sibling_next) operation->sibling_next->sibling_previous = operation->sibling_previous;
  state.operations--;
  give_back(operation);
  if (!status.ok() && state.error.ok()) {
    state.error = status;
    // The rest is not asked for any more; what is under way is waited for, since it still uses the memory.
    if (state.waits_for_issue && peer != nullptr) std::erase(peer->to_issue, transfer);
    state.waits_for_issue = false;
  }
  if (state.operations == 0 && !state.waits_for_issue) {
    Status result = std::move(state.error);
    finish_transfer(transfer, std::move(result));
  }
}

// Takes it out of the active list; `done` is called by the loop.
void LaneImpl::finish_transfer(Transfer* transfer, Status status) {
  TransferState& state = TransferState::of(transfer);
  (state.previous ? TransferState::of(state.previous).next : active_) = state.next;
  if (state.next) TransferState::of(state.next).previous = state.previous;
  state.error = std::move(status);
  finished_.push_back(transfer);
}

bool LaneImpl::call_done() {
  bool called = false;
  // Only as many as there are now: one that fails at once and is begun again must not hold the loop.
  for (size_t count = finished_.size(); count != 0 && !finished_.empty(); count--) {
    Transfer* transfer = finished_.front();
    finished_.pop_front();
    TransferState& state = TransferState::of(transfer);
    const Status status = std::move(state.error);
    state.~TransferState();
    transfer->done(transfer, status);
    called = true;
  }
  return called;
}

// The transfer is given up; operations that the transport still owns keep their memory.
void LaneImpl::abandon_operations(Transfer* transfer) {
  TransferState& state = TransferState::of(transfer);
  for (Operation* operation = state.first_operation; operation != nullptr; operation = operation->sibling_next) {
    operation->transfer = nullptr;
    quarantined_bytes_.fetch_add(operation->length, std::memory_order_relaxed);
  }
  state.first_operation = nullptr;
  state.operations = 0;
  if (state.waits_for_issue) {
    Peer* peer = find(transfer->peer);
    if (peer != nullptr) std::erase(peer->to_issue, transfer);
    state.waits_for_issue = false;
  }
}

void LaneImpl::abandon_transfers(Peer* peer, const Status& reason) {
  for (Transfer* transfer = active_; transfer != nullptr;) {
    Transfer* next = TransferState::of(transfer).next;
    if (transfer->peer == peer->id) {
      abandon_operations(transfer);
      finish_transfer(transfer, reason);
    }
    transfer = next;
  }
}

void LaneImpl::check_deadlines(uint64_t now) {
  deadline_check_ns_ = now + kDeadlineCheckNs;
  for (Transfer* transfer = active_; transfer != nullptr;) {
    const TransferState& state = TransferState::of(transfer);
    Transfer* next = state.next;
    if (now >= state.deadline_ns) {
      const uint64_t moved = state.issued;
      const uint32_t operations = state.operations;
      abandon_operations(transfer);
      finish_transfer(transfer,
                      Status(Code::TIMED_OUT,
                             join_text(state.is_write ? "writing " : "reading ", transfer->length,
                                       " bytes of a peer's memory took longer than ", transfer->timeout_ms, " ms (",
                                       moved, " bytes asked for, ", operations, " operations not completed)")));
    }
    transfer = next;
  }
}

Operation* LaneImpl::take_operation() {
  if (free_operations_ == nullptr) {
    // Bounded by kOperationsPerPeerMax for each peer that was ever up, and by the quarantine.
    operation_pool_.push_back(std::make_unique<Operation>());
    return operation_pool_.back().get();
  }
  Operation* operation = free_operations_;
  free_operations_ = operation->next;
  operation->next = nullptr;
  return operation;
}

void LaneImpl::give_back(Operation* operation) {
  operation->transfer = nullptr;
  operation->peer = 0;
  operation->region.reset();
  operation->sibling_next = operation->sibling_previous = nullptr;
  operation->next = free_operations_;
  free_operations_ = operation;
}

}  // namespace weft::fabric
