// The walk over a selection against a naive one.
#include "broker/gather.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace weft::broker {
namespace {

struct Built {
  std::vector<wire::Run> runs;
  std::vector<std::vector<wire::RunLevel>> levels;
  wire::Selection selection{};
  wire::SelectionView view;
  void finish() {
    view.selection = &selection;
    view.runs.clear();
    for (size_t i = 0; i < runs.size(); ++i) view.runs.push_back({&runs[i], levels[i]});
  }
};

std::vector<uint64_t> naive(const Built& built) {
  std::vector<uint64_t> bytes;
  for (size_t i = 0; i < built.runs.size(); ++i) {
    const auto& levels = built.levels[i];
    uint64_t repeats = 1;
    for (const auto& level : levels) repeats *= level.count;
    for (uint64_t r = 0; r < repeats; ++r) {
      uint64_t at = built.runs[i].start;
      uint64_t rest = r;
      for (const auto& level : levels) {
        at += rest % level.count * level.stride;
        rest /= level.count;
      }
      for (uint64_t b = 0; b < built.runs[i].length; ++b) bytes.push_back(at + b);
    }
  }
  return bytes;
}

TEST(Gather, RandomSelectionsGiveTheSameBytesAsANaiveWalk) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    SeededRandom random(seed);
    Built built;
    const uint64_t run_count = random.below(4);
    for (uint64_t i = 0; i < run_count; ++i) {
      built.runs.push_back({random.below(100), random.below(12), 0, 0});
      built.levels.emplace_back();
      const uint64_t level_count = random.below(4);
      for (uint64_t l = 0; l < level_count; ++l) built.levels.back().push_back({random.below(40), random.below(5)});
      built.runs.back().level_count = static_cast<uint32_t>(level_count);
    }
    built.finish();
    GatherWalk walk;
    walk.begin(&built.view);
    std::vector<uint64_t> given;
    while (true) {
      const uint64_t most = 1 + random.below(20);
      const auto ahead = walk.peek(most);
      const auto piece = walk.next(most);
      ASSERT_EQ(ahead.at, piece.at);
      ASSERT_EQ(ahead.length, piece.length);
      ASSERT_LE(piece.length, most);
      if (piece.length == 0) break;
      for (uint64_t b = 0; b < piece.length; ++b) given.push_back(piece.at + b);
    }
    ASSERT_EQ(given, naive(built)) << "seed " << seed;
    ASSERT_EQ(walk.bytes_given(), given.size()) << "seed " << seed;
  }
}

TEST(Gather, RowsThatTouchAreOnePiece) {
  Built built;
  built.runs.push_back({64, 16, 1, 0});
  built.levels.push_back({{16, 4}});
  built.finish();
  GatherWalk walk;
  walk.begin(&built.view);
  const auto piece = walk.next(1000);
  EXPECT_EQ(piece.at, 64u);
  EXPECT_EQ(piece.length, 64u);
  EXPECT_EQ(walk.next(1000).length, 0u);
}

}  // namespace
}  // namespace weft::broker
