// Partitions: opened on a thread of their own, closed when nothing uses them any more, described as JSON.
#include <algorithm>
#include <cstdio>

#include "base/available_memory.h"
#include "broker/broker_impl.h"
#include "log/partition_owner.h"

namespace weft::broker {

struct BrokerImpl::OpenJob {
  Job job;
  PartitionSpec spec;
  std::function<void(Result<PartitionOpened>)> done;
  uint32_t slot_epoch = 0;
  Clock* clock = nullptr;
  // The outcome.
  Status status;
  std::unique_ptr<log::PartitionLog> log;
  std::unique_ptr<log::CursorFile> cursor_file;
  log::RecoveryReport report;
  std::vector<log::CursorMove> moved;
  std::string cursor_damage;

  Status open();
};

namespace {
std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
      out += code;
    } else {
      out += c;
    }
  }
  out += '"';
  return out;
}

// As the control plane writes it: 8-4-4-4-12 digits.
std::string uuid_text(const wire::Uuid& uuid) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (size_t at = 0; at < uuid.size(); ++at) {
    if (at == 4 || at == 6 || at == 8 || at == 10) text += '-';
    text += kDigits[uuid[at] >> 4];
    text += kDigits[uuid[at] & 15];
  }
  return text;
}

const char* durability_name(wire::Durability durability) {
  switch (durability) {
    case wire::Durability::kMemory:
      return "memory";
    case wire::Durability::kWritten:
      return "written";
    case wire::Durability::kSynced:
      return "synced";
  }
  return "unknown";
}
}  // namespace

Partition* BrokerImpl::find_partition(const wire::Uuid& uuid, uint32_t partition) {
  const auto found = partitions_.find(PartitionKey{uuid, partition});
  return found == partitions_.end() ? nullptr : found->second.get();
}

Status BrokerImpl::no_partition(const wire::Uuid& uuid, uint32_t partition) const {
  for (const auto& [name, topic] : topics_) {
    if (topic.uuid != uuid) continue;
    if (partition >= topic.slots.size()) {
      return Status(Code::PARTITION_RANGE, join_text("topic '", name, "' has ", topic.slots.size(), " partitions, ",
                                                     partition, " is none of them"));
    }
    const uint32_t slot = topic.slots[partition];
    if (slot != options_.slot) {
      return Status(Code::PARTITION_UNAVAILABLE,
                    join_text("partition ", partition, " of topic '", name, "' is on slot ", slot, ", this is slot ",
                              options_.slot, "; look the topic up again"));
    }
    return Status(Code::PARTITION_UNAVAILABLE, join_text("partition ", partition, " of topic '", name, "' on slot ",
                                                         slot, " is not open; try again later"));
  }
  if (std::find(deleted_.begin(), deleted_.end(), uuid) != deleted_.end()) {
    return Status(Code::TOPIC_UNKNOWN, join_text("the topic of partition ", partition, " was deleted"));
  }
  return Status(Code::PARTITION_UNAVAILABLE, join_text("slot ", options_.slot, " has no partition ", partition,
                                                       " of that topic; look the topic up again"));
}

Status BrokerImpl::closing_status(const Partition* partition, std::string_view next) const {
  if (partition->remove && !stopping_) {
    return Status(Code::TOPIC_UNKNOWN, join_text(partition->label, " is gone: its topic was deleted"));
  }
  return Status(Code::PARTITION_UNAVAILABLE, join_text(partition->label, " is being closed", next));
}

// ---- opening

Status BrokerImpl::OpenJob::open() {
  if (spec.storage == wire::Storage::kMemory) {
    log::MemoryLogOptions options;
    options.data_limit_bytes = spec.memory_data_bytes;
    options.metadata_limit_bytes = spec.memory_metadata_bytes;
    options.epoch = slot_epoch;
    options.clock = clock;
    const std::lock_guard lock(static_cast<BrokerImpl*>(job.context)->memory_opening_);
    // All of it is touched, and the kernel does not say no: it ends a process, perhaps not even this one.
    const uint64_t available = available_memory_bytes();
    if (options.data_limit_bytes > available || options.metadata_limit_bytes > available - options.data_limit_bytes) {
      return Status(Code::OUT_OF_MEMORY,
                    join_text("it would take ", options.data_limit_bytes, " bytes for data and ",
                              options.metadata_limit_bytes, " for metadata, ", available,
                              " are available; lower memoryDataBytes, or place it on a slot with more memory"));
    }
    auto opened = log::open_memory_log(options);
    if (!opened.ok()) return opened.status();
    log = opened.take();
    return {};
  }
  log::FileLogOptions options;
  options.metadata_directory = spec.metadata_directory;
  options.data_directory = spec.data_directory;
  options.segment_bytes = spec.segment_bytes;
  options.file_system = spec.file_system;
  options.clock = clock;
  options.owner = join_text(uuid_text(spec.uuid), "/", spec.partition);
  options.force_lock = spec.force_lock;
  auto opened = log::open_file_log(options, &report);
  if (!opened.ok()) return opened.status();
  log = opened.take();
  // What is there becomes visible: at the topic's durability.
  if (spec.durability == wire::Durability::kSynced) WEFT_RETURN_IF_ERROR(log->sync());
  log::FileSystem& files = spec.file_system != nullptr ? *spec.file_system : log::FileSystem::real();
  auto cursors = log::CursorFile::open(files, spec.metadata_directory, *log, &moved, &cursor_damage);
  if (!cursors.ok()) return cursors.status();
  cursor_file = cursors.take();
  return {};
}

void BrokerImpl::open_partition(PartitionSpec spec, std::function<void(Result<PartitionOpened>)> done) {
  post_function([this, spec = std::move(spec), done = std::move(done)]() mutable {
    const PartitionKey key{spec.uuid, spec.partition};
    if (partitions_.contains(key) || std::find(opening_.begin(), opening_.end(), key) != opening_.end()) {
      return done(Status(Code::TOPIC_EXISTS, join_text("partition ", spec.partition, " of topic '", spec.topic,
                                                       "' is open already; close it first")));
    }
    if (stopping_) {
      return done(Status(Code::CLOSED, join_text("slot ", options_.slot, " is stopping; partition ", spec.partition,
                                                 " of topic '", spec.topic, "' is not opened")));
    }
    if (spec.storage == wire::Storage::kMemory) spec.durability = wire::Durability::kMemory;
    opening_.push_back(key);
    auto* job = new OpenJob();
    job->spec = std::move(spec);
    job->done = std::move(done);
    job->slot_epoch = options_.slot_epoch;
    job->clock = options_.clock;
    job->job = Job{&BrokerImpl::run_open, &BrokerImpl::open_done, job, this};
    openers_->push(&job->job);
  });
}

bool BrokerImpl::run_open(Job* job) {
  auto* open = static_cast<OpenJob*>(job->owner);
  open->status = open->open();
  return true;
}

void BrokerImpl::open_done(Job* job) {
  std::unique_ptr<OpenJob> open(static_cast<OpenJob*>(job->owner));
  auto* broker = static_cast<BrokerImpl*>(job->context);
  std::erase(broker->opening_, PartitionKey{open->spec.uuid, open->spec.partition});
  broker->add_partition(open.get());
}

void BrokerImpl::add_partition(OpenJob* job) {
  auto partition = std::make_unique<Partition>();
  partition->spec = job->spec;
  partition->label =
      join_text("partition ", job->spec.partition, " of topic '", job->spec.topic, "' on slot ", options_.slot);
  if (!job->status.ok()) {
    log(LogLevel::kError, join_text(partition->label, " cannot be opened: ", job->status.text()));
    job->log.reset();  // with the locks of its directories
    return job->done(job->status.with_context("opening " + partition->label));
  }
  partition->log = std::move(job->log);
  partition->cursor_file = std::move(job->cursor_file);
  partition->group.finish = &BrokerImpl::finish_group;
  partition->group.owner = partition.get();
  partition->cursor_group.finish = &BrokerImpl::finish_cursors;
  partition->cursor_group.owner = partition.get();
  partition->fence_group.finish = &BrokerImpl::finish_fences;
  partition->fence_group.owner = partition.get();
  partition->broker_counters = &counters_;
  if (partition->in_memory()) {
    partition->area = std::make_unique<SharedMemory>(lane_, log::data_area(*partition->log));
    const Status status = partition->area->register_memory();
    if (!status.ok()) return job->done(status.with_context("registering the memory of " + partition->label));
  } else {
    partition->writer = writers_[next_writer_++ % writers_.size()].get();
    partition->cursors = partition->cursor_file->list();
    load_registered(partition.get());
  }
  const log::PartitionState state = partition->log->state();
  partition->epoch = state.epoch;
  partition->visible_end = state.next_offset;
  PartitionOpened opened;
  opened.first_offset = state.first_offset;
  opened.next_offset = state.next_offset;
  opened.epoch = state.epoch;
  if (job->report.truncated) {
    opened.recovery = join_text(partition->label, " was cut at offset ", job->report.truncated_at_offset, " (",
                                job->report.metadata_bytes_cut, " bytes of metadata): ", job->report.reason);
    log(LogLevel::kWarning, opened.recovery);
  }
  if (!job->cursor_damage.empty()) {
    log(LogLevel::kWarning, join_text("the cursors of ", partition->label, ": ", job->cursor_damage));
  }
  for (const log::CursorMove& move : job->moved) {
    log(LogLevel::kWarning, join_text("the cursor '", move.name, "' of ", partition->label, " was moved from offset ",
                                      move.from.offset, " to ", move.to.offset, ": recovery cut its events off"));
  }
  counters_.partitions_now += 1;
  const PartitionKey key{partition->spec.uuid, partition->spec.partition};
  Partition* added = partition.get();
  partitions_.emplace(key, std::move(partition));
  job->done(opened);
  check_end(added);
  if (added->spec.rules.retains()) arm_rules();
  if (stopping_) begin_close(added);
}

// ---- closing

void BrokerImpl::close_partition(wire::Uuid uuid, uint32_t number, bool remove, std::function<void(Status)> done) {
  post_function([this, uuid, number, remove, done = std::move(done)]() mutable {
    Partition* partition = find_partition(uuid, number);
    if (partition == nullptr) return done(no_partition(uuid, number));
    partition->remove = partition->remove || remove;
    partition->closed.push_back(std::move(done));
    begin_close(partition);
  });
}

void BrokerImpl::begin_close(Partition* partition) {
  if (!partition->closing) {
    partition->closing = true;
    if (partition->remove && std::find(deleted_.begin(), deleted_.end(), partition->spec.uuid) == deleted_.end()) {
      deleted_.push_back(partition->spec.uuid);
      if (deleted_.size() > kDeletedTopicsKnown) deleted_.pop_front();
    }
    for (size_t i = 0; i < partition->consumers.size(); ++i) {
      Consumer* consumer = partition->consumers[i];
      // A server that stops says goodbye instead: its clients wait for it to come back.
      if (stopping_) {
        consumer->failed = true;
      } else {
        fail_consumer(consumer, closing_status(partition), consumer->next_offset);
      }
    }
  }
  check_closed(partition);
}

void BrokerImpl::operation_done(Partition* partition) {
  WEFT_ASSERT(partition->operations > 0);
  --partition->operations;
  if (partition->closing) check_closed(partition);
}

void BrokerImpl::check_closed(Partition* partition) {
  if (!partition->closing || partition->close_begun || partition->operations > 0) return;
  partition->close_begun = true;
  partition->close_job = Job{&BrokerImpl::run_close, &BrokerImpl::close_done, partition, this};
  (partition->in_memory() ? writers_.front().get() : partition->writer)->push(&partition->close_job);
}

bool BrokerImpl::run_close(Job* job) {
  auto* partition = static_cast<Partition*>(job->owner);
  Status status = partition->log->close();
  if (partition->cursor_file != nullptr) {
    Status cursors = partition->cursor_file->write();
    if (cursors.ok()) cursors = partition->cursor_file->sync();
    if (status.ok()) status = cursors;
    partition->cursor_file.reset();
  }
  if (partition->remove && !partition->in_memory()) {
    partition->log.reset();
    log::FileSystem& files =
        partition->spec.file_system != nullptr ? *partition->spec.file_system : log::FileSystem::real();
    status = Status();
    for (const std::string& directory : {partition->spec.metadata_directory, partition->spec.data_directory}) {
      auto names = files.list(directory);
      if (!names.ok()) {
        if (status.ok()) status = names.status();
        continue;
      }
      // The owner last, when all else is gone for good: until then nobody else takes the directory.
      Status emptied;
      for (const std::string& name : names.value()) {
        if (name == log::kOwnerName) continue;
        const Status removed = files.remove(directory + "/" + name);
        if (emptied.ok()) emptied = removed;
      }
      if (emptied.ok()) emptied = files.sync_directory(directory);
      const bool owned = std::find(names.value().begin(), names.value().end(), log::kOwnerName) != names.value().end();
      if (emptied.ok() && owned) emptied = files.remove(directory + "/" + std::string(log::kOwnerName));
      if (status.ok()) status = emptied;
    }
  }
  partition->close_status = status;
  return true;
}

void BrokerImpl::close_done(Job* job) {
  static_cast<BrokerImpl*>(job->context)->finish_close(static_cast<Partition*>(job->owner));
}

void BrokerImpl::finish_close(Partition* partition) {
  for (auto& [id, entry] : partition->producers) {
    WEFT_ASSERT(entry->batches.empty());
    if (entry->active == nullptr) continue;
    entry->active->entry = nullptr;
    entry->active = nullptr;
  }
  for (auto& [peer, session] : sessions_) {
    for (Producer* producer : session->producers) {
      if (producer == nullptr || producer->partition != partition) continue;
      producer->partition = nullptr;
      producer->is_deleted = partition->remove;
    }
  }
  for (Consumer* consumer : partition->consumers) consumer->partition = nullptr;
  partition->consumers.clear();
  for (const auto& sealed : std::exchange(partition->sealed, {})) sealed(closing_status(partition));
  if (!partition->close_status.ok()) {
    log(LogLevel::kError, join_text("closing ", partition->label, ": ", partition->close_status.text()));
  }
  counters_.partitions_now -= 1;
  const auto found = partitions_.find(PartitionKey{partition->spec.uuid, partition->spec.partition});
  WEFT_ASSERT(found != partitions_.end());
  std::shared_ptr<Partition> last(std::move(found->second));
  partitions_.erase(found);
  const auto told = [this, last] {
    for (const auto& done : last->closed) done(last->close_status);
    if (stopping_) want_turn();
  };
  if (last->area == nullptr) {
    last->log.reset();  // with the locks of its directories, so that who is told can open it again
    return told();
  }
  ++areas_releasing_;
  last->area->release([this, told] {
    --areas_releasing_;
    told();
  });
}

// ---- states

void BrokerImpl::set_read_only(Partition* partition, std::string reason) {
  if (partition->read_only) return;
  partition->read_only = true;
  partition->read_only_reason = std::move(reason);
  log(LogLevel::kError, join_text(partition->label, " is read-only from now on: ", partition->read_only_reason));
}

Status BrokerImpl::read_only_status(const Partition* partition) const {
  return Status(Code::PARTITION_READ_ONLY,
                join_text(partition->label, " takes no events: ", partition->read_only_reason,
                          "; look at the device, then restart the server"));
}

std::string BrokerImpl::partition_json(const Partition* partition) const {
  WEFT_ASSERT(!partition->close_begun);
  const log::PartitionState state = partition->log->state();
  return join_text("{\"topic\":", json_text(partition->spec.topic), ",\"partition\":", partition->spec.partition,
                   ",\"slot\":", options_.slot, ",\"storage\":", partition->in_memory() ? "\"memory\"" : "\"disk\"",
                   ",\"durability\":\"", durability_name(partition->spec.durability), "\",\"epoch\":", partition->epoch,
                   ",\"firstOffset\":", state.first_offset, ",\"nextOffset\":", state.next_offset,
                   ",\"visibleEnd\":", partition->visible_end, ",\"syncedOffset\":", state.synced_offset,
                   ",\"metadataBytes\":", state.metadata_bytes, ",\"dataBytes\":", state.data_bytes,
                   ",\"sealed\":", partition->spec.rules.sealed ? "true" : "false",
                   ",\"ended\":", partition->ended.ok() ? "false" : "true",
                   ",\"registeredProducers\":", partition->registered.size(),
                   ",\"readOnly\":", partition->read_only ? "true" : "false",
                   ",\"readOnlyReason\":", json_text(partition->read_only_reason),
                   ",\"closing\":", partition->closing ? "true" : "false",
                   ",\"producers\":", partition->producers.size(), ",\"consumers\":", partition->consumers.size(),
                   ",\"cursors\":", partition->cursors.size(), "}");
}

}  // namespace weft::broker
