// The parent of ranks that are processes: carries their words, and sees to it that all end when one has failed.
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <optional>

#include "core/base/error.h"
#include "core/base/interrupt.h"
#include "core/base/log.h"
#include "core/base/signals.h"
#include "core/rank_messages.h"

namespace bough {
namespace {

using Clock = std::chrono::steady_clock;

/// How a rank has ended, or is about to.
struct RankEnd {
  int code = 0;
  std::string why;  ///< "" where the code says it, or the rank has
  bool are_own_words = false;
  bool operator==(const RankEnd&) const = default;
  bool is_failure() const { return code != 0 && code <= 128; }
};

struct Rank {
  RankChild child;
  std::string received, to_send;
  size_t sent = 0;  ///< of to_send
  Clock::time_point heard = Clock::now();
  std::optional<RankEnd> end;
  bool is_running = true;

  explicit Rank(RankChild started) : child(std::move(started)) {}

  /// The head of what it has said, once all of that is here.
  std::optional<RankWords> words() const {
    RankWords words{};
    if (received.size() < sizeof words) return {};
    std::memcpy(&words, received.data(), sizeof words);
    return received.size() >= sizeof words + words.bytes ? std::optional(words) : std::nullopt;
  }
  std::string take_content() {
    const std::string content = received.substr(sizeof(RankWords), words()->bytes);
    received.erase(0, sizeof(RankWords) + content.size());
    return content;
  }
  /// Has made a call, and waits for the others to make it.
  bool is_waiting() const { return is_running && words(); }
};

/// What the kernel calls the state of a process: 'T', it is stopped.
char state_of(int process) {
  std::ifstream in(fmt::format("/proc/{}/stat", process));
  std::string text;
  std::getline(in, text);
  const size_t name_end = text.rfind(')');
  return name_end != text.npos && name_end + 2 < text.size() ? text[name_end + 2] : '?';
}

RankEnd end_of_status(int status) {
  if (WIFEXITED(status)) return {.code = WEXITSTATUS(status)};
  const int signal = WTERMSIG(status);
  if (signal == SIGTERM || signal == SIGINT || signal == SIGHUP) return {.code = 128 + signal};
  return {.code = 1,
          .why = fmt::format("was killed by signal {} ({}){}", signal, strsignal(signal),
                             signal == SIGKILL ? "; the system does that, too, where memory is short: see dmesg" : "")};
}

class Supervisor {
 public:
  Supervisor(std::vector<RankChild> children, const ProcessRanks& options) : options_(options) {
    for (RankChild& child : children) ranks_.emplace_back(std::move(child));
  }

  int run() {
    catch_signals(false);
    while (std::ranges::any_of(ranks_, &Rank::is_running)) {
      wait();
      for (Rank& rank : ranks_) {
        hear(rank);
        note_end(rank);
      }
      pass_on_signal();
      answer_calls();
      for (Rank& rank : ranks_) send_answers(rank);
      look_for_silence();
      decide();
    }
    return first_failure_ ? first_failure_->end->code : exit_code_;
  }

 private:
  void wait() {
    std::vector<pollfd> ends = {{interruption().is_raised() ? -1 : interruption().descriptor(), POLLIN, 0}};
    for (const Rank& rank : ranks_) {
      const RankSockets& sockets = rank.child.sockets;
      ends.push_back({sockets.words, short(rank.sent == rank.to_send.size() ? POLLIN : POLLIN | POLLOUT), 0});
      ends.push_back({sockets.pulse, POLLIN, 0});
    }
    poll(ends.data(), ends.size(), int(interval_.count()));
  }

  void hear(Rank& rank) {
    char buffer[1 << 14];
    const auto take = [&](Descriptor& socket, const auto& use) {
      while (socket >= 0) {
        const ssize_t n = recv(socket, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (n <= 0) return socket.close();
        use(size_t(n));
      }
    };
    take(rank.child.sockets.words, [&](size_t n) { rank.received.append(buffer, n); });
    take(rank.child.sockets.pulse, [&](size_t) { rank.heard = Clock::now(); });
    const auto words = rank.words();
    if (words && words->kind == RankWords::failure)
      set_end(rank, {.code = words->code, .why = rank.take_content(), .are_own_words = true});
  }

  void note_end(Rank& rank) {
    int status = 0;
    if (!rank.is_running || waitpid(rank.child.process, &status, WNOHANG) != rank.child.process) return;
    hear(rank);  // what it said last
    rank.is_running = false;
    rank.child.sockets = {};
    set_end(rank, end_of_status(status));
  }

  /// The first reason that a rank gives is the one that counts; what happens to ranks that are told to end does not.
  void set_end(Rank& rank, RankEnd end) {
    if (rank.end || ending_since_) return;
    rank.end = std::move(end);
    if (rank.end->is_failure()) {
      if (first_failure_) return;
      first_failure_ = &rank;
      failed_at_ = Clock::now();
    } else if (rank.end->code != 0) {
      exit_code_ = rank.end->code;
      signal_ = exit_code_ - 128;
    }
  }

  /// What one rank has caught, or this process, is all ranks' affair. Those that know hear nothing new.
  void pass_on_signal() {
    if (signal_ == 0) signal_ = caught_signal();
    if (signal_ == 0 || std::exchange(is_passed_on_, true)) return;
    for (const Rank& rank : ranks_) order(rank, static_cast<unsigned char>(signal_));
  }
  void order(const Rank& rank, unsigned char word) {
    if (rank.is_running) send(rank.child.sockets.pulse, &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  /// Once all ranks have made a call.
  void answer_calls() {
    if (!std::ranges::all_of(ranks_, &Rank::is_waiting)) return;
    const RankWords first = *ranks_[0].words();
    std::string all;
    for (Rank& rank : ranks_) {
      const RankWords words = *rank.words();
      if (words.kind != first.kind || words.size != first.size)
        set_end(rank, {.code = 2, .why = "makes another call than rank 0: a defect of bough; please report"});
      all += rank.take_content();
    }
    for (Rank& rank : ranks_) {  // which has read what it was sent before: it has made another call
      rank.to_send = all;
      rank.sent = 0;
    }
  }

  void send_answers(Rank& rank) {
    while (rank.is_running && rank.sent < rank.to_send.size()) {
      const ssize_t n = send(rank.child.sockets.words, rank.to_send.data() + rank.sent, rank.to_send.size() - rank.sent,
                             MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n <= 0) return;  // later, or it has ended
      rank.sent += size_t(n);
    }
  }

  void look_for_silence() {
    const auto now = Clock::now();
    const auto lost = now - looked_at_ - 2 * interval_;  // this process was stopped, or the whole machine
    looked_at_ = now;
    for (Rank& rank : ranks_) {
      if (lost > Clock::duration::zero()) rank.heard = std::min(rank.heard + lost, now);
      if (!rank.is_running || rank.end || now - rank.heard < options_.silence) continue;
      const bool is_stopped = state_of(rank.child.process) == 'T';
      const double seconds = std::chrono::duration<double>(options_.silence).count();
      set_end(rank,
              {.code = 1,
               .why = fmt::format(
                   "{} for {:.3g} s",
                   is_stopped ? "was stopped and has given no sign of life" : "has given no sign of life", seconds)});
    }
  }

  void decide() {
    if (ending_since_) {
      if (Clock::now() < *ending_since_ + options_.patience) return;
      for (const Rank& rank : ranks_)
        if (rank.is_running) kill(rank.child.process, SIGKILL);
      return;
    }
    const bool some_have_ended = !std::ranges::all_of(ranks_, &Rank::is_running);
    const bool some_wait_for_ever = some_have_ended && std::ranges::any_of(ranks_, &Rank::is_waiting);
    if (!first_failure_ && some_wait_for_ever && signal_ == 0) {
      Rank& left = *std::ranges::find_if_not(ranks_, &Rank::is_running);
      left.end.reset();
      set_end(left, {.code = 2, .why = "has ended before the others: a defect of bough; please report"});
    }
    if (first_failure_ && !has_all_to_hear()) return;
    if (first_failure_) say_why();
    if (first_failure_ || some_wait_for_ever) end_all();
  }

  /// Whether nobody is left who might be about to say the same as the first that has failed. A lost rank says nothing.
  bool has_all_to_hear() const {
    if (!first_failure_->end->are_own_words && !first_failure_->end->why.empty()) return true;
    if (Clock::now() > failed_at_ + options_.patience) return true;
    return std::ranges::all_of(ranks_, [](const Rank& rank) { return rank.end || rank.is_waiting(); });
  }

  void say_why() const {
    const RankEnd& end = *first_failure_->end;
    const bool is_of_all = std::ranges::all_of(ranks_, [&](const Rank& rank) { return rank.end == end; });
    if (is_of_all && end.why.empty()) return;
    const auto number = size_t(first_failure_ - ranks_.data());
    const std::string name = fmt::format("rank {} ({})", number, options_.names[number]);
    log::status(" ");  // the first rank's progress bar may stand there
    if (end.are_own_words)
      log::error("Error: {}{}", is_of_all || number == 0 ? "" : name + ": ", end.why);
    else
      log::error("Error: {} {}", name, end.why.empty() ? fmt::format("ended with exit code {}", end.code) : end.why);
    log::status("");
  }

  void end_all() {
    ending_since_ = Clock::now();
    for (const Rank& rank : ranks_) order(rank, end_now);
  }

  const ProcessRanks& options_;
  const std::chrono::milliseconds interval_ =
      std::min<std::chrono::milliseconds>(options_.silence / 10, std::chrono::milliseconds(200));
  Clock::time_point looked_at_ = Clock::now();
  std::vector<Rank> ranks_;
  Rank* first_failure_ = nullptr;
  Clock::time_point failed_at_;
  std::optional<Clock::time_point> ending_since_;
  int signal_ = 0, exit_code_ = 0;
  bool is_passed_on_ = false;
};

}  // namespace

int supervise(std::vector<RankChild> children, const ProcessRanks& options) {
  return Supervisor(std::move(children), options).run();
}

}  // namespace bough
