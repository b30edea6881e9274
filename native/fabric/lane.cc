#include "fabric/lane.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <mutex>
#include <system_error>

#include "base/random.h"
#include "fabric/exit_gate.h"
#include "fabric/inprocess_transport.h"
#include "fabric/libfabric_transport.h"
#include "fabric/shm_transport.h"

namespace weft::fabric {

namespace {
// Tasks run before the transports get their turn.
constexpr int kTasksPerTurn = 256;
constexpr uint64_t kDoorbellWatch = 0;
// A transport that cannot wake us: first polled so often when idle, then more and more rarely.
constexpr uint64_t kPollFirstNs = 50 * kNsPerUs;
constexpr uint64_t kPollLastNs = 2 * kNsPerMs;
// Something waits for room in a transport that may not announce it.
constexpr uint64_t kRetryNs = 200 * kNsPerUs;
// A descriptor that is readable for ever, with nothing behind it, would cost a core: after so many times woken at once
// for nothing each wake-up waits for a pause. One that had work, or a sleep that was one, makes up for a hundred. Peers
// that read and write this process's memory wake it for nothing as well; but then a turn after a pause has much to
// move.
constexpr uint32_t kRestlessWakes = 20'000;
constexpr uint32_t kWakesForgiven = 100;
constexpr uint64_t kAtOnceNs = 5 * kNsPerUs;
constexpr uint64_t kLongTurnNs = 50 * kNsPerUs;
constexpr long kPauseNs = 500'000;
constexpr uint64_t kShutdownNsMax = 200 * kNsPerMs;

constexpr uint32_t kTurnsPerYield = 16;
// Of transports that are not cheap to poll, before the thread sleeps.
constexpr int64_t kDescriptorSpinNs = 50 * kNsPerUs;
// After a spin in vain so many sleeps at most begin without one.
constexpr uint32_t kSpinSkipMax = 15;

void relax_processor() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// epoll_wait counts in milliseconds; the newer call in nanoseconds. Older kernels round up.
int wait_for_events(int epoll, epoll_event* events, int count, int64_t timeout_ns) {
#ifdef SYS_epoll_pwait2
  static std::atomic<bool> missing{false};
  if (timeout_ns > 0 && !missing.load(std::memory_order_relaxed)) {
    timespec limit{timeout_ns / static_cast<int64_t>(kNsPerSecond), timeout_ns % static_cast<int64_t>(kNsPerSecond)};
    const long got = syscall(SYS_epoll_pwait2, epoll, events, count, &limit, nullptr, size_t{0});
    if (got >= 0 || errno == EINTR || errno == EBADF) return static_cast<int>(got);
    // ENOSYS of an older kernel; EPERM of a container that does not know the call.
    missing.store(true, std::memory_order_relaxed);
  }
#endif
  const int64_t ms = timeout_ns < 0 ? -1 : (timeout_ns + static_cast<int64_t>(kNsPerMs) - 1) / int64_t{kNsPerMs};
  return epoll_wait(epoll, events, count, static_cast<int>(std::min<int64_t>(ms, INT32_MAX)));
}
}  // namespace

Result<std::unique_ptr<Lane>> Lane::open(const LaneOptions& options) {
  if (options.message_bytes_max == 0 || options.send_queue_max == 0 || options.heartbeat_ms == 0 ||
      options.peer_timeout_ms < options.heartbeat_ms * 2 || options.receive_buffer_count == 0) {
    return Status(
        Code::INVALID_ARGUMENT,
        "opening a lane: message_bytes_max, send_queue_max, heartbeat_ms and receive_buffer_count must not be "
        "0, and peer_timeout_ms must be at least twice heartbeat_ms");
  }
  const OpeningGuard guard;
  if (!guard.allowed()) return Status(Code::CLOSED, "opening a lane: the process is ending");
  auto lane = std::make_unique<LaneImpl>(options);
  WEFT_RETURN_IF_ERROR(lane->prepare());
  // Once more, behind what the fabric providers loaded and registered while they were opened.
  static std::once_flag watched;
  std::call_once(watched, watch_exit);
  return std::unique_ptr<Lane>(std::move(lane));
}

LaneImpl::LaneImpl(const LaneOptions& options)
    : options_(options),
      clock_(options.clock ? *options.clock : Clock::system()),
      book_(std::make_shared<RegionBook>()) {
  token_.words = {secure_random_u64(), secure_random_u64()};
  tick_ns_ = std::clamp<uint64_t>(options_.heartbeat_ms / 4, 5, 250) * kNsPerMs;
}

Status LaneImpl::prepare() {
  Result<std::unique_ptr<Doorbell>> doorbell = Doorbell::open();
  WEFT_RETURN_IF_ERROR(doorbell.status());
  doorbell_ = doorbell.take();
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) {
    return Status(Code::LIMIT, join_text("opening a lane: epoll_create1 failed: ", errno_text(errno),
                                         "; raise the limit of open files (ulimit -n)"));
  }
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kDoorbellWatch;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, doorbell_->descriptor(), &event) != 0) {
    return Status(Code::LIMIT, join_text("opening a lane: watching the doorbell failed: ", errno_text(errno)));
  }
  add_transports();
  if (transports_.empty()) {
    std::string tried;
    for (const std::string& line : refused_) tried += (tried.empty() ? "" : "; ") + line;
    return Status(Code::FABRIC,
                  join_text("opening a lane: no transport could be opened: ", tried,
                            "; allow other transports (WEFTLINE_TRANSPORTS), or mend what each of these says"));
  }
  // An address that was asked for and cannot be had: without this, peers of other hosts would look in vain.
  WEFT_RETURN_IF_ERROR(bind_refusal_);
  LaneAddress own;
  own.token = token_;
  own.host = own_identity();
  for (const auto& transport : transports_) {
    if (!transport->address().empty()) own.entries.push_back({transport->name(), transport->address()});
  }
  Result<std::string> bytes = encode_address(own);
  WEFT_RETURN_IF_ERROR(bytes.status());
  address_bytes_ = bytes.take();
  return {};
}

void LaneImpl::add_transports() {
  std::vector<std::string> wanted = options_.transports;
  if (wanted.empty()) wanted = {"inprocess", "shm", "network"};
  for (const std::string& name : wanted) add_transport(name);
}

void LaneImpl::add_transport(const std::string& wanted) {
  for (const auto& transport : transports_) {
    if (transport->name() == wanted) return;
  }
  if (wanted == "inprocess") {
    transports_.push_back(make_inprocess_transport(token_, doorbell_));
    return;
  }
  if (wanted == "shm") {
    Result<std::unique_ptr<Transport>> opened = make_shm_transport(token_, options_);
    if (opened.ok()) {
      transports_.push_back(opened.take());
    } else {
      refused_.push_back(join_text("shm: not taken: ", opened.status().message()));
    }
    return;
  }
  // "network": the best libfabric provider there is; "tcp" is always there.
  const std::vector<std::string> providers =
      wanted == "network" ? network_providers_by_preference() : std::vector<std::string>{wanted};
  for (const std::string& provider : providers) {
    Result<std::unique_ptr<Transport>> opened = open_libfabric_transport(provider, options_, token_);
    if (opened.ok()) {
      transports_.push_back(opened.take());
      bind_refusal_ = {};
      return;
    }
    refused_.push_back(join_text(provider, ": not taken: ", opened.status().message()));
    if (!options_.bind_address.empty()) bind_refusal_ = opened.status();
  }
}

LaneImpl::~LaneImpl() {
  WEFT_ASSERT(!on_progress_thread());
  LaneImpl::close();
  if (started_) {
    end_.store(true, std::memory_order_seq_cst);
    doorbell_->ring();
    thread_.join();
  }
  if (epoll_ >= 0) ::close(epoll_);
}

void LaneImpl::close() {
  WEFT_ASSERT(!on_progress_thread());
  if (closed_.load(std::memory_order_acquire)) return;
  if (started_) {
    stop_.store(true, std::memory_order_seq_cst);
    doorbell_->ring();
    return closed_.wait(false, std::memory_order_acquire);
  }
  leave_network();
  closed_.store(true, std::memory_order_release);
}

void LaneImpl::leave_network() {
  {
    // Whoever is inside register_memory() uses the transports.
    const std::lock_guard lock(registering_);
    registers_ = false;
  }
  book_->close_registrations();
  for (auto& transport : transports_) transport->close();
}

void LaneImpl::set_handler(Channel channel, Handler* handler) {
  WEFT_ASSERT(!started_);
  handlers_[static_cast<size_t>(channel)] = handler;
}

Status LaneImpl::start() {
  WEFT_ASSERT(!started_);
  const OpeningGuard guard;
  if (!guard.allowed()) return Status(Code::CLOSED, "starting a lane: the process is ending");
  for (auto& transport : transports_) WEFT_RETURN_IF_ERROR(transport->start(this, this));
  tick_last_ns_ = now_ns();
  // The process's signals belong to its own threads: a handler must never run on this one.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  const int blocked = pthread_sigmask(SIG_SETMASK, &all, &before);
  WEFT_ASSERT(blocked == 0);
  for (auto& transport : transports_) {
    polled_ |= transport->must_be_polled();
  }
  try {
    thread_ = std::thread([this] {
      // on_progress_thread() reads thread_, which is written when the constructor has returned.
      running_.wait(false, std::memory_order_acquire);
      run();
    });
  } catch (const std::system_error& error) {
    const int restored = pthread_sigmask(SIG_SETMASK, &before, nullptr);
    WEFT_ASSERT(restored == 0);
    return Status(Code::LIMIT, join_text("starting a lane: no thread could be started: ", error.what(),
                                         "; raise the limit of processes (ulimit -u, or the cgroup's pids.max)"));
  }
  started_ = true;
  running_.store(true, std::memory_order_release);
  running_.notify_one();
  const int named = pthread_setname_np(thread_.native_handle(), "weft-lane");
  WEFT_ASSERT(named == 0);
  const int restored = pthread_sigmask(SIG_SETMASK, &before, nullptr);
  WEFT_ASSERT(restored == 0);
  return {};
}

// ---------------------------------------------------------------------------------------------- the loop

void LaneImpl::run() {
  uint64_t idle_since_ns = 0;
  uint32_t turns = 0;
  uint32_t idle_turns = 0;
  ExitWatch exit_watch(*doorbell_);
  while (!stop_.load(std::memory_order_relaxed)) {
    if (exit_watch.exiting()) [[unlikely]] {
      stand_still(exit_watch);
    }
    bool worked = run_tasks();
    worked |= send_bundles();
    // While spinning only what costs no system call: spinning on tcp made its round trip three times as long.
    worked |= poll_transports(idle_since_ns != 0);
    worked |= issue_operations();
    worked |= flush_queues();
    worked |= flush_rejects();
    worked |= call_done();
    worked |= reap();
    worked |= fire_timers();
    worked |= send_bundles();
    graveyard_.clear();
    settle_releases();
    if (worked) {
      forgive_wakes();
      if (idle_since_ns != 0) spin_skip_ = 0;  // it paid
      idle_since_ns = 0;
      poll_ns_ = kPollFirstNs;
      // Descriptors (accepts, processes that ended) must not wait for a quiet moment.
      if (++turns % 64 == 0) poll_descriptors(0);
      continue;
    }
    bool may_spin = options_.spin_us != 0;
    if (idle_since_ns == 0 && spin_skips_left_ != 0) {
      spin_skips_left_--;
      may_spin = false;
    } else if (may_spin && spins_) {
      const uint64_t now = now_ns();
      if (idle_since_ns == 0) idle_since_ns = now;
      if (now - idle_since_ns < options_.spin_us * kNsPerUs) {
        // Whoever else wants this core gets it: often the thread that this one has just woken.
        if (++idle_turns % kTurnsPerYield == 0) {
          static_cast<void>(sched_yield());  // cannot fail
        } else {
          relax_processor();
        }
        continue;
      }
      spun_in_vain();
      may_spin = false;
    }
    sleep(exit_watch, may_spin);
    idle_since_ns = 0;
  }
  shut_down();
  closed_.store(true, std::memory_order_release);
  closed_.notify_all();
  serve_tasks(exit_watch);
}

// The network is left: only those who share the process's part in the job still post, and are told that it is closed.
void LaneImpl::serve_tasks(ExitWatch& exit_watch) {
  exit_watch.set_standing(true);  // outside libfabric for good
  while (true) {
    const bool ends = end_.load(std::memory_order_seq_cst);
    if (run_tasks()) continue;
    settle_releases();
    if (ends) return;
    doorbell_->begin_sleep();
    if (tasks_.empty() && !end_.load(std::memory_order_seq_cst)) {
      pollfd rung{doorbell_->descriptor(), POLLIN, 0};
      static_cast<void>(poll(&rung, 1, -1));  // looked at once more, whatever it says
    }
    doorbell_->end_sleep();
  }
}

// Perhaps the other side waits for this very core (25 us instead of 0.3 for a message, measured).
void LaneImpl::spun_in_vain() {
  spin_skip_ = std::min(spin_skip_ * 2 + 1, kSpinSkipMax);
  spin_skips_left_ = spin_skip_;
}

// The process is ending. Whoever still posts something is served: an exit handler that closes the job, or a thread that
// the destructor of a global object waits for.
void LaneImpl::stand_still(ExitWatch& exit_watch) {
  exit_watch.set_standing(true);
  const auto wanted = [this] {
    return stop_.load(std::memory_order_seq_cst) || taken_tasks_ != nullptr || !tasks_.empty();
  };
  while (!wanted()) {
    doorbell_->begin_sleep();
    if (!wanted()) {
      pollfd rung{doorbell_->descriptor(), POLLIN, 0};
      static_cast<void>(poll(&rung, 1, -1));  // looked at once more, whatever it says
    }
    doorbell_->end_sleep();
  }
  exit_watch.set_standing(false);
}

bool LaneImpl::run_tasks() {
  // Tasks that were taken and not run yet keep their order before newer ones.
  if (taken_tasks_ == nullptr) taken_tasks_ = tasks_.take_all();
  int count = 0;
  while (taken_tasks_ != nullptr && count < kTasksPerTurn) {
    Task* task = taken_tasks_;
    taken_tasks_ = task->next;
    task->run(task);
    count++;
  }
  return count != 0;
}

bool LaneImpl::poll_transports(bool cheap_only) {
  uint32_t events = 0;
  for (auto& transport : transports_) {
    const bool cheap = transport->worth_spinning();
    if (cheap_only && !cheap) continue;
    const uint32_t count = transport->progress();
    // The next event will come from where the last one came from.
    if (count != 0) spins_ = cheap;
    events += count;
  }
  return events != 0;
}

bool LaneImpl::fire_timers() {
  const uint64_t now = now_ns();
  if (now >= tick_next_ns_) tick(now);
  if (active_ != nullptr && now >= deadline_check_ns_) check_deadlines(now);
  bool fired = false;
  while (!timers_.empty() && timers_.begin()->first <= now) {
    Timer* timer = timers_.begin()->second;
    timers_.erase(timers_.begin());
    timer->deadline_ns = 0;
    timer->fire(timer);
    fired = true;
  }
  return fired;
}

int64_t LaneImpl::sleep_limit_ns(uint64_t now) const {
  uint64_t next = tick_next_ns_;
  if (!timers_.empty()) next = std::min(next, timers_.begin()->first);
  if (active_ != nullptr) next = std::min(next, deadline_check_ns_);
  if (!with_queue_.empty() || !with_transfers_.empty() || !rejects_.empty()) next = std::min(next, now + kRetryNs);
  if (polled_) next = std::min(next, now + poll_ns_);
  return next <= now ? 0 : static_cast<int64_t>(next - now);
}

// Before it sleeps it looks at the descriptors for a while, one cheap call each time, and leaves the core to whoever
// wants it. A core that nobody uses goes to sleep, and wakes 20 us later on a virtual machine: more than a message
// takes.
bool LaneImpl::wait_for_work(uint64_t begun_ns, int64_t limit_ns, bool may_spin) {
  if (!may_spin || limit_ns <= kDescriptorSpinNs) return poll_descriptors(limit_ns);
  uint64_t now = begun_ns;
  do {
    if (poll_descriptors(0)) {
      spin_skip_ = 0;
      return true;
    }
    static_cast<void>(sched_yield());  // cannot fail
    now = now_ns();
  } while (now < begun_ns + kDescriptorSpinNs);
  spun_in_vain();
  return poll_descriptors(std::max<int64_t>(limit_ns - static_cast<int64_t>(now - begun_ns), 0));
}

// Returns the time after it.
uint64_t LaneImpl::pause(uint64_t begun_ns) {
  if (paused_at_ns_ != 0 && begun_ns - paused_at_ns_ > kLongTurnNs) {
    restless_wakes_ = 0;
    paused_at_ns_ = 0;
    return begun_ns;
  }
  const timespec pause{0, kPauseNs};
  static_cast<void>(nanosleep(&pause, nullptr));
  pauses_.fetch_add(1, std::memory_order_relaxed);
  paused_at_ns_ = now_ns();
  return paused_at_ns_;
}

void LaneImpl::forgive_wakes() {
  restless_wakes_ -= std::min(restless_wakes_, kWakesForgiven);
  paused_at_ns_ = 0;
}

void LaneImpl::sleep(const ExitWatch& exit_watch, bool may_spin) {
  const int64_t limit_ns = sleep_limit_ns(now_ns());
  doorbell_->begin_sleep();
  // Each queue is looked at once more after the doorbell says "asleep": what came before that did not ring.
  bool may_sleep =
      tasks_.empty() && taken_tasks_ == nullptr && !stop_.load(std::memory_order_seq_cst) && !exit_watch.exiting();
  size_t prepared = 0;
  while (may_sleep && prepared < transports_.size()) {
    may_sleep = transports_[prepared]->prepare_sleep();
    if (may_sleep) prepared++;
  }
  if (may_sleep) {
    uint64_t begun_ns = now_ns();
    if (restless_wakes_ >= kRestlessWakes) begun_ns = pause(begun_ns);
    wakeups_.fetch_add(1, std::memory_order_relaxed);
    poll_ns_ = std::min(poll_ns_ * 2, kPollLastNs);
    const bool woken = wait_for_work(begun_ns, limit_ns, may_spin);
    if (!woken || now_ns() - begun_ns >= kAtOnceNs) {
      forgive_wakes();
    } else if (restless_wakes_ < kRestlessWakes) {
      restless_wakes_++;
    }
  }
  for (size_t i = 0; i < prepared; i++) transports_[i]->woke();
  doorbell_->end_sleep();
}

// False: the time passed.
bool LaneImpl::poll_descriptors(int64_t timeout_ns) {
  epoll_event events[32];
  const int count = wait_for_events(epoll_, events, 32, timeout_ns);
  // EINTR cannot come (all signals are blocked) and would be harmless; anything else is a fault of ours.
  WEFT_ASSERT(count >= 0 || errno == EINTR);
  for (int i = 0; i < count; i++) {
    if (events[i].data.u64 == kDoorbellWatch) {
      doorbells_.fetch_add(1, std::memory_order_relaxed);
      continue;
    }
    // A source may have been taken out by the one before it.
    const auto found = sources_.find(events[i].data.u64);
    if (found != sources_.end()) found->second->on_event(events[i].events);
  }
  return count > 0;
}

Result<uint64_t> LaneImpl::watch(int descriptor, EventSource* source) {
  const uint64_t number = next_watch_++;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = number;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) != 0) {
    return Status(Code::LIMIT, join_text("watching descriptor ", descriptor, ": ", errno_text(errno)));
  }
  sources_[number] = source;
  descriptors_[number] = descriptor;
  return number;
}

void LaneImpl::unwatch(uint64_t watch_number) {
  const auto found = descriptors_.find(watch_number);
  if (found == descriptors_.end()) return;
  const int removed = epoll_ctl(epoll_, EPOLL_CTL_DEL, found->second, nullptr);
  WEFT_ASSERT(removed == 0);
  sources_.erase(watch_number);
  descriptors_.erase(found);
}

void LaneImpl::shut_down() {
  // In this order: nothing new comes in, every transfer ends, peers hear of it, memory is taken back, endpoints close.
  closing_ = true;
  while (run_tasks()) {
  }
  while (active_ != nullptr) {
    Transfer* transfer = active_;
    abandon_operations(transfer);
    finish_transfer(transfer, Status(Code::CLOSED, "the lane was closed"));
  }
  for (auto& slot : slots_) {
    if (slot) disconnect(slot->id);
  }
  while (call_done()) {
  }
  const uint64_t give_up_ns = now_ns() + kShutdownNsMax;
  const auto busy = [&] {
    return std::any_of(transports_.begin(), transports_.end(), [](const auto& t) { return t->under_way() != 0; });
  };
  while (busy() && now_ns() < give_up_ns) {
    if (!poll_transports()) poll_descriptors(static_cast<int64_t>(kRetryNs));
  }
  leave_network();
  settle_releases();
  while (run_tasks() || call_done()) {
  }
  timers_.clear();
}

// ---------------------------------------------------------------------------------------------- any thread

void LaneImpl::post(Task* task) {
  tasks_.push(task);
  doorbell_->ring();
}

Result<std::unique_ptr<Region>> LaneImpl::register_memory(void* memory, uint64_t length, uint32_t access) {
  if (memory == nullptr || length == 0) {
    return Status(Code::INVALID_ARGUMENT, "registering memory: an address and a length above 0 are needed");
  }
  const std::shared_lock<std::shared_mutex> registering(registering_);
  if (!registers_) return Status(Code::CLOSED, "registering memory: the job was closed");
  auto core = std::make_shared<RegionCore>();
  core->data = static_cast<std::byte*>(memory);
  core->length = length;
  core->access = access;
  core->book = book_;
  book_->live.fetch_add(1, std::memory_order_relaxed);
  for (auto& transport : transports_) {
    Result<std::unique_ptr<Registration>> registered = transport->register_memory(memory, length, access);
    if (!registered.ok()) {
      return registered.status().with_context(
          join_text("registering ", length, " bytes of memory with ", transport->name()));
    }
    core->registrations.push_back(registered.take());
  }
  registrations_.fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard<std::mutex> lock(book_->mutex);
  book_->cores.insert(core.get());
  return std::unique_ptr<Region>(std::make_unique<RegionHandle>(std::move(core)));
}

void LaneImpl::release_when_safe(std::unique_ptr<Region> region, std::function<void()> then) {
  struct ReleaseTask : Task {
    LaneImpl* lane;
    Release release;
  };
  auto task = std::make_unique<ReleaseTask>();
  task->lane = this;
  task->release.core = static_cast<RegionHandle*>(region.get())->core();
  task->release.region = std::move(region);
  task->release.then = std::move(then);
  task->run = [](Task* base) {
    const std::unique_ptr<ReleaseTask> owned(static_cast<ReleaseTask*>(base));
    owned->lane->releases_.push_back(std::move(owned->release));
  };
  post(task.release());
}

void LaneImpl::settle_releases() {
  for (auto at = releases_.begin(); at != releases_.end();) {
    if (at->core->operations != 0) {
      ++at;
      continue;
    }
    Release release = std::move(*at);
    at = releases_.erase(at);
    release.core.reset();
    release.region.reset();
    if (release.then) release.then();
  }
}

LaneCounters LaneImpl::counters() const {
  LaneCounters all{};
  for (const auto& transport : transports_) {
    const TransportCounts& counts = transport->counts;
    const auto get = [](const std::atomic<uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
    all.transports.push_back({transport->name(), get(counts.messages_sent), get(counts.messages_received),
                              get(counts.message_bytes_sent), get(counts.message_bytes_received), get(counts.reads),
                              get(counts.read_bytes), get(counts.writes), get(counts.write_bytes), get(counts.errors)});
  }
  all.peers_up = peers_up_.load(std::memory_order_relaxed);
  all.peers_lost = peers_lost_.load(std::memory_order_relaxed);
  all.quarantined_bytes = quarantined_bytes_.load(std::memory_order_relaxed);
  all.registrations = registrations_.load(std::memory_order_relaxed);
  all.wakeups = wakeups_.load(std::memory_order_relaxed);
  all.pauses = pauses_.load(std::memory_order_relaxed);
  all.doorbells = doorbells_.load(std::memory_order_relaxed);
  return all;
}

std::vector<std::string> LaneImpl::describe() const {
  std::vector<std::string> lines;
  for (const auto& transport : transports_) lines.push_back(transport->describe());
  lines.insert(lines.end(), refused_.begin(), refused_.end());
  return lines;
}

// ---------------------------------------------------------------------------------------------- timers

void LaneImpl::arm(Timer* timer, uint64_t after_ns) {
  disarm(timer);
  // 0 means "not armed".
  timer->deadline_ns = std::max<uint64_t>(1, now_ns() + after_ns);
  timers_.emplace(timer->deadline_ns, timer);
}

void LaneImpl::disarm(Timer* timer) {
  if (timer->deadline_ns == 0) return;
  timers_.erase({timer->deadline_ns, timer});
  timer->deadline_ns = 0;
}

}  // namespace weft::fabric
