// The second half of a join: where the servers are. Collective; then everybody connects to them.
#include <condition_variable>
#include <cstring>
#include <mutex>

#include "base/random.h"
#include "group/group_directory.h"
#include "library/echo.h"
#include "library/join.h"
#include "library/server.h"

namespace weft::library {

namespace {
// "WEFT_X: words" back into a status.
Status parse_failure(std::string_view text) {
  for (int number = 1; number < 100; ++number) {
    const char* name = weft_code_name(number);
    if (name == nullptr) continue;
    const std::string prefix = join_text(name, ": ");
    if (text.substr(0, prefix.size()) == prefix)
      return Status(static_cast<Code>(number), std::string(text.substr(prefix.size())));
  }
  return Status(Code::INTERNAL, std::string(text));
}

std::string make_blob(const weft_job& job, const weft_server* server, const char* failure) {
  if (failure == nullptr && server == nullptr) return {};
  ServerCard card{};
  std::string address;
  std::string words;
  if (failure != nullptr) {
    const Status reason = parse_failure(failure);
    card.state = ServerState::kFailed;
    card.failure_code = static_cast<int32_t>(reason.code());
    words = reason.message();
  } else {
    card.state = ServerState::kReady;
    card.slot = server->slot;
    card.slot_epoch = server->slot_epoch;
    address = job.lane->address();
    words = server->group;
  }
  card.address_bytes = static_cast<uint32_t>(address.size());
  card.words_bytes = static_cast<uint32_t>(words.size());
  return std::string(reinterpret_cast<const char*>(&card), sizeof card) + address + words;
}

struct GatheredServer {
  size_t rank = 0;
  ServerCard card{};
  std::string address;
  std::string words;
};

Result<std::vector<GatheredServer>> gather(MpiPlace& place, const std::string& blob) {
  const auto size = static_cast<size_t>(place.size);
  const uint64_t length = blob.size();
  std::vector<uint64_t> lengths(size);
  WEFT_RETURN_IF_ERROR(gather_all(place, &length, sizeof length, lengths.data()));
  std::string all;
  WEFT_RETURN_IF_ERROR(gather_all(place, blob, lengths, all));
  std::vector<GatheredServer> servers;
  size_t offset = 0;
  for (size_t i = 0; i < size; ++i) {
    if (lengths[i] == 0) continue;
    const std::string_view piece = std::string_view(all).substr(offset, lengths[i]);
    offset += lengths[i];
    GatheredServer& server = servers.emplace_back();
    server.rank = i;
    ServerCard& card = server.card;
    if (piece.size() < sizeof card)
      return Status(Code::INTERNAL, join_text("rank ", i, " sent a card that is cut off"));
    std::memcpy(&card, piece.data(), sizeof card);
    if (piece.size() != sizeof card + uint64_t{card.address_bytes} + card.words_bytes) {
      return Status(Code::INTERNAL, join_text("rank ", i, " sent a card of a wrong length"));
    }
    server.address = piece.substr(sizeof card, card.address_bytes);
    server.words = piece.substr(sizeof card + card.address_bytes);
  }
  return servers;
}

// Fills the slot table; the group directory is slot 0's.
Status take_servers(weft_job* job, const std::vector<GatheredServer>& servers, uint32_t* count) {
  *count = 0;
  std::map<uint32_t, size_t> rank_of_slot;
  for (const GatheredServer& server : servers) {
    const size_t rank = server.rank;
    if (server.card.state == ServerState::kFailed) {
      return Status(static_cast<Code>(server.card.failure_code),
                    join_text("the server on rank ", rank, " could not start: ", server.words));
    }
    if (server.card.state != ServerState::kReady) continue;
    const auto [entry, is_new] = rank_of_slot.emplace(server.card.slot, rank);
    if (!is_new) {
      return Status(Code::INVALID_ARGUMENT,
                    join_text("ranks ", entry->second, " and ", rank, " both serve slot ", server.card.slot,
                              "; give each server its own data directory or slot"));
    }
    job->slots->put(server.card.slot, server.card.slot_epoch, server.address);
    if (server.card.slot == 0) job->group = server.words;
    ++*count;
  }
  job->early_slots = early_slots(job->slots->slots(), secure_random_u64());
  return {};
}

Status publish(weft_job* job, weft_server* server, uint32_t slot_count) {
  if (job->group.empty()) return {};
  if (server->slot == 0) WEFT_RETURN_IF_ERROR(group::write_job(job->group, {job->job_id, job->secret, slot_count}));
  group::SlotRecord record;
  record.job = job->job_id;
  record.slot = server->slot;
  record.epoch = server->slot_epoch;
  record.address = job->lane->address();
  record.process = group::this_process();
  WEFT_RETURN_IF_ERROR(group::write_slot(job->group, record));
  server->published_group = job->group;
  return {};
}

// Collects what the slots that are being connected answer. Shared with the lane: when there is no memory for a later
// one, the earlier ones are under way and still answer.
class Answers {
 public:
  Answers(size_t asked, size_t enough) : asked_(asked), enough_(enough) {}

  void set(const Status& status) {
    // An answer, whatever it says about the made-up partition, shows that the slot is there.
    const bool answered = status.ok() || status.code() == Code::TOPIC_UNKNOWN || status.code() == Code::PARTITION_RANGE;
    const std::lock_guard lock(mutex_);
    if (answered) {
      ++answered_;
    } else {
      ++failed_;
      if (first_error_.ok()) first_error_ = status;
    }
    changed_.notify_all();
  }

  // Until enough have answered, or too few can. The requests have their own deadline.
  Status wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return answered_ >= enough_ || failed_ > asked_ - enough_; });
    return answered_ >= enough_ ? Status() : first_error_;
  }

 private:
  const size_t asked_;
  const size_t enough_;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t answered_ = 0;
  size_t failed_ = 0;
  Status first_error_;
};
}  // namespace

Status connect_slots(weft_job* job) {
  WEFT_RETURN_IF_ERROR(job->start_lane());
  // Servers need no other but where the catalogue makes and removes partitions: slot 0 connects when it does.
  if (job->server != nullptr) return {};
  const size_t expected = job->settings.slots_expected;
  // Whoever names a number wants to know of so many; else the others are connected at their first use.
  const std::vector<uint32_t> slots = expected == 0 ? job->early_slots : job->slots->slots();
  if (slots.size() < expected) {
    return Status(Code::NO_SERVER, join_text(slots.size(), " server slots are known, slots_expected is ", expected,
                                             "; start the others, or lower slots_expected"));
  }
  // Early: a first connection costs tens of milliseconds. All at once.
  const auto answers = std::make_shared<Answers>(slots.size(), expected == 0 ? slots.size() : expected);
  for (const uint32_t slot : slots) {
    job->client->connect(slot, job->settings.timeout_ms, [answers](const Status& status) { answers->set(status); });
  }
  return answers->wait();
}

Status finish_join(weft_job* job, weft_server* server, const char* failure) {
  if (job->echo) return job->start_lane();
  // Said by the exchange: a rank that returned before it would leave the others in it.
  if (!job->settings.server && (server != nullptr || failure != nullptr)) {
    failure = "WEFT_INVALID_ARGUMENT: a rank that joined as a client hosts no server";
    server = nullptr;
  }
  Result<std::vector<GatheredServer>> servers = gather(job->place, make_blob(*job, server, failure));
  if (!servers.ok()) return servers.status();
  uint32_t count = 0;
  WEFT_RETURN_IF_ERROR(take_servers(job, servers.value(), &count));
  const bool rejoins = server != nullptr && server->rejoined;
  if (count == 0) {
    if (job->settings.group.empty()) {
      return Status(Code::NO_SERVER, join_text("none of the ", job->place.size,
                                               " ranks of this world is a server, and no group directory "
                                               "is known; start a rank with the role server, or set WEFTLINE_GROUP"));
    }
    WEFT_RETURN_IF_ERROR(read_group(job, job->settings.group));
  } else if (rejoins) {
    // The others of the job are outside this world: they are in the group directory.
    job->group = server->group;
    const uint32_t slot = server->slot;
    WEFT_RETURN_IF_ERROR(publish(job, server, std::max(server->slot_count_before, slot + 1)));
    job->slots->set_group(job->group, job->job_id);
  } else {
    if (server != nullptr) WEFT_RETURN_IF_ERROR(publish(job, server, count));
    if (!job->group.empty()) job->slots->set_group(job->group, job->job_id);
  }
  WEFT_RETURN_IF_ERROR(job->start_lane());
  if (server != nullptr) server->broker->admit(true);
  // A server that came back alone does not wait for slots that may be away.
  if (rejoins) return {};
  return connect_slots(job);
}

}  // namespace weft::library
