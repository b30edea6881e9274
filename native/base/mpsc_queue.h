// An intrusive queue with many producers and one consumer: pushing allocates nothing and never blocks.
// push(): any thread. take_all() and the walk over what it returns: the consumer's thread only.
// Its bound is the number of nodes that exist: a node is in at most one queue, once, until it was taken.
#pragma once

#include <atomic>

namespace weft {

// Node needs a member `Node* next`, which belongs to the queue from push() until the consumer took the node.
template <typename Node>
class MpscQueue {
 public:
  MpscQueue() = default;
  MpscQueue(const MpscQueue&) = delete;
  MpscQueue& operator=(const MpscQueue&) = delete;

  void push(Node* node) {
    Node* head = head_.load(std::memory_order_relaxed);
    do {
      node->next = head;
      // seq_cst, not release: the doorbell reads "does the consumer sleep?" after this, and neither may pass the other.
    } while (!head_.compare_exchange_weak(head, node, std::memory_order_seq_cst, std::memory_order_relaxed));
  }

  // All that was pushed, oldest first, linked by `next`; nullptr when empty. Read `next` before a node is run: the
  // owner may push it again from inside.
  Node* take_all() {
    Node* newest_first = head_.exchange(nullptr, std::memory_order_acquire);
    Node* oldest_first = nullptr;
    while (newest_first != nullptr) {
      Node* next = newest_first->next;
      newest_first->next = oldest_first;
      oldest_first = newest_first;
      newest_first = next;
    }
    return oldest_first;
  }

  bool empty() const { return head_.load(std::memory_order_seq_cst) == nullptr; }

 private:
  std::atomic<Node*> head_{nullptr};
};

}  // namespace weft
