// The inside of the libfabric transport. Progress thread, except registration.
#pragma once

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>

#include <memory>
#include <vector>

#include "fabric/libfabric_library.h"
#include "fabric/libfabric_transport.h"
#include "fabric/quirks.h"
#include "fabric/slingshot.h"

namespace weft::fabric {

// What a completion points to. The provider may use the first bytes (FI_CONTEXT2).
enum class ContextKind : uint32_t { kReceive, kSend, kOperation };
struct Context {
  fi_context2 provider{};
  ContextKind kind = ContextKind::kReceive;
};

struct LibfabricLink final : Link {
  fi_addr_t address = FI_ADDR_UNSPEC;
  uint64_t under_way = 0;  // sends and operations that hold this link
  size_t place = 0;        // in the transport's list
  bool closed = false;
};

class LibfabricRegistration final : public Registration {
 public:
  ~LibfabricRegistration() override;
  fid_mr* region = nullptr;
  void* descriptor = nullptr;  // for local use, where the provider wants one
};

struct SendBuffer {
  Context context;
  LibfabricLink* link = nullptr;
  SendBuffer* next = nullptr;
  size_t size_class = 0;
  std::unique_ptr<std::byte[]> bytes;
  std::unique_ptr<Registration> registration;
};

struct ReceiveBuffer {
  Context context;
  std::byte* bytes = nullptr;  // 64-aligned
  uint64_t length = 0;
  std::unique_ptr<Registration> registration;
  bool posted = false;
  ~ReceiveBuffer();
};

// In Operation::context.
struct OperationContext {
  Context context;
  Operation* operation = nullptr;
  OperationContext* previous = nullptr;
  OperationContext* next = nullptr;
};
static_assert(sizeof(OperationContext) <= sizeof(Operation::context));

class LibfabricTransport final : public Transport, public EventSource {
 public:
  LibfabricTransport(std::string name, const LaneOptions& options, const LaneToken& token);
  ~LibfabricTransport() override;
  Status open();

  const std::string& name() const override { return name_; }
  const std::string& address() const override { return address_; }
  std::string describe() const override { return description_; }
  uint64_t body_bytes_max() const override { return wire_bytes_max_ - sizeof(LaneHeader); }
  uint64_t operation_bytes_max() const override { return operation_bytes_max_; }
  bool needs_heartbeats() const override { return true; }
  bool operations_prove_life() const override { return quirks_.operations_prove_life; }
  Result<std::unique_ptr<Registration>> register_memory(void* memory, uint64_t length, uint32_t access) override;

  Status start(TransportEvents* events, Watcher* watcher) override;
  Status can_reach(const LaneAddress& address) override;
  Result<Link*> open_link(const LaneAddress& address) override;
  void close_link(Link* link) override;
  Outcome send(Link* link, const LaneHeader& header, Pieces pieces) override;
  Outcome submit(Operation* operation) override;
  uint32_t progress() override;
  bool prepare_sleep() override;
  bool must_be_polled() const override { return cq_descriptor_ < 0; }
  uint64_t under_way() const override { return under_way_; }
  void close() override;
  // The descriptor only wakes the thread; progress() does the work.
  void on_event(uint32_t) override {}

 private:
  static constexpr size_t kSizeClasses = 3;

  Status fail(const char* what, int64_t error) const;
  using Hints = std::unique_ptr<fi_info, decltype(&::fi_freeinfo)>;
  Hints make_hints() const;
  Status choose_device(fi_info* hints);
  Status find_provider();
  Status open_objects();
  Status open_queue();
  Status open_endpoint();
  Status post_receives();
  int post_receive(ReceiveBuffer* buffer);
  bool wants(uint64_t mr_mode) const { return (static_cast<uint64_t>(info_->domain_attr->mr_mode) & mr_mode) != 0; }
  Result<std::unique_ptr<Registration>> register_local(void* memory, uint64_t length);

  SendBuffer* take_send_buffer(uint64_t length);
  void give_back(SendBuffer* buffer);
  void let_go(LibfabricLink* link);
  Outcome fail_link(const char* what, int64_t error);
  uint32_t handle_completion(const fi_cq_data_entry& entry);
  uint32_t handle_error();
  void on_queue_fault(ssize_t error);
  void finish_operation(OperationContext* context, const Status& status);

  const std::string name_;
  const LaneOptions options_;
  const LaneToken token_;
  const Quirks quirks_;
  const LibfabricLibrary* library_ = nullptr;
  std::string address_;
  std::string description_;
  SlingshotChoice slingshot_;
  uint64_t wire_bytes_max_ = 0;
  uint64_t operation_bytes_max_ = 0;
  uint64_t inject_bytes_max_ = 0;
  bool closing_ = false;
  uint32_t queue_faults_ = 0;
  TransportEvents* events_ = nullptr;
  Watcher* watcher_ = nullptr;
  uint64_t watch_number_ = 0;

  fi_info* info_ = nullptr;
  fid_fabric* fabric_ = nullptr;
  fid_domain* domain_ = nullptr;
  fid_cq* cq_ = nullptr;
  fid_av* av_ = nullptr;
  fid_ep* endpoint_ = nullptr;
  int cq_descriptor_ = -1;

  std::vector<std::unique_ptr<ReceiveBuffer>> receives_;
  std::vector<ReceiveBuffer*> unposted_;  // could not be posted yet
  std::vector<std::unique_ptr<SendBuffer>> sends_;
  SendBuffer* free_sends_[kSizeClasses] = {};
  uint64_t send_bytes_ = 0;
  OperationContext* operations_ = nullptr;  // under way
  std::vector<std::unique_ptr<LibfabricLink>> links_;
  uint64_t under_way_ = 0;
};

}  // namespace weft::fabric
