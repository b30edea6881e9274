// Registration with a libfabric provider, for the union of the modes that providers ask for.
#include "base/random.h"
#include "fabric/libfabric_endpoint.h"

namespace weft::fabric {

namespace {
constexpr int kKeyAttemptsMax = 8;
}

LibfabricRegistration::~LibfabricRegistration() {
  if (region == nullptr) return;
  const int error = fi_close(&region->fid);
  // Only a provider's fault could make it fail, and then the memory stays registered: say so loudly in tests.
  WEFT_ASSERT(error == 0);
}

Result<std::unique_ptr<Registration>> LibfabricTransport::register_memory(void* memory, uint64_t length,
                                                                          uint32_t access) {
  if (access == kLocalOnly && !wants(FI_MR_LOCAL)) return std::unique_ptr<Registration>();
  uint64_t rights = 0;
  if (wants(FI_MR_LOCAL)) rights |= FI_SEND | FI_RECV | FI_READ | FI_WRITE;
  if (access & kRemoteRead) rights |= FI_REMOTE_READ;
  if (access & kRemoteWrite) rights |= FI_REMOTE_WRITE;
  const size_t key_bytes = info_->domain_attr->mr_key_size;
  const uint64_t key_mask = key_bytes >= 8 ? ~uint64_t{0} : (uint64_t{1} << (key_bytes * 8)) - 1;
  auto registration = std::make_unique<LibfabricRegistration>();
  int error = 0;
  for (int attempt = 0; attempt < kKeyAttemptsMax; attempt++) {
    // Random: a key of a process that was here before must not open this memory. With FI_MR_PROV_KEY it is ignored.
    const uint64_t key = secure_random_u64() & key_mask;
    error = fi_mr_reg(domain_, memory, length, rights, 0, key, 0, &registration->region, nullptr);
    if (error != -FI_ENOKEY) break;
  }
  if (error != 0) {
    registration->region = nullptr;
    return Status(error == -FI_ENOMEM ? Code::OUT_OF_MEMORY : Code::FABRIC,
                  join_text("fi_mr_reg: ", library_->error_text(error),
                            error == -FI_ENOMEM ? "; look at the limit of locked memory (ulimit -l)" : ""));
  }
  if (wants(FI_MR_ENDPOINT)) {
    error = fi_mr_bind(registration->region, &endpoint_->fid, 0);
    if (error == 0) error = fi_mr_enable(registration->region);
    if (error != 0) return fail("binding memory to the endpoint", error);
  }
  registration->descriptor = fi_mr_desc(registration->region);
  registration->remote.key = fi_mr_key(registration->region);
  registration->remote.address = wants(FI_MR_VIRT_ADDR) ? reinterpret_cast<uint64_t>(memory) : 0;
  registration->remote.length = length;
  if (access != kLocalOnly && registration->remote.key == FI_KEY_NOTAVAIL) {
    return Status(Code::FABRIC, join_text(name_, " gave no key for registered memory"));
  }
  return std::unique_ptr<Registration>(std::move(registration));
}

Result<std::unique_ptr<Registration>> LibfabricTransport::register_local(void* memory, uint64_t length) {
  return register_memory(memory, length, kLocalOnly);
}

}  // namespace weft::fabric
