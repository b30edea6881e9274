// The drain: no new batch, what was accepted is finished and synced, partitions are closed with their checkpoints,
// sessions get a goodbye, registrations are given back. After the time limit what is left is abandoned: sessions are
// cut, and a little later nothing is waited for any more, neither a file nor the fabric. What they still do then finds
// the broker alive: it goes after its threads and the lane.
#include "broker/broker_impl.h"

namespace weft::broker {

void BrokerImpl::begin_stop(uint64_t timeout_ms, std::function<void(Status)> done) {
  if (stopped_) return done(stop_status_);
  stop_done_.push_back(std::move(done));
  if (stopping_) return;
  stopping_ = true;
  stop_deadline_ns_ = lane_.now_ns() + timeout_ms * kNsPerMs;
  std::vector<Partition*> all;
  for (auto& [key, partition] : partitions_) all.push_back(partition.get());
  for (Partition* partition : all) begin_close(partition);
  arm_sweep();
  want_turn();
}

void BrokerImpl::check_stop() {
  if (stopped_) return;
  const uint64_t now = lane_.now_ns();
  const bool late = now >= stop_deadline_ns_;
  if (stop_cut_ns_ != 0 && now - stop_cut_ns_ >= kStopGraceNs) {
    if (!stop_finishing_) finish_stop();
    log(LogLevel::kError, join_text("slot ", options_.slot, " ends although ", partitions_.size(),
                                    " partitions are not closed: a file, a directory or the fabric does not answer; "
                                    "look at the device"));
    if (stop_status_.ok()) {
      stop_status_ = Status(Code::TIMED_OUT, join_text("slot ", options_.slot,
                                                       " drained, but the fabric does not "
                                                       "give its memory back"));
    }
    return complete_stop();
  }
  if (stop_finishing_) {
    // From when this is seen, not from the deadline: this process may have stood still meanwhile.
    if (late && stop_cut_ns_ == 0) stop_cut_ns_ = now;
    return;
  }
  const bool idle = partitions_.empty() && opening_.empty() && areas_releasing_ == 0;
  if (!idle && late && !stop_timed_out_) {
    stop_timed_out_ = true;
    stop_cut_ns_ = now;
    log(LogLevel::kWarning, join_text("slot ", options_.slot, " did not drain in time: ", batches_.in_use(),
                                      " batches are abandoned unacknowledged"));
    stop_status_ =
        Status(Code::TIMED_OUT, join_text("slot ", options_.slot, " did not drain in time: ", batches_.in_use(),
                                          " batches were abandoned unacknowledged"));
    // Ends what clients keep us waiting for; transfers complete by the disconnect.
    std::vector<Session*> all;
    for (auto& [peer, session] : sessions_) all.push_back(session);
    for (Session* session : all) {
      reference(session);
      release_session(session);
      lane_.disconnect(session->peer);
      forget(session);
      unreference(session);
    }
    return want_turn();
  }
  if (idle) finish_stop();
}

void BrokerImpl::finish_stop() {
  stop_finishing_ = true;
  std::vector<Session*> all;
  for (auto& [peer, session] : sessions_) all.push_back(session);
  for (Session* session : all) {
    if (session->phase == Phase::kProved) {
      writer_.begin(wire::MessageType::kGoodbye, session->token, 0);
      reply(session);
    }
    reference(session);
    release_session(session);
    lane_.disconnect(session->peer);
    forget(session);
    unreference(session);
  }
  for (auto& [token, control] : control_) unreference(control.session);
  control_.clear();
  lane_.disarm(&outbox_timer_);
  arm_sweep();  // looks at the time limit until all is given back
  releases_left_ = 2;
  const auto released = [this] {
    if (--releases_left_ == 0) complete_stop();
  };
  ingest_->release(released);
  egress_->release(released);
}

void BrokerImpl::complete_stop() {
  if (stopped_) return;
  stopped_ = true;
  lane_.disarm(&sweep_timer_);
  lane_.disarm(&rules_timer_);
  const std::vector<std::function<void(Status)>> done = std::move(stop_done_);
  stop_done_.clear();
  for (const auto& call : done) call(stop_status_);
}

}  // namespace weft::broker
