// The broker's counters: written where things happen, read by any thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace weft::broker {

class Counter {
 public:
  void operator+=(uint64_t amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
  void operator-=(uint64_t amount) { value_.fetch_sub(amount, std::memory_order_relaxed); }
  void raise_to(uint64_t value) {
    uint64_t seen = value_.load(std::memory_order_relaxed);
    while (seen < value && !value_.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
    }
  }
  operator uint64_t() const { return value_.load(std::memory_order_relaxed); }

  void set(uint64_t value) { value_.store(value, std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// As BrokerCounters, which says what they mean.
struct AtomicCounters {
  Counter unproved_now, sessions_now, sessions_opened, sessions_refused, peers_lost, messages_malformed;
  Counter clients_now, clients_opened;
  Counter producers_now, consumers_now, partitions_now;
  Counter batches_received, batches_stored, batches_repeated, batches_refused, events_stored;
  Counter busy_answers;
  Counter body_bytes_inline, body_bytes_pulled, data_bytes_inline, data_bytes_pulled;
  Counter frames_sent, frame_bytes_inline, frame_bytes_written, events_sent;
  Counter data_requests, data_bytes_sent, data_bytes_read, data_bytes_direct;
  Counter bytes_copied;
  Counter syncs, sync_batches, sync_batches_max;
  Counter commits;
  Counter batches_in_flight_now, writer_queue_now, reader_queue_now;
  Counter slabs_total, slabs_in_use_now, slab_waits;
  Counter transfers_failed;
  Counter quarantined_now;
};

}  // namespace weft::broker
