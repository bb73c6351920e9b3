#include "model/stored/synthesis.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/random.h"
#include "checkpoint/checkpoint_writer.h"
#include "model/stored/block_tensors.h"
#include "model/stored/family.h"

namespace condense {
namespace {

namespace fs = std::filesystem;

// Of the low-rank part of a matrix.
constexpr int64_t kRank = 64;
constexpr double kDecay = 0.7;   // singular value i falls as i^-kDecay
constexpr double kShare = 0.5;   // of the energy of the matrix
constexpr double kSpread = 0.5;  // of the logarithm of the scales of rows and columns

// Numbers that depend on the seed and the tensor's name alone.
class Numbers {
 public:
  Numbers(uint64_t seed, const std::string& name)
      : generator_(at::detail::createCPUGenerator(Random(seed, "synthesis " + name).NextU64())) {}
  Tensor Normal(at::IntArrayRef shape) {
    return at::randn(shape, generator_, at::TensorOptions().dtype(kF32));
  }

 private:
  at::Generator generator_;
};

// [out, in], with entries of the given root mean square.
Tensor Matrix(Numbers& numbers, int64_t out, int64_t in, double rms) {
  const int64_t rank = std::min({kRank, out, in});
  const Tensor left = numbers.Normal({out, rank}), right = numbers.Normal({rank, in});
  const Tensor falling = at::arange(1, rank + 1, left.options()).pow(-kDecay);
  const double energy = falling.square().sum().item<double>();
  Tensor matrix = numbers.Normal({out, in}).mul_(std::sqrt(1 - kShare));
  matrix.addmm_(left * falling, right, 1, std::sqrt(kShare / energy));
  matrix.mul_((numbers.Normal({out, 1}) * kSpread).exp_());
  matrix.mul_((numbers.Normal({1, in}) * kSpread).exp_());
  // The mean square of a log-normal number is exp(2 spread^2).
  return matrix.mul_(rms * std::exp(-2 * kSpread * kSpread));
}

class Synthesis {
 public:
  Synthesis(const ModelConfig& config, const WeightNames& names, const fs::path& folder,
            const SynthesisOptions& options)
      : config_(config), names_(names), options_(options), writer_(folder) {}

  SynthesizedModel Write(const nlohmann::json& json) {
    const std::string& prefix = names_.prefixes.front();
    Add(prefix + names_.token_embedding + ".weight", {config_.vocab_size, config_.embedding_width},
        kEmbedding);
    if (config_.position_rows > 0) {
      Add(prefix + names_.position_embedding + ".weight",
          {config_.position_rows, config_.embedding_width}, kEmbedding);
    }
    for (int64_t l = 0; l < config_.num_layers(); ++l) AddBlock(l);
    Add(prefix + names_.final_norm + ".weight", {config_.head_width}, 0);
    if (config_.norm == NormKind::kLayer) {
      Add(prefix + names_.final_norm + ".bias", {config_.head_width}, 0);
    }
    if (!config_.tied_head) {
      Add(names_.head + ".weight", {config_.vocab_size, config_.head_width}, kEmbedding);
    }
    writer_.AddFile("config.json", json.dump(2) + "\n");
    for (const fs::path& file : options_.tokenizer_files) writer_.CopyFile(file);
    writer_.Finish();
    return made_;
  }

 private:
  static constexpr double kEmbedding = 0.02;

  void AddBlock(int64_t l) {
    const LayerConfig& layer = config_.layers[static_cast<size_t>(l)];
    Block block = EmptyBlock(config_, layer);
    block.ForEachTensor([&](const std::string& role_name, Tensor&) {
      const auto shape = ExpectedShape(config_, layer, role_name);
      if (!shape) return;
      const double width = static_cast<double>(shape->back());
      // What writes to the residual stream writes less the deeper the model is.
      const bool writes =
          role_name.starts_with("attention.o.") || role_name.starts_with("mlp.down.");
      const double depth = writes ? std::sqrt(2.0 * static_cast<double>(config_.num_layers())) : 1;
      Add(BlockTensorName(names_, names_.prefixes.front(), l, role_name), *shape,
          1 / (std::sqrt(width) * depth));
    });
  }

  // rms: of the entries of a matrix. Vectors are weights of norms, around one, or biases.
  void Add(const std::string& name, const std::vector<int64_t>& shape, double rms) {
    Numbers numbers(options_.seed, name);
    Tensor tensor;
    if (shape.size() == 2) {
      tensor = Matrix(numbers, shape[0], shape[1], rms);
    } else {
      tensor = numbers.Normal(shape).mul_(0.1);
      if (name.ends_with(".weight")) tensor.add_(1);
    }
    const Tensor stored = tensor.to(options_.dtype);
    writer_.Add(name, stored);
    made_.parameters += stored.numel();
    made_.weight_bytes += stored.nbytes();
  }

  const ModelConfig& config_;
  const WeightNames& names_;
  const SynthesisOptions& options_;
  CheckpointWriter writer_;
  SynthesizedModel made_;
};

}  // namespace

SynthesizedModel SynthesizeModel(nlohmann::json config, const std::string& where,
                                 const fs::path& folder, const SynthesisOptions& options) {
  std::error_code ignored;
  if (fs::exists(folder, ignored) &&
      !(fs::is_directory(folder, ignored) && fs::is_empty(folder, ignored))) {
    throw MakeError<ConfigError>("{}: is there already; name another folder, or remove it",
                                 folder.string());
  }
  config["torch_dtype"] = DTypeName(options.dtype);
  const ModelFamily& family = FamilyOf(config, where);
  const ModelConfig model = family.Parse(config, where);
  return Synthesis(model, family.Names(), folder, options).Write(config);
}

}  // namespace condense
