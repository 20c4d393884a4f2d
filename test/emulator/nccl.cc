// NCCL between processes of this machine. What a rank sends is appended to a file in memory that the other one reads,
// so that a process which waits elsewhere, as devices do not, keeps nobody from sending. It is as strict as a group of
// equal calls on all ranks: what NCCL would wait for without end, or take for something else, throws Error when the
// work runs.
#include <fcntl.h>
#include <nccl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "machine.h"

using bough::check;
using bough::emulator::settings;

namespace {

using Clock = std::chrono::steady_clock;

/// Before the content of a message.
struct Header {
  enum Kind : int { hello, data, answer } kind;
  int type;          ///< of an element; of a hello, the number of ranks
  uint64_t count;    ///< of elements; of a hello, the device
  int64_t exchange;  ///< which of all that the sender has made: the same on all ranks, that of a captured one as well
  bool is_captured;  ///< by a graph
  bool is_alone;     ///< sent outside a group: its stream waits for an answer
};

size_t size_of(int type) { return type == ncclFloat64 ? 8 : type == ncclInt8 ? 1 : type == ncclBfloat16 ? 2 : 4; }

/// What one rank sends to another.
class Channel {
 public:
  Channel(std::string name, bool is_read)
      : name_(std::move(name)), removes_name_(is_read), file_(shm_open(name_.c_str(), O_RDWR | O_CREAT, 0600)) {
    check(file_ >= 0, "emulator: nccl: '{}' cannot be opened: {}", name_, std::strerror(errno));
  }
  ~Channel() {
    remove_name();
    close(file_);
  }
  Channel(const Channel&) = delete;

  void append(const void* data, size_t bytes) {
    for (const auto* p = static_cast<const char*>(data); bytes > 0;) {
      const ssize_t n = write(file_, p, bytes);
      check(n > 0, "emulator: nccl: no memory is left: {}", std::strerror(errno));
      p += n, bytes -= size_t(n);
    }
  }
  bool has(size_t bytes) const {
    struct stat s {};
    fstat(file_, &s);
    return s.st_size >= at_ + off_t(bytes);
  }
  /// Of what is there.
  void take(void* data, size_t bytes) {
    for (auto* p = static_cast<char*>(data); bytes > 0;) {
      const ssize_t n = pread(file_, p, bytes, at_);
      check(n > 0, "emulator: nccl: '{}' cannot be read", name_);
      p += n, bytes -= size_t(n), at_ += n;
    }
    remove_name();  // both have the file open, and it goes with them, should one be killed
    constexpr off_t much = 1 << 20;
    if (at_ - freed_ < much) return;
    fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, freed_, at_ - freed_);
    freed_ = at_;
  }

 private:
  void remove_name() {
    if (std::exchange(removes_name_, false)) shm_unlink(name_.c_str());
  }

  std::string name_;
  bool removes_name_;  // the reader does
  int file_;
  off_t at_ = 0, freed_ = 0;
};

/// A communicator; work that was queued holds it, too.
struct Ranks {
  int rank, size;
  int captured = 0;                                // exchanges in graphs that are there
  std::vector<std::unique_ptr<Channel>> to, from;  // null for the rank itself

  /// The header of the next message of `other`, once its content is there as well.
  Header next(int other) {
    Channel& channel = *from[size_t(other)];
    wait_for(channel, sizeof(Header), other);
    Header header;
    channel.take(&header, sizeof header);
    if (header.kind == Header::data) wait_for(channel, header.count * size_of(header.type), other);
    return header;
  }

 private:
  void wait_for(const Channel& channel, size_t bytes, int other) const {
    const auto start = Clock::now();
    while (!channel.has(bytes)) {
      check(Clock::now() - start < std::chrono::milliseconds(settings().nccl_patience_ms),
            "emulator: nccl: rank {} waits for rank {}, which sends nothing", rank, other);
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
};

struct Message {
  bool is_sent;
  void* data;
  size_t count;
  ncclDataType_t type;
  int other;
  std::shared_ptr<Ranks> ranks;
  cudaStream_t stream;
};

struct Group {
  int depth = 0;
  std::vector<Message> messages;
  int64_t exchanges = 0;  // groups that have ended, empty ones as well, and messages outside
};
thread_local Group group;

void send(const Message& m, Header header) {
  header.type = m.type;
  header.count = m.count;
  Channel& channel = *m.ranks->to[size_t(m.other)];
  channel.append(&header, sizeof header);
  channel.append(m.data, m.count * size_of(m.type));
}

void receive(const Message& m, const Header& expected) {
  Ranks& ranks = *m.ranks;
  const Header got = ranks.next(m.other);
  const auto who = fmt::format("emulator: nccl: rank {} receives from rank {}", ranks.rank, m.other);
  check(got.kind == Header::data, "{} in an exchange, which that does not send", who);
  check(got.exchange == expected.exchange,
        "{} in exchange {} what that sent in its exchange {}: some send has no receive", who, expected.exchange,
        got.exchange);
  check(got.is_captured == expected.is_captured, "{}, but only one of them does so in a graph", who);
  check(got.type == int(m.type) && got.count == m.count, "{} {} elements of type {}, but that sends {} of type {}", who,
        m.count, int(m.type), got.count, got.type);
  ranks.from[size_t(m.other)]->take(m.data, m.count * size_of(m.type));
  if (!got.is_alone) return;
  const Header answer{.kind = Header::answer};
  ranks.to[size_t(m.other)]->append(&answer, sizeof answer);
}

/// A message outside a group keeps its stream until it was received.
void wait_for_answer(const Message& m) {
  check(m.ranks->next(m.other).kind == Header::answer,
        "emulator: nccl: ranks {} and {} both send before they receive, outside a group: they wait for each other",
        m.ranks->rank, m.other);
}

/// Held by a graph.
struct Captured {
  std::shared_ptr<Ranks> ranks;
  explicit Captured(std::shared_ptr<Ranks> r) : ranks(std::move(r)) { ++ranks->captured; }
  ~Captured() { --ranks->captured; }
  Captured(const Captured&) = delete;
};

/// Queues an exchange: what is sent leaves at once, as a device would do it by itself; what is received comes when the
/// stream is waited for.
ncclResult_t submit(const std::vector<Message>& messages, bool is_alone) {
  ++group.exchanges;
  if (messages.empty()) return ncclSuccess;
  const std::shared_ptr<Ranks> ranks = messages[0].ranks;
  const cudaStream_t stream = messages[0].stream;
  for (const Message& m : messages)
    if (m.ranks != ranks || m.stream != stream) return ncclInvalidUsage;
  cudaStreamCaptureStatus capture{};
  cudaStreamIsCapturing(stream, &capture);
  const Header header{.kind = Header::data,
                      .exchange = group.exchanges,
                      .is_captured = capture != cudaStreamCaptureStatusNone,
                      .is_alone = is_alone};
  const auto is_sent = std::make_shared<bool>(false);
  const auto captured = header.is_captured ? std::make_shared<Captured>(ranks) : nullptr;
  bough::emulator::enqueue_sending(stream, [messages, header, is_sent, captured] {
    for (const Message& m : messages)
      if (m.is_sent) send(m, header);
    *is_sent = true;
  });
  bough::emulator::enqueue_work(stream, [messages, header] {
    for (const Message& m : messages) {
      if (!m.is_sent) receive(m, header);
      if (m.is_sent && header.is_alone) wait_for_answer(m);
    }
  });
  if (!header.is_captured) bough::emulator::run_until([is_sent] { return *is_sent; });
  return ncclSuccess;
}

ncclResult_t add(Message message) {
  const Ranks& ranks = *message.ranks;
  if (message.other < 0 || message.other >= ranks.size || message.other == ranks.rank) return ncclInvalidArgument;
  if (!bough::emulator::is_device_memory(message.data, message.count * size_of(message.type)))
    return ncclInvalidArgument;
  if (group.depth == 0) return submit({std::move(message)}, true);
  group.messages.push_back(std::move(message));
  return ncclSuccess;
}

/// Every rank says who it is to every other; false where two have one device, or other numbers of ranks.
bool meet(Ranks& ranks) {
  int device = 0;
  cudaGetDevice(&device);
  const Header mine{.kind = Header::hello, .type = ranks.size, .count = uint64_t(device)};
  for (const auto& channel : ranks.to)
    if (channel) channel->append(&mine, sizeof mine);
  bool is_right = true;
  for (int r = 0; r < ranks.size; ++r) {
    if (r == ranks.rank) continue;
    const Header other = ranks.next(r);
    is_right = is_right && other.type == mine.type && other.count != mine.count;
  }
  return is_right;
}

}  // namespace

struct EmulatedRanks {
  std::shared_ptr<Ranks> ranks;
};

namespace {

void check_no_graph(const Ranks& ranks) {
  check(ranks.captured == 0, "emulator: nccl: graphs have {} exchanges of rank {}, whose end would wait for theirs",
        ranks.captured, ranks.rank);
}

}  // namespace

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclUnhandledCudaError:
      return "unhandled cuda error";
    case ncclSystemError:
      return "unhandled system error";
    case ncclInternalError:
      return "internal error";
    case ncclInvalidArgument:
      return "invalid argument";
    case ncclInvalidUsage:
      return "invalid usage";
  }
  return "unknown result code";
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static int made = 0;
  std::snprintf(id->internal, sizeof id->internal, "/bough-nccl-%d-%lld-%d", int(getpid()),
                static_cast<long long>(Clock::now().time_since_epoch().count()), ++made);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t* handle, int size, ncclUniqueId id, int rank) {
  if (rank < 0 || rank >= size || std::strncmp(id.internal, "/bough-nccl-", 12) != 0) return ncclInvalidArgument;
  const auto ranks = std::make_shared<Ranks>(Ranks{.rank = rank, .size = size});
  const auto open = [&](int from, int to) {
    const bool is_mine = from == to;
    return is_mine ? nullptr : std::make_unique<Channel>(fmt::format("{}-{}-{}", id.internal, from, to), to == rank);
  };
  for (int r = 0; r < size; ++r) {
    ranks->to.push_back(open(rank, r));
    ranks->from.push_back(open(r, rank));
  }
  if (!meet(*ranks)) return ncclInvalidUsage;
  *handle = new EmulatedRanks{ranks};
  return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t handle) {
  if (!handle) return ncclSuccess;
  const std::unique_ptr<EmulatedRanks> owned(handle);
  check_no_graph(*owned->ranks);
  cudaDeviceSynchronize();
  for (const auto& channel : owned->ranks->from)
    if (channel && channel->has(1)) return ncclInvalidUsage;  // sent, and never received
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t handle) {
  const std::unique_ptr<EmulatedRanks> owned(handle);
  if (owned) check_no_graph(*owned->ranks);
  settings().hangs = false;
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t* error) {
  *error = ncclResult_t(settings().nccl_error);
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  ++group.depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (group.depth == 0) return ncclInvalidUsage;
  if (--group.depth > 0) return ncclSuccess;
  return submit(std::exchange(group.messages, {}), false);
}

ncclResult_t ncclSend(const void* data, size_t count, ncclDataType_t type, int to, ncclComm_t ranks,
                      cudaStream_t stream) {
  return add({true, const_cast<void*>(data), count, type, to, ranks->ranks, stream});
}

ncclResult_t ncclRecv(void* data, size_t count, ncclDataType_t type, int from, ncclComm_t ranks, cudaStream_t stream) {
  return add({false, data, count, type, from, ranks->ranks, stream});
}
