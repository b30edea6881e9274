// What libfabric offers on this host, provider by provider, whether the fabric uses it or not. For `doctor`. Any
// thread.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace weft::fabric {

struct ProviderFacts {
  std::string name;                    // libfabric's: "tcp;ofi_rxm"
  std::vector<std::string> endpoints;  // "RDM", "MSG", "DGRAM"
  std::vector<std::string> domains;    // NICs and interfaces, at most 16
  bool messages = false;               // of its reliable endpoints (RDM)
  bool rma = false;
  bool usable = false;  // both: a transport can be made of it
};

struct LibfabricFacts {
  std::string version;  // "1.17"
  std::string path;     // of the file that was loaded
  std::vector<ProviderFacts> providers;
};

// WEFT_FABRIC where libfabric cannot be loaded, or offers nothing.
Result<LibfabricFacts> list_providers();

}  // namespace weft::fabric
