#include "apps/training/training_model.h"

namespace bough {
namespace {

ArenaShare share_of(Communicator& ranks, Backend& backend, ParameterSet& parameters) {
  parameters.lay_out();  // their number is known then
  return {ranks, backend, parameters.elements(), backend.statistics_dtype()};
}

}  // namespace

TrainingModel::TrainingModel(Backend& backend, const ModelOptions& model, const DropoutOptions& dropout,
                             const OptimizerOptions& optimizer, uint64_t seed, Communicator& ranks)
    : backend_(backend),
      seed_(seed),
      label_smoothing_(dropout.label_smoothing),
      alignment_weight_(dropout.guided_alignment_weight),
      clip_norm_(optimizer.clip_norm),
      parameters_(backend),
      transformer_(model, &dropout, parameters_),
      share_(share_of(ranks, backend, parameters_)),
      optimizer_(optimizer, parameters_.allocate(true, &share_), share_),
      has_shape_classes_(backend.records()) {
  update_.branch_scales.resize(transformer_.residual_site_layers().size(), 1.0);
  update_words_ = backend.allocate_persistent({update_.words()}, DType::i32);
  loss_sum_ = backend.allocate_persistent({1}, DType::f64);
  term_sums_ = backend.allocate_persistent({int64_t(update_.branch_scales.size()), 4}, DType::f64);
  transformer_.set_update_state(update_words_);
  if (model.has_bounded_branches()) bound_branches();
}

void TrainingModel::bound_branches() {
  const std::vector<BranchLimits> limits = branch_limits(transformer_.options());
  const int64_t sites = int64_t(limits.size());
  bounded_ = {backend_.allocate_persistent({sites}, DType::i32), backend_.allocate_persistent({sites, 3}, DType::f64)};
  std::vector<double> rows;
  for (const auto& [smallest, first, last] : limits) rows.insert(rows.end(), {smallest, first, last});
  backend_.upload(bounded_.limits, rows.data());
  transformer_.set_branch_scales(bounded_.scales);
  start_branch_scales();
}

void TrainingModel::start_branch_scales() {
  if (bounded_.scales) set_branch_scales(branch_scales(transformer_.options(), transformer_.residual_site_layers(), 0));
}

void TrainingModel::set_branch_scales(const std::vector<double>& scales) {
  std::vector<float> words(scales.begin(), scales.end());
  backend_.upload(bounded_.scales, words.data());
}

std::vector<double> TrainingModel::site_branch_scales() const {
  if (!bounded_.scales) return update_.branch_scales;
  std::vector<float> words(size_t(bounded_.scales.size()));
  backend_.download(words.data(), bounded_.scales);
  return {words.begin(), words.end()};
}

double TrainingModel::branch_scale() const {
  const std::vector<double> scales = site_branch_scales();
  return *std::min_element(scales.begin(), scales.end());
}

ModelOptions TrainingModel::options_at(const TrainingClock& clock) const {
  ModelOptions options = transformer_.options();
  options.branchnorm_progress = clock.in(options.branchnorm_max_step.unit);
  if (bounded_.scales) options.branchnorm_scales = site_branch_scales();
  return options;
}

void TrainingModel::take_branch_scales(const ModelOptions& saved, int64_t progress) {
  if (bounded_.scales) set_branch_scales(branch_scales(saved, transformer_.residual_site_layers(), progress));
}

void TrainingModel::initialize() {
  parameters_.initialize(seed_, change_initial_values_);
  optimizer_.reset();
  start_branch_scales();
}

void TrainingModel::set_update_state(const TrainingClock& clock, double learning_rate, double average_rate,
                                     int64_t target_tokens) {
  const ModelOptions& o = transformer_.options();
  update_.seed = seed_;
  update_.update = clock.updates;
  update_.lr = learning_rate;
  update_.tokens = double(target_tokens);
  update_.clip = clip_norm_;
  update_.average = average_rate;
  const int64_t progress = clock.in(o.branchnorm_max_step.unit);
  if (!bounded_.scales) update_.branch_scales = branch_scales(o, transformer_.residual_site_layers(), progress);
  update_.bound =
      o.branchnorm_max_step.count > 0 ? std::min(double(progress) / double(o.branchnorm_max_step.count), 1.0) : 1;
  backend_.upload(update_words_, update_.pack().data());
}

std::function<UpdateResult()> TrainingModel::start_update(const UpdateBatches& batches,
                                                          const UpdateSettings& settings) {
  TrainingClock clock = settings.done;
  clock.finish_update(batches.target_tokens);
  set_update_state(clock, settings.learning_rate, settings.average_rate, batches.target_tokens);
  is_measuring_ = settings.measures_layers;
  sums_terms_ = settings.measures_layers || settings.measures_terms || bounded_.scales;
  for (const Batch& batch : batches.micro)
    accumulate_gradients(batch, &batch == &batches.micro.front(), &batch == &batches.micro.back());
  if (batches.micro.empty())
    clear_sums();
  else
    sum_aside();
  add_up_over_ranks();
  if (is_measuring_) layer_norms_->keep_parameters();
  const auto optimize = [this] {
    optimizer_.update(update_words_);
    if (bounded_.scales) optimizer_.adapt_branch_scales(bounded_.scales, term_sums_, bounded_.limits, update_words_);
  };
  backend_.repeat("optimizer", optimize, Backend::Keep::always);
  std::optional<LayerReport> layers;
  if (is_measuring_) finish_measuring(batches, layers.emplace());
  is_measuring_ = false;
  return [tokens = batches.target_tokens, layers = std::move(layers), statistics = optimizer_.start_statistics(),
          loss = backend_.start_download(loss_sum_)] {
    UpdateResult result{.target_tokens = tokens, .statistics = statistics(), .layers = layers};
    loss(&result.loss);
    return result;
  };
}

BatchShape TrainingModel::shape_of(const Batch& batch) const {
  const ModelOptions& o = transformer_.options();
  return places_.shape_of(batch, o.learned_positions ? o.max_positions : 0);
}

/// The batch on the backend, valid until the next call.
const ModelBatch& TrainingModel::place(const Batch& batch) {
  if (has_shape_classes_) return places_.upload(backend_, batch, shape_of(batch));
  exact_ = {};  // its memory is free for this one
  return exact_ = upload_batch(backend_, batch);
}

void TrainingModel::accumulate_gradients(const Batch& host, bool is_first, bool is_last) {
  const ModelBatch& batch = place(host);
  const auto work = [&] { forward_and_backward(batch, is_first, is_last, host.target.rows()); };
  // Instruments are rare, and work on the host too.
  const bool is_usual = !is_measuring_ && sums_terms_ == bool(bounded_.scales);
  if (has_shape_classes_ && is_usual)
    backend_.repeat((is_first ? "first: " : "later: ") + shape_of(host).name(), work);
  else
    work();
  exact_ = {};
}

/// Adds a second loss: to the sum of losses, and to where the backward pass begins.
void TrainingModel::start_from_alignments(Tape& tape, const Var& loss) {
  backend_.sum(add_to(loss_sum_), loss.value());
  const Tensor ones = backend_.allocate(loss.value().shape(), loss.value().dtype());
  backend_.fill(ones, 1);
  tape.seed(loss, ones);
}

/// Recorded by some backends: on the host it may run for the first batches only, so that it must leave nothing there
/// that a later call needs.
void TrainingModel::forward_and_backward(const ModelBatch& batch, bool is_first, bool is_last, int64_t target_rows) {
  if (is_first) parameters_.begin_update();
  transformer_.set_training(true);
  Tape tape(backend_);
  if (!share_.ranks().is_alone()) {
    parameters_.begin_tape();
    passed_rounds_ = 0;
    tape.watch_sections([&](int section) { take_known_gradients(section, is_first, is_last); });
  }
  if (sums_terms_) transformer_.set_residual_sums(is_first ? write_to(term_sums_) : add_to(term_sums_));
  AlignmentRequest alignment{.loss_weight = batch.alignment ? alignment_weight_ : 0};
  const Var top = transformer_.decode_layers(transformer_.encode(tape, batch.source), batch, &alignment);
  transformer_.set_residual_sums({});
  if (is_measuring_ && is_first && with_model_update_) layer_norms_->keep_output(top.value(), target_rows);
  const Tensor loss = cross_entropy(transformer_.logits(top), batch.labels, label_smoothing_,
                                    transformer_.target_vocabulary(), batch.weights);
  backend_.sum(is_first ? write_to(loss_sum_) : add_to(loss_sum_), loss);
  if (alignment.loss) start_from_alignments(tape, alignment.loss);
  tape.backward();
  if (is_first) parameters_.finish_update();
}

/// On the way of the backward pass. The host does the exchange itself, of the last micro-batch; on a device, where this
/// is recorded with every micro-batch, it leaves marks in the work for sum_aside().
void TrainingModel::take_known_gradients(int section, bool is_first, bool is_last) {
  const int64_t known = parameters_.known_elements(section);
  if (is_first) parameters_.finish_update(known);
  if (!backend_.records()) {
    if (is_last) share_.start_sum(parameters_.gradients(), known);
    return;
  }
  for (; passed_rounds_ < share_.rounds() && share_.end(passed_rounds_) <= known; ++passed_rounds_)
    backend_.mark(int(passed_rounds_));
}

/// Exchanges and sums what the last micro-batch has marked, while it still runs.
void TrainingModel::sum_aside() {
  for (int64_t round = 0; round < passed_rounds_; ++round)
    backend_.start_aside(int(round), [&] { share_.start_sum(parameters_.gradients(), share_.end(round)); });
  if (passed_rounds_ > 0) backend_.wait_aside();
}

/// The update has no micro-batch for this rank.
void TrainingModel::clear_sums() {
  parameters_.begin_update();
  parameters_.finish_update();
  backend_.fill(loss_sum_, 0.0);
  backend_.fill(term_sums_, 0.0);
}

void TrainingModel::add_up_over_ranks() {
  if (share_.ranks().is_alone()) return;
  share_.sum(parameters_.gradients());
  std::vector<double> sums(1 + size_t(term_sums_.size()));
  backend_.download(sums.data(), loss_sum_);
  if (sums_terms_) backend_.download(sums.data() + 1, term_sums_);
  share_.ranks().add_up(sums);
  backend_.upload(loss_sum_, sums.data());
  if (sums_terms_) backend_.upload(term_sums_, sums.data() + 1);
}

std::vector<double> TrainingModel::branch_ratios() const {
  TermSums sums(update_.branch_scales.size());
  backend_.download(sums.data(), term_sums_);
  return bough::branch_ratios(sums);
}

void TrainingModel::enable_layer_norms(bool with_model_update) {
  layer_norms_ = std::make_unique<LayerNorms>(parameters_, share_, true);
  with_model_update_ = with_model_update;
}

LayerNorms& TrainingModel::layer_norms() {
  if (!layer_norms_) layer_norms_ = std::make_unique<LayerNorms>(parameters_, share_, false);
  return *layer_norms_;
}

std::vector<double> TrainingModel::gradient_norms(int64_t target_tokens) {
  std::vector<double> norms = layer_norms().gradient_norms();
  for (double& norm : norms) norm /= double(target_tokens);
  return norms;
}

/// Gradients, update state and the kept copies are still those of the update.
void TrainingModel::finish_measuring(const UpdateBatches& batches, LayerReport& report) {
  report.gradient_norms = gradient_norms(batches.target_tokens);
  report.update_norms = layer_norms_->update_norms();
  report.branch_ratios = branch_ratios();
  if (!with_model_update_ || batches.micro.empty()) return;  // the first rank, whose number it is, has a batch
  const ModelBatch& batch = place(batches.micro.front());
  {
    Tape tape(backend_, false);
    const Var memory = transformer_.encode(tape, batch.source);
    report.model_update = layer_norms_->output_change(transformer_.decode_layers(memory, batch).value());
  }
  exact_ = {};
}

double TrainingModel::evaluate(const Batch& host) {
  transformer_.set_training(false);
  const ModelBatch& batch = place(host);
  {
    Tape tape(backend_, false);
    const Var memory = transformer_.encode(tape, batch.source);
    const Tensor loss =
        cross_entropy(transformer_.decode(memory, batch), batch.labels, 0, transformer_.target_vocabulary());
    backend_.sum(write_to(loss_sum_), loss);
  }
  exact_ = {};
  double total = 0;
  backend_.download(&total, loss_sum_);
  return total;
}

TrainingModel::BestParameters::BestParameters(TrainingModel& model) : model_(model) {
  if (!model.optimizer_.arenas().average) return;
  const int64_t elements = std::min(most_spare, model.parameters_.elements());
  spare_ = model.backend_.allocate_persistent({elements}, model.parameters_.kept_values().dtype());
  exchange();
}

TrainingModel::BestParameters::~BestParameters() {
  if (spare_) exchange();
}

/// Parameters and their average change places, a piece at a time, and all ranks get the new parameters.
void TrainingModel::BestParameters::exchange() {
  Backend& b = model_.backend_;
  ParameterSet& set = model_.parameters_;
  for (int64_t round = 0; round < model_.share_.rounds(); ++round) {
    const Tensor all_values = model_.optimizer_.own_values(round);
    const Tensor all_averages = model_.share_.piece_of_slice(model_.optimizer_.arenas().average, round);
    for (int64_t at = 0; at < all_values.size(); at += spare_.size()) {
      const Shape part{std::min(spare_.size(), all_values.size() - at)};
      const Tensor spare = spare_.view(0, part), values = all_values.view(at, part);
      const Tensor average = all_averages.view(at, part);
      b.accumulate(write_to(spare), values);
      b.accumulate(write_to(values), average);
      b.accumulate(write_to(average), spare);
    }
  }
  if (set.has_all_values()) model_.share_.gather(set.values());
  set.values_changed();
}

}  // namespace bough
