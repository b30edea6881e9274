// Reads and writes. A write completes only when the bytes are in the target's memory (FI_DELIVERY_COMPLETE); without
// that flag a completion means that they were buffered.
#include <new>

#include "fabric/libfabric_endpoint.h"

namespace weft::fabric {

Outcome LibfabricTransport::submit(Operation* operation) {
  auto* link = static_cast<LibfabricLink*>(operation->link);
  auto* context = new (operation->context) OperationContext;
  context->context.kind = ContextKind::kOperation;
  context->operation = operation;
  const auto* local = static_cast<const LibfabricRegistration*>(operation->local_registration);
  void* descriptor = local != nullptr ? local->descriptor : nullptr;
  const uint64_t remote = operation->remote.address + operation->remote_at;
  ssize_t error = 0;
  if (operation->is_write) {
    const iovec piece{operation->local, operation->length};
    const fi_rma_iov target{remote, operation->length, operation->remote.key};
    fi_msg_rma message{};
    message.msg_iov = &piece;
    message.desc = &descriptor;
    message.iov_count = 1;
    message.addr = link->address;
    message.rma_iov = &target;
    message.rma_iov_count = 1;
    message.context = context;
    error = fi_writemsg(endpoint_, &message, FI_DELIVERY_COMPLETE | FI_COMPLETION);
  } else {
    error = fi_read(endpoint_, operation->local, operation->length, descriptor, link->address, remote,
                    operation->remote.key, context);
  }
  if (error == -FI_EAGAIN) return Outcome::kAgain;
  if (error != 0) return fail_link(operation->is_write ? "writing" : "reading", error);
  context->next = operations_;
  if (operations_ != nullptr) operations_->previous = context;
  operations_ = context;
  under_way_++;
  link->under_way++;
  return Outcome::kTaken;
}

void LibfabricTransport::finish_operation(OperationContext* context, const Status& status) {
  (context->previous ? context->previous->next : operations_) = context->next;
  if (context->next != nullptr) context->next->previous = context->previous;
  Operation* operation = context->operation;
  auto* link = static_cast<LibfabricLink*>(operation->link);
  under_way_--;
  events_->on_operation_done(*this, operation, status);
  let_go(link);
}

}  // namespace weft::fabric
