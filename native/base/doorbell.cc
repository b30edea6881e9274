#include "base/doorbell.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace weft {

Result<std::unique_ptr<Doorbell>> Doorbell::open() {
  const int descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (descriptor < 0) {
    return Status(Code::LIMIT, join_text("opening a doorbell: eventfd failed: ", errno_text(errno),
                                         "; raise the limit of open files (ulimit -n)"));
  }
  return std::unique_ptr<Doorbell>(new Doorbell(descriptor));
}

Doorbell::~Doorbell() { close(descriptor_); }

bool Doorbell::ring() {
  if (state_.load(std::memory_order_seq_cst) != kAsleep) return false;
  uint32_t expected = kAsleep;
  if (!state_.compare_exchange_strong(expected, kRung, std::memory_order_seq_cst)) return false;
  const uint64_t one = 1;
  ssize_t wrote = 0;
  do {
    wrote = write(descriptor_, &one, sizeof one);
  } while (wrote < 0 && errno == EINTR);
  // EAGAIN would mean that the counter is full: the descriptor is readable then, which is all that is asked for.
  WEFT_ASSERT(wrote == sizeof one || errno == EAGAIN);
  return true;
}

void Doorbell::end_sleep() {
  if (state_.exchange(kAwake, std::memory_order_seq_cst) != kRung) return;
  // The ringer's write may still be on its way; then the next sleep ends at once, which does no harm.
  uint64_t count = 0;
  ssize_t got = 0;
  do {
    got = read(descriptor_, &count, sizeof count);
  } while (got < 0 && errno == EINTR);
  WEFT_ASSERT(got == sizeof count || errno == EAGAIN);
}

}  // namespace weft
