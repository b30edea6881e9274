// Links: the listening socket, the exchange of descriptors, rings and doorbells.
#include "fabric/shm_transport.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "fabric/shm_endpoint.h"

namespace weft::fabric {

namespace {
constexpr uint64_t kRingBytesMin = 256 * 1024;
constexpr uint64_t kRingBytesMax = uint64_t{1} << 30;
constexpr int kBacklog = 1024;
// Messages taken from one link before the next gets its turn.
constexpr uint32_t kMessagesPerTurn = 64;

// Abstract: the name goes with the socket, and belongs to the network namespace, so that emulated hosts do not meet.
socklen_t abstract_address(const std::string& name, sockaddr_un& address) {
  address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
}

uint64_t link_pages_bytes(uint64_t ring_bytes) { return kShmRingsAt + 2 * ring_bytes; }
}  // namespace

Result<std::unique_ptr<Transport>> make_shm_transport(const LaneToken& token, const LaneOptions& options) {
  auto transport = std::make_unique<ShmTransport>(token, options);
  WEFT_RETURN_IF_ERROR(transport->open());
  return std::unique_ptr<Transport>(std::move(transport));
}

ShmTransport::ShmTransport(const LaneToken& token, const LaneOptions& options) : token_(token) {
  // Four of the longest messages, so that the producer does not wait for each.
  ring_bytes_ = std::clamp(std::bit_ceil(wire_length(options.message_bytes_max) * 4), kRingBytesMin, kRingBytesMax);
  char name[64];
  std::snprintf(name, sizeof name, "weftline-%016llx%016llx", static_cast<unsigned long long>(token.words[0]),
                static_cast<unsigned long long>(token.words[1]));
  address_ = name;
  links_.resize(kShmLinksMax);
}

Status ShmTransport::open() {
  // Tells at once whether this system allows it at all (seccomp may not).
  const int error = prove_same_host(own_identity());
  if (error != 0) return Status(Code::UNSUPPORTED, join_text("shm: process_vm_readv: ", errno_text(error)));
  table_ = std::make_shared<ShmRegionTable>();
  Result<ShmSegment> segment = ShmSegment::make("weftline-lane", sizeof(ShmLanePage));
  WEFT_RETURN_IF_ERROR(segment.status());
  table_->segment = segment.take();
  bell_ = Descriptor(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  listener_ = Descriptor(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address;
  const socklen_t length = abstract_address(address_, address);
  if (!bell_.valid() || !listener_.valid() ||
      ::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
      ::listen(listener_.get(), kBacklog) != 0) {
    return Status(Code::FABRIC, join_text("shm: opening the listening socket: ", errno_text(errno)));
  }
  return {};
}

std::string ShmTransport::describe() const {
  return join_text("shm: same host, rings of ", ring_bytes_ / 1024, " KiB and process_vm_readv, at @", address_);
}

Status ShmTransport::start(TransportEvents* events, Watcher* watcher) {
  events_ = events;
  watcher_ = watcher;
  Result<uint64_t> listening = watcher->watch(listener_.get(), this);
  WEFT_RETURN_IF_ERROR(listening.status());
  listener_watch_ = listening.value();
  bell_source_.descriptor = bell_.get();
  Result<uint64_t> bell = watcher->watch(bell_.get(), &bell_source_);
  WEFT_RETURN_IF_ERROR(bell.status());
  bell_watch_ = bell.value();
  return {};
}

Status ShmTransport::can_reach(const LaneAddress& address) {
  if (address.find(name_) == nullptr) return Status(Code::UNSUPPORTED, "the other lane does not have it");
  if (!claims_same_host(address.host)) {
    return Status(Code::UNSUPPORTED, "it is on another host, in another pid namespace or of another user");
  }
  const int error = prove_same_host(address.host);
  if (error == 0) return {};
  return Status(Code::UNSUPPORTED, join_text("its memory cannot be read (process_vm_readv: ", errno_text(error),
                                             "); it ended, or kernel.yama.ptrace_scope forbids it"));
}

Result<ShmLink*> ShmTransport::new_link(Descriptor socket) {
  const auto free_slot = std::find(links_.begin(), links_.end(), nullptr);
  if (free_slot == links_.end()) {
    return Status(Code::LIMIT, join_text("shm: ", kShmLinksMax, " peers are connected already"));
  }
  auto link = std::make_unique<ShmLink>(*this);
  link->slot = static_cast<uint32_t>(free_slot - links_.begin());
  link->socket = std::move(socket);
  ucred who{};
  socklen_t length = sizeof who;
  if (::getsockopt(link->socket.get(), SOL_SOCKET, SO_PEERCRED, &who, &length) != 0 || who.pid <= 0 ||
      who.uid != ::geteuid()) {
    return Status(Code::UNSUPPORTED, "shm: the other side is of another user or pid namespace");
  }
  link->pid = who.pid;
  Result<uint64_t> watched = watcher_->watch(link->socket.get(), link.get());
  WEFT_RETURN_IF_ERROR(watched.status());
  link->watch_number = watched.value();
  links_open_++;
  *free_slot = std::move(link);
  return free_slot->get();
}

Result<Link*> ShmTransport::open_link(const LaneAddress& address) {
  const AddressEntry* entry = address.find(name_);
  WEFT_ASSERT(entry != nullptr);
  sockaddr_un target;
  if (entry->bytes.size() >= sizeof target.sun_path - 1) {
    return Status(Code::INVALID_ARGUMENT, "shm: the address is too long");
  }
  const socklen_t length = abstract_address(entry->bytes, target);
  Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid() || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&target), length) != 0) {
    return Status(Code::PEER_LOST, join_text("shm: connecting: ", errno_text(errno)));
  }
  Result<ShmSegment> pages = ShmSegment::make("weftline-link", link_pages_bytes(ring_bytes_));
  WEFT_RETURN_IF_ERROR(pages.status());
  Result<ShmLink*> made = new_link(std::move(socket));
  WEFT_RETURN_IF_ERROR(made.status());
  ShmLink* link = made.value();
  link->connecting_side = true;
  link->pages = pages.take();
  const Status sent = static_cast<uint32_t>(link->pid) != address.host.pid
                          ? Status(Code::PEER_LOST, "shm: another process listens at this address")
                          : send_setup(link);
  if (!sent.ok()) {
    drop(link);
    return sent;
  }
  return static_cast<Link*>(link);
}

Status ShmTransport::send_setup(ShmLink* link) {
  ShmSetup setup;
  setup.slot = link->slot;
  setup.ring_bytes = ring_bytes_;
  setup.token = token_;
  setup.host = own_identity();
  const int descriptors[] = {table_->segment.descriptor(), bell_.get(), link->pages.descriptor()};
  const int error = send_with_descriptors(link->socket.get(), std::as_bytes(std::span(&setup, 1)),
                                          std::span(descriptors, link->connecting_side ? 3 : 2));
  if (error == 0) return {};
  return Status(Code::PEER_LOST, join_text("shm: sending the set-up: ", errno_text(error)));
}

// Reads the other side's set-up from the socket; the link is up after it.
Status ShmTransport::take_setup(ShmLink* link) {
  ShmSetup setup;
  Descriptor descriptors[kPassedDescriptorsMax];
  size_t received = 0;
  const int64_t got =
      receive_with_descriptors(link->socket.get(), std::as_writable_bytes(std::span(&setup, 1)), descriptors, received);
  if (got == -EAGAIN) return {};
  if (got <= 0) return Status(Code::PEER_LOST, "shm: the other side ended the connection");
  const uint64_t rings = link->connecting_side ? ring_bytes_ : setup.ring_bytes;
  if (got != sizeof setup || setup.magic != kShmMagic || setup.version != kShmVersion || setup.slot >= kShmLinksMax ||
      received != (link->connecting_side ? 2u : 3u) || !std::has_single_bit(rings) || rings < kRingBytesMin ||
      rings > kRingBytesMax || setup.host.pid != static_cast<uint32_t>(link->pid)) {
    return Status(Code::PROTOCOL_VERSION, "shm: the other side's set-up is of another version");
  }
  if (!link->connecting_side) {
    // The other side has read our memory; we must be able to read its.
    const int error = prove_same_host(setup.host);
    if (error != 0) return Status(Code::UNSUPPORTED, join_text("shm: process_vm_readv: ", errno_text(error)));
    Result<ShmSegment> pages = ShmSegment::adopt(std::move(descriptors[2]), link_pages_bytes(rings));
    WEFT_RETURN_IF_ERROR(pages.status());
    link->pages = pages.take();
  }
  Result<ShmSegment> lane = ShmSegment::adopt(std::move(descriptors[0]), sizeof(ShmLanePage));
  WEFT_RETURN_IF_ERROR(lane.status());
  link->other_lane = lane.take();
  link->other_doorbell = std::move(descriptors[1]);
  link->other_slot = setup.slot;
  auto* page = reinterpret_cast<ShmLinkPage*>(link->pages.data());
  std::byte* first = link->pages.data() + kShmRingsAt;
  const size_t out = link->connecting_side ? 0 : 1;
  link->out.attach(&page->rings[out], first + out * rings, rings);
  link->in.attach(&page->rings[1 - out], first + (1 - out) * rings, rings);
  if (!link->connecting_side) WEFT_RETURN_IF_ERROR(send_setup(link));
  link->up = true;
  return {};
}

void ShmLink::on_event(uint32_t) { transport.on_socket(this); }

void ShmTransport::on_socket(ShmLink* link) {
  if (!link->up) {
    const Status taken = take_setup(link);
    if (!taken.ok()) break_link(link, taken);
    return;
  }
  std::byte nothing[8];
  const ssize_t got = ::recv(link->socket.get(), nothing, sizeof nothing, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  // What it sent before its end is still delivered.
  while (!link->closed && receive(link) != 0) {
  }
  break_link(link, Status(Code::PEER_LOST, "shm: its process or its lane ended"));
}

void ShmTransport::break_link(ShmLink* link, const Status& reason) {
  if (link->broken) return;
  link->broken = true;
  watcher_->unwatch(link->watch_number);
  link->watch_number = 0;
  if (link->closed) return;
  if (link->peer == 0) {
    events_->on_stranger_gone(link);  // it never introduced itself, or was refused
    drop(link);
    return;
  }
  events_->on_link_lost(*this, link, reason, true);
}

void ShmTransport::on_event(uint32_t) {
  for (int count = 0; count < kBacklog; count++) {
    Descriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.valid()) {
      if (errno != EAGAIN && errno != EINTR) TransportCounts::add(counts.errors, 1);
      return;
    }
    // What goes wrong closes the socket: the other side takes the next transport.
    if (!new_link(std::move(socket)).ok()) TransportCounts::add(counts.errors, 1);
  }
}

void ShmTransport::BellSource::on_event(uint32_t) {
  uint64_t count = 0;
  const ssize_t got = ::read(descriptor, &count, sizeof count);
  WEFT_ASSERT(got == sizeof count || errno == EAGAIN || errno == EINTR);
}

void ShmTransport::close_link(Link* base) {
  auto* link = static_cast<ShmLink*>(base);
  link->closed = true;
  link->peer = 0;
  if (link->operations == 0) drop(link);
}

// Ends the link for the other side too. The object stays until the next progress().
void ShmTransport::drop(ShmLink* link) {
  link->closed = true;
  link->broken = true;
  if (link->watch_number != 0) watcher_->unwatch(link->watch_number);
  link->watch_number = 0;
  if (link->up) {
    auto* page = reinterpret_cast<ShmLinkPage*>(link->pages.data());
    page->closed[link->connecting_side ? 0 : 1].store(1, std::memory_order_release);
  }
  link->socket = Descriptor();
  dropped_.push_back(std::move(links_[link->slot]));
  links_open_--;
}

void ShmTransport::free_dropped() { dropped_.clear(); }

// Tells the other lane that this link has something for it, and wakes it if it sleeps.
void ShmTransport::ring(ShmLink* link) {
  auto& other = *reinterpret_cast<ShmLanePage*>(link->other_lane.data());
  other.pending[link->other_slot / 64].fetch_or(uint64_t{1} << (link->other_slot % 64), std::memory_order_seq_cst);
  uint32_t expected = ShmLanePage::kAsleep;
  if (other.sleep.load(std::memory_order_seq_cst) != ShmLanePage::kAsleep ||
      !other.sleep.compare_exchange_strong(expected, ShmLanePage::kRung, std::memory_order_seq_cst)) {
    return;
  }
  const uint64_t one = 1;
  ssize_t wrote = 0;
  do {
    wrote = ::write(link->other_doorbell.get(), &one, sizeof one);
  } while (wrote < 0 && errno == EINTR);
  // EAGAIN: the counter is full, so it is readable. Nothing else can come from an eventfd.
  if (wrote < 0 && errno != EAGAIN) TransportCounts::add(counts.errors, 1);
}

Outcome ShmTransport::send(Link* base, const LaneHeader& header, Pieces pieces) {
  auto* link = static_cast<ShmLink*>(base);
  if (link->broken) {
    failure_ = Status(Code::PEER_LOST, "shm: its process or its lane ended");
    return Outcome::kFailed;
  }
  if (!link->up || !link->out.push(header, pieces, wire_length(header.length))) return Outcome::kAgain;
  ring(link);
  return Outcome::kTaken;
}

uint32_t ShmTransport::receive(ShmLink* link) {
  uint32_t events = 0;
  bool producer_waits = false;
  while (events < kMessagesPerTurn && !link->closed) {
    std::span<const std::byte> message;
    const ShmRingView::Front front = link->in.front(message);
    if (front == ShmRingView::Front::kEmpty) break;
    if (front == ShmRingView::Front::kDamaged) {
      break_link(link, Status(Code::PEER_LOST, "shm: the ring of messages is damaged"));
      return events;
    }
    events_->on_wire_message(*this, link, message);
    events++;
    // The mapping lives until the next progress(), also if the handler closed the link.
    producer_waits |= link->in.pop(message);
  }
  if (producer_waits && link->up && !link->closed) ring(link);
  return events;
}

bool ShmTransport::prepare_sleep() {
  if (first_ != nullptr) return false;
  page().sleep.store(ShmLanePage::kAsleep, std::memory_order_seq_cst);
  for (const auto& word : page().pending) {
    if (word.load(std::memory_order_seq_cst) != 0) {
      page().sleep.store(ShmLanePage::kAwake, std::memory_order_seq_cst);
      return false;
    }
  }
  return true;
}

void ShmTransport::woke() { page().sleep.store(ShmLanePage::kAwake, std::memory_order_seq_cst); }

void ShmTransport::close() {
  if (closing_) return;
  closing_ = true;
  while (first_ != nullptr) {
    Operation* operation = first_;
    first_ = operation->next;
    finish(operation, Status(Code::CLOSED, "the lane was closed"));
  }
  for (auto& link : links_) {
    if (link) drop(link.get());
  }
  free_dropped();
  if (listener_watch_ != 0) watcher_->unwatch(listener_watch_);
  if (bell_watch_ != 0) watcher_->unwatch(bell_watch_);
}

}  // namespace weft::fabric
