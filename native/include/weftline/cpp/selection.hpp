// Which bytes of an event's data are wanted: made once, applied to any number of events. The selected bytes arrive one
// after another, without what lies between them.
#ifndef WEFTLINE_CPP_SELECTION_HPP
#define WEFTLINE_CPP_SELECTION_HPP

#include <array>
#include <span>
#include <utility>
#include <vector>

#include "status.hpp"

namespace weftline {

class selection {
 public:
  // All of the data.
  selection() = default;
  static selection all() { return {}; }
  // Bytes `start` up to, without, `end`; nothing if end <= start.
  static selection range(uint64_t start, uint64_t end) {
    const std::pair<uint64_t, uint64_t> one{start, end};
    return ranges(std::span(&one, 1));
  }
  // Several ranges, joined in this order; at most 1,024.
  static selection ranges(std::span<const std::pair<uint64_t, uint64_t>> list) {
    selection made(kind::runs);
    for (const auto& [start, end] : list) {
      if (end > start) made.runs_.push_back({start, end - start, 0, nullptr});
    }
    return made;
  }
  // `count` pieces of `length` bytes, each `stride` bytes behind the one before, the first at `start`.
  static selection strided(uint64_t start, uint64_t length, uint64_t stride, uint64_t count) {
    selection made(kind::runs);
    if (length == 0 || count == 0) return made;
    made.levels_.push_back({stride, count});
    made.runs_.push_back({start, length, 1, nullptr});
    made.link();
    return made;
  }
  // A box of an n-dimensional array in C order (the last dimension is contiguous); sizes in items of item_bytes.
  // WEFT_SELECTION_OUTSIDE if it does not lie in the shape; WEFT_INVALID_ARGUMENT for lists of different lengths.
  static result<selection> box(std::span<const uint64_t> shape, std::span<const uint64_t> origin,
                               std::span<const uint64_t> size, uint64_t item_bytes) {
    if (shape.empty() || origin.size() != shape.size() || size.size() != shape.size()) {
      return status(
          WEFT_INVALID_ARGUMENT,
          "WEFT_INVALID_ARGUMENT: shape, origin and size of the box differ in their dimensions; give as many");
    }
    selection made(kind::runs);
    made.levels_.resize(shape.size() - 1);
    made.runs_.resize(1);
    status checked(weft_box(static_cast<uint32_t>(shape.size()), shape.data(), origin.data(), size.data(), item_bytes,
                            made.runs_.data(), made.levels_.data()));
    if (!checked.ok()) return checked;
    made.link();
    return made;
  }
  template <size_t N>
  static result<selection> box(const std::array<uint64_t, N>& shape, const std::array<uint64_t, N>& origin,
                               const std::array<uint64_t, N>& size, uint64_t item_bytes) {
    return box(std::span<const uint64_t>(shape), std::span<const uint64_t>(origin), std::span<const uint64_t>(size),
               item_bytes);
  }

  // What `inner` selects among the bytes of this one, counted along them: a column of a box, every second of the
  // ranges. WEFT_SELECTION_OUTSIDE if it reaches beyond them; WEFT_LIMIT if that needs more runs than a selection can
  // have.
  result<selection> narrow(const selection& inner) const {
    if (inner.is_all()) return selection(*this);
    if (is_all()) return selection(inner);
    uint32_t count = runs_max;
    selection made(kind::runs);
    made.runs_.resize(count);
    made.levels_.resize(size_t{count} * levels_max);
    status checked(weft_narrow(runs_.data(), static_cast<uint32_t>(runs_.size()), inner.runs_.data(),
                               static_cast<uint32_t>(inner.runs_.size()), made.runs_.data(), &count,
                               made.levels_.data()));
    if (!checked.ok()) return checked;
    made.runs_.resize(count);
    std::vector<weft_run_level> used;
    for (const weft_run& run : made.runs_) used.insert(used.end(), run.levels, run.levels + run.level_count);
    made.levels_ = std::move(used);
    made.link();
    return made;
  }

  selection(const selection& other) : kind_(other.kind_), runs_(other.runs_), levels_(other.levels_) { link(); }
  selection(selection&&) noexcept = default;
  selection& operator=(const selection& other) {
    selection copied(other);
    return *this = std::move(copied);
  }
  selection& operator=(selection&&) noexcept = default;
  ~selection() = default;

  bool is_all() const { return kind_ == kind::all; }
  // Of an event with so much data.
  uint64_t bytes(uint64_t data_length) const {
    if (is_all()) return data_length;
    uint64_t sum = 0;
    for (const weft_run& run : runs_) {
      uint64_t product = run.length;
      for (uint32_t level = 0; level < run.level_count; ++level) product *= run.levels[level].count;
      sum += product;
    }
    return sum;
  }
  // Empty for all().
  std::span<const weft_run> runs() const { return runs_; }

 private:
  enum class kind { all, runs };
  static constexpr uint32_t runs_max = 1024;
  static constexpr uint32_t levels_max = 8;
  explicit selection(kind is) : kind_(is) {}
  // The runs' levels lie in order in levels_, whose address changes with a copy.
  void link() {
    const weft_run_level* next = levels_.data();
    for (weft_run& run : runs_) {
      run.levels = next;
      next += run.level_count;
    }
  }
  kind kind_ = kind::all;
  std::vector<weft_run> runs_;
  std::vector<weft_run_level> levels_;
};

}  // namespace weftline

#endif
