// A server as a process of its own, for tests that kill it: `test_server DATA TOPIC PARTITIONS STORAGE DURABILITY`. It
// is ready when its group directory names it; it ends when its standard input ends.
#include <unistd.h>

#include <cstdio>
#include <thread>

#include "server_process.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 6) return 2;
  weft_test::TopicPlan plan;
  plan.name = argv[2];
  plan.partitions = static_cast<uint32_t>(std::atoi(argv[3]));
  plan.storage = static_cast<uint32_t>(std::atoi(argv[4]));
  plan.durability = static_cast<uint32_t>(std::atoi(argv[5]));
  weft_test::Server server(argv[1], {plan});
  if (testing::Test::HasFailure()) return 1;
  char byte = 0;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  return 0;
}
