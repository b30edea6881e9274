// How two processes prove to each other that they know the job's secret, without sending it: HMAC-SHA-256 over both
// nonces, the roles, the job, the slot and the protocol versions. The server proves first, so that a client gives
// nothing to an impostor. Any thread; nothing here blocks.
#pragma once

#include <span>

#include "wire/messages.h"

namespace weft::wire {

using Secret = std::array<uint8_t, 32>;

enum class Prover : uint8_t { kServer = 1, kClient = 2 };

// What is proved: everything both sides have said.
Proof make_proof(const Secret& secret, Prover prover, const Hello& hello, uint16_t version, const Nonce& server_nonce);
// In constant time.
bool check_proof(const Proof& given, const Proof& expected);
// The version both speak, or WEFT_PROTOCOL_VERSION naming both ranges.
Result<uint16_t> choose_version(const Hello& hello);
// A producer's id from its name: the first half of SHA-256. Stable across restarts.
ProducerId producer_id_of_name(std::string_view name);

}  // namespace weft::wire
