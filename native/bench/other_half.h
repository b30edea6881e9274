// What the programs that measure a lane between two processes share: the other process, forked, which says the address
// of its lane through a pipe and goes with its parent, however that ends. A failure ends the program with status 1.
#pragma once

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>

#include "fabric/fabric.h"
#include "process_cpu.h"

namespace weft::bench {

[[noreturn]] inline void stop(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}

inline std::unique_ptr<fabric::Lane> open_lane(const std::string& transport) {
  fabric::LaneOptions options;
  options.transports = {transport};
  auto lane = fabric::Lane::open(options);
  if (!lane.ok()) stop(lane.status().text());
  return lane.take();
}

inline void start_lane(fabric::Lane& lane) {
  const Status started = lane.start();
  if (!started.ok()) stop(started.text());
}

inline void send_message(fabric::Lane& lane, fabric::PeerId peer, std::span<const std::byte> bytes) {
  const Status sent = lane.send(peer, {&bytes, 1});
  if (!sent.ok()) stop(sent.text());
}

class OtherHalf {
 public:
  // `open` runs in the other process: it starts a lane and returns its address; the lane must live on.
  explicit OtherHalf(const std::function<std::string()>& open) {
    int pipe_ends[2];
    if (pipe(pipe_ends) != 0) stop("no pipe");
    pid_ = fork();
    if (pid_ < 0) stop("no process could be started");
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      close(pipe_ends[0]);
      const std::string address = open();
      if (write(pipe_ends[1], address.data(), address.size()) != static_cast<ssize_t>(address.size())) _exit(1);
      close(pipe_ends[1]);
      for (;;) pause();
    }
    close(pipe_ends[1]);
    char buffer[1024];
    for (ssize_t got = 0; (got = read(pipe_ends[0], buffer, sizeof buffer)) > 0;) {
      address_.append(buffer, static_cast<size_t>(got));
    }
    close(pipe_ends[0]);
    if (address_.empty()) stop("the other half ended before it said its address");
  }
  ~OtherHalf() {
    kill(pid_, SIGKILL);
    static_cast<void>(waitpid(pid_, nullptr, 0));
  }
  OtherHalf(const OtherHalf&) = delete;
  OtherHalf& operator=(const OtherHalf&) = delete;

  // Of this process and the other one, so far.
  double cpu_seconds_of_both() const { return process_cpu_seconds() + process_cpu_seconds(pid_); }
  std::span<const std::byte> address() const { return std::as_bytes(std::span(address_.data(), address_.size())); }

 private:
  pid_t pid_ = 0;
  std::string address_;
};

}  // namespace weft::bench
