#include "library/probe.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/checksum.h"
#include "base/clock.h"
#include "base/random.h"
#include "library/job.h"
#include "library/json_text.h"

using weft::Clock;
using weft::Code;
using weft::join_text;
using weft::Result;
using weft::Status;
using namespace weft::library;
using weft::fabric::PeerId;
using Message = weft::library::ProbeMessage;

namespace {
constexpr uint64_t kHalfBytes = uint64_t{8} << 20;
constexpr uint64_t kPhaseNs = 200 * weft::kNsPerMs;
constexpr uint32_t kRoundTripsMax = 2'000;
constexpr uint32_t kRoundTripsFirst = 50;  // not counted
constexpr uint32_t kRoundTripsLeast = 20;
// Measurings of one probe: each keeps its state until the end.
constexpr size_t kSessionsMax = 1'024;

enum class Word : uint32_t { kMemory = 1, kPing = 2, kChecksum = 3 };

std::span<const std::byte> bytes_of(const Message& message) { return std::as_bytes(std::span(&message, 1)); }

void fill(std::span<std::byte> memory, uint64_t seed) {
  weft::SeededRandom random(seed);
  for (size_t at = 0; at + sizeof(uint64_t) <= memory.size(); at += sizeof(uint64_t)) {
    const uint64_t word = random.next();
    std::memcpy(memory.data() + at, &word, sizeof word);
  }
}
}  // namespace

struct weft_probe::Session {
  uint64_t deadline_ns = 0;
  PeerId peer = 0;
  // Below: guarded by mutex_.
  const char* phase = "connecting";
  bool up = false;
  bool done = false;
  Status failure;
  Message answer;
  uint64_t number = 0;  // of the answer that is waited for
  std::string transport;
  // The messages to and fro, one after the other on the progress thread.
  uint32_t pings_left = 0;
  uint64_t pings_end_ns = 0;
  uint64_t sent_ns = 0;
  uint64_t stamp_ns = 0;
  uint64_t least_ns = UINT64_MAX;
  int64_t clock_offset_ns = 0;
  std::vector<uint64_t> times_ns;

  std::function<void()> work;
  weft::fabric::Task farewell;
  weft::fabric::Task task;
  weft::fabric::Transfer transfer;
  weft_probe* probe = nullptr;
};

weft_probe::~weft_probe() {
  kind = Kind::kClosed;
  if (lane_ == nullptr) return;
  lane_->close();
  region_.reset();
  local_region_.reset();
  lane_.reset();
}

Status weft_probe::open(const weft::fabric::LaneOptions& options) {
  Result<std::unique_ptr<weft::fabric::Lane>> lane = weft::fabric::Lane::open(options);
  WEFT_RETURN_IF_ERROR(lane.status());
  lane_ = lane.take();
  memory_.resize(2 * kHalfBytes);
  fill({memory_.data(), kHalfBytes}, weft::secure_random_u64());
  local_.resize(kHalfBytes);
  auto region =
      lane_->register_memory(memory_.data(), memory_.size(), weft::fabric::kRemoteRead | weft::fabric::kRemoteWrite);
  WEFT_RETURN_IF_ERROR(region.status());
  region_ = region.take();
  region = lane_->register_memory(local_.data(), local_.size(), weft::fabric::kLocalOnly);
  WEFT_RETURN_IF_ERROR(region.status());
  local_region_ = region.take();
  server_.probe = client_.probe = this;
  server_.serves = true;
  lane_->set_handler(weft::fabric::Channel::kServer, &server_);
  lane_->set_handler(weft::fabric::Channel::kClient, &client_);
  return lane_->start();
}

// ------------------------------------------------------------------------------------------- progress thread

void weft_probe::Ear::on_message(PeerId peer, std::span<const std::byte> message) {
  if (serves) return probe->answer(peer, message);
  const uint64_t now_ns = Clock::system().monotonic_ns();
  if (message.size() != sizeof(Message)) return;
  Message answer;
  std::memcpy(&answer, message.data(), sizeof answer);
  Session* pinging = nullptr;
  {
    const std::lock_guard lock(probe->mutex_);
    for (const auto& session : probe->sessions_) {
      if (session->peer != peer || session->number != answer.number) continue;
      session->answer = answer;
      if (session->pings_left > 0) {
        pinging = session.get();
        break;
      }
      session->done = true;
      probe->changed_.notify_all();
      return;
    }
  }
  if (pinging != nullptr) probe->on_pong(*pinging, now_ns);
}

void weft_probe::Ear::on_peer_up(PeerId peer) {
  if (serves) return;
  const std::lock_guard lock(probe->mutex_);
  for (const auto& session : probe->sessions_) {
    if (session->peer == peer) session->up = session->done = true;
  }
  probe->changed_.notify_all();
}

void weft_probe::Ear::on_peer_lost(PeerId peer, const Status& reason, bool) {
  if (serves) return;
  const std::lock_guard lock(probe->mutex_);
  for (const auto& session : probe->sessions_) {
    if (session->peer != peer) continue;
    session->failure = reason;
    session->done = true;
  }
  probe->changed_.notify_all();
}

void weft_probe::answer(PeerId peer, std::span<const std::byte> message) {
  Message answer;
  if (message.size() != sizeof answer) return;
  std::memcpy(&answer, message.data(), sizeof answer);
  answer.time_ns = Clock::system().realtime_ns();
  if (answer.word == static_cast<uint32_t>(Word::kMemory)) answer.memory = region_->describe(peer);
  if (answer.word == static_cast<uint32_t>(Word::kChecksum)) {
    if (answer.from > kHalfBytes) return;
    answer.checksum = weft::crc32c(memory_.data() + answer.from, kHalfBytes);
  }
  const std::span<const std::byte> bytes = bytes_of(answer);
  // A peer that is gone, or does not take its answers, runs into its own time limit.
  static_cast<void>(lane_->send(peer, {&bytes, 1}));
}

// -------------------------------------------------------------------------------------------- caller's thread

Status weft_probe::wait(Session& session, std::unique_lock<std::mutex>& lock) {
  while (!session.done) {
    const uint64_t now_ns = Clock::system().monotonic_ns();
    if (now_ns >= session.deadline_ns) {
      return Status(Code::TIMED_OUT, join_text(session.phase, " did not end in time"));
    }
    changed_.wait_for(lock, std::chrono::nanoseconds(std::min(session.deadline_ns - now_ns, weft::kNsPerSecond)));
  }
  session.done = false;
  return session.failure;
}

// `work` sets session.done, or what it began does, later.
Status weft_probe::on_thread(Session& session, std::function<void()> work) {
  std::unique_lock lock(mutex_);
  WEFT_RETURN_IF_ERROR(session.failure);
  session.done = false;
  session.work = std::move(work);
  session.task.owner = &session;
  session.task.run = [](weft::fabric::Task* task) { static_cast<Session*>(task->owner)->work(); };
  lane_->post(&session.task);
  return wait(session, lock);
}

// On the progress thread; a message that cannot be sent ends the measuring.
void weft_probe::send(Session& session, const Message& message) {
  const std::span<const std::byte> bytes = bytes_of(message);
  const Status sent = lane_->send(session.peer, {&bytes, 1});
  if (sent.ok()) return;
  const std::lock_guard lock(mutex_);
  session.failure = sent;
  session.done = true;
  changed_.notify_all();
}

Result<Message> weft_probe::exchange(Session& session, Message question) {
  {
    const std::lock_guard lock(mutex_);
    question.number = ++session.number;
  }
  WEFT_RETURN_IF_ERROR(on_thread(session, [this, &session, question] { send(session, question); }));
  const std::lock_guard lock(mutex_);
  return session.answer;
}

Status weft_probe::connect(Session& session, std::span<const std::byte> address) {
  return on_thread(session, [this, &session, address = std::vector(address.begin(), address.end())] {
    const PeerId peer = lane_->connect(address, weft::fabric::Channel::kClient);
    const std::lock_guard lock(mutex_);
    session.peer = peer;
  });
}

void weft_probe::ping(Session& session) {
  Message ping;
  ping.word = static_cast<uint32_t>(Word::kPing);
  {
    const std::lock_guard lock(mutex_);
    ping.number = ++session.number;
  }
  session.stamp_ns = Clock::system().realtime_ns();
  session.sent_ns = Clock::system().monotonic_ns();
  send(session, ping);
}

// pings_left goes last: it tells whose the next answer is.
void weft_probe::on_pong(Session& session, uint64_t now_ns) {
  const uint64_t took_ns = now_ns - session.sent_ns;
  if (session.pings_left == kRoundTripsMax) session.pings_end_ns = now_ns + kPhaseNs;
  if (session.pings_left <= kRoundTripsMax) session.times_ns.push_back(took_ns);
  if (took_ns < session.least_ns) {
    session.least_ns = took_ns;
    session.clock_offset_ns = static_cast<int64_t>(session.answer.time_ns - (session.stamp_ns + took_ns / 2));
  }
  const bool last =
      session.pings_left == 1 || (session.times_ns.size() >= kRoundTripsLeast && now_ns > session.pings_end_ns);
  {
    const std::lock_guard lock(mutex_);
    session.pings_left = last ? 0 : session.pings_left - 1;
    if (last) {
      session.done = true;
      changed_.notify_all();
    }
  }
  if (!last) ping(session);
}

Status weft_probe::measure_round_trips(Session& session, ProbeResult& result) {
  session.phase = "a message and its answer";
  session.times_ns.reserve(kRoundTripsMax);
  WEFT_RETURN_IF_ERROR(on_thread(session, [this, &session] {
    {
      const std::lock_guard lock(mutex_);
      session.pings_left = kRoundTripsFirst + kRoundTripsMax;
    }
    ping(session);
  }));
  std::vector<uint64_t>& times_ns = session.times_ns;
  std::sort(times_ns.begin(), times_ns.end());
  result.half_round_trip_p50_ns = times_ns[times_ns.size() / 2] / 2;
  result.half_round_trip_p99_ns = times_ns[times_ns.size() * 99 / 100] / 2;
  result.clock_offset_ns = session.clock_offset_ns;
  result.clock_error_ns = session.least_ns / 2;
  return {};
}

Status weft_probe::ask_memory(Session& session) {
  session.phase = "asking for the other's memory";
  Message question;
  question.word = static_cast<uint32_t>(Word::kMemory);
  const Result<Message> answer = exchange(session, question);
  WEFT_RETURN_IF_ERROR(answer.status());
  session.transfer.remote = answer.value().memory;
  return {};
}

Result<uint32_t> weft_probe::peer_checksum(Session& session, uint64_t from) {
  Message question;
  question.word = static_cast<uint32_t>(Word::kChecksum);
  question.from = from;
  const Result<Message> answer = exchange(session, question);
  WEFT_RETURN_IF_ERROR(answer.status());
  return answer.value().checksum;
}

Status weft_probe::transfer(Session& session, bool is_write) {
  return on_thread(session, [this, &session, is_write] {
    weft::fabric::Transfer& transfer = session.transfer;
    transfer.owner = &session;
    transfer.peer = session.peer;
    transfer.region = local_region_.get();
    transfer.local = local_.data();
    transfer.length = kHalfBytes;
    transfer.remote_at = is_write ? kHalfBytes : 0;
    transfer.done = [](weft::fabric::Transfer* ended, const Status& status) {
      auto* self = static_cast<Session*>(ended->owner);
      const std::lock_guard lock(self->probe->mutex_);
      if (!status.ok() && self->failure.ok()) self->failure = status;
      self->done = true;
      self->probe->changed_.notify_all();
    };
    if (is_write) {
      lane_->write(&transfer);
    } else {
      lane_->read(&transfer);
    }
  });
}

Status weft_probe::measure_transfers(Session& session, bool is_write, double& bytes_per_second) {
  session.phase = is_write ? "writing" : "reading";
  // Nothing of an earlier transfer can look like this one's.
  if (is_write) {
    fill(local_, weft::secure_random_u64());
  } else {
    std::fill(local_.begin(), local_.end(), std::byte{0});
  }
  WEFT_RETURN_IF_ERROR(transfer(session, is_write));
  const uint32_t ours = weft::crc32c(local_.data(), local_.size());
  Result<uint32_t> theirs = peer_checksum(session, is_write ? kHalfBytes : 0);
  WEFT_RETURN_IF_ERROR(theirs.status());
  if (theirs.value() != ours) {
    return Status(Code::CORRUPT,
                  join_text(session.phase, " ", kHalfBytes,
                            " bytes gave other bytes than were sent; do not use this transport: leave it "
                            "out of network.transports, and tell the makers of Weftline"));
  }
  const uint64_t begun_ns = Clock::system().monotonic_ns();
  uint64_t now_ns = begun_ns;
  uint64_t moved = 0;
  do {
    WEFT_RETURN_IF_ERROR(transfer(session, is_write));
    moved += kHalfBytes;
    now_ns = Clock::system().monotonic_ns();
  } while (now_ns - begun_ns < kPhaseNs);
  bytes_per_second = static_cast<double>(moved) * 1e9 / static_cast<double>(now_ns - begun_ns);
  return {};
}

Result<ProbeResult> weft_probe::measure(std::span<const std::byte> address, uint64_t timeout_ms) {
  const std::lock_guard one_at_a_time(measuring_);
  Session* session = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (sessions_.size() >= kSessionsMax) {
      return Status(Code::LIMIT, "a probe measures 1,024 times; open another one");
    }
    sessions_.push_back(std::make_unique<Session>());
    session = sessions_.back().get();
  }
  session->probe = this;
  const uint64_t begun_ns = Clock::system().monotonic_ns();
  session->deadline_ns = begun_ns + std::min<uint64_t>(timeout_ms, 3'600'000) * weft::kNsPerMs;
  ProbeResult result;
  const auto run = [&]() -> Status {
    WEFT_RETURN_IF_ERROR(connect(*session, address));
    result.connect_ns = Clock::system().monotonic_ns() - begun_ns;
    WEFT_RETURN_IF_ERROR(measure_round_trips(*session, result));
    WEFT_RETURN_IF_ERROR(ask_memory(*session));
    WEFT_RETURN_IF_ERROR(measure_transfers(*session, false, result.read_bytes_per_second));
    WEFT_RETURN_IF_ERROR(measure_transfers(*session, true, result.write_bytes_per_second));
    result.bytes_checked = 2 * kHalfBytes;
    WEFT_RETURN_IF_ERROR(on_thread(*session, [this, session] {
      const std::lock_guard lock(mutex_);
      session->transport = lane_->transport_of(session->peer);
      session->done = true;
      changed_.notify_all();
    }));
    result.transport = session->transport;
    return {};
  };
  const Status measured = run();
  session->farewell.owner = session;
  session->farewell.run = [](weft::fabric::Task* task) {
    const auto* self = static_cast<Session*>(task->owner);
    self->probe->lane_->disconnect(self->peer);  // of nobody (0): does nothing
  };
  lane_->post(&session->farewell);
  if (!measured.ok()) return measured;
  return result;
}

// -------------------------------------------------------------------------------------------------- the C API

extern "C" {

int weft_probe_open(const weft_join_options* options, weft_probe** probe) try {
  WEFT_CHECK_ARGUMENT(probe);
  *probe = nullptr;
  Result<JobSettings> settings = read_settings(options);
  if (!settings.ok()) return report(settings.status());
  weft::fabric::LaneOptions lane;
  lane.transports = settings.value().transports;
  lane.bind_address = settings.value().bind_address;
  auto made = std::make_unique<weft_probe>();
  const Status opened = made->open(lane);
  if (!opened.ok()) return report(opened);
  *probe = made.release();
  return WEFT_OK;
}
WEFT_CATCH

int weft_probe_address(const weft_probe* probe, const void** bytes, uint64_t* length) try {
  WEFT_CHECK_HANDLE(probe);
  WEFT_CHECK_ARGUMENT(bytes);
  WEFT_CHECK_ARGUMENT(length);
  *bytes = probe->address().data();
  *length = probe->address().size();
  return WEFT_OK;
}
WEFT_CATCH

int weft_probe_measure(weft_probe* probe, const void* address, uint64_t length, uint64_t timeout_ms, char** json) try {
  WEFT_CHECK_HANDLE(probe);
  WEFT_CHECK_ARGUMENT(address);
  WEFT_CHECK_ARGUMENT(json);
  Result<ProbeResult> result = probe->measure({static_cast<const std::byte*>(address), length}, timeout_ms);
  if (!result.ok()) return report(result.status());
  *json = copy_text(probe_json(result.value()));
  return WEFT_OK;
}
WEFT_CATCH

int weft_probe_close(weft_probe* probe) try {
  WEFT_CHECK_HANDLE(probe);
  delete probe;
  return WEFT_OK;
}
WEFT_CATCH

}  // extern "C"
