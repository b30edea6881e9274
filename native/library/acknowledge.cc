// Acknowledgements of plain programs: what is done without a gap is committed. Any thread; outcomes come on the
// progress thread, perhaps when the caller has stopped waiting or the consumer is closed.
#include "library/consumer.h"

using namespace weft::library;

namespace weft::library {

namespace {
void commit_each(weft_consumer* consumer, const std::vector<ConsumerProgress::Commit>& commits,
                 const std::function<void(const Status&)>& answered) {
  for (const ConsumerProgress::Commit& commit : commits) {
    consumer->consumer->commit(commit.partition, commit.offset,
                               [progress = consumer->progress, commit, answered](const Status& status) {
                                 progress->committed(commit, status);
                                 if (answered) answered(status);
                               });
  }
}

struct Answers {
  std::mutex mutex;  // guards the next two
  size_t left = 0;
  Status first_error;
  Waiter waiter;
};
}  // namespace

Status commit_acknowledged(weft_consumer* consumer, int64_t timeout_ms) {
  const std::vector<ConsumerProgress::Commit> commits = consumer->progress->to_commit();
  Status waited;
  if (!commits.empty()) {
    const auto answers = std::make_shared<Answers>();
    answers->left = commits.size();
    commit_each(consumer, commits, [answers](const Status& status) {
      const std::lock_guard lock(answers->mutex);
      if (!status.ok() && answers->first_error.ok()) answers->first_error = status;
      if (--answers->left == 0) answers->waiter.set(answers->first_error);
    });
    waited = answers->waiter.wait(timeout_ms, "the commit");
  }
  const Status earlier = consumer->progress->take_commit_error();
  return waited.ok() ? earlier : waited;
}

}  // namespace weft::library

extern "C" {

int weft_ack(weft_consumer* consumer, uint32_t partition, uint64_t offset) try {
  WEFT_CHECK_HANDLE(consumer);
  if (consumer->consumer->options().name.empty()) {
    return report(weft::Code::INVALID_ARGUMENT,
                  "a consumer without a name has no cursor to acknowledge for; give it a name");
  }
  std::vector<ConsumerProgress::Commit> due;
  const weft::Status acknowledged = consumer->progress->acknowledge(partition, offset, &due);
  if (acknowledged.ok()) commit_each(consumer, due, {});
  return report(acknowledged);
}
WEFT_CATCH

int weft_commit_acknowledged(weft_consumer* consumer, int64_t timeout_ms) try {
  WEFT_CHECK_HANDLE(consumer);
  return report(commit_acknowledged(consumer, timeout_ms));
}
WEFT_CATCH

}  // extern "C"
