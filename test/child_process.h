#pragma once
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exception>
#include <string>

/// Runs work() in a forked child; the child ends when work does, without destructors of the parent.
template <class F>
pid_t start_child(F&& work) {
  const pid_t child = fork();
  if (child == 0) {
    try {
      work();
      _exit(0);
    } catch (...) {
      _exit(1);
    }
  }
  return child;
}

/// Runs work() in a child whose files may not grow beyond `bytes`; returns what() of its exception,
/// "" without one, "killed" when a signal ended it.
template <class F>
std::string message_with_file_limit(rlim_t bytes, F&& work) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = start_child([&] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, bytes};
    setrlimit(RLIMIT_FSIZE, &limit);
    try {
      work();
    } catch (const std::exception& e) {
      const std::string message = e.what();
      if (::write(ends[1], message.data(), message.size()) < 0) _exit(1);
    }
  });
  close(ends[1]);
  std::string message;
  char buffer[512];
  for (ssize_t n = 0; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;) message.append(buffer, std::size_t(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? "killed" : message;
}

/// Kills a child as the kernel or a power cut would.
inline void kill_child(pid_t child) {
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}
