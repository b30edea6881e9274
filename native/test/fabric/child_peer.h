// Starts and ends a fabric_peer.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

namespace weft::fabric::test {

class ChildPeer {
 public:
  explicit ChildPeer(const std::string& transports, int peer_timeout_ms = 10'000) {
    int in[2];
    int out[2];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    const std::string timeout = std::to_string(peer_timeout_ms);
    pid_ = fork();
    if (pid_ < 0) throw std::runtime_error("fork");
    if (pid_ == 0) {
      dup2(in[0], STDIN_FILENO);
      dup2(out[1], STDOUT_FILENO);
      execl(FABRIC_PEER, "fabric_peer", transports.c_str(), timeout.c_str(), nullptr);
      _exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    stdin_ = in[1];
    std::string hex;
    char c = 0;
    while (read(out[0], &c, 1) == 1 && c != '\n') hex += c;
    ::close(out[0]);
    for (size_t i = 0; i + 1 < hex.size(); i += 2) {
      address_ += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    }
    if (address_.empty()) throw std::runtime_error("fabric_peer did not start");
  }
  ~ChildPeer() {
    if (pid_ > 0) kill(SIGKILL);
  }
  const std::string& address() const { return address_; }
  pid_t pid() const { return pid_; }
  void signal(int number) { ::kill(pid_, number); }
  void kill(int number) {
    ::kill(pid_, number);
    reap();
  }
  // Its exit status as from waitpid, after its input ended.
  int end() {
    ::close(stdin_);
    stdin_ = -1;
    return reap();
  }

 private:
  int reap() {
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    if (stdin_ >= 0) ::close(stdin_);
    stdin_ = -1;
    return status;
  }
  pid_t pid_ = -1;
  int stdin_ = -1;
  std::string address_;
};

}  // namespace weft::fabric::test
