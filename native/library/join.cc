// The first half of a join: MPI, who is who, the job's id and secret. Collective; blocks until every rank is here.
#include "library/join.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/random.h"
#include "group/group_directory.h"
#include "library/echo.h"

namespace weft::library {

namespace {
RankCard make_card(const weft_job& job) {
  RankCard card{};
  card.magic = kRankCardMagic;
  card.version = kRankCardVersion;
  card.is_server = job.settings.server ? 1 : 0;
  card.name = wire::producer_id_of_name(job.settings.name);
  return card;
}

Status check_card(const RankCard& card, int32_t rank) {
  if (card.magic == kRankCardMagic && card.version == kRankCardVersion) return {};
  return Status(Code::PROTOCOL_VERSION,
                join_text("rank ", rank, " joins with another version of Weftline; use one version in a job"));
}

Status make_communicators(MpiPlace& place, const std::vector<RankCard>& cards) {
  const weft_mpi_table& table = place.table();
  weft_mpi_comm* node = nullptr;
  WEFT_RETURN_IF_ERROR(mpi_status(table, table.comm_split_shared(place.world, &node)));
  const int rank_code = table.comm_rank(node, &place.node_rank);
  const int size_code = table.comm_size(node, &place.node_size);
  WEFT_RETURN_IF_ERROR(mpi_status(table, rank_code));
  WEFT_RETURN_IF_ERROR(mpi_status(table, size_code));
  WEFT_RETURN_IF_ERROR(mpi_status(table, table.comm_free(node)));
  // Ranks of one name are a group; its color is its first rank.
  const wire::ProducerId& name = cards[static_cast<size_t>(place.rank)].name;
  const auto first =
      std::find_if(cards.begin(), cards.end(), [&name](const RankCard& card) { return card.name == name; });
  const auto color = static_cast<int32_t>(first - cards.begin());
  WEFT_RETURN_IF_ERROR(mpi_status(table, table.comm_split(place.world, color, place.rank, &place.group)));
  WEFT_RETURN_IF_ERROR(mpi_status(table, table.comm_dup(place.world, &place.application)));
  WEFT_RETURN_IF_ERROR(mpi_status(table, table.comm_rank(place.group, &place.group_rank)));
  return mpi_status(table, table.comm_size(place.group, &place.group_size));
}

Status enter_world(MpiPlace& place, int64_t world) {
  Result<const LoadedMpi*> mpi = load_mpi();
  if (!mpi.ok()) return mpi.status();
  place.mpi = mpi.value();
  Result<weft_mpi_facts> facts = init_mpi(*place.mpi);
  if (!facts.ok()) return facts.status();
  place.initialized_here = facts.value().initialized_here != 0;
  const weft_mpi_table& table = place.table();
  const int code = world == WEFT_COMM_WORLD ? table.comm_world(&place.world)
                                            : table.comm_from_fortran(static_cast<int32_t>(world), &place.world);
  WEFT_RETURN_IF_ERROR(mpi_status(table, code));
  WEFT_RETURN_IF_ERROR(mpi_status(table, table.comm_rank(place.world, &place.rank)));
  return mpi_status(table, table.comm_size(place.world, &place.size));
}

// What each rank alone found out, told to all: a rank that just left would leave the others in the next exchange. Only
// the first that failed tells why.
Status agree(MpiPlace& place, const Status& mine) {
  const auto code = static_cast<int32_t>(mine.code());
  std::vector<int32_t> codes(static_cast<size_t>(place.size));
  WEFT_RETURN_IF_ERROR(gather_all(place, &code, sizeof code, codes.data()));
  const auto failed = std::find_if(codes.begin(), codes.end(), [](int32_t each) { return each != 0; });
  if (failed == codes.end()) return {};
  const auto rank = static_cast<int32_t>(failed - codes.begin());
  char words[512] = {};
  if (rank == place.rank) std::memcpy(words, mine.message().data(), std::min(mine.message().size(), sizeof words - 1));
  WEFT_RETURN_IF_ERROR(tell_all(place, words, sizeof words, rank));
  if (!mine.ok()) return mine;
  words[sizeof words - 1] = '\0';
  return Status(static_cast<Code>(*failed),
                join_text("rank ", rank, " could not join: ", static_cast<const char*>(words)));
}

Status open_lane(weft_job* job) {
  fabric::LaneOptions options;
  options.transports = job->settings.transports;
  options.bind_address = job->settings.bind_address;
  options.connect_timeout_ms = static_cast<uint32_t>(std::min<uint64_t>(job->settings.timeout_ms, 10'000));
  Result<std::unique_ptr<fabric::Lane>> lane = fabric::Lane::open(options);
  if (!lane.ok()) return lane.status();
  job->lane = lane.take();
  return {};
}
}  // namespace

Status gather_all(MpiPlace& place, const void* given, uint64_t bytes, void* got) {
  place.exchanges += 1;
  place.exchanged_bytes_given += bytes;
  place.exchanged_bytes_got += bytes * static_cast<uint64_t>(place.size);
  return mpi_status(place.table(), place.table().allgather(place.world, given, bytes, got));
}

Status gather_all(MpiPlace& place, std::string_view given, const std::vector<uint64_t>& lengths, std::string& got) {
  std::vector<uint64_t> offsets(lengths.size());
  uint64_t total = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    offsets[i] = total;
    total += lengths[i];
  }
  got.assign(total, '\0');
  place.exchanges += 1;
  place.exchanged_bytes_given += given.size();
  place.exchanged_bytes_got += total;
  return mpi_status(place.table(), place.table().allgatherv(place.world, given.data(), given.size(), got.data(),
                                                            lengths.data(), offsets.data()));
}

Status tell_all(MpiPlace& place, void* bytes, uint64_t count, int32_t root) {
  place.exchanges += 1;
  if (place.rank == root) {
    place.exchanged_bytes_given += count;
  } else {
    place.exchanged_bytes_got += count;
  }
  return mpi_status(place.table(), place.table().bcast(place.world, bytes, count, root));
}

Status begin_join(weft_job* job, int64_t world, const Status& refusal) {
  job->role = job->settings.server ? "server" : "client";
  if (job->settings.echo) {
    WEFT_RETURN_IF_ERROR(refusal);
    job->echo = std::make_shared<EchoTopics>();
    return open_lane(job);
  }
  MpiPlace& place = job->place;
  WEFT_RETURN_IF_ERROR(enter_world(place, world));
  const RankCard card = make_card(*job);
  std::vector<RankCard> cards(static_cast<size_t>(place.size));
  WEFT_RETURN_IF_ERROR(gather_all(place, &card, sizeof card, cards.data()));
  for (int32_t rank = 0; rank < place.size; ++rank)
    WEFT_RETURN_IF_ERROR(check_card(cards[static_cast<size_t>(rank)], rank));
  for (const RankCard& each : cards) job->servers_known += each.is_server != 0 ? 1 : 0;
  JobCard mine{};
  if (place.rank == 0) {
    secure_random(std::as_writable_bytes(std::span(mine.job)));
    secure_random(std::as_writable_bytes(std::span(mine.secret)));
  }
  WEFT_RETURN_IF_ERROR(tell_all(place, &mine, sizeof mine, 0));
  job->job_id = mine.job;
  job->secret = mine.secret;
  job->secret_known = true;
  WEFT_RETURN_IF_ERROR(make_communicators(place, cards));
  return agree(place, refusal.ok() ? open_lane(job) : refusal);
}

Status read_group(weft_job* job, const std::string& directory) {
  Result<group::JobRecord> record = group::read_job(directory);
  if (!record.ok()) return record.status();
  job->job_id = record.value().job;
  job->secret = record.value().secret;
  job->secret_known = true;
  job->servers_known = record.value().slot_count;
  job->group = directory;
  job->slots->set_group(directory, job->job_id);
  std::vector<uint32_t> slots(record.value().slot_count);
  std::iota(slots.begin(), slots.end(), 0);
  for (const uint32_t slot : slots) job->slots->announce(slot);
  // Many processes that attach would otherwise read all files of all slots, to connect to a few.
  Status unread;
  Status stranger;
  job->early_slots = early_slots(slots, secure_random_u64(), [&](uint32_t slot) {
    Result<group::SlotRecord> slot_record = group::read_slot(directory, slot);
    if (!slot_record.ok()) {
      if (unread.ok()) unread = slot_record.status();
      return false;  // it may come back; its partitions are unavailable until then
    }
    if (slot_record.value().job != job->job_id) {
      stranger = Status(Code::GROUP_OTHER_JOB,
                        join_text("slot ", slot, " in the group directory '", directory, "' belongs to another job"));
      return false;
    }
    job->slots->put(slot, slot_record.value().epoch, slot_record.value().address);
    return true;
  });
  WEFT_RETURN_IF_ERROR(stranger);
  if (job->early_slots.empty() && !job->settings.server) return unread;
  return {};
}

}  // namespace weft::library

using namespace weft::library;
using weft::Status;

namespace {
// `begin` on a fresh job; on an error the job is gone again.
template <typename Begin>
int make_job(const weft_join_options* options, weft_job** job, Begin begin) {
  *job = nullptr;
  weft::Result<JobSettings> settings = read_settings(options);
  weft_job* made = make_job_memory();
  Status status;
  try {
    if (settings.ok()) made->settings = settings.take();
    status = begin(made, settings.status());
  } catch (...) {
    status = caught_status();
  }
  if (!status.ok()) {
    // Never a collective on an error path: the other ranks may not be there.
    const bool alone = made->place.mpi == nullptr || std::string_view(made->place.table().family) == "none";
    if (!alone) {
      made->place.initialized_here = false;
      made->place.world = nullptr;
    }
    const int closed = weft_close(made);
    static_cast<void>(closed);
    return report(settings.ok() ? status : settings.status());
  }
  *job = made;
  return WEFT_OK;
}
}  // namespace

extern "C" {

int weft_join_begin(int64_t world, const weft_join_options* options, weft_job** job) try {
  WEFT_CHECK_ARGUMENT(job);
  return make_job(options, job,
                  [world](weft_job* made, const Status& refusal) { return begin_join(made, world, refusal); });
}
WEFT_CATCH

int weft_join_finish(weft_job* job, weft_server* server, const char* failure) try {
  WEFT_CHECK_HANDLE(job);
  if (job->shared) {
    return report(weft::Code::UNSUPPORTED, "a shared job is joined already; use the job of weft_join_begin");
  }
  return report(finish_join(job, server, failure));
}
WEFT_CATCH

int weft_join(int64_t world, const weft_join_options* options, weft_job** job) try {
  WEFT_CHECK_ARGUMENT(job);
  return make_job(options, job, [world](weft_job* made, Status refusal) {
    if (refusal.ok() && made->settings.server) {
      refusal = Status(weft::Code::INVALID_ARGUMENT,
                       "weft_join is for clients; a server's host calls weft_join_begin and weft_join_finish");
    }
    const Status begun = begin_join(made, world, refusal);
    return begun.ok() ? finish_join(made, nullptr, nullptr) : begun;
  });
}
WEFT_CATCH

int weft_attach(const char* group, const weft_join_options* options, weft_job** job) try {
  WEFT_CHECK_ARGUMENT(job);
  return make_job(options, job, [group](weft_job* made, const Status& refusal) {
    WEFT_RETURN_IF_ERROR(refusal);
    made->role = "client";
    made->attached = true;
    const std::string directory = group != nullptr ? group : made->settings.group;
    if (directory.empty()) {
      return Status(weft::Code::GROUP_MISSING, "no group directory was given; pass one or set WEFTLINE_GROUP");
    }
    WEFT_RETURN_IF_ERROR(read_group(made, directory));
    made->settings.group = directory;
    weft::fabric::LaneOptions lane_options;
    lane_options.transports = made->settings.transports;
    lane_options.bind_address = made->settings.bind_address;
    weft::Result<std::unique_ptr<weft::fabric::Lane>> lane = weft::fabric::Lane::open(lane_options);
    if (!lane.ok()) return lane.status();
    made->lane = lane.take();
    return connect_slots(made);
  });
}
WEFT_CATCH

}  // extern "C"
