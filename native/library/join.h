// What the ranks tell each other while they join.
#pragma once

#include <cstdint>

#include "library/job.h"

namespace weft::library {

constexpr uint32_t kRankCardMagic = 0x4E494A57;  // "WJIN"
constexpr uint32_t kRankCardVersion = 1;

// First exchange: fixed size, so that it works before anything is agreed.
struct RankCard {
  uint32_t magic;
  uint32_t version;
  uint32_t is_server;
  uint32_t reserved;
  wire::Uuid job;       // rank 0's counts
  wire::Secret secret;  // rank 0's counts
  char name[wire::kNameBytesMax + 8];
};

// Second exchange, of variable length: this header, then address, then words (failure or group directory).
enum class ServerState : uint32_t { kNone = 0, kReady = 1, kFailed = 2 };
struct ServerCard {
  ServerState state;
  uint32_t slot;
  uint32_t slot_epoch;
  int32_t failure_code;
  uint32_t address_bytes;
  uint32_t words_bytes;
};

// `refusal`: why this rank cannot join, known before; it takes part in the exchanges all the same, so that all ranks
// learn of it instead of waiting.
Status begin_join(weft_job* job, int64_t world, const Status& refusal);
Status finish_join(weft_job* job, weft_server* server, const char* failure);
// Starts the lane and connects to every slot known.
Status connect_slots(weft_job* job);
// Reads the group directory of a running job: id, secret, slots.
Status read_group(weft_job* job, const std::string& directory);

}  // namespace weft::library
