// The proofs of a handshake against values that another HMAC-SHA-256 (Python's) gave for the bytes of
// docs/formats/wire.md: a change of any of them, or of the layout, would shut out the other side.
#include "wire/handshake.h"

#include <gtest/gtest.h>

#include <numeric>

namespace weft::wire {
namespace {

template <typename Bytes>
Bytes counted_from(uint8_t first) {
  Bytes bytes{};
  std::iota(bytes.begin(), bytes.end(), first);
  return bytes;
}

Hello make_hello() {
  Hello hello{};
  hello.version_min = 1;
  hello.version_max = 3;
  hello.slot = 7;
  hello.nonce = counted_from<Nonce>(50);
  hello.job = counted_from<Uuid>(0);
  hello.client = counted_from<Uuid>(16);
  return hello;
}

std::string hex(const Proof& proof) {
  std::string text;
  for (const uint8_t byte : proof) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

const Secret kSecret = counted_from<Secret>(0);
const Nonce kServerNonce = counted_from<Nonce>(100);

TEST(Handshake, ProofsAreTheKnownOnes) {
  EXPECT_EQ(hex(make_proof(kSecret, Prover::kServer, make_hello(), 1, kServerNonce)),
            "af3ee12ad59d1c63ea4c00386bd922d10e925feae51b3f080f47bc8211c151b5");
  EXPECT_EQ(hex(make_proof(kSecret, Prover::kClient, make_hello(), 1, kServerNonce)),
            "bfabb7a309b2105832e8a57a3a9a3947a42538c033aeb9bb6eaef955c57e3589");
}

// Nothing that was said can be changed on the way, and no side's proof serves for the other.
TEST(Handshake, AProofHoldsForAllThatWasSaid) {
  const Proof proof = make_proof(kSecret, Prover::kServer, make_hello(), 1, kServerNonce);
  EXPECT_TRUE(check_proof(proof, make_proof(kSecret, Prover::kServer, make_hello(), 1, kServerNonce)));
  const auto differs = [&](const Proof& other) { return !check_proof(other, proof); };
  EXPECT_TRUE(differs(make_proof(kSecret, Prover::kClient, make_hello(), 1, kServerNonce)));
  EXPECT_TRUE(differs(make_proof(kSecret, Prover::kServer, make_hello(), 2, kServerNonce)));
  for (size_t at = 0; at < sizeof(Hello); ++at) {
    Hello hello = make_hello();
    reinterpret_cast<unsigned char*>(&hello)[at] ^= 1;
    EXPECT_TRUE(differs(make_proof(kSecret, Prover::kServer, hello, 1, kServerNonce))) << "byte " << at;
  }
  for (size_t at = 0; at < kSecret.size(); ++at) {
    Secret secret = kSecret;
    secret[at] ^= 0x80;
    EXPECT_TRUE(differs(make_proof(secret, Prover::kServer, make_hello(), 1, kServerNonce))) << "byte " << at;
    Nonce nonce = kServerNonce;
    nonce[at] ^= 0x80;
    EXPECT_TRUE(differs(make_proof(kSecret, Prover::kServer, make_hello(), 1, nonce))) << "byte " << at;
    Proof changed = proof;
    changed[at] ^= 1;
    EXPECT_TRUE(differs(changed)) << "byte " << at;
  }
}

TEST(Handshake, TheNewestVersionOfBothIsChosen) {
  const auto chosen = [](uint16_t min, uint16_t max) {
    Hello hello{};
    hello.version_min = min;
    hello.version_max = max;
    return choose_version(hello);
  };
  static_assert(kProtocolVersion == 1 && kProtocolVersionMin == 1, "more versions want more cases here");
  EXPECT_EQ(chosen(1, 1).value(), 1);
  EXPECT_EQ(chosen(0, 1).value(), 1);
  EXPECT_EQ(chosen(1, 9).value(), 1);
  for (const auto& [min, max] : {std::pair<uint16_t, uint16_t>{2, 9}, {0, 0}, {9, 1}}) {
    const auto refused = chosen(min, max);
    ASSERT_FALSE(refused.ok()) << min << " to " << max;
    EXPECT_EQ(refused.status().code(), Code::PROTOCOL_VERSION);
    EXPECT_NE(refused.status().message().find(join_text(min, " to ", max, ", this server 1 to 1")), std::string::npos)
        << refused.status().message();
  }
}

TEST(Handshake, AProducersIdIsTheHashOfItsName) {
  const ProducerId id = producer_id_of_name("solver-0");
  const uint8_t expected[16] = {0x74, 0x02, 0x71, 0x49, 0xd7, 0x1c, 0x4c, 0xa4,
                                0xd4, 0x60, 0x88, 0x4d, 0xff, 0x33, 0xb7, 0xde};
  static_assert(sizeof id.bytes == sizeof expected);
  EXPECT_EQ(std::memcmp(id.bytes, expected, sizeof expected), 0);
}

}  // namespace
}  // namespace weft::wire
