#include "fabric/libfabric_endpoint.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "fabric/left_over_files.h"
#include "fabric/locality.h"
#include "fabric/tcp_listener.h"

namespace weft::fabric {

namespace {
constexpr uint32_t kApiVersion = FI_VERSION(1, 15);
constexpr uint64_t kOperationBytesMax = uint64_t{1} << 20;
constexpr size_t kCompletionsMax = 4096;
}  // namespace

Result<std::unique_ptr<Transport>> open_libfabric_transport(const std::string& name, const LaneOptions& options,
                                                            const LaneToken& token) {
  auto transport = std::make_unique<LibfabricTransport>(name, options, token);
  WEFT_RETURN_IF_ERROR(transport->open());
  return std::unique_ptr<Transport>(std::move(transport));
}

LibfabricTransport::LibfabricTransport(std::string name, const LaneOptions& options, const LaneToken& token)
    : name_(std::move(name)), options_(options), token_(token), quirks_(quirks_of(name_)) {}

LibfabricTransport::~LibfabricTransport() { close(); }

Status LibfabricTransport::fail(const char* what, int64_t error) const {
  return Status(Code::FABRIC, join_text(name_, ": ", what, ": ", library_->error_text(error)));
}

Status LibfabricTransport::open() {
  Result<const LibfabricLibrary*> library = LibfabricLibrary::load();
  WEFT_RETURN_IF_ERROR(library.status());
  library_ = library.value();
  // Opening shm installs signal handlers.
  const SignalGuard guard;
  const Status opened = open_objects();
  // Without the job's VNI a NIC refuses, or lets only this step's processes talk: that is mended in the launch.
  if (opened.ok() || slingshot_.device.empty() || slingshot_.reaches_job) return opened;
  return Status(opened.code(), join_text(opened.message(), "; ", slingshot_.reason, "; ", slingshot_advice()));
}

Status LibfabricTransport::open_objects() {
  WEFT_RETURN_IF_ERROR(find_provider());
  int error = library_->fabric(info_->fabric_attr, &fabric_, nullptr);
  if (error != 0) return fail("opening the fabric", error);
  error = fi_domain(fabric_, info_, &domain_, nullptr);
  if (error != 0) return fail("opening the domain", error);
  WEFT_RETURN_IF_ERROR(open_queue());
  const Status opened = open_endpoint();
  if (opened.ok() || options_.bind_address.empty()) return opened;
  return opened.with_context(join_text("with bind_address ", options_.bind_address));
}

LibfabricTransport::Hints LibfabricTransport::make_hints() const {
  Hints hints(library_->dupinfo(nullptr), library_->freeinfo);
  WEFT_ASSERT(hints != nullptr);
  hints->caps = FI_MSG | FI_RMA;
  if (quirks_.multi_receive) hints->caps |= FI_MULTI_RECV;
  hints->mode = FI_CONTEXT | FI_CONTEXT2;
  hints->ep_attr->type = FI_EP_RDM;
  // What we can live with; the provider answers with what it wants.
  hints->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY | FI_MR_ENDPOINT;
  hints->domain_attr->threading = FI_THREAD_SAFE;
  hints->tx_attr->msg_order = FI_ORDER_SAS;
  hints->rx_attr->msg_order = FI_ORDER_SAS;
  hints->fabric_attr->prov_name = strdup(quirks_.provider ? quirks_.provider : name_.c_str());  // freed with the hints
  WEFT_ASSERT(hints->fabric_attr->prov_name != nullptr);
  return hints;
}

// The NIC near this process, and the key of the whole job where there is one; libfabric would take its first NIC and
// the key of this step.
Status LibfabricTransport::choose_device(fi_info* hints) {
  Result<SlingshotChoice> choice = choose_slingshot(slingshot_variables(), devices_of_class("cxi", own_numa_node()));
  WEFT_RETURN_IF_ERROR(choice.status());
  slingshot_ = choice.take();
  if (slingshot_.device.empty()) return {};
  hints->domain_attr->name = strdup(slingshot_.device.c_str());
  WEFT_ASSERT(hints->domain_attr->name != nullptr);
  if (!slingshot_.has_key) return {};
  hints->domain_attr->auth_key = static_cast<uint8_t*>(std::malloc(sizeof slingshot_.key));  // freed with the hints
  WEFT_ASSERT(hints->domain_attr->auth_key != nullptr);
  std::memcpy(hints->domain_attr->auth_key, &slingshot_.key, sizeof slingshot_.key);
  hints->domain_attr->auth_key_size = sizeof slingshot_.key;
  return {};
}

Status LibfabricTransport::find_provider() {
  const Hints hints = make_hints();
  if (quirks_.slingshot) WEFT_RETURN_IF_ERROR(choose_device(hints.get()));
  const char* node = nullptr;
  uint64_t flags = 0;
  std::string own_name;
  if (quirks_.same_host_only) {
    remove_left_over_files();
    own_name = left_over_file_name(token_.words[0]);
    node = own_name.c_str();
    flags = FI_SOURCE;
  } else if (!options_.bind_address.empty()) {
    node = options_.bind_address.c_str();
    flags = FI_SOURCE;
  }
  const int error = library_->getinfo(kApiVersion, node, nullptr, flags, hints.get(), &info_);
  if (error != 0) {
    return fail(options_.bind_address.empty() ? "looking for the provider" : "looking for the provider at bind_address",
                error);
  }
  wire_bytes_max_ = wire_length(options_.message_bytes_max);
  if (quirks_.message_bytes_max != 0) wire_bytes_max_ = std::min<uint64_t>(wire_bytes_max_, quirks_.message_bytes_max);
  wire_bytes_max_ = std::min<uint64_t>(wire_bytes_max_, info_->ep_attr->max_msg_size) & ~uint64_t{7};
  operation_bytes_max_ = std::min<uint64_t>(kOperationBytesMax, info_->ep_attr->max_msg_size);
  inject_bytes_max_ = info_->tx_attr->inject_size;
  if (wire_bytes_max_ < 4096 || operation_bytes_max_ == 0) {
    return Status(Code::FABRIC, join_text(name_, ": its longest message has ", info_->ep_attr->max_msg_size,
                                          " bytes; at least 4096 are needed"));
  }
  return {};
}

Status LibfabricTransport::open_queue() {
  fi_cq_attr attributes{};
  attributes.size = std::min<size_t>(kCompletionsMax, info_->domain_attr->cq_cnt ? kCompletionsMax : 1024);
  attributes.format = FI_CQ_FORMAT_DATA;
  attributes.wait_obj = FI_WAIT_FD;
  int error = fi_cq_open(domain_, &attributes, &cq_, nullptr);
  if (error == 0) {
    error = fi_control(&cq_->fid, FI_GETWAIT, &cq_descriptor_);
    if (error == 0) return {};
    return fail("asking for the completion queue's descriptor", error);
  }
  // No wait object (shm): polled.
  cq_descriptor_ = -1;
  attributes.wait_obj = FI_WAIT_NONE;
  error = fi_cq_open(domain_, &attributes, &cq_, nullptr);
  return error == 0 ? Status() : fail("opening the completion queue", error);
}

Status LibfabricTransport::open_endpoint() {
  fi_av_attr av_attributes{};
  av_attributes.type = info_->domain_attr->av_type == FI_AV_UNSPEC ? FI_AV_TABLE : info_->domain_attr->av_type;
  int error = fi_av_open(domain_, &av_attributes, &av_, nullptr);
  if (error != 0) return fail("opening the address vector", error);
  error = fi_endpoint(domain_, info_, &endpoint_, nullptr);
  if (error != 0) return fail("opening the endpoint", error);
  error = fi_ep_bind(endpoint_, &av_->fid, 0);
  if (error == 0) error = fi_ep_bind(endpoint_, &cq_->fid, FI_TRANSMIT | FI_RECV);
  if (error != 0) return fail("binding the endpoint", error);
  error = fi_enable(endpoint_);
  if (error != 0) return fail("enabling the endpoint", error);
  if (quirks_.multi_receive) {
    size_t least = wire_bytes_max_;
    error = fi_setopt(&endpoint_->fid, FI_OPT_ENDPOINT, FI_OPT_MIN_MULTI_RECV, &least, sizeof least);
    if (error != 0) return fail("setting the least room of a multi-receive buffer", error);
  }
  char name[512];
  size_t length = sizeof name;
  error = fi_getname(&endpoint_->fid, name, &length);
  if (error != 0) return fail("asking for the endpoint's address", error);
  address_.assign(name, std::min(length, sizeof name));
  const bool limited = !quirks_.listens_on_tcp || limit_tcp_listener(address_, options_.peer_timeout_ms);
  char text[256];
  size_t text_length = sizeof text;
  const char* shown = fi_av_straddr(av_, name, text, &text_length);
  description_ = join_text(name_, ": ", info_->fabric_attr->prov_name, " of libfabric ",
                           static_cast<uint32_t>(FI_MAJOR(library_->version())), ".",
                           static_cast<uint32_t>(FI_MINOR(library_->version())), " on ", info_->domain_attr->name,
                           " at ", shown != nullptr ? shown : "?", slingshot_.reason.empty() ? "" : ", ",
                           slingshot_.reason, cq_descriptor_ >= 0 ? ", wakes by descriptor" : ", polled",
                           limited ? "" : ", listener without limits: /proc/self/fd cannot be read");
  return post_receives();
}

Status LibfabricTransport::start(TransportEvents* events, Watcher* watcher) {
  events_ = events;
  watcher_ = watcher;
  if (cq_descriptor_ < 0) return {};
  Result<uint64_t> number = watcher->watch(cq_descriptor_, this);
  if (number.ok()) watch_number_ = number.value();
  return number.status();
}

Status LibfabricTransport::can_reach(const LaneAddress& address) {
  const AddressEntry* entry = address.find(name_);
  if (entry == nullptr) return Status(Code::UNSUPPORTED, "the other lane does not have it");
  if (!quirks_.same_host_only) {
    if (entry->bytes.size() != address_.size()) return Status(Code::UNSUPPORTED, "its address is of another kind");
    return {};
  }
  if (!claims_same_host(address.host) || address.host.shm_device != own_identity().shm_device) {
    return Status(Code::UNSUPPORTED, "it is on another host, in another container or of another user");
  }
  if (address.host.pid == own_identity().pid) {
    return Status(Code::UNSUPPORTED, "two endpoints of libfabric's shm in one process crash (1.17.0)");
  }
  const int error = prove_same_host(address.host);
  if (error == 0) return {};
  return Status(Code::UNSUPPORTED, join_text("its memory cannot be read (process_vm_readv: ", errno_text(error),
                                             "); look at kernel.yama.ptrace_scope"));
}

Result<Link*> LibfabricTransport::open_link(const LaneAddress& address) {
  const AddressEntry* entry = address.find(name_);
  WEFT_ASSERT(entry != nullptr);
  auto link = std::make_unique<LibfabricLink>();
  // libfabric's shm opens the other's file here, and may install handlers. No other does: an application may be
  // installing its own meanwhile.
  std::optional<SignalGuard> guard;
  if (quirks_.same_host_only) guard.emplace();
  const int inserted = fi_av_insert(av_, entry->bytes.data(), 1, &link->address, 0, nullptr);
  if (inserted != 1) return fail("inserting the address", inserted < 0 ? inserted : FI_EINVAL);
  link->place = links_.size();
  links_.push_back(std::move(link));
  return static_cast<Link*>(links_.back().get());
}

void LibfabricTransport::close_link(Link* link) {
  auto* closing = static_cast<LibfabricLink*>(link);
  closing->closed = true;
  closing->peer = 0;
  closing->under_way++;
  let_go(closing);
}

// One holder less; the last one of a closed link frees it.
void LibfabricTransport::let_go(LibfabricLink* link) {
  link->under_way--;
  if (!link->closed || link->under_way != 0) return;
  // Its result does not matter: the address is not used again, at worst its entry stays.
  if (av_ != nullptr) static_cast<void>(fi_av_remove(av_, &link->address, 1, 0));
  const size_t place = link->place;
  WEFT_ASSERT(links_[place].get() == link);
  std::swap(links_[place], links_.back());
  links_[place]->place = place;
  links_.pop_back();
}

bool LibfabricTransport::prepare_sleep() {
  if (cq_descriptor_ < 0) return true;
  fid* waited = &cq_->fid;
  errno = 0;  // as before fi_cq_read
  return fi_trywait(fabric_, &waited, 1) == 0;
}

void LibfabricTransport::close() {
  if (closing_) return;
  closing_ = true;
  const auto close_object = [this](auto*& object) {
    if (object == nullptr) return;
    const int error = fi_close(&object->fid);
    if (error != 0) TransportCounts::add(counts.errors, 1);
    object = nullptr;
  };
  if (watch_number_ != 0) watcher_->unwatch(watch_number_);
  close_object(endpoint_);
  // The endpoint is gone: nothing of the provider touches these any more.
  while (operations_ != nullptr) finish_operation(operations_, Status(Code::CLOSED, "the lane was closed"));
  receives_.clear();
  sends_.clear();
  close_object(cq_);
  close_object(av_);
  close_object(domain_);
  close_object(fabric_);
  if (info_ != nullptr) library_->freeinfo(info_);
  info_ = nullptr;
}

}  // namespace weft::fabric
