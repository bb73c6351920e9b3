// Model folders that lie, from the outside: every command that opens one says which file is wrong,
// where, and what was expected there, and exits with 3.
#include <gmock/gmock.h>

#include <cstring>
#include <functional>

#include "unit/runner/runner_process.h"

namespace condense {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* kTensor = "model.layers.1.self_attn.q_proj.weight";

// model.safetensors in two parts.
struct Weights {
  json header;
  std::string data;
  std::optional<uint64_t> claimed_header_bytes;
};

Weights ReadWeights(const fs::path& model) {
  const std::string bytes = ReadFile(model / "model.safetensors");
  uint64_t size = 0;
  std::memcpy(&size, bytes.data(), 8);
  return {json::parse(bytes.substr(8, size)), bytes.substr(8 + size), std::nullopt};
}

void WriteWeights(const fs::path& model, const Weights& weights) {
  std::string header = weights.header.dump();
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t size = weights.claimed_header_bytes.value_or(header.size());
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &size, 8);
  WriteText(model / "model.safetensors", bytes + header + weights.data);
}

using Damage = std::function<void(const fs::path& model)>;

Damage InWeights(std::function<void(Weights&)> change) {
  return [change = std::move(change)](const fs::path& model) {
    Weights weights = ReadWeights(model);
    change(weights);
    WriteWeights(model, weights);
  };
}

Damage InJson(const std::string& file, std::function<void(json&)> change) {
  return [file, change = std::move(change)](const fs::path& model) {
    json content = json::parse(ReadFile(model / file));
    change(content);
    WriteText(model / file, content.dump(1));
  };
}

Damage InConfig(const std::string& key, json value) {
  return InJson("config.json", [=](json& config) { config[key] = value; });
}

Damage Removed(std::vector<std::string> files) {
  return [files = std::move(files)](const fs::path& model) {
    for (const std::string& file : files) fs::remove(model / file);
  };
}

struct Case {
  const char* name;
  Damage damage;
  std::vector<std::string> says;
  const char* base = "llama3-mini";
};

class DamagedModel : public testing::Test {
 protected:
  fs::path Copy(const Case& damaged) const {
    const fs::path model = folder_.path() / "model";
    fs::remove_all(model);
    fs::copy(BundledModel(damaged.base), model);
    for (const auto& file : fs::directory_iterator(model)) {
      fs::permissions(file, fs::perms::owner_write, fs::perm_options::add);
    }
    damaged.damage(model);
    return model;
  }

  void ExpectRefused(const std::vector<Case>& cases,
                     const std::function<ProgramResult(const std::string& model)>& command) const {
    for (const Case& damaged : cases) {
      SCOPED_TRACE(damaged.name);
      const fs::path model = Copy(damaged);
      const ProgramResult result = command(model.string());
      EXPECT_EQ(result.exit_code, 3) << result.err;
      EXPECT_EQ(result.out, "");
      EXPECT_THAT(result.err, StartsWith("runner: error: " + model.string()));
      EXPECT_THAT(result.err, Not(HasSubstr("internal error")));
      for (const std::string& text : damaged.says) EXPECT_THAT(result.err, HasSubstr(text));
    }
  }

  TempFolder folder_;
};

TEST_F(DamagedModel, IsNamedWithTheFileAndTheTensor) {
  const std::vector<Case> cases = {
      {"truncated",
       InWeights([](Weights& w) { w.data.resize(w.data.size() - 1000); }),
       {"model.safetensors: tensor 'model.layers.5", "truncated"}},
      {"empty file",
       [](const fs::path& m) { WriteText(m / "model.safetensors", ""); },
       {"model.safetensors", "0 bytes"}},
      {"overlap",
       InWeights([](Weights& w) {
         for (json& offset : w.header[kTensor]["data_offsets"]) offset = offset.get<int64_t>() - 8;
       }),
       {kTensor, "overlap"}},
      {"offset past the end",
       InWeights([](Weights& w) {
         for (json& offset : w.header[kTensor]["data_offsets"])
           offset = offset.get<size_t>() + w.data.size();
       }),
       {kTensor, "but the file holds"}},
      {"huge header",
       InWeights([](Weights& w) { w.claimed_header_bytes = uint64_t{1} << 60; }),
       {"the header claims 1152921504606846976 bytes"}},
      {"dtype of another size",
       InWeights([](Weights& w) { w.header[kTensor]["dtype"] = "F32"; }),
       {kTensor, "data_offsets span 73728"}},
      {"dtype of integers",
       InWeights([](Weights& w) { w.header[kTensor]["dtype"] = "I16"; }),
       {kTensor, "stored as int16, expected floating-point numbers"}},
      {"unknown dtype",
       InWeights([](Weights& w) { w.header[kTensor]["dtype"] = "F99"; }),
       {kTensor, "unknown dtype 'F99'"}},
      {"shape",
       InWeights([](Weights& w) {
         w.header[kTensor]["shape"] = {96, 384};
       }),
       {kTensor, "[96, 384]", "config.json asks for [192, 192]"}},
      {"negative shape",
       InWeights([](Weights& w) {
         w.header[kTensor]["shape"] = {-1, 5};
       }),
       {kTensor, "dimension -1"}},
      {"no weights",
       Removed({"model.safetensors"}),
       {"no weights", "model.safetensors.index.json"}},
      {"missing shard",
       [](const fs::path& m) {
         fs::rename(m / "model.safetensors", m / "kept");
         WriteText(m / "model.safetensors.index.json",
                   json{{"weight_map", {{kTensor, "model-00002-of-00002.safetensors"}}}}.dump());
       },
       {"'model-00002-of-00002.safetensors', which is missing"}},
      {"not a torch file",
       [](const fs::path& m) {
         fs::rename(m / "model.safetensors", m / "kept");
         WriteText(m / "pytorch_model.bin", "version https");
       },
       {"pytorch_model.bin: not a torch file", "save the weights as"}},
  };
  ExpectRefused(cases, [](const std::string& model) {
    return CallProgramWith({"inspect", model});
  });
}

TEST_F(DamagedModel, ConfigAndWeightsMustAgree) {
  const std::vector<Case> cases = {
      {"fewer layers",
       InConfig("num_hidden_layers", 3),
       {"'model.layers.3.input_layernorm.weight'", "config.json and the weights disagree"}},
      {"more layers",
       InConfig("num_hidden_layers", 9),
       {"config.json: asks for the tensor 'model.layers.6.input_layernorm.weight'"}},
      {"hidden size", InConfig("hidden_size", 128), {"[4096, 192]", "asks for [4096, 128]"}},
      {"bias flag",
       InConfig("attention_bias", true),
       {"asks for the tensor 'model.layers.0.self_attn.q_proj.bias'", "a bias flag"}},
      {"no biases", InConfig("enable_bias", false), {"bias'", "disagree"}, "opt-mini"},
      {"vocabulary", InConfig("vocab_size", 100), {"[100, 192]"}},
      {"too many layers",
       InConfig("num_hidden_layers", int64_t{1} << 40),
       {"config.json: 'num_hidden_layers' is 1099511627776, expected 1 ... 4096"}},
      {"no layers", InConfig("num_hidden_layers", 0), {"expected 1 ... 4096"}},
      {"wrong type", InConfig("num_hidden_layers", "six"), {"\"six\", expected an integer"}},
      {"missing key",
       InJson("config.json", [](json& c) { c.erase("hidden_size"); }),
       {"key 'hidden_size' is missing"}},
      {"unknown model_type", InConfig("model_type", "lama"), {"did you mean 'llama'?"}},
      {"OPT-350m", InConfig("do_layer_norm_before", false), {"OPT-350m"}, "opt-mini"},
      {"malformed",
       [](const fs::path& m) { WriteText(m / "config.json", "{\"a\": 1,"); },
       {"config.json: not valid JSON: line 1, column 9"}},
      {"duplicate key",
       [](const fs::path& m) {
         WriteText(m / "config.json",
                   "{\"vocab_size\": 5," + ReadFile(m / "config.json").substr(1));
       },
       {"\"vocab_size\" occurs twice"}},
  };
  ExpectRefused(cases, [](const std::string& model) {
    return CallProgramWith({"inspect", model});
  });
}

TEST_F(DamagedModel, NumbersThatAreNoneAreFoundWhenTheyAreRead) {
  const std::vector<Case> cases = {
      {"NaN",
       InWeights([](Weights& w) {
         const size_t begin = w.header[kTensor]["data_offsets"][0];
         w.data.replace(begin, 2, "\xff\x7f");
       }),
       {"model.safetensors", kTensor, "1 value(s) that are not finite"}},
      {"another head than the tied one",
       InConfig("tie_word_embeddings", true),
       {"'lm_head.weight' is not 'model.embed_tokens.weight'", "tie_word_embeddings"}},
  };
  ExpectRefused(cases, [](const std::string& model) {
    return CallProgramWith({"generate", "--model", model, "--prompt", "Once", "--tokens", "2"});
  });
}

TEST_F(DamagedModel, TokenizerMustBeWhole) {
  const auto without = [](const char* token) {
    return InJson("tokenizer.json", [=](json& t) { t["model"]["vocab"].erase(token); });
  };
  const std::vector<Case> cases = {
      {"no tokenizer",
       Removed({"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}),
       {"no tokenizer here; expected tokenizer.json"}},
      {"a byte is missing", without("e"), {"tokenizer.json: model.merges", "the token \"e\""}},
      {"a merged token is missing", without("\xC4\xA0the"), {"tokenizer.json: model.merges"}},
      {"two tokens of one id",
       InJson("tokenizer.json", [](json& t) { t["model"]["vocab"]["new"] = 10; }),
       {"the id 10 belongs to two tokens"}},
      {"another model",
       InJson("tokenizer.json", [](json& t) { t["model"]["type"] = "WordPiece"; }),
       {"'WordPiece'; supported: BPE"}},
      {"malformed",
       [](const fs::path& m) { WriteText(m / "tokenizer.json", "{"); },
       {"tokenizer.json: not valid JSON: line 1"}},
      {"truncated SentencePiece",
       [](const fs::path& m) {
         fs::remove(m / "tokenizer.json");
         fs::resize_file(m / "tokenizer.model", 30000);
       },
       {"tokenizer.model", "truncated"},
       "llama2-mini"},
  };
  ExpectRefused(cases, [](const std::string& model) {
    return CallProgramWith({"tokenize", "--model", model}, "\"Once\"\n");
  });
}

// The embedding has no row for an id that only the tokenizer knows.
TEST_F(DamagedModel, IdsBeyondTheEmbeddingAreRefused) {
  const Case damaged{"more tokens than rows",
                     InJson("tokenizer.json",
                            [](json& t) {
                              t["added_tokens"].push_back({{"id", 5000},
                                                           {"content", "<extra>"},
                                                           {"single_word", false},
                                                           {"lstrip", false},
                                                           {"rstrip", false},
                                                           {"normalized", false},
                                                           {"special", true}});
                            }),
                     {}};
  const std::string model = Copy(damaged).string();
  WriteText(folder_.path() / "text", std::string(400, 'a') + "<extra>" + std::string(400, 'a'));
  WriteText(folder_.path() / "requests",
            "{\"context\": \"Once\", \"continuation\": \"<extra>\"}\n");
  const std::string text = (folder_.path() / "text").string(),
                    requests = (folder_.path() / "requests").string();
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"evaluate", "--text", text, "--window", "4"},
           {"score", "--requests", requests},
           {"generate", "--prompt", "Once <extra>", "--tokens", "2"},
           {"compress", "--method", "shortgpt", "--ratio", "0.2", "--calibration", "text:" + text,
            "--samples", "64", "--length", "16", "--out", (folder_.path() / "out").string()}}) {
    std::vector<std::string> arguments = command;
    arguments.insert(arguments.end(), {"--model", model});
    const ProgramResult result = CallProgramWith(arguments);
    EXPECT_EQ(result.exit_code, 3) << command.front() << result.err;
    EXPECT_THAT(result.err, HasSubstr("5000")) << command.front();
  }
}

}  // namespace
}  // namespace condense
