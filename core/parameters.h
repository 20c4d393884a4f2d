#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/arena_share.h"
#include "core/tape.h"

namespace bough {

/// How the elements of a parameter begin: uniform in [-limit, limit], or constant.
struct Init {
  enum class Kind : uint8_t { uniform, constant };
  Kind kind = Kind::constant;
  double value = 0;  ///< the limit, or the constant
};
/// Glorot 2010: limit = gain * sqrt(6 / (fan_in + fan_out)).
Init glorot_uniform(int64_t fan_in, int64_t fan_out, double gain = 1);
inline Init uniform(double limit) { return {Init::Kind::uniform, limit}; }
inline Init constant(double value) { return {Init::Kind::constant, value}; }

/// One array of the model file and where it lies: the unit of names, initialisation and logs.
/// In memory it is (rows, cols) = (out, in) for matrices; the file holds Marian's (in, out).
struct ParameterPart {
  std::string name;  ///< Marian's, e.g. encoder_l1_self_Wq
  int64_t rows = 0, cols = 0;
  bool is_transposed = false;  ///< the file holds the transpose of the memory
  Init init;
  int64_t first = 0;  ///< element of the arena; set by ParameterSet::lay_out

  int64_t size() const { return rows * cols; }
  /// Shape in the model file.
  Shape file_shape() const { return is_transposed ? Shape{cols, rows} : Shape{rows, cols}; }
};

/// A tensor that is trained: one or several parts, one below the other.
struct Parameter {
  Tensor value;                    ///< in the compute type
  std::shared_ptr<GradSlot> slot;  ///< its gradient: a part of the gradient arena
  bool is_fixed = false;           ///< not trained: its gradient is not computed, and is 0
  Int8Multipliers int8 = {};       ///< of its products where they are in 8 bits
  Var on(Tape& tape) const { return tape.parameter(value, is_fixed ? nullptr : slot); }
};

/// The multipliers of a part that is in 8 bits: of its elements, and of what they are multiplied by (0: see
/// Int8Multipliers).
struct Int8Part {
  float weight = 1, input = 0;
};

/// All parameters of a model: declared in forward order by the layers, then laid out in flat arenas in
/// reverse (the order in which their gradients become known). Arenas are f32 (f64 in tests).
class ParameterSet {
 public:
  explicit ParameterSet(Backend& backend) : backend_(backend) {}
  ParameterSet(const ParameterSet&) = delete;

  /// Declares a tensor of stacked parts with equal cols; rows are padded to a multiple of `row_multiple`
  /// with zeros (vocabularies). The reference stays valid; its tensors exist after allocate().
  Parameter& declare(std::vector<ParameterPart> parts, int64_t row_multiple = 1);
  /// Declares a vector of parts (1, n) one after another, padded likewise.
  Parameter& declare_vector(std::vector<ParameterPart> parts, int64_t multiple = 1);

  /// After the last declaration: places of all parts, still without memory. allocate() does it if nobody has.
  void lay_out();
  /// Lays out the arenas; once, after all are declared. Content: parameters undefined until
  /// initialize() or load, gradients zero; for inference there need be none. Where ranks `share` a run and compute with
  /// copies of the parameters (bf16), each keeps the values of its own pieces alone. Returns *this.
  ParameterSet& allocate(bool with_gradients = true, ArenaShare* share = nullptr);
  /// Every part from its Init, by a stream of its own keyed by (seed, name): independent of order. `change` may say
  /// otherwise, as they lie in memory.
  void initialize(uint64_t seed, const std::function<void(const ParameterPart&, std::vector<float>&)>& change = {});

  /// Whether the part belongs to a parameter that is fixed.
  bool is_fixed(const ParameterPart& part) const;

  /// Makes products with parameters be in 8 bits all of whose parts are named. Error where parts of one parameter,
  /// which are multiplied by the same x, say different things of it.
  void set_int8(const std::map<std::string, Int8Part>& parts);
  /// Has how large the x of those products are noted from now on: by the names of parts, which share what their
  /// parameter has.
  std::map<std::string, std::shared_ptr<InputSizes>> note_int8_inputs();

  /// Forgets which gradients exist: the next backward pass writes them.
  void begin_update();
  /// Sets gradients that the first backward pass did not reach to zero, those of elements before `end`; later ones add.
  void finish_update(int64_t end);
  void finish_update() { finish_update(elements_); }

  /// Forgets in which sections of a tape parameters are used.
  void begin_tape();
  /// Elements at the front of gradients() that are known once the backward pass has done all sections of its tape from
  /// `section` on: no parameter among them was used before.
  int64_t known_elements(int section) const;

  const std::vector<ParameterPart>& parts() const { return parts_; }  ///< sorted by name
  int64_t elements() const { return elements_; }                      ///< of an arena, padding included
  int64_t trained_elements() const;                                   ///< without padding
  const Tensor& values() const;                                       ///< (elements) f32; if all are here
  bool has_all_values() const { return !share_; }
  /// values(), or this rank's slice of them; and the same with its places.
  const Tensor& kept_values() const { return values_; }
  std::vector<ArenaPiece> kept_pieces() const;
  const Tensor& gradients() const { return gradients_; }
  const Tensor& compute_copy() const { return compute_; }  ///< bf16 values; empty in f32 and f64
  Backend& backend() const { return backend_; }

  /// Elements of the flat form that Marian's optimizer file uses: parts sorted by name, each padded to
  /// 256 bytes of f32.
  int64_t file_elements() const;
  int64_t file_elements(const ParameterPart& part) const;  ///< of one part, with its padding

  /// One part of an arena in the file's layout; and back into pieces of one, what of the part lies in them. `scratch`
  /// is memory that may be used again.
  std::vector<float> extract(const WholeArena& arena, const ParameterPart& part) const;
  void insert(const std::vector<ArenaPiece>& pieces, const ParameterPart& part, std::span<const float> values,
              std::vector<float>& scratch) const;
  void insert(const std::vector<ArenaPiece>& pieces, const ParameterPart& part, std::span<const float> values) const {
    std::vector<float> scratch;
    insert(pieces, part, values, scratch);
  }
  /// Sets what lies between the parts to zero, of the values kept here.
  void clear_gaps() const;
  std::vector<float> download(In arena) const;  ///< as f32
  void upload(Out arena, std::span<const float> values) const;

  /// Tells the backend's compute copy (bf16) that the values kept here have changed; nothing to do in f32 and f64. All
  /// ranks call alike.
  void values_changed();

 private:
  struct Declared {
    Parameter parameter;
    std::vector<ParameterPart> parts;
    Shape shape;
    int64_t first = 0;
  };
  Parameter& add(std::vector<ParameterPart> parts, Shape shape);
  void place(const std::vector<ArenaPiece>& pieces, const ParameterPart& part, std::span<const float> values) const;
  Backend& backend_;
  std::deque<Declared> declared_;
  std::vector<ParameterPart> parts_;
  int64_t elements_ = 0;
  Tensor values_, gradients_, compute_;
  ArenaShare* share_ = nullptr;  ///< of the values; none: all are here
};

}  // namespace bough
