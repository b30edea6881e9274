#include "fabric/inprocess_transport.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "base/mpsc_queue.h"
#include "base/random.h"

namespace weft::fabric {

namespace {

// Bounds of one lane's inbox, over all its senders; a sender that meets them tries again.
constexpr uint64_t kInboxMessagesMax = 16 * 1024;
constexpr uint64_t kInboxBytesMax = uint64_t{128} << 20;
constexpr uint64_t kCopyBytesMax = uint64_t{1} << 20;
// Bytes copied per call of progress(), so that messages do not wait behind a long copy.
constexpr uint64_t kCopyBytesPerProgress = uint64_t{4} << 20;

struct Parcel {
  Parcel* next = nullptr;
  uint64_t length = 0;
  std::unique_ptr<uint64_t[]> bytes;  // uint64_t: 8-aligned
};

// A lane's inbox, alive as long as a sender holds it.
struct Port {
  MpscQueue<Parcel> inbox;
  std::atomic<uint64_t> messages{0};
  std::atomic<uint64_t> bytes{0};
  std::atomic<bool> closed{false};
  std::shared_ptr<Doorbell> doorbell;

  ~Port() { drop_all(); }
  void drop_all() {
    for (Parcel* parcel = inbox.take_all(); parcel != nullptr;) {
      const std::unique_ptr<Parcel> owned(parcel);
      parcel = parcel->next;
    }
  }
};

// A registered region; a copy holds the lock shared, so that taking the access back waits for it.
struct SharedMemory {
  std::shared_mutex mutex;
  bool open = true;  // under mutex
  std::byte* data = nullptr;
  uint64_t length = 0;
  uint32_t access = 0;
};

// The one place where lanes of a process find each other.
struct Exchange {
  std::mutex mutex;
  std::map<std::array<uint64_t, 2>, std::weak_ptr<Port>> ports;        // under mutex
  std::unordered_map<uint64_t, std::shared_ptr<SharedMemory>> memory;  // under mutex
  const uint64_t process_token = secure_random_u64();
};
Exchange& exchange() {
  // Never destroyed: lanes may be closed by destructors of statics.
  static Exchange* instance = new Exchange;
  return *instance;
}

class InprocessRegistration final : public Registration {
 public:
  explicit InprocessRegistration(std::shared_ptr<SharedMemory> memory) : memory_(std::move(memory)) {
    remote.length = memory_->length;
    Exchange& all = exchange();
    const std::lock_guard<std::mutex> lock(all.mutex);
    do {
      remote.key = secure_random_u64();
    } while (!all.memory.emplace(remote.key, memory_).second);
  }
  ~InprocessRegistration() override {
    Exchange& all = exchange();
    {
      const std::lock_guard<std::mutex> lock(all.mutex);
      all.memory.erase(remote.key);
    }
    const std::unique_lock<std::shared_mutex> lock(memory_->mutex);
    memory_->open = false;
  }

 private:
  std::shared_ptr<SharedMemory> memory_;
};

struct InprocessLink final : Link {
  std::shared_ptr<Port> port;
  bool closed = false;
  uint64_t operations = 0;
};

class InprocessTransport final : public Transport {
 public:
  InprocessTransport(const LaneToken& token, std::shared_ptr<Doorbell> doorbell)
      : token_(token), port_(std::make_shared<Port>()) {
    port_->doorbell = std::move(doorbell);
    const uint64_t process = exchange().process_token;
    address_.assign(reinterpret_cast<const char*>(&process), sizeof process);
  }
  ~InprocessTransport() override {
    for (InprocessLink* link : links_) delete link;
  }

  const std::string& name() const override { return name_; }
  const std::string& address() const override { return address_; }
  std::string describe() const override { return "inprocess: for lanes of this process, by memcpy"; }
  uint64_t body_bytes_max() const override { return UINT32_MAX; }
  uint64_t operation_bytes_max() const override { return kCopyBytesMax; }
  bool needs_heartbeats() const override { return false; }
  bool operations_prove_life() const override { return true; }

  Result<std::unique_ptr<Registration>> register_memory(void* memory, uint64_t length, uint32_t access) override {
    if (access == kLocalOnly) return std::unique_ptr<Registration>();
    auto shared = std::make_shared<SharedMemory>();
    shared->data = static_cast<std::byte*>(memory);
    shared->length = length;
    shared->access = access;
    return std::unique_ptr<Registration>(std::make_unique<InprocessRegistration>(std::move(shared)));
  }

  Status start(TransportEvents* events, Watcher*) override {
    events_ = events;
    Exchange& all = exchange();
    const std::lock_guard<std::mutex> lock(all.mutex);
    all.ports[token_.words] = port_;
    return {};
  }

  Status can_reach(const LaneAddress& address) override {
    const AddressEntry* entry = address.find(name_);
    if (entry == nullptr || entry->bytes != address_) return Status(Code::UNSUPPORTED, "it is in another process");
    return {};
  }

  Result<Link*> open_link(const LaneAddress& address) override {
    Exchange& all = exchange();
    const std::lock_guard<std::mutex> lock(all.mutex);
    const auto found = all.ports.find(address.token.words);
    std::shared_ptr<Port> port = found == all.ports.end() ? nullptr : found->second.lock();
    if (!port) return Status(Code::PEER_LOST, "the lane in this process was closed; get its new address");
    auto* link = new InprocessLink;
    link->port = std::move(port);
    links_.push_back(link);
    return static_cast<Link*>(link);
  }

  void close_link(Link* link) override {
    auto* closing = static_cast<InprocessLink*>(link);
    closing->closed = true;
    closing->peer = 0;
    drop_if_done(closing);
  }

  Outcome send(Link* link, const LaneHeader& header, Pieces pieces) override {
    Port& port = *static_cast<InprocessLink*>(link)->port;
    if (port.closed.load(std::memory_order_acquire)) {
      failure_ = Status(Code::PEER_LOST, "the other lane of this process was closed");
      return Outcome::kFailed;
    }
    const uint64_t length = wire_length(header.length);
    if (port.messages.load(std::memory_order_relaxed) >= kInboxMessagesMax ||
        port.bytes.load(std::memory_order_relaxed) + length > kInboxBytesMax) {
      return Outcome::kAgain;
    }
    auto parcel = std::make_unique<Parcel>();
    parcel->length = length;
    parcel->bytes = std::make_unique<uint64_t[]>(length / sizeof(uint64_t));
    auto* at = reinterpret_cast<std::byte*>(parcel->bytes.get());
    std::memcpy(at, &header, sizeof header);
    at += sizeof header;
    for (const auto& piece : pieces) {
      if (!piece.empty()) std::memcpy(at, piece.data(), piece.size());
      at += piece.size();
    }
    port.messages.fetch_add(1, std::memory_order_relaxed);
    port.bytes.fetch_add(length, std::memory_order_relaxed);
    port.inbox.push(parcel.release());
    port.doorbell->ring();
    return Outcome::kTaken;
  }

  Outcome submit(Operation* operation) override {
    operation->next = nullptr;
    (last_ ? last_->next : first_) = operation;
    last_ = operation;
    under_way_++;
    static_cast<InprocessLink*>(operation->link)->operations++;
    return Outcome::kTaken;
  }

  uint32_t progress() override {
    uint32_t events = 0;
    for (Parcel* parcel = port_->inbox.take_all(); parcel != nullptr;) {
      const std::unique_ptr<Parcel> owned(parcel);
      parcel = parcel->next;
      port_->messages.fetch_sub(1, std::memory_order_relaxed);
      port_->bytes.fetch_sub(owned->length, std::memory_order_relaxed);
      events_->on_wire_message(*this, nullptr, {reinterpret_cast<const std::byte*>(owned->bytes.get()), owned->length});
      events++;
    }
    uint64_t copied = 0;
    while (first_ != nullptr && copied < kCopyBytesPerProgress) {
      Operation* operation = take_first();
      copied += operation->length;
      finish(operation, copy(*operation));
      events++;
    }
    return events;
  }

  bool prepare_sleep() override { return first_ == nullptr && port_->inbox.empty(); }
  bool worth_spinning() const override { return true; }
  uint64_t under_way() const override { return under_way_; }

  void close() override {
    port_->closed.store(true, std::memory_order_release);
    {
      Exchange& all = exchange();
      const std::lock_guard<std::mutex> lock(all.mutex);
      all.ports.erase(token_.words);
    }
    while (first_ != nullptr) finish(take_first(), Status(Code::CLOSED, "the lane was closed"));
    port_->drop_all();
  }

 private:
  Operation* take_first() {
    Operation* operation = first_;
    first_ = operation->next;
    if (first_ == nullptr) last_ = nullptr;
    return operation;
  }

  void finish(Operation* operation, const Status& status) {
    auto* link = static_cast<InprocessLink*>(operation->link);
    under_way_--;
    link->operations--;
    events_->on_operation_done(*this, operation, status);
    drop_if_done(link);
  }

  void drop_if_done(InprocessLink* link) {
    if (!link->closed || link->operations != 0) return;
    const auto found = std::find(links_.begin(), links_.end(), link);
    WEFT_ASSERT(found != links_.end());
    links_.erase(found);
    delete link;
  }

  Status copy(const Operation& operation) {
    std::shared_ptr<SharedMemory> memory;
    {
      Exchange& all = exchange();
      const std::lock_guard<std::mutex> lock(all.mutex);
      const auto found = all.memory.find(operation.remote.key);
      if (found != all.memory.end()) memory = found->second;
    }
    if (!memory) return Status(Code::FABRIC, "the remote memory is not registered any more");
    const std::shared_lock<std::shared_mutex> lock(memory->mutex);
    if (!memory->open) return Status(Code::FABRIC, "the remote memory is not registered any more");
    if (operation.remote_at > memory->length || operation.length > memory->length - operation.remote_at) {
      return Status(Code::FABRIC, "the operation reaches outside the remote memory");
    }
    if ((memory->access & (operation.is_write ? kRemoteWrite : kRemoteRead)) == 0) {
      return Status(Code::FABRIC, "the remote memory was not registered for this access");
    }
    std::byte* remote = memory->data + operation.remote_at;
    if (operation.is_write) {
      std::memcpy(remote, operation.local, operation.length);
    } else {
      std::memcpy(operation.local, remote, operation.length);
    }
    return {};
  }

  const std::string name_ = "inprocess";
  const LaneToken token_;
  std::string address_;
  TransportEvents* events_ = nullptr;
  std::shared_ptr<Port> port_;
  std::vector<InprocessLink*> links_;
  Operation* first_ = nullptr;
  Operation* last_ = nullptr;
  uint64_t under_way_ = 0;
};

}  // namespace

std::unique_ptr<Transport> make_inprocess_transport(const LaneToken& token, std::shared_ptr<Doorbell> doorbell) {
  return std::make_unique<InprocessTransport>(token, std::move(doorbell));
}

}  // namespace weft::fabric
