// GGUF files made of model folders, and tiny ones with faults, imported as folders.
#include "model/stored/gguf/gguf_import.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/stored/stored_model.h"
#include "support/gguf_model.h"
#include "support/shared_data.h"
#include "support/temp_folder.h"
#include "unit/checkpoint/raw_files.h"

namespace condense {
namespace {

using Kind = GgufKind;
using nlohmann::json;

// A LLaMA of one layer, whose parts a test may change before it is written.
struct TinyGguf {
  std::map<std::string, std::pair<Kind, std::string>> entries{
      {"general.architecture", {Kind::kString, RawText("llama")}},
      {"llama.context_length", {Kind::kUint32, Raw<uint32_t>(16)}},
      {"llama.embedding_length", {Kind::kUint32, Raw<uint32_t>(8)}},
      {"llama.feed_forward_length", {Kind::kUint32, Raw<uint32_t>(6)}},
      {"llama.block_count", {Kind::kUint32, Raw<uint32_t>(1)}},
      {"llama.attention.head_count", {Kind::kUint32, Raw<uint32_t>(2)}},
      {"llama.attention.head_count_kv", {Kind::kUint32, Raw<uint32_t>(1)}},
      {"llama.attention.layer_norm_rms_epsilon", {Kind::kFloat32, Raw(1e-5F)}}};
  std::map<std::string, Tensor> tensors{
      {"token_embd.weight", at::ones({5, 8})},     {"output_norm.weight", at::ones({8})},
      {"blk.0.attn_norm.weight", at::ones({8})},   {"blk.0.ffn_norm.weight", at::ones({8})},
      {"blk.0.attn_q.weight", at::ones({8, 8})},   {"blk.0.attn_k.weight", at::ones({4, 8})},
      {"blk.0.attn_v.weight", at::ones({4, 8})},   {"blk.0.attn_output.weight", at::ones({8, 8})},
      {"blk.0.ffn_gate.weight", at::ones({6, 8})}, {"blk.0.ffn_up.weight", at::ones({6, 8})},
      {"blk.0.ffn_down.weight", at::ones({8, 6})}};
  size_t tokens = 5;

  void Set(const std::string& key, uint32_t value) { entries[key] = {Kind::kUint32, Raw(value)}; }
  std::string Bytes() const {
    GgufBytes file;
    for (const auto& [key, value] : entries) file.Entry(key, value.first, value.second);
    AddNumberedVocabulary(file, tokens);
    for (const auto& [name, tensor] : tensors) AddTensor(file, name, tensor);
    return file.Bytes();
  }
};

class GgufImport : public ::testing::Test {
 protected:
  std::filesystem::path Write(const std::string& bytes) {
    WriteFileAtomically(file_, bytes);
    return file_;
  }
  json Import(const TinyGguf& file, DType dtype = kF16) {
    std::filesystem::remove_all(out_);
    ImportGguf(Write(file.Bytes()), out_, dtype);
    return ReadJson(out_ / "config.json");
  }
  std::function<void()> Importing(const TinyGguf& file) {
    return [path = Write(file.Bytes()), this] { ImportGguf(path, out_, kF16); };
  }
  // The import fails, and leaves nothing beside the file.
  template <class... Parts>
  void ExpectRefused(const TinyGguf& file, Parts... parts) {
    EXPECT_THAT(Importing(file), FailsWith("model.gguf", parts...));
    size_t left = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      ++left;
    }
    EXPECT_EQ(left, 1u);
  }

  TempFolder folder_;
  std::filesystem::path file_ = folder_.path() / "model.gguf", out_ = folder_.path() / "out";
};

TEST_F(GgufImport, GivesBackTheFolderThatTheFileWasMadeOf) {
  for (const char* name : {"llama2-mini", "llama3-mini"}) {
    SCOPED_TRACE(name);
    const auto folder = ModelFolder(name);
    GgufBytes bytes = GgufOfFolder(folder);
    const json expected = ReadJson(folder / "config.json");
    AddNumberedVocabulary(bytes, expected.at("vocab_size").get<size_t>());
    const auto out = folder_.path() / name;
    const ImportedModel imported = ImportGguf(Write(bytes.Bytes()), out, kF32);

    const json config = ReadJson(out / "config.json");
    for (const char* key :
         {"architectures", "model_type", "hidden_size", "intermediate_size", "num_hidden_layers",
          "num_attention_heads", "num_key_value_heads", "max_position_embeddings", "hidden_act",
          "rms_norm_eps", "rope_theta", "rope_scaling", "tie_word_embeddings", "attention_bias",
          "mlp_bias", "vocab_size"}) {
      EXPECT_EQ(config.at(key), expected.at(key)) << key;
    }
    EXPECT_EQ(config.at("torch_dtype"), "float32");

    const Checkpoint before = Checkpoint::Open(folder), after = Checkpoint::Open(out);
    EXPECT_EQ(after.Names(), before.Names());
    int64_t parameters = 0;
    for (const std::string& tensor : after.Names()) {
      EXPECT_TRUE(at::equal(after.Get(tensor), before.Get(tensor).to(kF32))) << tensor;
      parameters += after.Info(tensor).elements();
    }
    EXPECT_EQ(imported.parameters, parameters);
    EXPECT_NO_THROW(StoredModel(out, {}, Residence::kStreamed));
  }
}

TEST_F(GgufImport, TiesTheHeadWhereTheFileHasNone) {
  TinyGguf file;
  EXPECT_EQ(Import(file).at("tie_word_embeddings"), true);
  file.tensors["output.weight"] = at::zeros({5, 8});
  EXPECT_EQ(Import(file).at("tie_word_embeddings"), false);
  EXPECT_TRUE(Checkpoint::Open(out_).Has("lm_head.weight"));
}

TEST_F(GgufImport, RoundsToTheNumberTypeThatIsAskedFor) {
  TinyGguf file;
  file.tensors["blk.0.ffn_up.weight"] = at::full({6, 8}, 0.1);
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  for (const DType dtype : {kF16, kBF16, kF32}) {
    EXPECT_EQ(Import(file, dtype).at("torch_dtype"), DTypeName(dtype));
    EXPECT_TRUE(at::equal(Checkpoint::Open(out_).Get(name), at::full({6, 8}, 0.1F).to(dtype)));
  }
}

// The factors that converters write for LLaMA-3.1 and 3.2.
Tensor Llama31Factors(double theta, double factor, int64_t pairs) {
  const Tensor factors = at::ones({pairs});
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const double wavelength =
        2 * M_PI * std::pow(theta, static_cast<double>(pair) / static_cast<double>(pairs));
    if (wavelength > 8192) {
      factors[pair] = factor;
    } else if (wavelength > 8192.0 / 4) {
      const double smooth = (8192 / wavelength - 1) / (4 - 1);
      factors[pair] = 1 / ((1 - smooth) / factor + smooth);
    }
  }
  return factors;
}

TEST_F(GgufImport, FindsTheScalingOfLlama31InItsFactors) {
  for (const double factor : {8.0, 32.0}) {
    TinyGguf file;
    file.Set("llama.rope.freq_base", 500000);
    file.Set("llama.attention.key_length", 16);
    file.Set("llama.attention.value_length", 16);
    file.tensors["blk.0.attn_q.weight"] = at::ones({32, 8});
    file.tensors["blk.0.attn_k.weight"] = at::ones({16, 8});
    file.tensors["blk.0.attn_v.weight"] = at::ones({16, 8});
    file.tensors["blk.0.attn_output.weight"] = at::ones({8, 32});
    file.tensors["rope_freqs.weight"] = Llama31Factors(500000, factor, 8);
    const json config = Import(file);
    EXPECT_EQ(config.at("head_dim"), 16);
    EXPECT_EQ(config.at("rope_scaling"), json({{"rope_type", "llama3"},
                                               {"factor", factor},
                                               {"low_freq_factor", 1.0},
                                               {"high_freq_factor", 4.0},
                                               {"original_max_position_embeddings", 8192}}));
    std::filesystem::remove_all(out_);
    file.tensors["rope_freqs.weight"][1] = 1.5;
    ExpectRefused(file, "rope_freqs.weight", "pair 1", "not supported");
  }
}

TEST_F(GgufImport, KeepsTheLinearScalingOfPositions) {
  TinyGguf file;
  file.entries["llama.rope.scaling.type"] = {Kind::kString, RawText("linear")};
  file.entries["llama.rope.scaling.factor"] = {Kind::kFloat32, Raw(2.5F)};
  EXPECT_EQ(Import(file).at("rope_scaling"), json({{"rope_type", "linear"}, {"factor", 2.5}}));
}

TEST_F(GgufImport, KeepsYarn) {
  TinyGguf file;
  file.entries["llama.rope.scaling.type"] = {Kind::kString, RawText("yarn")};
  file.entries["llama.rope.scaling.factor"] = {Kind::kFloat32, Raw(4.0F)};
  EXPECT_EQ(Import(file).at("rope_scaling"), json({{"rope_type", "yarn"}, {"factor", 4.0}}));
  file.Set("llama.rope.scaling.original_context_length", 8);
  EXPECT_EQ(Import(file).at("rope_scaling").at("original_max_position_embeddings"), 8);
  EXPECT_NO_THROW(StoredModel(out_, {}, Residence::kStreamed));
  std::filesystem::remove_all(out_);
  file.entries["llama.rope.scaling.attn_factor"] = {Kind::kFloat32, Raw(2.0F)};
  ExpectRefused(file, "llama.rope.scaling.attn_factor is 2", "not supported");
}

TEST_F(GgufImport, KeepsEveryIdThatEndsATextOrATurn) {
  TinyGguf file;
  EXPECT_EQ(Import(file).at("eos_token_id"), 2);
  EXPECT_EQ(ReadJson(out_ / "generation_config.json").at("eos_token_id"), 2);
  file.Set("tokenizer.ggml.eot_token_id", 4);
  file.Set("tokenizer.ggml.eom_token_id", 2);
  EXPECT_EQ(Import(file).at("eos_token_id"), 2);
  EXPECT_EQ(ReadJson(out_ / "generation_config.json").at("eos_token_id"), json({2, 4}));
  file.Set("tokenizer.ggml.eot_token_id", 5);
  std::filesystem::remove_all(out_);
  ExpectRefused(file, "eot_token_id is 5, but there are 5 tokens");
}

// Qwen2 has biases of queries, keys and values, and rows in the order of a folder.
TEST_F(GgufImport, TakesQwen2AsItIsStored) {
  TinyGguf file, llama;
  file.entries.clear();
  for (const auto& [key, value] : llama.entries) {
    file.entries[key.starts_with("llama.") ? "qwen2." + key.substr(6) : key] = value;
  }
  file.entries["general.architecture"] = {Kind::kString, RawText("qwen2")};
  file.tensors["blk.0.attn_q.weight"] = at::arange(64, kF32).view({8, 8});
  file.tensors["blk.0.attn_q.bias"] = at::arange(8, kF32);
  file.tensors["blk.0.attn_k.bias"] = at::arange(4, kF32);
  file.tensors["blk.0.attn_v.bias"] = at::arange(4, kF32);
  EXPECT_EQ(Import(file, kF32).at("model_type"), "qwen2");
  const Checkpoint imported = Checkpoint::Open(out_);
  const std::string attention = "model.layers.0.self_attn.";
  EXPECT_TRUE(
      at::equal(imported.Get(attention + "q_proj.weight"), file.tensors["blk.0.attn_q.weight"]));
  EXPECT_TRUE(at::equal(imported.Get(attention + "k_proj.bias"), at::arange(4, kF32)));
  EXPECT_NO_THROW(StoredModel(out_, {}, Residence::kStreamed));
}

TEST_F(GgufImport, RefusesWhatAConfigurationCannotSay) {
  const auto refused = [&](const std::string& key, Kind kind, const std::string& value,
                           const std::string& part) {
    TinyGguf file;
    file.entries[key] = {kind, value};
    ExpectRefused(file, key, part);
  };
  refused("llama.expert_count", Kind::kUint32, Raw<uint32_t>(8), "experts");
  refused("llama.attention.sliding_window", Kind::kUint32, Raw<uint32_t>(4), "below 16");
  refused("llama.rope.dimension_count", Kind::kUint32, Raw<uint32_t>(2), "a head is 4 wide");
  refused("llama.rope.scaling.type", Kind::kString, RawText("longrope"), "'longrope'");
  refused("general.architecture", Kind::kString, RawText("mamba"), "supported: llama, qwen2");
  refused("llama.block_count", Kind::kString, RawText("1"), "expected an integer");
}

TEST_F(GgufImport, RefusesAFileThatLacksSizes) {
  for (const char* key : {"general.architecture", "llama.block_count", "llama.context_length",
                          "llama.attention.head_count"}) {
    TinyGguf file;
    file.entries.erase(key);
    ExpectRefused(file, "lack", key);
  }
}

TEST_F(GgufImport, RefusesTensorsThatAreMissingUnknownOrOfAnotherShape) {
  TinyGguf file;
  file.tensors.erase("blk.0.attn_v.weight");
  ExpectRefused(file, "lacks the tensor 'blk.0.attn_v.weight'");
  file = TinyGguf();
  file.tensors["blk.0.attn_q_norm.weight"] = at::ones({4});
  ExpectRefused(file, "'blk.0.attn_q_norm.weight'", "not supported");
  file = TinyGguf();
  file.tensors["blk.0.ffn_down.weight"] = at::ones({6, 8});
  ExpectRefused(file, "'blk.0.ffn_down.weight' is [6, 8]", "ask for [8, 6]");
  file = TinyGguf();
  file.tensors.erase("token_embd.weight");
  ExpectRefused(file, "token_embd.weight", "there is none");
}

TEST_F(GgufImport, RefusesAVocabularyOfAnotherSizeThanTheEmbedding) {
  TinyGguf file;
  file.tokens = 6;
  ExpectRefused(file, "6 tokens", "5 rows");
}

TEST_F(GgufImport, RefusesWeightsThatAreNotFiniteOrTooLarge) {
  TinyGguf file;
  file.tensors["blk.0.ffn_up.weight"][2][3] = 1e6;
  ExpectRefused(file, "'blk.0.ffn_up.weight'", "1000000", "float16", "bfloat16");
  EXPECT_NO_THROW(Import(file, kBF16));
  std::filesystem::remove_all(out_);
  file.tensors["blk.0.ffn_up.weight"][2][3] = std::numeric_limits<float>::quiet_NaN();
  ExpectRefused(file, "'blk.0.ffn_up.weight'", "not finite");
}

TEST_F(GgufImport, LeavesAFolderThatIsThereAsItIs) {
  MakeFolder(out_);
  WriteFileAtomically(out_ / "mine.txt", "mine");
  EXPECT_THAT(Importing(TinyGguf()),
              testing::ThrowsMessage<ConfigError>(testing::HasSubstr("is there already")));
  EXPECT_EQ(ReadFile(out_ / "mine.txt"), "mine");
}

}  // namespace
}  // namespace condense
