#pragma once

namespace bough {

/// From now on SIGTERM, SIGINT and SIGHUP (of a terminal that closes; not where the caller ignores it, as nohup does)
/// set the flag below and raise interruption(), a second one but SIGHUP ends the process with 128 + the signal; with
/// `exit_at_once` the first does. A command that is running (core/base/command.h) goes with it.
void catch_signals(bool exit_at_once);
/// One that another process of this run has caught: as if it had come here, but the same one that does come here is no
/// second one. Before catch_signals the process ends as the system ends it. From any thread.
void pass_on_signal(int signal);
/// The signal that arrived, or 0.
int caught_signal();

/// Whoever reads our output may go (`| head`, `| tee` at CTRL-C): from now on that is an error of the write.
void survive_closed_pipes();

/// A file over the size limit (ulimit -f) is an error of the write, not the end of the process.
void survive_file_limits();

/// Standard streams that the caller closed (2>&-) get their numbers back, so that no file opened later has
/// one and log lines end up in it: stdin and stdout stay errors to use, stderr goes nowhere.
/// Before any file is opened.
void reopen_closed_streams();

}  // namespace bough
