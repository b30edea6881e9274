// Messages: numbered per peer, cut into pieces where the transport's messages are shorter, small ones of one turn sent
// together, queued where the transport has no room, put back in order where it does not keep it.
#include <cstring>

#include "fabric/lane.h"

namespace weft::fabric {

namespace {
// Messages kept that came before their turn; a transport that reorders more than this has lost one.
constexpr size_t kEarlyMessagesMax = 1024;
// Over a network each message costs system calls on both sides, and wakes the other one: up to here a copy costs less.
constexpr uint64_t kBundledBytesMax = 2048;

constexpr uint64_t padded(uint64_t length) { return (length + 7) & ~uint64_t{7}; }
}  // namespace

Status LaneImpl::send(PeerId id, std::span<const std::span<const std::byte>> pieces) {
  Peer* peer = find(id);
  if (peer == nullptr) return Status(Code::PEER_LOST, "sending a message: the peer is gone");
  if (peer->doomed) return peer->doom_reason;
  const uint64_t length = pieces_length(pieces);
  if (length > options_.message_bytes_max) {
    return Status(Code::LIMIT, join_text("sending a message: it has ", length, " bytes, the limit is ",
                                         options_.message_bytes_max, " (message_bytes_max)"));
  }
  if (peer->state == PeerState::kUp && peer->queue.empty() && !peer->welcome_due) {
    // What costs no system call is not worth a copy.
    if (length <= kBundledBytesMax && !peer->transport->worth_spinning()) return add_to_bundle(peer, length, pieces);
    send_bundle(peer);
    if (peer->doomed) return peer->doom_reason;
    if (peer->queue.empty() && length <= peer->transport->body_bytes_max()) {
      const Outcome outcome = put(peer, Kind::kMessage, 0, pieces);
      if (outcome == Outcome::kTaken) return {};
      if (outcome == Outcome::kFailed) return peer->doom_reason;
    }
  }
  return enqueue(peer, Kind::kMessage, 0, pieces);
}

Status LaneImpl::add_to_bundle(Peer* peer, uint64_t length, Pieces pieces) {
  if (peer->bundle.size() + sizeof(BundleEntry) + padded(length) > peer->transport->body_bytes_max()) {
    send_bundle(peer);
    if (peer->doomed) return peer->doom_reason;
    if (!peer->queue.empty()) return enqueue(peer, Kind::kMessage, 0, pieces);
  }
  if (peer->bundled == 0) with_bundle_.push_back(peer->id);
  const BundleEntry entry{static_cast<uint32_t>(length), 0};
  const std::span<const std::byte> prefix = std::as_bytes(std::span(&entry, 1));
  peer->bundle.insert(peer->bundle.end(), prefix.begin(), prefix.end());
  for (const auto& piece : pieces) peer->bundle.insert(peer->bundle.end(), piece.begin(), piece.end());
  peer->bundle.resize(padded(peer->bundle.size()));
  ++peer->bundled;
  return {};
}

// A message that is alone goes as it is.
void LaneImpl::send_bundle(Peer* peer) {
  if (peer->bundled == 0) return;
  std::span<const std::byte> body = peer->bundle;
  const bool alone = peer->bundled == 1;
  if (alone) {
    BundleEntry entry;
    std::memcpy(&entry, body.data(), sizeof entry);
    body = body.subspan(sizeof entry, entry.length);
  } else {
    TransportCounts::add(peer->transport->counts.messages_sent, peer->bundled);
  }
  const uint8_t flags = alone ? 0 : kFlagBundle;
  if (!peer->doomed && put(peer, Kind::kMessage, flags, Pieces(&body, 1)) == Outcome::kAgain) {
    QueuedMessage message;
    message.flags = flags;
    message.body.assign(body.begin(), body.end());
    peer->queue.push_back(std::move(message));
    with_queue_.insert(peer->id);
  }
  peer->bundle.clear();
  peer->bundled = 0;
}

bool LaneImpl::send_bundles() {
  if (with_bundle_.empty()) return false;
  for (const PeerId id : with_bundle_) {
    Peer* peer = find(id);
    if (peer != nullptr) send_bundle(peer);
  }
  with_bundle_.clear();
  return true;
}

Status LaneImpl::enqueue(Peer* peer, Kind kind, uint8_t flags, Pieces pieces) {
  if (peer->queue.size() >= options_.send_queue_max) {
    return Status(Code::BUSY, join_text("sending a message: ", peer->queue.size(),
                                        " messages wait for this peer already (send_queue_max)"));
  }
  QueuedMessage message;
  message.kind = kind;
  message.flags = flags;
  message.body.reserve(pieces_length(pieces));
  for (const auto& piece : pieces) message.body.insert(message.body.end(), piece.begin(), piece.end());
  peer->queue.push_back(std::move(message));
  with_queue_.insert(peer->id);
  return {};
}

// One numbered message. On kFailed the peer is doomed.
Outcome LaneImpl::put(Peer* peer, Kind kind, uint8_t flags, Pieces body) {
  LaneHeader header;
  header.kind = kind;
  header.flags = flags;
  header.receiver = peer->remote_id;
  header.sequence = peer->send_sequence + 1;
  seal_header(header, body);
  const Outcome outcome = peer->transport->send(peer->link, header, body);
  if (outcome == Outcome::kTaken) {
    peer->send_sequence++;
    peer->last_sent_ns = now_ns();
    if (kind == Kind::kMessage) {
      TransportCounts& counts = peer->transport->counts;
      TransportCounts::add(counts.messages_sent, (flags & (kFlagMore | kFlagBundle)) != 0 ? 0 : 1);
      TransportCounts::add(counts.message_bytes_sent, header.length);
    }
  } else if (outcome == Outcome::kFailed) {
    TransportCounts::add(peer->transport->counts.errors, 1);
    doom(peer, peer->transport->failure(), false);
  }
  return outcome;
}

Outcome LaneImpl::put_unnumbered(Transport& transport, Link* link, Kind kind, uint64_t receiver,
                                 std::span<const std::byte> body) {
  LaneHeader header;
  header.kind = kind;
  header.receiver = receiver;
  const Pieces pieces(&body, 1);
  seal_header(header, pieces);
  return transport.send(link, header, pieces);
}

// A heartbeat or a goodbye: of no use behind a full queue, so it is dropped there.
void LaneImpl::send_control(Peer* peer, Kind kind, uint8_t flags) {
  send_bundle(peer);
  if (!peer->doomed && peer->queue.empty() && !peer->welcome_due) put(peer, kind, flags, {});
}

bool LaneImpl::flush_queue(Peer* peer) {
  bool sent = false;
  if (peer->hello_due) {
    send_hello(peer);
    sent = !peer->hello_due;
  }
  if (peer->welcome_due) {
    const std::vector<std::byte> body = encode_welcome({token_, peer->id});
    const Outcome outcome = put_unnumbered(*peer->transport, peer->link, Kind::kWelcome, peer->remote_id, body);
    if (outcome == Outcome::kFailed) doom(peer, peer->transport->failure(), false);
    if (outcome != Outcome::kTaken) return sent;
    peer->welcome_due = false;
    sent = true;
  }
  while (peer->state == PeerState::kUp && !peer->doomed && !peer->queue.empty()) {
    QueuedMessage& message = peer->queue.front();
    const uint64_t left = message.body.size() - message.sent;
    const uint64_t length = std::min(left, peer->transport->body_bytes_max());
    const std::span<const std::byte> piece(message.body.data() + message.sent, length);
    const uint8_t flags = length < left ? message.flags | kFlagMore : message.flags;
    if (put(peer, message.kind, flags, Pieces(&piece, 1)) != Outcome::kTaken) break;
    sent = true;
    message.sent += length;
    if (message.sent == message.body.size()) peer->queue.pop_front();
  }
  return sent;
}

bool LaneImpl::flush_queues() {
  bool sent = false;
  for (auto at = with_queue_.begin(); at != with_queue_.end();) {
    Peer* peer = find(*at);
    if (peer != nullptr && !peer->doomed) sent |= flush_queue(peer);
    const bool more = peer != nullptr && !peer->doomed &&
                      (peer->hello_due || peer->welcome_due || (!peer->queue.empty() && peer->state == PeerState::kUp));
    at = more ? std::next(at) : with_queue_.erase(at);
  }
  return sent;
}

void LaneImpl::on_wire_message(Transport& transport, Link* link, std::span<const std::byte> wire) {
  LaneHeader header;
  std::span<const std::byte> body;
  const HeaderFault fault = parse_message(wire, header, body);
  if (fault == HeaderFault::kNone && header.kind == Kind::kHello) return on_hello(transport, link, header, body);
  if (fault == HeaderFault::kOtherVersion && header.kind == Kind::kHello) {
    return on_hello(transport, link, header, body);
  }
  Peer* peer = fault == HeaderFault::kNone || fault == HeaderFault::kOtherVersion ? find(header.receiver) : nullptr;
  // Garbage, a message for a peer that was forgotten or for a lane that was here before: dropped.
  if (peer == nullptr || peer->doomed || peer->transport != &transport) {
    stray_messages_.fetch_add(1, std::memory_order_relaxed);
    TransportCounts::add(transport.counts.errors, 1);
    return;
  }
  if (fault == HeaderFault::kOtherVersion) return doom(peer, version_mismatch(header.version), false);
  peer->last_heard_ns = now_ns();
  if (header.kind == Kind::kWelcome) return on_welcome(peer, body);
  if (header.kind == Kind::kReject) return on_reject(peer, body);
  deliver(peer, header, body);
}

void LaneImpl::deliver(Peer* peer, const LaneHeader& header, std::span<const std::byte> body) {
  if (header.sequence <= peer->receive_sequence) {
    return doom(peer, Status(Code::PEER_LOST, "the fabric delivered a message twice"), false);
  }
  if (header.sequence != peer->receive_sequence + 1 || peer->state != PeerState::kUp) {
    if (peer->early.size() >= kEarlyMessagesMax) {
      return doom(peer, Status(Code::PEER_LOST, "the fabric lost a message"), false);
    }
    if (peer->early.empty()) peer->early_since_ns = now_ns();
    Peer::EarlyMessage& kept = peer->early[header.sequence];
    kept.header = header;
    kept.body.resize((body.size() + 7) / 8);
    if (!body.empty()) std::memcpy(kept.body.data(), body.data(), body.size());
    return;
  }
  deliver_in_order(peer, header, body);
  deliver_early(peer);
}

void LaneImpl::deliver_early(Peer* peer) {
  while (!peer->early.empty() && peer->state == PeerState::kUp && !peer->doomed &&
         peer->early.begin()->first == peer->receive_sequence + 1) {
    const Peer::EarlyMessage kept = std::move(peer->early.begin()->second);
    peer->early.erase(peer->early.begin());
    deliver_in_order(peer, kept.header, {reinterpret_cast<const std::byte*>(kept.body.data()), kept.header.length});
  }
}

void LaneImpl::deliver_in_order(Peer* peer, const LaneHeader& header, std::span<const std::byte> body) {
  peer->receive_sequence = header.sequence;
  if (header.kind == Kind::kGoodbye) {
    return doom(peer, Status(Code::PEER_LOST, "the other side ended the connection"), (header.flags & kFlagQuiet) != 0);
  }
  if (header.kind != Kind::kMessage) return;
  TransportCounts& counts = peer->transport->counts;
  TransportCounts::add(counts.message_bytes_received, header.length);
  const bool more = (header.flags & kFlagMore) != 0;
  if (more || !peer->assembling.empty()) {
    if (peer->assembling.size() + body.size() > options_.message_bytes_max) {
      return doom(peer,
                  Status(Code::PEER_LOST, join_text("it sent a message longer than message_bytes_max (",
                                                    options_.message_bytes_max, " bytes)")),
                  false);
    }
    peer->assembling.insert(peer->assembling.end(), body.begin(), body.end());
    if (more) return;
    body = peer->assembling;
  }
  if ((header.flags & kFlagBundle) != 0) {
    deliver_bundle(peer, body);
  } else {
    TransportCounts::add(counts.messages_received, 1);
    handlers_[static_cast<size_t>(peer->channel)]->on_message(peer->id, body);
  }
  peer->assembling.clear();
}

void LaneImpl::deliver_bundle(Peer* peer, std::span<const std::byte> body) {
  while (!body.empty() && !peer->doomed) {
    BundleEntry entry;
    if (body.size() >= sizeof entry) std::memcpy(&entry, body.data(), sizeof entry);
    if (body.size() < sizeof entry || padded(entry.length) > body.size() - sizeof entry) {
      return doom(peer, Status(Code::PEER_LOST, "it sent a bundle of messages that is cut off"), false);
    }
    TransportCounts::add(peer->transport->counts.messages_received, 1);
    handlers_[static_cast<size_t>(peer->channel)]->on_message(peer->id, body.subspan(sizeof entry, entry.length));
    body = body.subspan(sizeof entry + padded(entry.length));
  }
}

}  // namespace weft::fabric
