// A probe: one lane with memory that another process's probe may send to, read from and write into, and the measuring
// of such a one. For `doctor`, which sends real bytes through each fabric provider: no job, no server, no secret. Only
// who was given its address reaches it (the address carries 128 random bits); its memory holds nothing but a pattern.
// Answers on the lane's progress thread; measure() waits on the caller's, one at a time, at most its time limit.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "fabric/fabric.h"
#include "library/errors.h"
#include "weftline/weftline_server.h"

namespace weft::library {

struct ProbeResult {
  std::string transport;  // that the two lanes chose
  uint64_t connect_ns = 0;
  uint64_t half_round_trip_p50_ns = 0;
  uint64_t half_round_trip_p99_ns = 0;
  double read_bytes_per_second = 0;
  double write_bytes_per_second = 0;
  uint64_t bytes_checked = 0;   // read and written, and compared by checksum
  int64_t clock_offset_ns = 0;  // the other's time stamps minus ours
  uint64_t clock_error_ns = 0;  // the offset is right to this
};

// Both ways. Both ends are of one version: the lane's handshake sees to it.
struct ProbeMessage {
  uint32_t word = 0;
  uint32_t checksum = 0;
  uint64_t number = 0;   // repeated in the answer
  uint64_t from = 0;     // of a checksum: the half of the memory that begins here
  uint64_t time_ns = 0;  // the answering clock's
  fabric::RemoteMemory memory{};
};
static_assert(sizeof(ProbeMessage) == 56);

}  // namespace weft::library

struct weft_probe {
  static constexpr weft::library::Kind kKind = weft::library::Kind::kProbe;
  weft::library::Kind kind = kKind;

  weft_probe() = default;
  ~weft_probe();
  weft_probe(const weft_probe&) = delete;
  weft_probe& operator=(const weft_probe&) = delete;

  weft::Status open(const weft::fabric::LaneOptions& options);
  const std::string& address() const { return lane_->address(); }
  weft::Result<weft::library::ProbeResult> measure(std::span<const std::byte> address, uint64_t timeout_ms);

 private:
  // What peers of a channel send: requests come to the server's, answers to the client's.
  struct Ear final : weft::fabric::Handler {
    weft_probe* probe = nullptr;
    bool serves = false;
    void on_message(weft::fabric::PeerId peer, std::span<const std::byte> message) override;
    void on_peer_up(weft::fabric::PeerId peer) override;
    void on_peer_lost(weft::fabric::PeerId peer, const weft::Status& reason, bool proven_dead) override;
  };
  // One measuring: outlives its time limit, since the lane may still come back to it.
  struct Session;

  // On the progress thread.
  void answer(weft::fabric::PeerId peer, std::span<const std::byte> message);
  void send(Session& session, const weft::library::ProbeMessage& message);
  void ping(Session& session);
  void on_pong(Session& session, uint64_t now_ns);
  // On the caller's.
  weft::Status connect(Session& session, std::span<const std::byte> address);
  weft::Status measure_round_trips(Session& session, weft::library::ProbeResult& result);
  weft::Status ask_memory(Session& session);
  // Reads (or writes) half the peer's memory, checks it, then again and again for a while.
  weft::Status measure_transfers(Session& session, bool is_write, double& bytes_per_second);
  weft::Result<uint32_t> peer_checksum(Session& session, uint64_t from);
  weft::Status transfer(Session& session, bool is_write);
  weft::Result<weft::library::ProbeMessage> exchange(Session& session, weft::library::ProbeMessage question);
  weft::Status on_thread(Session& session, std::function<void()> work);
  // Until `session.done` or the session's time limit.
  weft::Status wait(Session& session, std::unique_lock<std::mutex>& lock);

  std::unique_ptr<weft::fabric::Lane> lane_;
  std::vector<std::byte> memory_;  // first half: what peers read; second half: where they write
  std::vector<std::byte> local_;   // of measure()
  std::unique_ptr<weft::fabric::Region> region_;
  std::unique_ptr<weft::fabric::Region> local_region_;
  Ear server_;
  Ear client_;
  std::mutex measuring_;
  std::mutex mutex_;  // guards the sessions' states
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Session>> sessions_;
};
