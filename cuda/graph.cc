#include "cuda/graph.h"

#include <algorithm>

namespace bough::cuda {

Graph::Graph(const Stream& stream, const std::function<void()>& work) {
  // Thread-local: the loader's thread may allocate pinned memory meanwhile.
  check_cuda(cudaStreamBeginCapture(stream.handle, cudaStreamCaptureModeThreadLocal), "starting to record a graph");
  cudaGraph_t graph = nullptr;
  try {
    work();
  } catch (...) {
    cudaStreamEndCapture(stream.handle, &graph);
    cudaGetLastError();
    if (graph) cudaGraphDestroy(graph);
    throw;
  }
  check_cuda(cudaStreamEndCapture(stream.handle, &graph), "recording a graph");
  const cudaError_t status = cudaGraphInstantiate(&executable_, graph, 0);
  cudaGraphDestroy(graph);
  check_cuda(status, "preparing a graph");
}

Graph::~Graph() {
  if (executable_) cudaGraphExecDestroy(executable_);
}

void Graph::launch(const Stream& stream) const {
  check_launch(cudaGraphLaunch(executable_, stream.handle), "graph", stream);
}

void GraphCache::run(const Stream& stream, const std::string& key, const std::function<void()>& work, double& flops) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == key; });
  if (found == entries_.end()) {
    work();
    entries_.push_front({key, nullptr, 0});
    if (entries_.size() > limit_) entries_.pop_back();
    return;
  }
  entries_.splice(entries_.begin(), entries_, found);
  Entry& entry = entries_.front();
  if (entry.graph) {
    flops += entry.flops;
  } else {
    const double before = flops;
    entry.graph = std::make_unique<Graph>(stream, work);
    entry.flops = flops - before;
  }
  entry.graph->launch(stream);
}

}  // namespace bough::cuda
