// A process with a lane that serves, driven by messages; the other side of the tests with several processes.
// fabric_peer TRANSPORTS(comma-separated, or "") PEER_TIMEOUT_MS: prints its address in hex, then serves until its
// standard input ends, so that no test leaves one behind.
// Messages: "echo…" is sent back. "show" + u64: makes a region of so many bytes, answers its RemoteMemory.
// "sum": answers the CRC32C of the region. "pull" + RemoteMemory: reads it again and again until the peer is lost.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/checksum.h"
#include "lane_host.h"

namespace {
using weft::Status;
using namespace weft::fabric;
using namespace weft::fabric::test;

constexpr uint64_t kPullBytes = uint64_t{4} << 20;
constexpr int kPulls = 4;

struct Served {
  LaneHost* host = nullptr;
  std::vector<std::byte> memory;
  std::unique_ptr<Region> region;
  std::vector<std::byte> pulled = std::vector<std::byte>(kPullBytes * kPulls);
  std::unique_ptr<Region> pulled_region;
  Transfer pulls[kPulls];
};

void answer(Served& served, PeerId peer, const void* bytes, size_t length) {
  const std::span<const std::byte> piece(static_cast<const std::byte*>(bytes), length);
  // A peer that is gone or full is that peer's affair.
  static_cast<void>(served.host->lane().send(peer, {&piece, 1}));
}

void pull(Served& served, PeerId peer, const RemoteMemory& remote) {
  if (!served.pulled_region) {
    served.pulled_region =
        served.host->lane().register_memory(served.pulled.data(), served.pulled.size(), kLocalOnly).take();
  }
  for (int i = 0; i < kPulls; i++) {
    Transfer& transfer = served.pulls[i];
    transfer.owner = &served;
    transfer.peer = peer;
    transfer.region = served.pulled_region.get();
    transfer.local = served.pulled.data() + static_cast<uint64_t>(i) * kPullBytes;
    transfer.length = std::min(kPullBytes, remote.length);
    transfer.remote = remote;
    transfer.done = [](Transfer* t, const Status& status) {
      if (status.ok()) static_cast<Served*>(t->owner)->host->lane().read(t);
    };
    served.host->lane().read(&transfer);
  }
}

void on_message(Served& served, PeerId peer, std::span<const std::byte> message) {
  const std::string_view text(reinterpret_cast<const char*>(message.data()), message.size());
  if (text.starts_with("echo")) return answer(served, peer, message.data(), message.size());
  if (text.starts_with("show")) {
    uint64_t length = 0;
    std::memcpy(&length, message.data() + 4, sizeof length);
    served.memory.resize(length);
    fill_pattern(served.memory, 7);
    served.region =
        served.host->lane().register_memory(served.memory.data(), length, kRemoteRead | kRemoteWrite).take();
    const RemoteMemory named = served.region->describe(peer);
    return answer(served, peer, &named, sizeof named);
  }
  if (text == "sum") {
    const uint32_t sum = weft::crc32c(served.memory);
    return answer(served, peer, &sum, sizeof sum);
  }
  if (text.starts_with("pull")) {
    RemoteMemory remote;
    std::memcpy(&remote, message.data() + 4, sizeof remote);
    pull(served, peer, remote);
  }
}
}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  LaneOptions options;
  std::string names = argv[1];
  while (!names.empty()) {
    const size_t comma = names.find(',');
    options.transports.push_back(names.substr(0, comma));
    names = comma == std::string::npos ? "" : names.substr(comma + 1);
  }
  options.peer_timeout_ms = static_cast<uint32_t>(std::atoi(argv[2]));
  options.heartbeat_ms = std::min(1000u, options.peer_timeout_ms / 4);
  Served served;
  LaneHost host(options);
  served.host = &host;
  host.on_message_ = [&](PeerId peer, std::span<const std::byte> message) { on_message(served, peer, message); };
  host.start();
  for (const char c : host.lane().address()) std::printf("%02x", static_cast<unsigned char>(c));
  std::printf("\n");
  std::fflush(stdout);
  char nothing[16];
  while (read(STDIN_FILENO, nothing, sizeof nothing) > 0) {
  }
  host.close();
  return 0;
}
