// A server as a process of its own, for tests that kill it: `test_server DATA TOPIC PARTITIONS STORAGE DURABILITY`. It
// is ready when its group directory names it; it drains and ends when its standard input ends or at SIGTERM. Lines for
// its log go to standard output.
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "server_process.h"

namespace {

void print_log(weft_job* job) {
  weft_completion completion;
  while (weft_poll(job, &completion, 1) == 1) {
    if (completion.kind == WEFT_COMPLETION_LOG) std::printf("%s\n", completion.text);
    weft_free(completion.text);
  }
  std::fflush(stdout);
}

void wake(void* context) {
  const uint64_t one = 1;
  // A counter that is full has woken the reader already.
  if (write(*static_cast<int*>(context), &one, sizeof one) < 0) return;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 6) return 2;
  // Before any thread starts, so that all have it blocked.
  sigset_t terminate;
  sigemptyset(&terminate);
  sigaddset(&terminate, SIGTERM);
  if (pthread_sigmask(SIG_BLOCK, &terminate, nullptr) != 0) return 2;
  const int terminated = signalfd(-1, &terminate, SFD_CLOEXEC);
  int woken = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (terminated < 0 || woken < 0) return 2;
  weft_test::TopicPlan plan;
  plan.name = argv[2];
  plan.partitions = static_cast<uint32_t>(std::atoi(argv[3]));
  plan.storage = static_cast<uint32_t>(std::atoi(argv[4]));
  plan.durability = static_cast<uint32_t>(std::atoi(argv[5]));
  weft_test::Server server(argv[1], {plan});
  if (testing::Test::HasFailure()) return 1;
  EXPECT_WEFT_OK(weft_set_wake(server.job, wake, &woken));
  pollfd files[3] = {{STDIN_FILENO, POLLIN, 0}, {terminated, POLLIN, 0}, {woken, POLLIN, 0}};
  while (true) {
    if (poll(files, 3, -1) < 0) continue;
    char byte = 0;
    if (files[1].revents != 0) break;
    if (files[0].revents != 0 && read(STDIN_FILENO, &byte, 1) <= 0) break;
    uint64_t count = 0;
    if (read(woken, &count, sizeof count) > 0) print_log(server.job);
  }
  return testing::Test::HasFailure() ? 1 : 0;
}
