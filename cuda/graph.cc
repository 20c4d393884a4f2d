#include "cuda/graph.h"

#include <algorithm>
#include <iterator>

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

void GraphCache::drop_oldest() {
  const auto may_go = [](const Entry& e) { return e.keep == Backend::Keep::if_recent; };
  if (size_t(std::count_if(entries_.begin(), entries_.end(), may_go)) <= limit_) return;
  entries_.erase(std::prev(std::find_if(entries_.rbegin(), entries_.rend(), may_go).base()));
}

void GraphCache::run(const Stream& stream, const std::string& key, const std::function<void()>& work,
                     Backend::Keep keep, double& flops) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == key; });
  if (found == entries_.end()) {
    work();
    entries_.push_front({key, keep, nullptr, 0});
    drop_oldest();
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
