#pragma once
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "core/backend.h"
#include "cuda/launch.h"

namespace bough::cuda {

/// The kernels and copies that a function started on a stream (and on streams forked from and joined to it),
/// with their arguments, as one thing to start again.
class Graph {
 public:
  /// Records `work` without running it. Throws what it throws, and Error when it allocates or waits.
  Graph(const Stream& stream, const std::function<void()>& work);
  ~Graph();
  Graph(const Graph&) = delete;
  void launch(const Stream& stream) const;

 private:
  cudaGraphExec_t executable_ = nullptr;
};

/// Backend::repeat on CUDA: the first call of a key runs `work` as it is, so that memory grows and plans are
/// chosen; the second records it; that and later ones start the record. Keeps `limit` graphs, those used last, and
/// beside them all that are to be kept always.
class GraphCache {
 public:
  explicit GraphCache(size_t limit) : limit_(limit) {}
  /// `flops`: a counter that work adds to; a replay adds the same.
  void run(const Stream& stream, const std::string& key, const std::function<void()>& work, Backend::Keep keep,
           double& flops);
  size_t size() const { return entries_.size(); }
  void clear() { entries_.clear(); }

 private:
  struct Entry {
    std::string key;
    Backend::Keep keep;
    std::unique_ptr<Graph> graph;  ///< null until the second call
    double flops = 0;
  };
  void drop_oldest();
  size_t limit_;
  std::list<Entry> entries_;  // last used first
};

}  // namespace bough::cuda
