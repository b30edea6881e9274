// Where the slots are: first what the join exchanged, then, if there is a group directory, what it says now. The first
// question for a slot, soon after the join, is answered from memory: else each rank of a launch would read a file of a
// shared file system for each slot, all at the same moment.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "client/client.h"
#include "wire/messages.h"

namespace weft::library {

class SlotTable : public client::SlotDirectory {
 public:
  explicit SlotTable(Clock& clock = Clock::system()) : clock_(clock) {}
  void set_group(std::string directory, const wire::Uuid& job);
  void put(uint32_t slot, uint32_t epoch, std::string address);
  // A slot that there is, whose address the group directory will say when it is asked for.
  void announce(uint32_t slot);
  uint32_t count() const;
  std::vector<uint32_t> slots() const;
  // Any thread; reads a file.
  Result<std::string> find_address(uint32_t slot) override;
  // Whether the slot's server is on this host, as far as its address says. Any thread; reads a file for a slot whose
  // address is not known yet.
  bool is_local(uint32_t slot);

 private:
  struct Entry {
    uint32_t epoch;
    std::string address;
    uint64_t fresh_until_ns;  // 0: somebody has asked for it since it was put
  };
  Clock& clock_;
  mutable std::mutex mutex_;
  std::map<uint32_t, Entry> entries_;
  std::string group_;
  wire::Uuid job_{};
};

// A client connects to so many slots while it joins, since a first connection costs tens of milliseconds, and to others
// when it uses them: all clients to all slots would be connections, and heartbeats, that grow as clients times slots.
// src/control/serve.ts knows the number as well.
constexpr size_t kEarlySlotsMax = 16;
// Which: all, if they are not too many; else the first, where the catalogue is, and evenly many of the others for
// evenly spread `seed`s. `is_there` is asked until so many are found: one that is not there is none of them.
std::vector<uint32_t> early_slots(const std::vector<uint32_t>& slots, uint64_t seed,
                                  const std::function<bool(uint32_t)>& is_there = {});

}  // namespace weft::library
