#include "model/stored/stored_weights.h"

#include <utility>

#include "base/error.h"
#include "checkpoint/json.h"
#include "model/stored/foreign.h"

namespace condense {
namespace {

class FolderWeights final : public StoredWeights {
 public:
  explicit FolderWeights(Checkpoint checkpoint) : checkpoint_(std::move(checkpoint)) {}

  const std::vector<std::string>& Names() const override { return checkpoint_.Names(); }
  bool Has(const std::string& name) const override { return checkpoint_.Has(name); }
  const TensorInfo& Info(const std::string& name) const override { return checkpoint_.Info(name); }
  Tensor Get(const std::string& name, at::IntArrayRef shape) const override {
    return checkpoint_.Get(name, shape);
  }
  void Release(const std::string& name) const override { checkpoint_.Release(name); }
  const std::string& Digest() const override { return checkpoint_.Digest(); }
  uint64_t FileBytes() const override { return checkpoint_.FileBytes(); }

 private:
  Checkpoint checkpoint_;
};

// Some quantized weights cannot even be opened.
Checkpoint OpenWeights(const std::filesystem::path& folder, const nlohmann::json& config) {
  try {
    return Checkpoint::Open(folder);
  } catch (const DataError& error) {
    const auto foreign = ForeignWeights(config, {});
    if (!foreign) throw;
    throw MakeError<DataError>("{}; {}", error.what(), *foreign);
  }
}

}  // namespace

OpenedModel OpenFolder(const std::filesystem::path& folder) {
  const auto config_path = folder / "config.json";
  if (!std::filesystem::exists(config_path)) {
    throw MakeError<DataError>(
        "{}: no config.json there; {}", folder.string(),
        ForeignFolder(folder).value_or(
            "expected a model folder with config.json, weights (model.safetensors, its sharded "
            "form, or pytorch_model.bin) and a tokenizer"));
  }
  OpenedModel opened{ReadJson(config_path), config_path.string(), nullptr};
  opened.weights = std::make_unique<FolderWeights>(OpenWeights(folder, opened.config));
  return opened;
}

}  // namespace condense
