// Where the slots are: first what the join exchanged, then, if there is a group directory, what it says now.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "client/client.h"
#include "wire/messages.h"

namespace weft::library {

class SlotTable : public client::SlotDirectory {
 public:
  void set_group(std::string directory, const wire::Uuid& job);
  void put(uint32_t slot, uint32_t epoch, std::string address);
  uint32_t count() const;
  std::vector<uint32_t> slots() const;
  // Any thread; reads a file.
  Result<std::string> find_address(uint32_t slot) override;

 private:
  struct Entry {
    uint32_t epoch;
    std::string address;
  };
  mutable std::mutex mutex_;
  std::map<uint32_t, Entry> entries_;
  std::string group_;
  wire::Uuid job_{};
};

}  // namespace weft::library
