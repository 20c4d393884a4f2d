// Ranks that are processes of one machine: how they start, and what one of them does.
#include "core/process_ranks.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <thread>
#include <utility>

#include "core/base/command.h"
#include "core/base/error.h"
#include "core/base/interrupt.h"
#include "core/base/log.h"
#include "core/base/signals.h"
#include "core/base/thread_pool.h"
#include "core/rank_messages.h"

namespace bough {
namespace {

class ProcessRank final : public Communicator {
 public:
  ProcessRank(int rank, RankSockets sockets, const ProcessRanks& options)
      : rank_(rank),
        size_(int(options.names.size())),
        sockets_(std::move(sockets)),
        interval_(options.silence / 10),
        beating_([this] { beat(); }) {}
  ~ProcessRank() override {
    stop_.raise();
    beating_.join();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::string engine() const override { return "processes"; }
  using Communicator::all_gather, Communicator::broadcast;

  void all_gather(const void* mine, size_t bytes, void* all) override {
    say({.kind = RankWords::gather, .size = bytes, .bytes = bytes}, mine);
    hear(all, bytes * size_t(size_));
  }
  void broadcast(void* data, size_t bytes) override {
    say({.kind = RankWords::broadcast, .size = bytes, .bytes = is_first() ? bytes : 0}, data);
    hear(data, bytes);
  }
  std::function<bool(bool)> start_all_to_all(const std::vector<Message>&, const std::vector<Message>&) override {
    fail("ranks: processes of one machine exchange tensors of GPUs only: a defect of bough; please report");
  }
  [[noreturn]] void abort(int code, const std::string& why) override {
    try {
      say({.kind = RankWords::failure, .code = code, .bytes = why.size()}, why.data());
    } catch (const Error&) {  // nobody is there to hear it
    }
    std::_Exit(code);
  }

 private:
  void say(const RankWords& words, const void* content) {
    send_all(&words, sizeof words);
    send_all(content, words.bytes);
  }
  void send_all(const void* data, size_t bytes) {
    for (const auto* p = static_cast<const char*>(data); bytes > 0;) {
      const ssize_t n = send(sockets_.words, p, bytes, MSG_NOSIGNAL);
      if (n > 0) p += n, bytes -= size_t(n);
      check(n > 0 || errno == EINTR, "ranks: the process that started this one is gone");
    }
  }
  void hear(void* data, size_t bytes) {
    for (auto* p = static_cast<char*>(data); bytes > 0;) {
      const ssize_t n = recv(sockets_.words, p, bytes, 0);
      if (n > 0) p += n, bytes -= size_t(n);
      check(n > 0 || (n < 0 && errno == EINTR), "ranks: the process that started this one is gone");
    }
  }

  /// A thread of its own: the rank may be busy for long.
  void beat() {
    block_signals();
    while (!stop_.is_raised()) {
      const char alive = 1;
      [[maybe_unused]] const ssize_t sent = send(sockets_.pulse, &alive, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
      pollfd ends[] = {{sockets_.pulse, POLLIN, 0}, {stop_.descriptor(), POLLIN, 0}};
      poll(ends, std::size(ends), int(interval_.count()));
      if (ends[0].revents != 0) obey();
    }
  }
  void obey() {
    unsigned char order = end_now;
    const ssize_t n = recv(sockets_.pulse, &order, 1, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n > 0 && order != end_now) return pass_on_signal(order);
    if (n <= 0 && is_first()) log::error("Error: the process that started the ranks is gone, so they end as well");
    kill_command();
    _exit(1);
  }

  int rank_, size_;
  RankSockets sockets_;
  std::chrono::milliseconds interval_;
  Event stop_;
  std::thread beating_;
};

std::pair<RankSockets, RankSockets> make_sockets() {
  int words[2] = {-1, -1}, pulse[2] = {-1, -1};
  check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, words) == 0 &&
            socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pulse) == 0,
        "ranks: no socket can be made: {}; raise the limit (ulimit -n)", std::strerror(errno));
  return {RankSockets{Descriptor(words[0]), Descriptor(pulse[0])},
          RankSockets{Descriptor(words[1]), Descriptor(pulse[1])}};
}

}  // namespace

void Descriptor::close() {
  if (number_ >= 0) ::close(number_);
  number_ = -1;
}

std::unique_ptr<Communicator> make_process_rank(int rank, RankSockets sockets, const ProcessRanks& options) {
  return std::make_unique<ProcessRank>(rank, std::move(sockets), options);
}

StartedProcess start_processes(const ProcessRanks& options) {
  std::vector<RankChild> children;
  for (int rank = 0; rank < int(options.names.size()); ++rank) {
    auto [parents, childs] = make_sockets();
    const pid_t process = fork();
    check(process >= 0, "ranks: the system gives no more processes: {}; raise its limit (ulimit -u)",
          std::strerror(errno));
    if (process == 0) {
      children.clear();  // the ends of other ranks, which would outlive the parent here
      parents = {};
      return {make_process_rank(rank, std::move(childs), options), 0};
    }
    children.push_back({process, std::move(parents)});
  }
  return {nullptr, supervise(std::move(children), options)};
}

std::string ask_process(const std::function<std::string()>& work) {
  auto [parents, childs] = make_sockets();
  const pid_t process = fork();
  check(process >= 0, "the system gives no more processes: {}; raise its limit (ulimit -u)", std::strerror(errno));
  if (process == 0) {
    std::string answer;
    try {
      answer = "+" + work();
    } catch (const std::exception& error) {
      answer = std::string("-") + error.what();
    }
    [[maybe_unused]] const ssize_t sent = send(childs.words, answer.data(), answer.size(), MSG_NOSIGNAL);
    _exit(0);
  }
  childs = {};
  std::string answer;
  char buffer[1024];
  for (ssize_t n; (n = recv(parents.words, buffer, sizeof buffer, 0)) > 0 || (n < 0 && errno == EINTR);)
    answer.append(buffer, size_t(std::max<ssize_t>(n, 0)));
  waitpid(process, nullptr, 0);
  check(!answer.empty(), "a process that was started to look at the machine has crashed");
  check(answer[0] == '+', "{}", answer.substr(1));
  return answer.substr(1);
}

}  // namespace bough
