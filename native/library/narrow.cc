// A selection out of a selection: exact, by mapping contiguous pieces; what comes out is folded again into runs with
// levels, as boxes and strides make them. Any thread; no I/O.
#include <algorithm>
#include <vector>

#include "library/errors.h"
#include "wire/messages.h"

using weft::Code;
using weft::join_text;
using weft::Status;

namespace {
constexpr size_t kPiecesMax = 1'000'000;

struct Piece {
  uint64_t start;
  uint64_t length;
};
struct FoldedRun {
  uint64_t start;
  uint64_t length;
  std::vector<weft_run_level> levels;
};

Status too_many_pieces() {
  return Status(Code::LIMIT, join_text("a selection out of a selection with more than ", kPiecesMax,
                                       " contiguous pieces; fetch it in parts, or select more and choose from that"));
}

Status append(std::vector<Piece>& pieces, uint64_t start, uint64_t length) {
  if (!pieces.empty() && pieces.back().start + pieces.back().length == start) {
    pieces.back().length += length;
    return {};
  }
  if (pieces.size() == kPiecesMax) return too_many_pieces();
  pieces.push_back({start, length});
  return {};
}

Status check_run(const weft_run& run, const char* which) {
  if (run.level_count > weft::wire::kRunLevelsMax || (run.level_count > 0 && run.levels == nullptr)) {
    return Status(Code::INVALID_ARGUMENT, join_text("a run of the ", which, " selection has ", run.level_count,
                                                    " levels, at most ", weft::wire::kRunLevelsMax, " are possible"));
  }
  uint64_t end = 0;
  bool overflows = __builtin_add_overflow(run.start, run.length, &end);
  for (uint32_t level = 0; level < run.level_count; ++level) {
    if (run.levels[level].count == 0) continue;
    uint64_t reach = 0;
    overflows |= __builtin_mul_overflow(run.levels[level].stride, run.levels[level].count - 1, &reach);
    overflows |= __builtin_add_overflow(end, reach, &end);
  }
  if (!overflows) return {};
  return Status(Code::INVALID_ARGUMENT, join_text("the end of the ", which, " selection overflows 64 bits"));
}

// Contiguous pieces of a selection, in order; neighbours are one.
Status pieces_of(const weft_run* runs, uint32_t count, const char* which, std::vector<Piece>* pieces) {
  for (uint32_t i = 0; i < count; ++i) {
    const weft_run& run = runs[i];
    WEFT_RETURN_IF_ERROR(check_run(run, which));
    bool is_more = run.length > 0;
    for (uint32_t level = 0; level < run.level_count; ++level) is_more = is_more && run.levels[level].count > 0;
    uint64_t index[weft::wire::kRunLevelsMax] = {};
    while (is_more) {
      uint64_t at = run.start;
      for (uint32_t level = 0; level < run.level_count; ++level) at += run.levels[level].stride * index[level];
      WEFT_RETURN_IF_ERROR(append(*pieces, at, run.length));
      is_more = false;
      for (uint32_t level = 0; level < run.level_count && !is_more; ++level) {
        is_more = ++index[level] < run.levels[level].count;
        if (!is_more) index[level] = 0;
      }
    }
  }
  return {};
}

// The pieces of the data that `inner` means, whose bytes are counted along those of `outer`.
Status map_pieces(const std::vector<Piece>& outer, const std::vector<Piece>& inner, std::vector<Piece>* mapped) {
  std::vector<uint64_t> ends;
  ends.reserve(outer.size());
  uint64_t bytes = 0;
  for (const Piece& piece : outer) ends.push_back(bytes += piece.length);
  for (const Piece& piece : inner) {
    if (piece.start > bytes || piece.length > bytes - piece.start) {
      return Status(Code::SELECTION_OUTSIDE, join_text("the inner selection reaches byte ", piece.start + piece.length,
                                                       " of a selection of ", bytes, " bytes"));
    }
    uint64_t at = piece.start;
    uint64_t left = piece.length;
    auto index = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), at) - ends.begin());
    for (; left > 0; ++index) {
      const Piece& from = outer[index];
      const uint64_t skipped = at - (ends[index] - from.length);
      const uint64_t taken = std::min(left, from.length - skipped);
      WEFT_RETURN_IF_ERROR(append(*mapped, from.start + skipped, taken));
      at += taken;
      left -= taken;
    }
  }
  return {};
}

bool is_shifted(const FoldedRun& run, const FoldedRun& other, uint64_t by) {
  if (other.start != run.start + by || other.length != run.length || other.levels.size() != run.levels.size())
    return false;
  return std::equal(run.levels.begin(), run.levels.end(), other.levels.begin(),
                    [](const weft_run_level& one, const weft_run_level& two) {
                      return one.stride == two.stride && one.count == two.count;
                    });
}

// Runs of one shape at equal distances become one with another level.
std::vector<FoldedRun> fold_once(const std::vector<FoldedRun>& runs) {
  std::vector<FoldedRun> folded;
  for (size_t first = 0; first < runs.size();) {
    FoldedRun run = runs[first];
    const bool grows = first + 1 < runs.size() && runs[first + 1].start > run.start;
    const uint64_t stride = grows ? runs[first + 1].start - run.start : 0;
    size_t count = 1;
    while (grows && first + count < runs.size() && is_shifted(run, runs[first + count], stride * count)) ++count;
    if (count > 1) run.levels.push_back({stride, count});
    folded.push_back(std::move(run));
    first += count;
  }
  return folded;
}

std::vector<FoldedRun> fold(const std::vector<Piece>& pieces) {
  std::vector<FoldedRun> runs;
  runs.reserve(pieces.size());
  for (const Piece& piece : pieces) runs.push_back({piece.start, piece.length, {}});
  for (uint32_t level = 0; level < weft::wire::kRunLevelsMax; ++level) {
    std::vector<FoldedRun> folded = fold_once(runs);
    if (folded.size() == runs.size()) break;
    runs = std::move(folded);
  }
  return runs;
}

Status narrow(const weft_run* outer, uint32_t outer_count, const weft_run* inner, uint32_t inner_count, weft_run* runs,
              uint32_t* run_count, weft_run_level* levels) {
  std::vector<Piece> outer_pieces;
  std::vector<Piece> inner_pieces;
  std::vector<Piece> mapped;
  WEFT_RETURN_IF_ERROR(pieces_of(outer, outer_count, "outer", &outer_pieces));
  WEFT_RETURN_IF_ERROR(pieces_of(inner, inner_count, "inner", &inner_pieces));
  WEFT_RETURN_IF_ERROR(map_pieces(outer_pieces, inner_pieces, &mapped));
  const std::vector<FoldedRun> folded = fold(mapped);
  const uint32_t room = std::min(*run_count, weft::wire::kRunsMax);
  if (folded.size() > room) {
    return Status(Code::LIMIT,
                  join_text("the selection out of a selection has ", folded.size(), " runs, and there is room for ",
                            room, "; fetch it in parts, or select more and choose from that"));
  }
  *run_count = static_cast<uint32_t>(folded.size());
  for (const FoldedRun& run : folded) {
    *runs++ = {run.start, run.length, static_cast<uint32_t>(run.levels.size()), levels};
    levels = std::copy(run.levels.begin(), run.levels.end(), levels);
  }
  return {};
}
}  // namespace

extern "C" int weft_narrow(const weft_run* outer, uint32_t outer_count, const weft_run* inner, uint32_t inner_count,
                           weft_run* runs, uint32_t* run_count, weft_run_level* levels) try {
  if (outer_count > 0) WEFT_CHECK_ARGUMENT(outer);
  if (inner_count > 0) WEFT_CHECK_ARGUMENT(inner);
  WEFT_CHECK_ARGUMENT(run_count);
  if (*run_count > 0) WEFT_CHECK_ARGUMENT(runs);
  if (*run_count > 0) WEFT_CHECK_ARGUMENT(levels);
  return weft::library::report(narrow(outer, outer_count, inner, inner_count, runs, run_count, levels));
}
WEFT_CATCH
