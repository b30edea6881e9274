// A queue over a growing power-of-two array: no allocation once it is as large as it needs. One thread.
// ObjectPool: objects that keep their memory between uses. One thread.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "base/assert.h"

namespace weft::broker {

template <typename T>
class RingQueue {
 public:
  bool empty() const { return count_ == 0; }
  size_t size() const { return count_; }
  T& front() { return (*this)[0]; }
  T& back() { return (*this)[count_ - 1]; }
  T& operator[](size_t index) {
    WEFT_ASSERT(index < count_);
    return items_[(first_ + index) & (items_.size() - 1)];
  }
  void push_back(T item) {
    if (count_ == items_.size()) grow();
    items_[(first_ + count_) & (items_.size() - 1)] = std::move(item);
    ++count_;
  }
  T pop_front() {
    WEFT_ASSERT(count_ > 0);
    T item = std::move(items_[first_]);
    first_ = (first_ + 1) & (items_.size() - 1);
    --count_;
    return item;
  }
  T pop_back() {
    WEFT_ASSERT(count_ > 0);
    --count_;
    return std::move(items_[(first_ + count_) & (items_.size() - 1)]);
  }
  // Removes every item equal to `item`, keeping the order of the others.
  void remove(const T& item) {
    const size_t count = count_;
    for (size_t i = 0; i < count; ++i) {
      T candidate = pop_front();
      if (!(candidate == item)) push_back(std::move(candidate));
    }
  }

 private:
  void grow() {
    std::vector<T> larger(items_.empty() ? 8 : items_.size() * 2);
    for (size_t i = 0; i < count_; ++i) larger[i] = std::move((*this)[i]);
    items_ = std::move(larger);
    first_ = 0;
  }

  std::vector<T> items_;
  size_t first_ = 0;
  size_t count_ = 0;
};

// take() gives an object as the last user left it; the users reset what they need.
template <typename T>
class ObjectPool {
 public:
  T* take() {
    if (free_.empty()) {
      all_.push_back(std::make_unique<T>());
      return all_.back().get();
    }
    T* object = free_.back();
    free_.pop_back();
    return object;
  }
  void give(T* object) { free_.push_back(object); }
  size_t in_use() const { return all_.size() - free_.size(); }

 private:
  std::vector<std::unique_ptr<T>> all_;
  std::vector<T*> free_;
};

}  // namespace weft::broker
