// What a lane knows of one peer, and of one transfer. Progress thread only.
#pragma once

#include <deque>
#include <map>
#include <new>

#include "fabric/region.h"
#include "fabric/transport.h"

namespace weft::fabric {

// Lives in Transfer::private_state from read()/write() until `done`.
struct TransferState {
  bool is_write = false;
  bool waits_for_issue = false;  // it is in its peer's `to_issue`
  uint32_t operations = 0;       // under way
  uint64_t issued = 0;           // bytes
  uint64_t deadline_ns = 0;
  Transfer* previous = nullptr;  // in the lane's list of active transfers
  Transfer* next = nullptr;
  Operation* first_operation = nullptr;  // by Operation::sibling_next
  Status error;

  static TransferState& of(Transfer* transfer) {
    return *std::launder(reinterpret_cast<TransferState*>(transfer->private_state));
  }
};
static_assert(sizeof(TransferState) <= sizeof(Transfer::private_state));

// A message that the transport did not take at once.
struct QueuedMessage {
  Kind kind = Kind::kMessage;
  uint8_t flags = 0;
  std::vector<std::byte> body;
  uint64_t sent = 0;  // bytes that went in earlier pieces
};

enum class PeerState { kConnecting, kUp, kGone };

struct Peer {
  PeerId id = 0;
  uint64_t remote_id = 0;  // how the other side names us; 0 until it answered
  Channel channel = Channel::kServer;
  PeerState state = PeerState::kConnecting;
  LaneAddress address;

  std::vector<size_t> candidates;  // transports to try, best first
  size_t candidate = 0;
  std::string attempts;  // what was tried, for the message when all fail
  size_t transport_index = 0;
  Transport* transport = nullptr;
  Link* link = nullptr;
  uint32_t hello_failures = 0;
  bool hello_due = false;      // the transport had no room for it
  bool welcome_due = false;    // likewise
  uint64_t hello_next_ns = 0;  // when to try again; 0: not
  uint64_t connect_deadline_ns = 0;

  // Small messages of this turn of the lane; while there are any, the queue is empty.
  std::vector<std::byte> bundle;
  uint32_t bundled = 0;

  uint64_t send_sequence = 0;
  uint64_t receive_sequence = 0;  // the last one handed on
  uint64_t last_sent_ns = 0;
  uint64_t last_heard_ns = 0;
  std::deque<QueuedMessage> queue;
  struct EarlyMessage {
    LaneHeader header;
    std::vector<uint64_t> body;  // uint64_t: 8-aligned
  };
  std::map<uint64_t, EarlyMessage> early;  // came before their turn
  uint64_t early_since_ns = 0;
  std::vector<std::byte> assembling;  // pieces of one message

  std::deque<Transfer*> to_issue;  // transfers with bytes that were not given to the transport yet
  uint32_t operations = 0;         // under way at the transport, quarantined ones too

  // Set from inside a call; the lane acts on it at the top of its loop.
  bool doomed = false;
  Status doom_reason;
  bool doom_safe = false;
  bool doom_tell = false;  // the link still works: say goodbye

  std::vector<std::string> keys;               // in the lane's book of who is known
  std::unique_ptr<EventSource> process_watch;  // same host: its process's end
};

}  // namespace weft::fabric
