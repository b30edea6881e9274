#include "fabric/region.h"

namespace weft::fabric {

void RegionBook::close_registrations() {
  const std::lock_guard<std::mutex> lock(mutex);
  for (RegionCore* core : cores) core->registrations.clear();
}

RegionCore::~RegionCore() {
  const std::lock_guard<std::mutex> lock(book->mutex);
  book->cores.erase(this);
  book->live.fetch_sub(1, std::memory_order_relaxed);
  registrations.clear();
}

RemoteMemory RegionHandle::describe(PeerId peer) const {
  size_t transport = 0;
  {
    const std::shared_lock<std::shared_mutex> lock(core_->book->peers_mutex);
    const auto found = core_->book->transport_of_peer.find(peer);
    if (found == core_->book->transport_of_peer.end()) return {};
    transport = found->second;
  }
  // The lane may close registrations at the same time.
  const std::lock_guard<std::mutex> lock(core_->book->mutex);
  if (transport >= core_->registrations.size() || !core_->registrations[transport]) return {};
  return core_->registrations[transport]->remote;
}

}  // namespace weft::fabric
