// SliceGPT (Ashkboos et al., arXiv 2401.15024; methods.md 3).
//
// Rotates the residual stream to its principal axes, which leaves a network with parameter-free RMS
// norms unchanged, and deletes the weakest coordinates of the stream. Norm weights are fused into
// the maps that follow them, LayerNorm becomes RMSNorm by centring. Each half of a block runs once
// its input is cut, so later rotations see the error of earlier cuts. Heads, head widths and the
// MLP width stay; each block gains two shortcut matrices.
//
// Stored orientation: a map is [out, in], so "W <- Q^T W" of the paper's row vectors is weight @ Q
// here, and "W <- W Q" is Q^T @ weight.
#include <cmath>
#include <functional>
#include <optional>

#include "base/error.h"
#include "base/progress.h"
#include "base/system.h"
#include "compression/compressor.h"
#include "config/registry.h"
#include "tensor/linalg.h"

namespace condense {

enum class Centering { kWhereNeeded, kAll };
template <>
struct EnumNames<Centering> {
  static constexpr std::array names{std::pair{Centering::kWhereNeeded, "opt_only"},
                                    std::pair{Centering::kAll, "all"}};
};
enum class Orientation { kPca, kRandom };
template <>
struct EnumNames<Orientation> {
  static constexpr std::array names{std::pair{Orientation::kPca, "pca"},
                                    std::pair{Orientation::kRandom, "random"}};
};
enum class SliceNormEps { kModel, kReference };
template <>
struct EnumNames<SliceNormEps> {
  static constexpr std::array names{std::pair{SliceNormEps::kModel, "model"},
                                    std::pair{SliceNormEps::kReference, "1e-5"}};
};

namespace {

struct SliceGptParams {
  Centering center_embeddings = Centering::kWhereNeeded;
  SliceNormEps norm_eps = SliceNormEps::kModel;
  Orientation orientation = Orientation::kPca;
  int64_t round_to = 8;
  double damping = 0.01;
  template <class V>
  void Fields(V&& field) {
    field("center_embeddings", center_embeddings,
          "subtract the mean of each embedding row; only OPT needs it, the reference program "
          "always does");
    field("norm_eps", norm_eps,
          "epsilon of the parameter-free norms: the model's, or the reference's 1e-5");
    field("orientation", orientation, "leave the kept axes as they are, or turn them at random");
    field("round_to", round_to, "the kept width is a multiple of this", Range{1, 4096});
    field("damping", damping, "added to the covariance, times its mean diagonal", Range{0, 1});
  }
};

Tensor F64(const Tensor& t) { return t.defined() ? t.to(kF64) : t; }

// Norm weights fused into the maps that read the normed stream: [out, in] * gamma[in], bias + W
// beta.
void FuseNorm(const Norm& norm, Linear& linear) {
  if (norm.bias.defined()) {
    const Tensor shift = at::mv(linear.weight, F64(norm.bias));
    linear.bias = linear.bias.defined() ? linear.bias + shift : shift;
  }
  if (norm.weight.defined()) linear.weight = linear.weight * F64(norm.weight);
}

// Subtracts from what a map writes its mean over the stream, so that the stream keeps zero mean.
void CentreOutput(Linear& linear) {
  linear.weight = linear.weight - linear.weight.mean(0, /*keepdim=*/true);
  if (linear.bias.defined()) linear.bias = linear.bias - linear.bias.mean();
}

// The block in float64 with its norms fused; its own norms are parameter-free.
Block Fused(const Block& dense, bool centre, double eps, int64_t width) {
  Block block = Converted(dense, kF64, dense.attention.q.weight.device());
  const bool has_layer_norm = block.norm1.kind == NormKind::kLayer;
  for (Linear* linear : {&block.attention.q, &block.attention.k, &block.attention.v}) {
    FuseNorm(block.norm1, *linear);
  }
  FuseNorm(block.norm2, block.mlp.up);
  if (block.mlp.gated()) FuseNorm(block.norm2, block.mlp.gate);
  CONDENSE_CHECK(centre == has_layer_norm, "centring belongs to LayerNorm");
  if (centre) {
    CentreOutput(block.attention.o);
    CentreOutput(block.mlp.down);
  }
  block.norm1 = block.norm2 = Norm{.kind = NormKind::kPlainRms, .eps = eps, .divisor = width};
  return block;
}

void RotateInput(Linear& linear, const Tensor& q) { linear.weight = at::matmul(linear.weight, q); }
void RotateOutput(Linear& linear, const Tensor& q) {
  linear.weight = at::matmul(q.t(), linear.weight);
  if (linear.bias.defined()) linear.bias = at::matmul(q.t(), linear.bias);
}

class SliceGptBase : public Compressor {
 public:
  explicit SliceGptBase(SliceGptParams params) : params_(params) {}

  Plan MakePlan(const PlanContext& context, double nominal) const override {
    const ModelConfig& dense = context.dense();
    const int64_t d = dense.hidden_size, unit = std::min(params_.round_to, d);
    const auto exact =
        static_cast<int64_t>(std::floor((1 - nominal) * static_cast<double>(d) + 1e-9));
    return {SlicedConfig(dense, std::max(exact / unit * unit, unit)), {}};
  }

  void Compress(CompressionJob& job) const override {
    const ModelSource& dense = job.dense();
    const ModelConfig& config = job.config();
    const DType dtype = dense.dtype();
    const int64_t d = dense.config().hidden_size, s = config.embedding_width;
    const int64_t tokens = job.statistics().tokens().tokens();
    if (tokens < s) {
      throw MakeError<ConfigError>(
          "calibration set '{}' has {} tokens, but {} directions of the stream are to be kept; "
          "take more or longer samples",
          job.statistics().calibration().id, tokens, s);
    }

    Embedding embedding = dense.LoadEmbedding();
    CentreEmbedding(dense.config(), embedding);
    CompressedStream x(job.statistics(), embedding);
    Tensor q = Axes(job, x, s, "embedding");
    const Tensor first = q.narrow(1, 0, s);
    job.sink().PutEmbedding(
        {.tokens = at::matmul(F64(embedding.tokens), first).to(dtype),
         .positions = embedding.positions.defined()
                          ? at::matmul(F64(embedding.positions), first).to(dtype)
                          : Tensor(),
         .offset = embedding.offset});

    Progress progress("slicing", config.num_layers(), "layers");
    for (int64_t l = 0; l < config.num_layers(); ++l) {
      CheckInterrupt();
      const int64_t out = config.layers[static_cast<size_t>(l)].out_width;
      q = SliceBlock(job, x, q, s, out, l);
      progress.Advance();
    }

    Head head = dense.LoadHead();
    head.linear.weight = F64(head.linear.weight);
    head.linear.bias = F64(head.linear.bias);
    FuseNorm(head.norm, head.linear);
    RotateInput(head.linear, q);  // q of the last block is square: the head is not sliced
    head.linear.weight = head.linear.weight.to(dtype);
    if (head.linear.bias.defined()) head.linear.bias = head.linear.bias.to(dtype);
    head.norm = PlainNorm(dense.config());
    CONDENSE_CHECK(q.size(1) == d, "the last rotation is square");
    job.sink().PutHead(head);
  }

 private:
  double Eps(const ModelConfig& dense) const {
    return params_.norm_eps == SliceNormEps::kReference ? 1e-5 : dense.norm_eps;
  }
  Norm PlainNorm(const ModelConfig& dense) const {
    return {.kind = NormKind::kPlainRms, .eps = Eps(dense), .divisor = dense.hidden_size};
  }

  // Shape of the model when the stream is cut to `s`; the last block writes the full width again.
  ModelConfig SlicedConfig(const ModelConfig& dense, int64_t s) const {
    ModelConfig config = dense.Derived();
    const bool has_layer_norm = dense.norm == NormKind::kLayer;
    config.norm = NormKind::kPlainRms;
    config.norm_divisor = dense.hidden_size;
    config.norm_eps = Eps(dense);
    config.embedding_width = s;
    config.tied_head = false;
    config.head_bias = has_layer_norm;  // the final norm's bias moves into the head
    for (LayerConfig& layer : config.layers) {
      layer.in_width = layer.mid_width = layer.out_width = s;
      layer.attn_shortcut = layer.mlp_shortcut = true;
      if (has_layer_norm) {
        for (const Role role : {Role::kQuery, Role::kKey, Role::kValue, Role::kUp}) {
          layer.linears[role].bias = true;
        }
      }
    }
    config.layers.back().out_width = dense.hidden_size;
    return config;
  }

  void CentreEmbedding(const ModelConfig& dense, Embedding& embedding) const {
    if (params_.center_embeddings != Centering::kAll && dense.norm != NormKind::kLayer) return;
    const auto centre = [](const Tensor& table) {
      if (!table.defined()) return table;
      const Tensor wide = F64(table);
      return (wide - wide.mean(1, /*keepdim=*/true)).to(table.scalar_type());
    };
    embedding.tokens = centre(embedding.tokens);
    embedding.positions = centre(embedding.positions);
  }

  // Of the stream as it is: [d, d].
  static Tensor Covariance(CompressionJob& job, const CompressedStream& x) {
    GramSum sum(job.statistics().gram_math());
    x.Visit([&](const Tensor& batch) { sum.Add(batch.flatten(0, -2)); });
    return sum.Take();
  }

  // Principal axes of the stream as it is: [d, d], strongest first.
  Tensor Axes(CompressionJob& job, const CompressedStream& x, int64_t s,
              const std::string& site) const {
    Tensor h = Covariance(job, x);
    RequireFinite(h, "SliceGPT, covariance at " + site);
    h.diagonal().add_(params_.damping * h.diagonal().mean());
    Tensor q = EighDescending(h, "SliceGPT, covariance at " + site).vectors;
    if (params_.orientation == Orientation::kRandom) {
      Random random = job.MakeRandom("slicegpt orientation " + site);
      Tensor normals = at::empty({s, s}, kF64);
      double* value = normals.mutable_data_ptr<double>();
      for (int64_t i = 0; i < s * s; ++i) value[i] = random.Normal();
      q = at::cat(
          {at::matmul(q.narrow(1, 0, s), OrthogonalFrom(normals)), q.narrow(1, s, q.size(1) - s)},
          1);
    }
    return q.to(job.dense().device());
  }

  // Slices block l, whose input stream was rotated by q [d, d]; moves the stream past it and
  // returns the rotation of its output.
  Tensor SliceBlock(CompressionJob& job, CompressedStream& x, const Tensor& q, int64_t s,
                    int64_t out, int64_t l) const {
    const ModelSource& dense = job.dense();
    const DType dtype = dense.dtype();
    const Stopwatch watch;
    const Block fused = Fused(dense.LoadBlock(l), dense.config().norm == NormKind::kLayer,
                              Eps(dense.config()), dense.config().hidden_size);
    const Tensor q_in = q.narrow(1, 0, s);
    const Tensor enter = q_in.to(dtype);

    // Attention reads the cut stream and writes the whole one, so that the next axes can be found.
    Block sliced = fused;
    for (Linear* linear : {&sliced.attention.q, &sliced.attention.k, &sliced.attention.v}) {
      RotateInput(*linear, q_in);
    }
    Block probe = sliced;
    probe.attn_shortcut = q_in.t();
    probe = Converted(probe, dtype, dense.device());
    x.Transform(
        [&](const Tensor& batch) { return probe.ForwardAttention(at::matmul(batch, enter)); });
    const Tensor q_mid =
        Axes(job, x, s, fmt::format("layer {}, after attention", l)).narrow(1, 0, s);

    sliced.attn_shortcut = at::matmul(q_in.t(), q_mid);
    RotateOutput(sliced.attention.o, q_mid);
    RotateInput(sliced.mlp.up, q_mid);
    if (sliced.mlp.gated()) RotateInput(sliced.mlp.gate, q_mid);
    // The sliced attention gives what the whole one gave, cut to the axes just found: it need not
    // run again.
    probe = sliced;
    probe.mlp_shortcut = q_mid.t();
    probe = Converted(probe, dtype, dense.device());
    const Tensor enter_mlp = q_mid.to(dtype);
    x.Transform(
        [&](const Tensor& batch) { return probe.ForwardMlp(at::matmul(batch, enter_mlp)); });
    const Tensor q_next = Axes(job, x, s, fmt::format("layer {}, output", l));
    const Tensor q_out = q_next.narrow(1, 0, out);

    sliced.mlp_shortcut = at::matmul(q_mid.t(), q_out);
    RotateOutput(sliced.mlp.down, q_out);
    job.sink().PutBlock(l, Converted(sliced, dtype, dense.device()));
    LayerReport report{.layer = l, .modules = {}};
    report.modules["stream"] = {.widths = {s, s, out},
                                .kept = {},
                                .damping = params_.damping,
                                .condition = {},
                                .relative_error = {},
                                .seconds = watch.Seconds()};
    job.report().layers.push_back(std::move(report));
    return q_next;
  }

  SliceGptParams params_;
};

class SliceGpt final : public SliceGptBase {
 public:
  using Params = SliceGptParams;
  using SliceGptBase::SliceGptBase;
};

// The options of the reference program.
class SliceGptCode final : public SliceGptBase {
 public:
  struct Params : SliceGptParams {
    Params() {
      center_embeddings = Centering::kAll;
      norm_eps = SliceNormEps::kReference;
      orientation = Orientation::kRandom;
    }
  };
  explicit SliceGptCode(Params params) : SliceGptBase(params) {}
};

CONDENSE_REGISTER(Compressor, SliceGpt, "slicegpt", 1,
                  "cuts the residual stream to its principal axes (Ashkboos et al. 2024)");
CONDENSE_REGISTER(Compressor, SliceGptCode, "slicegpt_code", 1,
                  "slicegpt with the options of its reference program");

}  // namespace
}  // namespace condense
