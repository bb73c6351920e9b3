#include "model/stored/gguf/gguf_import.h"

#include "base/error.h"
#include "checkpoint/checkpoint_writer.h"
#include "model/stored/gguf/gguf_model.h"

namespace condense {

namespace fs = std::filesystem;

ImportedModel ImportGguf(const fs::path& file, const fs::path& folder, DType dtype) {
  std::error_code ignored;
  if (fs::exists(folder, ignored) &&
      !(fs::is_directory(folder, ignored) && fs::is_empty(folder, ignored))) {
    throw MakeError<ConfigError>("{}: is there already; name another folder, or remove it",
                                 folder.string());
  }
  const GgufModel source(file, dtype);
  const auto tokenizer = source.TokenizerFiles();
  ImportedModel imported{.vocab_size = source.config().at("vocab_size").get<int64_t>()};
  CheckpointWriter writer(folder);
  for (const std::string& name : source.InOrder()) {
    const Tensor tensor = source.Get(name, source.Info(name).shape);
    writer.Add(name, tensor);
    imported.parameters += tensor.numel();
    imported.weight_bytes += tensor.nbytes();
  }
  writer.AddFile("config.json", source.config().dump(2) + "\n");
  for (const auto& [name, bytes] : tokenizer) writer.AddFile(name, bytes);
  writer.Finish();
  return imported;
}

}  // namespace condense
