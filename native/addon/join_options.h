// The options of joining, attaching, probing, out of a JavaScript object.
#pragma once

#include <string>

#include "call.h"

namespace weft::addon {

struct JoinOptions {
  weft_join_options options = WEFT_JOIN_OPTIONS_DEFAULT;
  std::string role, name, group, transports, bind_address;
  JoinOptions() = default;
  JoinOptions(const JoinOptions&) = delete;  // options point into the strings
  JoinOptions& operator=(const JoinOptions&) = delete;
};

inline void read_join_options(Call& call, size_t index, JoinOptions& into) {
  Napi::Object object = call.object(index);
  call.member(object, "echo", into.options.echo);
  call.member(object, "role", into.role, into.options.role);
  call.member(object, "name", into.name, into.options.name);
  call.member(object, "group", into.group, into.options.group);
  call.member(object, "transports", into.transports, into.options.transports);
  call.member(object, "bindAddress", into.bind_address, into.options.bind_address);
  call.member(object, "timeoutMs", into.options.timeout_ms);
  call.member(object, "deliveryTimeoutMs", into.options.delivery_timeout_ms);
  call.member(object, "slotsExpected", into.options.slots_expected);
}

}  // namespace weft::addon
