#include "fabric/provider_list.h"

#include <dlfcn.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>

#include <algorithm>

#include "fabric/libfabric_library.h"

namespace weft::fabric {

namespace {
constexpr size_t kDomainsMax = 16;

void add_once(std::vector<std::string>& list, const char* text) {
  if (text != nullptr && std::find(list.begin(), list.end(), text) == list.end()) list.emplace_back(text);
}

const char* endpoint_name(fi_ep_type type) {
  switch (type) {
    case FI_EP_RDM:
      return "RDM";
    case FI_EP_MSG:
      return "MSG";
    case FI_EP_DGRAM:
      return "DGRAM";
    default:
      return "other";
  }
}

void add(std::vector<ProviderFacts>& providers, const fi_info& info) {
  if (info.fabric_attr == nullptr || info.fabric_attr->prov_name == nullptr || info.ep_attr == nullptr) return;
  const std::string name = info.fabric_attr->prov_name;
  auto found = std::find_if(providers.begin(), providers.end(), [&](const auto& one) { return one.name == name; });
  if (found == providers.end()) {
    providers.push_back({name, {}, {}});
    found = providers.end() - 1;
  }
  add_once(found->endpoints, endpoint_name(info.ep_attr->type));
  if (info.domain_attr != nullptr && found->domains.size() < kDomainsMax) {
    add_once(found->domains, info.domain_attr->name);
  }
  if (info.ep_attr->type != FI_EP_RDM) return;
  found->messages |= (info.caps & FI_MSG) != 0;
  found->rma |= (info.caps & FI_RMA) != 0;
  found->usable |= (info.caps & FI_MSG) != 0 && (info.caps & FI_RMA) != 0;
}
}  // namespace

Result<LibfabricFacts> list_providers() {
  Result<const LibfabricLibrary*> loaded = LibfabricLibrary::load();
  WEFT_RETURN_IF_ERROR(loaded.status());
  const LibfabricLibrary& library = *loaded.value();
  LibfabricFacts facts;
  const uint32_t version = library.version();
  facts.version = join_text(static_cast<uint32_t>(FI_MAJOR(version)), ".", static_cast<uint32_t>(FI_MINOR(version)));
  Dl_info where{};
  if (dladdr(reinterpret_cast<void*>(library.getinfo), &where) != 0 && where.dli_fname != nullptr) {
    facts.path = where.dli_fname;
  }
  const SignalGuard guard;
  fi_info* list = nullptr;
  const int error = library.getinfo(FI_VERSION(1, 15), nullptr, nullptr, 0, nullptr, &list);
  if (error != 0) {
    return Status(Code::FABRIC, join_text("listing libfabric's providers: ", library.error_text(error),
                                          "; look at FI_PROVIDER, which limits them, and at `fi_info`"));
  }
  const std::unique_ptr<fi_info, decltype(&::fi_freeinfo)> owned(list, library.freeinfo);
  for (const fi_info* info = list; info != nullptr; info = info->next) add(facts.providers, *info);
  return facts;
}

}  // namespace weft::fabric
