// Checkpoints that other programs leave: names inside wrappers, one tensor of a tied pair, the bare
// model, quantized weights, adapters. What can be loaded is; the rest is called by its name.
#include <gmock/gmock.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/checkpoint_writer.h"
#include "checkpoint/json.h"
#include "support/temp_folder.h"
#include "support/tiny_folder.h"
#include "support/tiny_model.h"

namespace condense {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

class ForeignCheckpoint : public testing::Test {
 protected:
  using Rename = std::function<std::string(const std::string&)>;  // "": left out

  explicit ForeignCheckpoint(bool tied = false) {
    TinyModelOptions options;
    model_ = MakeTinyModel(options);
    WriteTinyFolder(*model_, folder_.path() / "plain");
    tensors_ = ReadTensors(folder_.path() / "plain/model.safetensors");
    config_ = ReadJson(folder_.path() / "plain/config.json");
    config_["tie_word_embeddings"] = tied;
    ids_ = TinyIds(options);
  }

  std::filesystem::path Written(const Rename& rename) {
    const auto path = folder_.path() / std::to_string(++written_);
    CheckpointWriter writer(path);
    for (const auto& [name, tensor] : tensors_) {
      if (const std::string other = rename(name); !other.empty()) writer.Add(other, tensor);
    }
    writer.AddFile("config.json", config_.dump());
    writer.Finish();
    return path;
  }
  Tensor LogitsOf(const std::filesystem::path& path) const {
    return CausalLm::Load(*CheckpointModel::Open(path))->Logits(ids_);
  }
  void ExpectLoads(const Rename& rename) {
    EXPECT_TRUE(at::equal(LogitsOf(Written(rename)), model_->Logits(ids_)));
  }
  void ExpectRefused(const Rename& rename, const testing::Matcher<std::string>& message) {
    const auto path = Written(rename);
    EXPECT_THAT([&] { CheckpointModel::Open(path); }, ThrowsMessage<DataError>(message));
  }

  TempFolder folder_;
  std::unique_ptr<CausalLm> model_;
  std::map<std::string, Tensor> tensors_;
  json config_;
  Tensor ids_;
  int written_ = 0;
  InferenceScope inference_;
};

TEST_F(ForeignCheckpoint, NamesInWrappersAreUnderstood) {
  for (const std::string wrapper :
       {"module.", "_orig_mod.", "base_model.model.", "module._orig_mod.", "model.",
        "_fsdp_wrapped_module.", "net.backbone."}) {
    SCOPED_TRACE(wrapper);
    ExpectLoads([&](const std::string& name) { return wrapper + name; });
  }
  // torch.compile of each block.
  ExpectLoads([](const std::string& name) {
    const size_t at = name.find("layers.1.");
    return at == name.npos ? name : name.substr(0, at + 9) + "_orig_mod." + name.substr(at + 9);
  });
}

TEST_F(ForeignCheckpoint, ABeginningThatNotAllNamesHaveIsNoWrapper) {
  ExpectRefused(
      [](const std::string& name) { return name == "lm_head.weight" ? name : "net." + name; },
      HasSubstr("asks for the tensor 'model.embed_tokens.weight', which the weights lack"));
}

TEST_F(ForeignCheckpoint, TwoTensorsThatDifferByAWrapperAreRefused) {
  tensors_["module.model.norm.weight"] = tensors_.at("model.norm.weight");
  ExpectRefused([](const std::string& name) { return name; },
                AllOf(HasSubstr("'model.norm.weight'"), HasSubstr("'module.model.norm.weight'")));
}

TEST_F(ForeignCheckpoint, TheBareModelLoadsWhereItHasItsHead) {
  const auto bare = [](const std::string& name) {
    return name.starts_with("model.") ? name.substr(6) : name;
  };
  ExpectLoads(bare);
  ExpectRefused([&](const std::string& name) { return name == "lm_head.weight" ? "" : bare(name); },
                AllOf(HasSubstr("'lm_head.weight', which the weights lack"),
                      HasSubstr("set tie_word_embeddings to true")));
}

TEST_F(ForeignCheckpoint, EitherNameOfATiedPairWillDo) {
  config_["tie_word_embeddings"] = true;
  tensors_["lm_head.weight"] = tensors_.at("model.embed_tokens.weight");
  const auto without = [](const std::string& left_out, const std::string& wrapper = "") {
    return [=](const std::string& name) { return name == left_out ? "" : wrapper + name; };
  };
  const Tensor both = LogitsOf(Written(without("")));
  for (const char* left_out : {"lm_head.weight", "model.embed_tokens.weight"}) {
    SCOPED_TRACE(left_out);
    EXPECT_TRUE(at::equal(LogitsOf(Written(without(left_out))), both));
    EXPECT_TRUE(at::equal(LogitsOf(Written(without(left_out, "_orig_mod."))), both));
  }
}

TEST_F(ForeignCheckpoint, QuantizedWeightsAreCalledQuantized) {
  const auto packed = [](const std::string& name) {
    const std::string ending = "q_proj.weight";
    return name.ends_with(ending) ? name.substr(0, name.size() - 6) + "qweight" : name;
  };
  ExpectRefused(packed, AllOf(HasSubstr("the weights are quantized ("), HasSubstr(".qweight'")));
  config_["quantization_config"] = {{"quant_method", "gptq"}, {"bits", 4}};
  ExpectRefused(packed, HasSubstr("quantized (quantization_config: gptq)"));
  // 8-bit integers under the ordinary names.
  for (auto& [name, tensor] : tensors_) {
    if (name.ends_with("q_proj.weight")) tensor = tensor.to(at::kChar);
  }
  config_["quantization_config"] = {{"quant_method", "bitsandbytes"}};
  ExpectRefused([](const std::string& name) { return name; },
                AllOf(HasSubstr("stored as"), HasSubstr("(quantization_config: bitsandbytes)")));
}

TEST_F(ForeignCheckpoint, ALeftOverQuantizationConfigDoesNotMatter) {
  config_["quantization_config"] = {{"quant_method", "awq"}};
  ExpectLoads([](const std::string& name) { return name; });
}

TEST_F(ForeignCheckpoint, AdaptersAreToBeMerged) {
  ExpectRefused(
      [](const std::string& name) {
        const size_t at = name.find("q_proj.weight");
        return "base_model.model." +
               (at == name.npos ? name : name.substr(0, at) + "q_proj.lora_A.default.weight");
      },
      AllOf(HasSubstr("adapter (LoRA"), HasSubstr("merge_and_unload")));
  const auto adapter = folder_.path() / "adapter";
  std::filesystem::create_directory(adapter);
  WriteFileAtomically(adapter / "adapter_config.json", "{}");
  EXPECT_THAT([&] { CheckpointModel::Open(adapter); },
              ThrowsMessage<DataError>(HasSubstr("holds an adapter (adapter_config.json)")));
}

}  // namespace
}  // namespace condense
