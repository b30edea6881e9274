#include "library/selection.h"

#include "library/errors.h"
#include "wire/messages.h"

namespace weft::library {

namespace {
Status bad_selection(const weft_selection& selection, std::string_view why) {
  return Status(Code::INVALID_ARGUMENT, join_text("the selection of event ", selection.offset, " is not valid: ", why));
}

void append(std::string& out, const void* bytes, size_t length) { out.append(static_cast<const char*>(bytes), length); }
}  // namespace

Result<std::string> encode_selection(const weft_selection& selection, uint64_t destination_at, uint64_t* bytes) {
  if (selection.run_count > wire::kRunsMax)
    return bad_selection(selection, join_text("more than ", wire::kRunsMax, " runs; fetch it in parts"));
  if (selection.run_count > 0 && selection.runs == nullptr) return bad_selection(selection, "runs is NULL");
  std::string out;
  const wire::Selection head{selection.offset, destination_at, selection.run_count, 0};
  append(out, &head, sizeof head);
  *bytes = 0;
  for (uint32_t i = 0; i < selection.run_count; ++i) {
    const weft_run& run = selection.runs[i];
    if (run.level_count > wire::kRunLevelsMax)
      return bad_selection(selection, join_text("more than ", wire::kRunLevelsMax, " levels"));
    if (run.level_count > 0 && run.levels == nullptr) return bad_selection(selection, "levels is NULL");
    const wire::Run wire_run{run.start, run.length, run.level_count, 0};
    append(out, &wire_run, sizeof wire_run);
    uint64_t run_bytes = run.length;
    for (uint32_t level = 0; level < run.level_count; ++level) {
      const wire::RunLevel wire_level{run.levels[level].stride, run.levels[level].count};
      append(out, &wire_level, sizeof wire_level);
      if (__builtin_mul_overflow(run_bytes, wire_level.count, &run_bytes))
        return bad_selection(selection, "its size overflows 64 bits");
    }
    if (__builtin_add_overflow(*bytes, run_bytes, bytes)) return bad_selection(selection, "its size overflows 64 bits");
  }
  return out;
}

}  // namespace weft::library

using namespace weft::library;

extern "C" int weft_box(uint32_t dimensions, const uint64_t* shape, const uint64_t* origin, const uint64_t* box_size,
                        uint64_t item_bytes, weft_run* run, weft_run_level* levels) try {
  const auto bad = [](std::string why) {
    return report(weft::Code::SELECTION_OUTSIDE, weft::join_text("the box is not in its array: ", why));
  };
  if (dimensions == 0 || dimensions > weft::wire::kRunLevelsMax + 1) {
    return report(weft::Code::INVALID_ARGUMENT, weft::join_text("a box of ", dimensions, " dimensions; 1 to ",
                                                                weft::wire::kRunLevelsMax + 1, " are possible"));
  }
  if (shape == nullptr || origin == nullptr || box_size == nullptr || run == nullptr ||
      (levels == nullptr && dimensions > 1) || item_bytes == 0) {
    return report(weft::Code::INVALID_ARGUMENT, "an argument of the box is NULL, or item_bytes is 0");
  }
  uint64_t stride = item_bytes;  // bytes from one index of the dimension to the next
  uint64_t start = 0;
  *run = {0, 0, dimensions - 1, levels};
  for (uint32_t i = 0; i < dimensions; ++i) {
    const uint32_t dimension = dimensions - 1 - i;  // the last one is contiguous
    if (origin[dimension] > shape[dimension] || box_size[dimension] > shape[dimension] - origin[dimension]) {
      return bad(weft::join_text("dimension ", dimension, " has ", shape[dimension], " items, origin ",
                                 origin[dimension], " and size ", box_size[dimension]));
    }
    uint64_t offset = 0;
    if (__builtin_mul_overflow(origin[dimension], stride, &offset) || __builtin_add_overflow(start, offset, &start))
      return bad("it overflows 64 bits");
    if (i == 0) {
      if (__builtin_mul_overflow(box_size[dimension], item_bytes, &run->length)) return bad("it overflows 64 bits");
    } else {
      levels[i - 1] = {stride, box_size[dimension]};
    }
    if (__builtin_mul_overflow(stride, shape[dimension], &stride)) return bad("the array overflows 64 bits");
  }
  run->start = start;
  return WEFT_OK;
}
WEFT_CATCH
