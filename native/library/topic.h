// A topic as a client knows it.
#pragma once

#include <memory>

#include "library/job.h"

struct weft_topic {
  static constexpr auto kKind = weft::library::Kind::kTopic;
  std::atomic<weft::library::Kind> kind{kKind};
  weft_job* job = nullptr;
  std::shared_ptr<const weft::client::TopicRecord> record;
};

namespace weft::library {

// Looks it up; `done` on the progress thread (in echo mode on this one).
void find_topic(weft_job* job, const std::string& name,
                std::function<void(Result<std::shared_ptr<const client::TopicRecord>>)> done);
Result<std::shared_ptr<const client::TopicRecord>> find_topic_and_wait(weft_job* job, const char* name);
// Null: the job is being closed.
weft_topic* make_topic(weft_job* job, std::shared_ptr<const client::TopicRecord> record);

}  // namespace weft::library
