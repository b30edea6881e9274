// A process's place in a job, and all that is opened on it.
#ifndef WEFTLINE_CPP_JOB_HPP
#define WEFTLINE_CPP_JOB_HPP

#include "consumer.hpp"
#include "producer.hpp"

namespace weftline {

// The members of weft_join_options, with its defaults. Texts are read by the call that takes them.
struct join_options : weft_join_options {
  join_options() : weft_join_options(WEFT_JOIN_OPTIONS_DEFAULT) {}
};

// For programs with an event loop: what happened, with its words.
class completion {
 public:
  completion(completion&& other) noexcept : raw_(std::exchange(other.raw_, weft_completion{})) {}
  completion& operator=(completion&& other) noexcept {
    std::swap(raw_, other.raw_);
    return *this;
  }
  ~completion() { weft_free(raw_.text); }
  const weft_completion& get() const { return raw_; }
  std::string_view text() const {
    return raw_.text == nullptr ? std::string_view() : std::string_view(raw_.text, raw_.text_length);
  }

 private:
  friend class job;
  explicit completion(const weft_completion& raw) : raw_(raw) {}
  weft_completion raw_;
};

// A topic as it was looked up.
class topic {
 public:
  topic() = default;
  topic(topic&& other) noexcept : job_(std::move(other.job_)), handle_(std::exchange(other.handle_, nullptr)) {}
  topic& operator=(topic&& other) noexcept {
    if (this != &other) {
      close();
      job_ = std::move(other.job_);
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~topic() { close(); }
  weft_topic* get() const { return job_ != nullptr && job_->handle != nullptr ? handle_ : nullptr; }
  explicit operator bool() const { return get() != nullptr; }
  // Its texts live as long as the topic.
  result<weft_topic_facts> describe() const {
    weft_topic_facts facts{};
    facts.size = sizeof facts;
    const int code = weft_topic_describe(get(), &facts);
    if (code != WEFT_OK) return status(code);
    return facts;
  }
  struct extent {
    uint64_t first_offset;
    uint64_t visible_end;
  };
  // What is stored of a partition, as its server says now.
  result<extent> query(uint32_t partition) const {
    extent found{};
    const int code = weft_partition_query(get(), partition, &found.first_offset, &found.visible_end);
    if (code != WEFT_OK) return status(code);
    return found;
  }
  // Its producers and consumers stay open.
  void close() {
    if (get() != nullptr) weft_topic_close(handle_);
    handle_ = nullptr;
  }

 private:
  friend class job;
  topic(std::shared_ptr<detail::job_state> job, weft_topic* handle) : job_(std::move(job)), handle_(handle) {}
  std::shared_ptr<detail::job_state> job_;
  weft_topic* handle_ = nullptr;
};

class job {
 public:
  // Collective over `world` (MPI_Comm_c2f of it); without a launcher a world of one.
  static result<job> join(const join_options& options = {}, int64_t world = WEFT_COMM_WORLD) {
    weft_job* opened = nullptr;
    return made(weft_join(world, &options, &opened), opened);
  }
  // From outside the MPI world, through the group directory; nullptr: WEFTLINE_GROUP. Local.
  static result<job> attach(const char* group = nullptr, const join_options& options = {}) {
    weft_job* opened = nullptr;
    return made(weft_attach(group, &options, &opened), opened);
  }
  // Of another thread of this process, whose job gave the ticket. Local.
  static result<job> open_shared(const weft_ticket& ticket) {
    weft_job* opened = nullptr;
    return made(weft_open_shared(&ticket, &opened), opened);
  }
  job() = default;
  job(job&&) noexcept = default;
  job& operator=(job&& other) noexcept {
    if (this != &other) {
      end();
      state_ = std::move(other.state_);
    }
    return *this;
  }
  // Collective after join, as close(), which tells the outcome.
  ~job() { end(); }

  weft_job* get() const { return state_ == nullptr ? nullptr : state_->handle; }
  explicit operator bool() const { return get() != nullptr; }
  // Leaves, and closes what is open on it. Collective after join, with a deadline.
  status close() {
    if (get() == nullptr) return detail::closed("job");
    return status(weft_close(std::exchange(state_->handle, nullptr)));
  }

  // Its texts live as long as the job.
  result<weft_job_facts> describe() const {
    weft_job_facts facts{};
    facts.size = sizeof facts;
    return done(weft_job_describe(get(), &facts), facts);
  }
  // JSON.
  result<std::string> counters() const {
    char* json = nullptr;
    const int code = weft_job_counters(get(), &json);
    return text(code, json);
  }
  // MPI_Comm_f2c of it: the ranks that joined under the same name; -1 without MPI. Freed by close().
  int64_t group_communicator() const { return weft_job_group_communicator(get()); }
  result<weft_ticket> share() {
    weft_ticket ticket{};
    return done(weft_job_share(get(), &ticket), ticket);
  }
  std::optional<completion> poll() {
    weft_completion raw{};
    if (get() == nullptr || weft_poll(get(), &raw, 1) == 0) return std::nullopt;
    return completion(raw);
  }

  // `config`: JSON such as {"partitions":2}; nullptr for the defaults. WEFT_TOPIC_EXISTS.
  status create_topic(const std::string& name, const char* config = nullptr, int64_t timeout_ms = 30'000) {
    return status(weft_topic_create(get(), name.c_str(), config, timeout_ms));
  }
  result<topic> open_topic(const std::string& name) {
    weft_topic* opened = nullptr;
    const int code = weft_topic_open(get(), name.c_str(), &opened);
    if (code != WEFT_OK) return status(code);
    return topic(state_, opened);
  }
  // A request to the control plane of a slot, JSON in and out (docs/formats/control.md).
  result<std::string> control(std::string_view json, uint32_t slot = 0, int64_t timeout_ms = 30'000) {
    char* reply = nullptr;
    const int code = weft_control(get(), slot, json.data(), json.size(), timeout_ms, &reply);
    return text(code, reply);
  }
  result<producer> open_producer(const std::string& topic_name, const producer_options& options = {}) {
    weft_producer* opened = nullptr;
    const int code = weft_producer_open(get(), topic_name.c_str(), &options, &opened);
    if (code != WEFT_OK) return status(code);
    return producer(state_, opened);
  }
  result<consumer> open_consumer(const std::string& topic_name, const consumer_options& options = {}) {
    weft_consumer* opened = nullptr;
    const int code = weft_consumer_open(get(), topic_name.c_str(), &options, &opened);
    if (code != WEFT_OK) return status(code);
    return consumer(state_, opened);
  }
  // The caller's memory, for pushes and fetches without a copy. It must stay until the region is released.
  template <typename T, size_t N>
  requires(std::is_trivially_copyable_v<T> &&
           !std::is_const_v<T>) result<region> register_memory(std::span<T, N> memory) {
    weft_region* opened = nullptr;
    const int code = weft_region_register(get(), memory.data(), memory.size_bytes(), &opened);
    if (code != WEFT_OK) return status(code);
    return region(state_, opened);
  }
  // Memory that the library owns, page aligned; in bytes.
  result<region> allocate(uint64_t length) {
    weft_region* opened = nullptr;
    const int code = weft_region_allocate(get(), length, &opened);
    if (code != WEFT_OK) return status(code);
    return region(state_, opened);
  }

 private:
  // By reference: it is read behind the call that sets it, whatever order arguments are evaluated in.
  static result<job> made(int code, weft_job* const& opened) {
    if (code != WEFT_OK) return status(code);
    job joined;
    joined.state_ = std::make_shared<detail::job_state>();
    joined.state_->handle = opened;
    return joined;
  }
  template <typename T>
  static result<T> done(int code, const T& value) {
    if (code != WEFT_OK) return status(code);
    return value;
  }
  static result<std::string> text(int code, char* given) {
    if (code != WEFT_OK) return status(code);
    std::string copied(given == nullptr ? "" : given);
    weft_free(given);
    return copied;
  }
  void end() {
    if (get() != nullptr) weft_close(std::exchange(state_->handle, nullptr));
    state_.reset();
  }
  std::shared_ptr<detail::job_state> state_;
};

}  // namespace weftline

#endif
