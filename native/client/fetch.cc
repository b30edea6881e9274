// Selected data: DATA_REQUESTs of a consumer's stream, and commits of its cursor.
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "client/consumer_stream.h"

namespace weft::client {

namespace {
// Of selections in one message, beside its header.
constexpr size_t kSelectionBytesMax = 32 * 1024;
// After a server said that it has too much to do.
constexpr uint64_t kBusyRetryNs = 500 * kNsPerUs;
}  // namespace

// Why it ended is what the caller needs: with a server that is gone or a log that is damaged "closed" would blame him.
Status ConsumerStream::ended() const {
  const bool known = !closing_ && !last_failure_.ok();
  return Status(known ? last_failure_.code() : Code::CLOSED,
                join_text("the stream of partition ", partition_, " has ended", known ? ": " : "",
                          known ? last_failure_.message() : ""));
}

void ConsumerStream::fetch(std::shared_ptr<Fetch> fetch) {
  fetch->deadline_ns = consumer_.client().lane().now_ns() + consumer_.client().options().delivery_timeout_ms * kNsPerMs;
  if (const Status failure = fetch_failure(*fetch); !failure.ok()) return fetch->done(failure, {});
  ++consumer_.client().count().fetches;
  fetches_.push_back(fetch);
  consumer_.client().add_ticker(this, [this](uint64_t now_ns) { return tick(now_ns); });
  if (can_send(*fetch)) send_fetch(fetch);
}

// Why it will never be sent; ok: it will, or waits for a stream to open again.
Status ConsumerStream::fetch_failure(const Fetch& fetch) const {
  if (state_ == State::kFailed || closing_) return ended();
  for (const ConsumerStream* owner : fetch.owners) {
    if (owner->state_ == State::kFailed || owner->closing_) return owner->ended();
  }
  return {};
}

bool ConsumerStream::can_send(const Fetch& fetch) const {
  return state_ == State::kOpen && std::all_of(fetch.owners.begin(), fetch.owners.end(),
                                               [](const auto* owner) { return owner->state_ == State::kOpen; });
}

bool ConsumerStream::has_joined_fetch_under_way() const {
  return std::any_of(fetches_.begin(), fetches_.end(),
                     [](const auto& fetch) { return fetch->under_way && !fetch->owners.empty(); });
}

void ConsumerStream::send_fetch(const std::shared_ptr<Fetch>& fetch) {
  size_t bytes = 0;
  fetch->behind = fetch->next;
  while (fetch->behind < fetch->selections.size() && fetch->behind - fetch->next < wire::kSelectionsMax) {
    bytes += fetch->selections[fetch->behind].size();
    if (bytes > kSelectionBytesMax && fetch->behind > fetch->next) break;
    ++fetch->behind;
  }
  fetch->under_way = true;
  const uint64_t now_ns = consumer_.client().lane().now_ns();
  const uint64_t left_ms = fetch->deadline_ns > now_ns ? (fetch->deadline_ns - now_ns) / kNsPerMs : 0;
  Request request{wire::MessageType::kDataRequest,
                  left_ms,
                  [this, fetch](wire::MessageWriter& writer) {
                    wire::DataRequest data{};
                    data.handle = fetch->owners.empty() ? handle_ : 0;
                    data.selection_count = static_cast<uint32_t>(fetch->behind - fetch->next);
                    const fabric::RemoteMemory memory = fetch->region->describe(session().peer());
                    data.destination = {memory.address, memory.key, memory.length};
                    writer.put(data);
                    for (size_t i = fetch->next; i < fetch->behind; ++i) {
                      std::string& selection = fetch->selections[i];
                      // A handle is of the connection, and so of this sending.
                      if (!fetch->owners.empty()) {
                        std::memcpy(selection.data() + offsetof(wire::Selection, handle), &fetch->owners[i]->handle_,
                                    sizeof(uint32_t));
                      }
                      writer.text(selection);
                    }
                  },
                  [this, fetch](const Status& status, wire::MessageReader* answer) {
                    on_fetched(fetch, status, answer);
                    if (close_confirmed_) end_close_when_done();  // may delete this
                  },
                  false,
                  this};
  session().request(std::move(request));
}

void ConsumerStream::send_waiting_fetches() {
  for (const std::shared_ptr<Fetch>& fetch : std::list(fetches_)) {
    if (fetch->under_way) continue;
    if (const Status failure = fetch_failure(*fetch); !failure.ok()) {
      end_fetch(fetch, failure);
    } else if (can_send(*fetch)) {
      send_fetch(fetch);
    }
  }
}

void ConsumerStream::on_fetched(const std::shared_ptr<Fetch>& fetch, const Status& status,
                                wire::MessageReader* answer) {
  if (std::find(fetches_.begin(), fetches_.end(), fetch) == fetches_.end()) return;
  if (!status.ok()) {
    // Lost connections are heard of first by on_session_lost, which asks again when the stream is open again: the same
    // bytes into the same place.
    if (!fetch->under_way) return;
    fetch->under_way = false;
    // Not answered in time: the server may still write.
    if (status.code() == Code::TIMED_OUT) fetch->result.memory_safe = false;
    return end_fetch(fetch, status);
  }
  const auto* reply = answer->take<wire::DataReply>();
  if (reply == nullptr)
    return end_fetch(fetch, Status(Code::INTERNAL, "the server's answer to a data request is cut off"));
  if (reply->code == static_cast<int32_t>(Code::BUSY)) {
    fetch->under_way = false;
    consumer_.client().lane().arm(&retry_, kBusyRetryNs);
    return;
  }
  if (reply->code != 0) {
    fetch->result.failed_selection = static_cast<uint32_t>(fetch->next) + reply->failed_selection;
    return end_fetch(fetch, Status(static_cast<Code>(reply->code), std::string(answer->rest_text())));
  }
  // The server that answers is the one that runs now: what an earlier one was asked to write, it has ended.
  fetch->result.memory_safe = true;
  fetch->result.sent_bytes += reply->bytes_sent;
  fetch->result.read_bytes += reply->bytes_read;
  fetch->next = fetch->behind;
  fetch->under_way = false;
  if (fetch->next == fetch->selections.size()) return end_fetch(fetch, {});
  if (const Status failure = fetch_failure(*fetch); !failure.ok()) return end_fetch(fetch, failure);
  if (can_send(*fetch)) send_fetch(fetch);
}

void ConsumerStream::end_fetch(const std::shared_ptr<Fetch>& fetch, const Status& status) {
  const std::shared_ptr<Fetch> ended = fetch;
  fetches_.remove(ended);
  ended->done(status, ended->result);
}

void ConsumerStream::end_fetches(const Status& reason) {
  for (const std::shared_ptr<Fetch>& fetch : std::list(fetches_)) end_fetch(fetch, reason);
}

void ConsumerStream::commit(uint64_t offset, std::function<void(const Status&)> done) {
  ++consumer_.client().count().commits;
  wire::Commit commit{};
  commit.topic = consumer_.topic().info.topic;
  commit.partition = partition_;
  commit.partition_epoch = partition_epoch_;
  commit.offset = offset;
  Request request{wire::MessageType::kCommit, consumer_.client().options().request_timeout_ms,
                  // By value: it is sent again after a reconnect even if the consumer was closed in between.
                  [commit, name = consumer_.options().name](wire::MessageWriter& writer) {
                    writer.put(commit);
                    writer.text(name);
                  },
                  [done = std::move(done)](const Status& status, wire::MessageReader* answer) {
                    if (!status.ok()) return done(status);
                    const auto* reply = answer->take<wire::Committed>();
                    if (reply == nullptr)
                      return done(Status(Code::INTERNAL, "the server's answer to a commit is cut off"));
                    done(Status(static_cast<Code>(reply->code), std::string(answer->rest_text())));
                  }};
  session().request(std::move(request));
}

}  // namespace weft::client
