// Messages out and in, and the completion queue.
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "fabric/libfabric_endpoint.h"

namespace weft::fabric {

namespace {
// Send buffers held in all, over all peers; beyond it messages wait in their peers' queues.
constexpr uint64_t kSendBytesMax = uint64_t{256} << 20;
constexpr int kRoundsPerProgress = 4;
constexpr size_t kEntriesPerRound = 32;
// Faults of the queue itself, one after another, before the peers are given up.
constexpr uint32_t kQueueFaultsMax = 100;

// The connection is gone, not only this operation.
bool ends_link(int error) {
  switch (error) {
    case FI_ECANCELED:
    case FI_ENOTCONN:
    case FI_ECONNRESET:
    case FI_ECONNREFUSED:
    case FI_ECONNABORTED:
    case FI_EHOSTUNREACH:
    case FI_ENETUNREACH:
    case FI_ENETDOWN:
    case FI_EHOSTDOWN:
    case FI_ETIMEDOUT:
    case FI_ESHUTDOWN:
    case EPIPE:
      return true;
    default:
      return false;
  }
}
}  // namespace

ReceiveBuffer::~ReceiveBuffer() {
  registration.reset();
  std::free(bytes);
}

Status LibfabricTransport::post_receives() {
  uint64_t length = wire_bytes_max_;
  uint32_t count = 0;
  if (quirks_.multi_receive) {
    length = std::max<uint64_t>(options_.receive_buffer_bytes, wire_bytes_max_ * 4);
    count = options_.receive_buffer_count;
  } else {
    // The same memory as single receives, within what the provider's queue takes.
    const uint64_t total = uint64_t{options_.receive_buffer_bytes} * options_.receive_buffer_count;
    const uint64_t most = std::max<uint64_t>(16, info_->rx_attr->size / 2);
    count = static_cast<uint32_t>(std::clamp<uint64_t>(total / length, 16, std::min<uint64_t>(most, 256)));
  }
  length = (length + 63) & ~uint64_t{63};
  for (uint32_t i = 0; i < count; i++) {
    auto buffer = std::make_unique<ReceiveBuffer>();
    buffer->bytes = static_cast<std::byte*>(std::aligned_alloc(64, length));
    if (buffer->bytes == nullptr) {
      return Status(Code::OUT_OF_MEMORY, join_text(name_, ": no memory for a receive buffer of ", length, " bytes"));
    }
    buffer->length = length;
    Result<std::unique_ptr<Registration>> registered = register_local(buffer->bytes, length);
    WEFT_RETURN_IF_ERROR(registered.status());
    buffer->registration = registered.take();
    const int error = post_receive(buffer.get());
    receives_.push_back(std::move(buffer));
    if (error != 0 && error != -FI_EAGAIN) return fail("posting a receive buffer", error);
  }
  return {};
}

int LibfabricTransport::post_receive(ReceiveBuffer* buffer) {
  const auto* local = static_cast<const LibfabricRegistration*>(buffer->registration.get());
  void* descriptor = local != nullptr ? local->descriptor : nullptr;
  const iovec piece{buffer->bytes, buffer->length};
  fi_msg message{};
  message.msg_iov = &piece;
  message.desc = &descriptor;
  message.iov_count = 1;
  message.addr = FI_ADDR_UNSPEC;
  message.context = &buffer->context;
  const ssize_t error =
      fi_recvmsg(endpoint_, &message, FI_COMPLETION | (quirks_.multi_receive ? FI_MULTI_RECV : uint64_t{0}));
  buffer->posted = error == 0;
  if (!buffer->posted) unposted_.push_back(buffer);
  return static_cast<int>(error);
}

// A buffer of the smallest class that holds `length`; nullptr at the bound or when memory is short.
SendBuffer* LibfabricTransport::take_send_buffer(uint64_t length) {
  const uint64_t sizes[kSizeClasses] = {512, 4096, wire_bytes_max_};
  size_t size_class = 0;
  while (sizes[size_class] < length) size_class++;
  SendBuffer* buffer = free_sends_[size_class];
  if (buffer != nullptr) {
    free_sends_[size_class] = buffer->next;
    return buffer;
  }
  if (send_bytes_ + sizes[size_class] > kSendBytesMax) return nullptr;
  auto made = std::make_unique<SendBuffer>();
  made->context.kind = ContextKind::kSend;
  made->size_class = size_class;
  made->bytes = std::make_unique<std::byte[]>(sizes[size_class]);
  Result<std::unique_ptr<Registration>> registered = register_local(made->bytes.get(), sizes[size_class]);
  if (!registered.ok()) return nullptr;
  made->registration = registered.take();
  send_bytes_ += sizes[size_class];
  sends_.push_back(std::move(made));
  return sends_.back().get();
}

void LibfabricTransport::give_back(SendBuffer* buffer) {
  buffer->link = nullptr;
  buffer->next = free_sends_[buffer->size_class];
  free_sends_[buffer->size_class] = buffer;
}

namespace {
void fill(std::byte* at, const LaneHeader& header, Pieces pieces, uint64_t wire) {
  const std::byte* end = at + wire;
  std::memcpy(at, &header, sizeof header);
  at += sizeof header;
  for (const auto& piece : pieces) {
    if (!piece.empty()) std::memcpy(at, piece.data(), piece.size());
    at += piece.size();
  }
  if (at != end) std::memset(at, 0, static_cast<size_t>(end - at));
}
}  // namespace

Outcome LibfabricTransport::send(Link* base, const LaneHeader& header, Pieces pieces) {
  auto* link = static_cast<LibfabricLink*>(base);
  const uint64_t wire = wire_length(header.length);
  WEFT_ASSERT(wire <= wire_bytes_max_);
  if (wire <= inject_bytes_max_ && wire <= 256) {
    std::byte scratch[256];
    fill(scratch, header, pieces, wire);
    const ssize_t error = fi_inject(endpoint_, scratch, wire, link->address);
    if (error == 0) return Outcome::kTaken;
    if (error == -FI_EAGAIN) return Outcome::kAgain;
    return fail_link("sending", error);
  }
  SendBuffer* buffer = take_send_buffer(wire);
  if (buffer == nullptr) return Outcome::kAgain;
  fill(buffer->bytes.get(), header, pieces, wire);
  const auto* local = static_cast<const LibfabricRegistration*>(buffer->registration.get());
  const ssize_t error = fi_send(endpoint_, buffer->bytes.get(), wire, local ? local->descriptor : nullptr,
                                link->address, &buffer->context);
  if (error != 0) {
    give_back(buffer);
    return error == -FI_EAGAIN ? Outcome::kAgain : fail_link("sending", error);
  }
  buffer->link = link;
  link->under_way++;
  under_way_++;
  return Outcome::kTaken;
}

Outcome LibfabricTransport::fail_link(const char* what, int64_t error) {
  failure_ = Status(Code::PEER_LOST, join_text(name_, ": ", what, ": ", library_->error_text(error)));
  return Outcome::kFailed;
}

uint32_t LibfabricTransport::progress() {
  uint32_t events = 0;
  fi_cq_data_entry entries[kEntriesPerRound];
  for (int round = 0; round < kRoundsPerProgress; round++) {
    // tcp accepts connections in here, and answers for one that hung up too early with -errno, which no call has set
    // (1.17.0): an EAGAIN of an earlier call kept the dead connection, and the queue's descriptor readable, for ever.
    errno = 0;
    const ssize_t got = fi_cq_read(cq_, entries, kEntriesPerRound);
    if (got > 0) {
      for (ssize_t i = 0; i < got; i++) events += handle_completion(entries[i]);
      if (static_cast<size_t>(got) < kEntriesPerRound) break;
    } else if (got == -FI_EAVAIL) {
      events += handle_error();
    } else {
      if (got == -FI_EAGAIN) {
        queue_faults_ = 0;
      } else {
        on_queue_fault(got);
      }
      break;
    }
  }
  for (size_t count = unposted_.size(); count != 0; count--) {
    ReceiveBuffer* buffer = unposted_.front();
    unposted_.erase(unposted_.begin());
    if (post_receive(buffer) != 0) break;
  }
  return events;
}

// The queue itself does not work. If that stays so, no peer is reached any more, and each is told why.
void LibfabricTransport::on_queue_fault(ssize_t error) {
  TransportCounts::add(counts.errors, 1);
  if (++queue_faults_ != kQueueFaultsMax) return;
  const Status why(Code::FABRIC, join_text(name_, ": reading the completion queue: ", library_->error_text(error),
                                           "; look at the network device"));
  std::vector<LibfabricLink*> open;
  for (const auto& link : links_) {
    if (!link->closed) open.push_back(link.get());
  }
  for (LibfabricLink* link : open) events_->on_link_lost(*this, link, why, false);
}

uint32_t LibfabricTransport::handle_completion(const fi_cq_data_entry& entry) {
  auto* context = static_cast<Context*>(entry.op_context);
  if (context == nullptr) return 0;
  switch (context->kind) {
    case ContextKind::kSend: {
      auto* buffer = reinterpret_cast<SendBuffer*>(context);
      LibfabricLink* link = buffer->link;
      give_back(buffer);
      under_way_--;
      let_go(link);
      return 1;
    }
    case ContextKind::kOperation:
      finish_operation(reinterpret_cast<OperationContext*>(context), {});
      return 1;
    case ContextKind::kReceive: {
      auto* buffer = reinterpret_cast<ReceiveBuffer*>(context);
      const bool used_up = !quirks_.multi_receive || (entry.flags & FI_MULTI_RECV) != 0;
      // Some providers say "used up" with the last message, some in an event of its own that carries no message.
      if ((entry.flags & FI_RECV) != 0 && entry.len != 0) {
        const auto* bytes = quirks_.multi_receive ? static_cast<const std::byte*>(entry.buf) : buffer->bytes;
        const bool inside = bytes >= buffer->bytes && entry.len <= buffer->length &&
                            bytes + entry.len <= buffer->bytes + buffer->length;
        WEFT_ASSERT(inside);
        events_->on_wire_message(*this, nullptr, {bytes, entry.len});
      }
      if (used_up && !closing_) static_cast<void>(post_receive(buffer));  // what fails waits in unposted_
      return 1;
    }
  }
  return 0;
}

uint32_t LibfabricTransport::handle_error() {
  fi_cq_err_entry entry{};
  if (fi_cq_readerr(cq_, &entry, 0) != 1) return 0;
  // shm reports its errors negative (1.17.0).
  const int error = entry.err < 0 ? -entry.err : entry.err;
  auto* context = static_cast<Context*>(entry.op_context);
  if (context == nullptr) {
    TransportCounts::add(counts.errors, 1);
    return 1;
  }
  const bool over = ends_link(error);
  const Status status(over ? Code::PEER_LOST : Code::FABRIC, join_text(name_, ": ", library_->error_text(error)));
  switch (context->kind) {
    case ContextKind::kSend: {
      auto* buffer = reinterpret_cast<SendBuffer*>(context);
      LibfabricLink* link = buffer->link;
      give_back(buffer);
      under_way_--;
      // A message was lost: whatever the cause, the link is of no use.
      if (!link->closed) events_->on_link_lost(*this, link, status, over && quirks_.broken_link_revokes);
      let_go(link);
      return 1;
    }
    case ContextKind::kOperation: {
      auto* operation = reinterpret_cast<OperationContext*>(context);
      auto* link = static_cast<LibfabricLink*>(operation->operation->link);
      link->under_way++;
      finish_operation(operation, status);
      if (over && !link->closed) events_->on_link_lost(*this, link, status, quirks_.broken_link_revokes);
      let_go(link);
      return 1;
    }
    case ContextKind::kReceive: {
      TransportCounts::add(counts.errors, 1);
      auto* buffer = reinterpret_cast<ReceiveBuffer*>(context);
      const bool used_up = !quirks_.multi_receive || (entry.flags & FI_MULTI_RECV) != 0;
      if (used_up && !closing_) static_cast<void>(post_receive(buffer));
      return 1;
    }
  }
  return 1;
}

}  // namespace weft::fabric
