// The limit for one event from JavaScript: a crossing JavaScript -> native thread -> JavaScript, nothing else. A module
// for Node, with the same means as the library: a thread that sleeps in epoll on a doorbell, and a thread-safe function
// that wakes JavaScript. No fabric, no batch, no completion queue.
//   start(onReturn): onReturn is called on the JavaScript thread once for each cross().
//   cross(): hands over to the thread.
//   stop(): ends the thread.
#define NAPI_VERSION 8
#include <node_api.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>

#include "base/doorbell.h"

namespace {

struct Crossing {
  std::unique_ptr<weft::Doorbell> doorbell;
  int epoll = -1;
  std::atomic<uint64_t> wanted{0};
  std::atomic<bool> ends{false};
  napi_threadsafe_function to_javascript = nullptr;
  std::thread thread;
};
Crossing crossing;  // one environment, one at a time: this is a measuring instrument

void check(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "crossing: %s failed\n", what);
  std::abort();
}

void run() {
  uint64_t answered = 0;
  while (!crossing.ends.load()) {
    if (crossing.wanted.load() == answered) {
      crossing.doorbell->begin_sleep();
      if (crossing.wanted.load() == answered && !crossing.ends.load()) {
        epoll_event event;
        static_cast<void>(epoll_wait(crossing.epoll, &event, 1, -1));
      }
      crossing.doorbell->end_sleep();
      continue;
    }
    answered++;
    check(napi_call_threadsafe_function(crossing.to_javascript, nullptr, napi_tsfn_nonblocking) == napi_ok,
          "napi_call_threadsafe_function");
  }
}

void call_back(napi_env env, napi_value callback, void*, void*) {
  if (env == nullptr) return;
  napi_value undefined = nullptr;
  check(napi_get_undefined(env, &undefined) == napi_ok, "napi_get_undefined");
  static_cast<void>(napi_call_function(env, undefined, callback, 0, nullptr, nullptr));
}

napi_value start(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value callback = nullptr;
  check(napi_get_cb_info(env, info, &count, &callback, nullptr, nullptr) == napi_ok && count == 1, "start(onReturn)");
  auto doorbell = weft::Doorbell::open();
  check(doorbell.ok(), "opening the doorbell");
  crossing.doorbell = doorbell.take();
  crossing.epoll = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  check(crossing.epoll >= 0 && epoll_ctl(crossing.epoll, EPOLL_CTL_ADD, crossing.doorbell->descriptor(), &event) == 0,
        "epoll");
  napi_value name = nullptr;
  check(napi_create_string_utf8(env, "crossing", NAPI_AUTO_LENGTH, &name) == napi_ok &&
            napi_create_threadsafe_function(env, callback, nullptr, name, 0, 1, nullptr, nullptr, nullptr, call_back,
                                            &crossing.to_javascript) == napi_ok,
        "napi_create_threadsafe_function");
  crossing.wanted.store(0);
  crossing.ends.store(false);
  crossing.thread = std::thread(run);
  return nullptr;
}

napi_value cross(napi_env, napi_callback_info) {
  crossing.wanted.fetch_add(1);
  crossing.doorbell->ring();
  return nullptr;
}

napi_value stop(napi_env, napi_callback_info) {
  crossing.ends.store(true);
  crossing.doorbell->ring();
  crossing.thread.join();
  static_cast<void>(napi_release_threadsafe_function(crossing.to_javascript, napi_tsfn_release));
  close(crossing.epoll);
  return nullptr;
}

napi_value export_all(napi_env env, napi_value exports) {
  const auto add = [&](const char* name, napi_callback function) {
    napi_value value = nullptr;
    check(napi_create_function(env, name, NAPI_AUTO_LENGTH, function, nullptr, &value) == napi_ok &&
              napi_set_named_property(env, exports, name, value) == napi_ok,
          name);
  };
  add("start", start);
  add("cross", cross);
  add("stop", stop);
  return exports;
}

}  // namespace

NAPI_MODULE(crossing, export_all)
