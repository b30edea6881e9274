#include "wire/handshake.h"

#include <sodium.h>

namespace weft::wire {

static_assert(crypto_auth_hmacsha256_BYTES == sizeof(Proof));
static_assert(crypto_auth_hmacsha256_KEYBYTES == sizeof(Secret));

Proof make_proof(const Secret& secret, Prover prover, const Hello& hello, uint16_t version, const Nonce& server_nonce) {
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, secret.data(), secret.size());
  const auto add = [&state](const void* bytes, size_t length) {
    crypto_auth_hmacsha256_update(&state, static_cast<const unsigned char*>(bytes), length);
  };
  constexpr char kContext[] = "weftline handshake 1";
  add(kContext, sizeof kContext);
  add(&prover, sizeof prover);
  add(&version, sizeof version);
  add(&hello, sizeof hello);  // has no padding: asserted below
  add(server_nonce.data(), server_nonce.size());
  Proof proof;
  crypto_auth_hmacsha256_final(&state, proof.data());
  return proof;
}
static_assert(sizeof(Hello) == 2 + 2 + 4 + 32 + 16 + 16);

bool check_proof(const Proof& given, const Proof& expected) {
  return sodium_memcmp(given.data(), expected.data(), given.size()) == 0;
}

Result<uint16_t> choose_version(const Hello& hello) {
  const uint16_t newest = std::min(hello.version_max, kProtocolVersion);
  if (newest < kProtocolVersionMin || newest < hello.version_min) {
    return Status(Code::PROTOCOL_VERSION, join_text("the client speaks protocol versions ", hello.version_min, " to ",
                                                    hello.version_max, ", this server ", kProtocolVersionMin, " to ",
                                                    kProtocolVersion, "; use one version of Weftline in a job"));
  }
  return newest;
}

ProducerId producer_id_of_name(std::string_view name) {
  unsigned char digest[crypto_hash_sha256_BYTES];
  crypto_hash_sha256(digest, reinterpret_cast<const unsigned char*>(name.data()), name.size());
  ProducerId id;
  std::memcpy(id.bytes, digest, sizeof id.bytes);
  return id;
}

}  // namespace weft::wire
