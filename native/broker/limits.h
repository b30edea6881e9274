// Every bound of the broker that is not an option, in one place. What happens at each is said beside it.
#pragma once

#include <cstdint>

#include "log/partition_log.h"

namespace weft::broker {

constexpr uint64_t kSlabBytes = uint64_t{1} << 20;  // one unit of RMA: nothing waits behind more than this
constexpr uint32_t kSlabsMin = 8;                   // of each direction; less is refused at create()

// ---- producers: beyond these a batch is answered WEFT_BUSY
constexpr size_t kDeletedTopicsKnown =
    1024;  // whoever still uses one of them is told so; an older one is just not there
constexpr uint32_t kBatchesPerSessionMax = 512;
constexpr uint32_t kBatchesMax = 8192;
constexpr uint32_t kUnitsPerBatchMax = 8;          // slabs of one batch under way; more wait their turn
constexpr uint32_t kTransfersMax = 4096;           // RMA reads under way in all; more wait
constexpr uint32_t kHandlesPerSessionMax = 4096;   // producers, and as many consumers; beyond: WEFT_LIMIT
constexpr uint32_t kProducersPerSessionMax = 512;  // of one partition, which knows 4,096 in all; beyond: WEFT_LIMIT
constexpr uint32_t kPendingOpensMax = 64;          // PRODUCER_OPENs of one producer id that wait; beyond: WEFT_BUSY

static_assert(kProducersPerSessionMax * 8 == log::kProducersMax);

// ---- consumers
constexpr uint32_t kFrameInlineBytesMax = 12 * 1024;  // a larger body is written into the ring by RMA
constexpr uint32_t kFramesPerConsumerMax = 128;       // read or under way and not yet told; more wait
constexpr uint32_t kFramesPerReadMax = 64;            // batches that one reader job reads
constexpr uint64_t kFrameBytesPerReadMax = 512 * 1024;
constexpr uint64_t kRingBytesMin = 4096;  // smaller rings are refused
constexpr uint64_t kRingBytesMax = uint64_t{1} << 40;
constexpr uint32_t kDataRequestsPerConsumerMax = 16;  // beyond: WEFT_BUSY
constexpr uint32_t kDataRequestsPerSessionMax = 64;   // beyond: WEFT_BUSY
constexpr uint32_t kPiecesPerFillMax = 256;           // RMA writes of one slab of selected bytes
constexpr uint32_t kFillsPerRequestMax = 4;           // slabs of one request under way
constexpr uint64_t kDirectBytesMin = 16 * 1024;  // memory storage: a longer run is sent from where it lies, not copied
constexpr uint64_t kFillBytesPerTurn = 256 * 1024;  // gathered on the progress thread before others get their turn
constexpr uint32_t kCachedBlocks = 16;              // 64 KiB blocks that one data request keeps
constexpr uint32_t kCursorsPerPartitionMax = 4096;  // names; beyond: WEFT_LIMIT
constexpr uint32_t kSyncsPerSessionMax = 1024;      // under way; beyond: WEFT_BUSY
constexpr uint32_t kCommitsPerSessionMax = 256;     // under way; beyond: WEFT_BUSY

// ---- memory of what is used again (batches, frames, data requests)
constexpr uint64_t kPooledBytesMax = 64 * 1024;  // a buffer that grew larger is freed

constexpr uint64_t kDescribeMs = 2'000;           // that describe_partition waits for the progress thread
constexpr uint64_t kStopGraceNs = 1'000'000'000;  // after a drain's time limit, for transfers that a disconnect ends

// ---- rules of partitions
constexpr uint64_t kRulesLookNs = 500'000'000;  // between two looks at producers that are away, and at retention
constexpr uint64_t kRetentionTimeParts = 20;    // the rule by time is looked at so often in its time …
constexpr uint64_t kRetentionTimeLookNs = 60'000'000'000;  // … and at least so often
constexpr char kRegisteredMark = '@';                      // before the names of registered producers among the cursors

// ---- sessions
constexpr uint64_t kOutboxBytesMax = uint64_t{8} << 20;  // replies that a client does not take; beyond: session ends
constexpr uint64_t kSweepNs = 50'000'000;                // how often time limits are looked at
constexpr uint64_t kOutboxRetryNs = 1'000'000;
constexpr uint64_t kLingerNs = 300'000'000;  // between a last word and the disconnect, so that the word arrives
constexpr uint32_t kLogLinesPerSecond = 20;  // about misbehaviour; more are counted

}  // namespace weft::broker
