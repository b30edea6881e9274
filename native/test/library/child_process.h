// A program started by a test: its output goes to a file, its end is waited for with a deadline, and it never outlives
// the test. Waits look at a condition again and again, with a short nap between: the machine may have few cores.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

extern char** environ;

namespace weft_test {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// True once the condition holds; false when it did not within the limit.
inline bool until(const std::function<bool()>& condition, milliseconds limit = milliseconds(30'000)) {
  const auto deadline = Clock::now() + limit;
  while (!condition()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

inline std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class ChildProcess {
 public:
  ChildProcess(std::vector<std::string> arguments, std::string output_path)
      : arguments_(std::move(arguments)), output_path_(std::move(output_path)) {}
  ~ChildProcess() {
    if (pid_ > 0) kill_now();
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // `environment`: "NAME=value" in front of what this process has. Output is appended to what earlier lives wrote.
  void start(const std::vector<std::string>& environment = {}) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                     0600);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    std::vector<char*> pointers;
    for (std::string& argument : arguments_) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    std::vector<std::string> own = environment;
    std::vector<char*> variables;
    for (std::string& variable : own) variables.push_back(variable.data());
    for (char** variable = environ; *variable != nullptr; ++variable) {
      // Its reports would be written over this program's.
      if (std::string_view(*variable).rfind("GTEST_OUTPUT=", 0) != 0) variables.push_back(*variable);
    }
    variables.push_back(nullptr);
    const int error = posix_spawnp(&pid_, arguments_[0].c_str(), &actions, nullptr, pointers.data(), variables.data());
    posix_spawn_file_actions_destroy(&actions);
    close(ends[0]);
    input_ = ends[1];
    ASSERT_EQ(error, 0) << "starting " << arguments_[0];
  }

  pid_t pid() const { return pid_; }
  std::string output() const { return read_file(output_path_); }
  bool says(const std::string& words, milliseconds limit = milliseconds(30'000)) const {
    return until([&] { return output().find(words) != std::string::npos; }, limit);
  }

  void signal(int number) { kill(pid_, number); }
  // Stops it; returns when every thread of it stands still, which takes a moment.
  void stop() {
    signal(SIGSTOP);
    EXPECT_TRUE(until([this] {
      std::error_code error;
      for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid_) + "/task", error)) {
        const std::string stat = read_file(task.path().string() + "/stat");
        if (stat.find(") T ") == std::string::npos) return false;
      }
      return !error;
    }));
  }
  void go_on() { signal(SIGCONT); }
  void kill_now() {
    kill(pid_, SIGKILL);
    int status = 0;
    waitpid(pid_, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        << arguments_[0] << " ended by itself, status " << status << ":\n"
        << output();
    forget();
  }
  void close_input() {
    if (input_ >= 0) close(input_);
    input_ = -1;
  }
  // Its exit status; -1 when it was still running after the limit (it is killed then) or ended by a signal.
  int wait_end(milliseconds limit = milliseconds(30'000)) {
    int status = 0;
    const bool ended = until([&] { return waitpid(pid_, &status, WNOHANG) == pid_; }, limit);
    if (!ended) {
      ADD_FAILURE() << arguments_[0] << " did not end in time:\n" << output();
      kill_now();
      return -1;
    }
    forget();
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  // Ends it the way it is meant to: its input ends, and it closes what it has.
  int end(milliseconds limit = milliseconds(30'000)) {
    close_input();
    return wait_end(limit);
  }

  // Time that the process has used on all cores, in clock ticks (sysconf(_SC_CLK_TCK) a second).
  uint64_t cpu_ticks() const {
    const std::string stat = read_file("/proc/" + std::to_string(pid_) + "/stat");
    std::istringstream fields(stat.substr(stat.rfind(')') + 1));
    std::string skipped;
    for (int field = 3; field < 14; ++field) fields >> skipped;
    uint64_t user = 0;
    uint64_t system = 0;
    fields >> user >> system;
    return user + system;
  }

 private:
  void forget() {
    pid_ = 0;
    close_input();
  }

  std::vector<std::string> arguments_;
  std::string output_path_;
  pid_t pid_ = 0;
  int input_ = -1;
};

}  // namespace weft_test
