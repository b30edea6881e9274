// What the ranks tell each other while they join.
#pragma once

#include <cstdint>

#include "library/job.h"
#include "wire/handshake.h"

namespace weft::library {

constexpr uint32_t kRankCardMagic = 0x4E494A57;  // "WJIN"
constexpr uint32_t kRankCardVersion = 2;

// First exchange: of this size in every version to come, so that it works before anything is agreed. Small: each rank
// gets one of every rank.
struct RankCard {
  uint32_t magic;
  uint32_t version;
  uint32_t is_server;
  uint32_t reserved;
  wire::ProducerId name;  // of the program, as half a SHA-256: ranks of one name are a group
};
static_assert(sizeof(RankCard) == 32);

// Rank 0's, told to all.
struct JobCard {
  wire::Uuid job;
  wire::Secret secret;
};
static_assert(sizeof(JobCard) == 48);

// Second exchange, of variable length: this header, then address, then words (failure or group directory). A rank
// without a server gives nothing: there are many of them.
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
// Collective exchanges of a join, counted in `place`.
Status gather_all(MpiPlace& place, const void* given, uint64_t bytes, void* got);
Status gather_all(MpiPlace& place, std::string_view given, const std::vector<uint64_t>& lengths, std::string& got);
Status tell_all(MpiPlace& place, void* bytes, uint64_t count, int32_t root);
// Starts the lane; a client then connects to some of the slots known (early_slots).
Status connect_slots(weft_job* job);
// Reads the group directory of a running job: id, secret, slots.
Status read_group(weft_job* job, const std::string& directory);

}  // namespace weft::library
