// Wrong commands and wrong files on the command line: one sentence that says what was found and
// what is expected, and exit code 2 (the command) or 3 (the data).
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "unit/runner/runner_process.h"

namespace condense {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

struct Case {
  std::vector<std::string> arguments;
  int exit_code;
  std::string says;
};

void ExpectRefused(const std::vector<Case>& cases, const std::string& input = "") {
  for (const Case& wrong : cases) {
    std::string command;
    for (const std::string& argument : wrong.arguments) command += argument + " ";
    SCOPED_TRACE(command);
    const ProgramResult result = CallProgramWith(wrong.arguments, input);
    EXPECT_EQ(result.exit_code, wrong.exit_code) << result.err;
    EXPECT_THAT(result.err, StartsWith("runner: error: "));
    EXPECT_THAT(result.err, HasSubstr(wrong.says));
    EXPECT_THAT(result.err, Not(HasSubstr("internal error")));
  }
}

class BadArguments : public testing::Test {
 protected:
  std::string File(const std::string& name, const std::string& text) const {
    WriteText(folder_.path() / name, text);
    return (folder_.path() / name).string();
  }
  std::string Missing() const { return (folder_.path() / "missing").string(); }

  TempFolder folder_;
};

TEST_F(BadArguments, CommandsAndOptions) {
  ExpectRefused({
      {{"evalute"}, 2, "unknown command 'evalute'; did you mean 'evaluate'?"},
      {{""}, 2, "unknown command ''"},
      {{"evaluate", "--modle", "x"}, 2, "unknown option --modle; did you mean --model?"},
      {{"evaluate", "--window", "64x"},
       2,
       "('64x') for option '--window' is invalid; expected a whole"},
      {{"compress", "--ratio", "x"}, 2, "'--ratio' is invalid; expected a number"},
      {{"evaluate", "--window", "4", "--window", "8"}, 2, "more than once"},
      {{"inspect", "llama3-mini", "too", "much"}, 2, "too many arguments; usage: runner inspect"},
      {{"inspect", "llama2-min"}, 2, "did you mean 'llama2-mini'?"},
      {{"describe", "modgpt"}, 2, "did you mean 'modegpt'?"},
      {{"list", "method"}, 2, "did you mean 'methods'?"},
      {{"inspect"}, 2, "--model is missing; usage: runner inspect DIR"},
      {{"describe"}, 2, "usage: runner describe NAME"},
      {{"show"}, 2, "usage: runner show FINGERPRINT"},
      {{"table"}, 2, "usage: runner table EXPERIMENT.yaml"},
      {{"--dry-run"}, 2, "usage: runner EXPERIMENT.yaml"},
      {{"compress", "--model", "llama3-mini"}, 2, "--method is missing; usage: runner compress"},
      {{"inspect", ""}, 2, "--model is empty"},
      {{"inspect", Missing()}, 2, "neither a folder nor the name of a model"},
      {{"inspect", folder_.path().string()}, 3, "it has no config.json"},
      {{"inspect", "x.gguf"}, 2, "x.gguf: no such file"},
      {{"import", "x.gguf"}, 2, "--out is missing; usage: runner import FILE.gguf"},
      {{Missing() + ".yaml"}, 3, "no such experiment file"},
      {{"experiments/tabel1.yaml"}, 3, "did you mean 'table1'?"},
      {{"run", "table1", "--profile", "papr"}, 2, "did you mean 'paper'?"},
  });
  // An option that ends the command line.
  const ProgramResult no_value =
      Program({"inspect", "x", "--models"}, {.threads = std::nullopt}).Wait();
  EXPECT_EQ(no_value.exit_code, 2);
  EXPECT_THAT(no_value.err, HasSubstr("required argument for option '--models' is missing"));
}

TEST_F(BadArguments, ThreadsAndDevices) {
  const auto with = [](const std::string& option, const std::string& value) {
    return Program({"generate", "--model", "llama3-mini", "--prompt", "a", "--tokens", "1", option,
                    value},
                   {.threads = std::nullopt, .forked = true})
        .Wait();
  };
  EXPECT_EQ(with("--threads", "0").exit_code, 0);
  EXPECT_THAT(with("--threads", "-1").err, HasSubstr("--threads -1: expected 1 to 4096"));
  EXPECT_EQ(with("--threads", "-1").exit_code, 2);
  EXPECT_EQ(with("--threads", "abc").exit_code, 2);
  EXPECT_THAT(with("--device", "tpu").err, HasSubstr("allowed: cpu, cuda, cuda:N"));
  const ProgramResult gpu = with("--device", "cuda");
  if (gpu.exit_code != 0) {  // no GPU here
    EXPECT_EQ(gpu.exit_code, 2);
    EXPECT_THAT(gpu.err, HasSubstr("device 'cuda'"));
    EXPECT_THAT(gpu.err, HasSubstr("use device 'cpu'"));
  }
}

TEST_F(BadArguments, Texts) {
  const std::string text = File("text", std::string(2000, 'a'));
  const auto evaluate = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"evaluate", "--model", "llama3-mini"});
    return more;
  };
  ExpectRefused({
      {evaluate({"--text", File("empty", ""), "--window", "64"}), 3, "empty: the text is empty"},
      {evaluate({"--text", File("brief", "Hello."), "--window", "64"}), 3,
       "fewer than one window of 64"},
      {evaluate({"--text", Missing(), "--window", "64"}), 3, "missing: cannot open"},
      {evaluate({"--text", folder_.path().string(), "--window", "64"}), 3, "is a folder"},
      {evaluate({"--text", File("latin1", "caf\xe9 au lait"), "--window", "64"}), 3,
       "latin1: invalid UTF-8 at byte 3"},
      {evaluate({"--text", text, "--window", "2000"}), 2,
       "longer than the 1024 positions of the model"},
      {evaluate({"--text", text, "--window", "1"}), 2, "--window 1: expected at least 2"},
      {evaluate({"--text", text, "--window", "-5"}), 2, "--window -5: expected at least 2"},
      {evaluate({"--text", text}), 2, "--window N is missing"},
      {evaluate({"--text", text, "--window", "64", "--ids-type", "int32"}), 2,
       "--ids-type applies only to"},
      {evaluate({"--text", text, "--window", "64", "--dtype", "int8"}), 2, "known: bfloat16"},
      {evaluate({"--text", "", "--window", "64"}), 2, "--text is empty"},
      {evaluate({"--protocol", "wikitext2-2048"}), 3, "wikitext2/test.txt"},
      {evaluate({"--text", text, "--window", "64", "--special", "twice"}), 2,
       "--special twice: expected once, window or none"},
      {evaluate({"--text", text, "--ids", text, "--window", "64"}), 2, "found --text and --ids"},
      {evaluate({"--protocol", "bundled-255"}), 2, "did you mean 'bundled-256'?"},
      {evaluate({"--protocol", "bundled-256", "--window", "64"}), 2, "which fixes it"},
      {evaluate({}), 2, "give one of --text, --ids, --protocol"},
  });
}

// The beginning of an .npy file.
std::string Npy(const std::string& type, const std::string& data) {
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({},), }}",
                                   type, data.size() / static_cast<size_t>(type.back() - '0'));
  header.resize(117, ' ');
  return std::string("\x93NUMPY\x01\x00\x76\x00", 10) + header + "\n" + data;
}

TEST_F(BadArguments, FilesOfIds) {
  const std::string ids(400, '\1');  // 200 times 257
  const auto evaluate = [](const std::string& file, std::vector<std::string> more = {}) {
    more.insert(more.begin(),
                {"evaluate", "--model", "llama3-mini", "--window", "64", "--ids", file});
    return more;
  };
  EXPECT_EQ(CallProgramWith(evaluate(File("good.npy", Npy("<u2", ids)))).exit_code, 0);
  ExpectRefused({
      {evaluate(File("odd.bin", ids + "x")), 3, "not a whole number of uint16 ids"},
      {evaluate(File("big.bin", ids + "\xff\xff")), 3, "id 65535 at position 200 is outside"},
      {evaluate(File("negative.bin", std::string(400, '\xff')), {"--ids-type", "int32"}), 3,
       "id -1 at position 0"},
      {evaluate(File("empty.bin", "")), 3, "empty.bin"},
      {evaluate(File("ids.txt", "1 2 3")), 3, "must end in .bin (raw integers) or .npy"},
      {evaluate(File("ids.bin", ids), {"--ids-type", "int64"}), 2, "known: int32, uint16"},
      {evaluate(File("ids.npy", Npy("<u2", ids)), {"--ids-type", "int32"}), 2,
       "a .npy file states its own type"},
      {evaluate(File("float.npy", Npy("<f4", ids))), 3, "its type is '<f4'; expected integers"},
      {evaluate(File("swapped.npy", Npy(">i4", ids))), 3, "big-endian"},
      {evaluate(File("cut.npy", Npy("<u2", ids).substr(0, 300))), 3, "bytes of data follow"},
      {evaluate(File("not.npy", "hello")), 3, "not a usable .npy file"},
  });
}

TEST_F(BadArguments, RequestsAreNamedByTheirLine) {
  const std::string good = "{\"context\": \"Once\", \"continuation\": \" upon\"}\n";
  int files = 0;
  const auto score = [&](const std::string& text) -> std::vector<std::string> {
    return {"score", "--model", "llama3-mini", "--requests",
            File(fmt::format("r{}.jsonl", files++), text)};
  };
  ExpectRefused({
      {score(""), 3, "holds no requests"},
      {score(good + "{\"context\":"), 3, ".jsonl:2: not valid JSON"},
      {score(good + "{\"context\": \"x\"}"), 3, ".jsonl:2: no field \"continuation\""},
      {score(good + "{\"context\": \"x\", \"continuation\": 3}"), 3, ":2: field \"continuation\""},
      {score(good + "[1]"), 3, ".jsonl:2: expected an object"},
      {score(good + "{\"context\": \"x\xff\"}"), 3, ".jsonl:2: invalid UTF-8"},
      {score(good + "{\"context\": \"x\", \"continuation\": \"\"}"), 3, ".jsonl:2: request with"},
      {score(fmt::format(R"({{"context": "x", "continuation": "{:!>9000}"}})", "")), 3,
       ".jsonl:1: request with continuation"},
      {{"score", "--model", "llama3-mini", "--requests", Missing()}, 3, "cannot open"},
      {{"score", "--model", "llama3-mini"}, 2, "--requests is missing"},
  });
}

TEST_F(BadArguments, ShapesToSynthesize) {
  const auto synthesize = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"synthesize", "--out", Missing()});
    return more;
  };
  ExpectRefused({
      {synthesize({"--like", "llama-9b"}), 2, "known: llama-2-13b"},
      {synthesize({"--like", "llama2-mini"}), 2, "does not declare a shape"},
      {synthesize({"--like", "opt-125m", "--layers", "0"}), 2, "expected 1 or more"},
      {synthesize({"--like", "opt-125m", "--set", "hidden_sise=64"}), 2,
       "did you mean 'hidden_size'"},
      {synthesize({"--like", "opt-125m", "--set", "hidden_size=63"}), 3, "hidden_size"},
      {synthesize({"--like", "opt-125m", "--tokenizer", Missing()}), 2, "model"},
  });
  EXPECT_FALSE(std::filesystem::exists(Missing()));
}

TEST_F(BadArguments, LinesForTheTokenizer) {
  const auto tokenize = [](std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"tokenize", "--model", "llama3-mini"});
    return more;
  };
  ExpectRefused({{tokenize(), 3, "standard input:2: expected a JSON string"}}, "\"a\"\n[1]\n");
  ExpectRefused({{tokenize(), 3, "standard input:1: invalid UTF-8 at byte 2"}}, "\"a\xff\"\n");
  ExpectRefused({{tokenize(), 3, "standard input:1: not one JSON value"}}, "\"\\ud800\"\n");
  ExpectRefused({{tokenize({"--decode"}), 3, "standard input:2: "}}, "[1]\n[5000]\n");
  ExpectRefused({{tokenize({"--decode"}), 3, "expected a JSON array of token ids"}}, "[1.5]\n");
}

TEST_F(BadArguments, Generation) {
  const auto generate = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"generate", "--model", "llama3-mini"});
    return more;
  };
  ExpectRefused({
      {generate({"--tokens", "4"}), 2, "--prompt is missing"},
      {generate({"--prompt", "a", "--tokens", "0"}), 2, "--tokens 0: expected at least 1"},
      {generate({"--prompt", "a", "--tokens", "99999"}), 2, "the 1024 positions of the model"},
      {generate({"--prompt", "a\xff"}), 2, "--prompt: invalid UTF-8 at byte 1"},
      {generate({"--prompt", "a", "--temperature", "inf"}), 2, "--temperature inf"},
      {generate({"--prompt", "a", "--temperature", "1", "--seed", "-1"}), 2, "--seed -1"},
  });
}

TEST_F(BadArguments, Compression) {
  TinyConfigs configs;
  const std::string text =
      fmt::format("text:{}", (SourceFolder() / "configs/bundled/text/stories.txt").string());
  const auto compress = [&](const std::string& method, const std::string& ratio,
                            const std::string& calibration, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"compress", "--model", "llama3-mini", "--method", method, "--ratio",
                               ratio, "--calibration", calibration, "--out", Missing()});
    return more;
  };
  const std::vector<std::string> brief = {"--samples", "1", "--length", "8"};
  ExpectRefused({
      {compress("slicegpt", "1.0", text), 2, "--ratio 1: expected a number in [0, 1)"},
      {compress("slicegpt", "-0.1", text), 2, "--ratio -0.1: expected a number in [0, 1)"},
      {compress("slicegpt", "nan", text), 2, "--ratio nan: expected a number in [0, 1)"},
      {compress("slicgpt", "0.2", text), 2, "did you mean 'slicegpt'?"},
      {compress("slicegpt", "0.2", text, {"--set", "rond_to=1"}), 2, "did you mean 'round_to'?"},
      {compress("slicegpt", "0.2", text, {"--set", "round_to=0"}), 2, "must be in [1, 4096]"},
      {compress("slicegpt", "0.2", text, {"--match", "blok"}), 2, "did you mean 'block'?"},
      {compress("slicegpt", "0.95", text), 2, "the smallest model it makes has"},
      {compress("modegpt", "0.95", text), 2, "no layer may lose more than 0.8000"},
      {compress("slicegpt", "0.2", text, brief), 2, "has 8 tokens, but 128 directions"},
      {compress("modegpt", "0.2", text, brief), 2, "has 8 tokens, but at least"},
      {compress("slicegpt", "0.2", text, {"--length", "2000"}), 2, "the model has 1024 positions"},
      {compress("slicegpt", "0.2", text, {"--samples", "0"}), 2, "0 samples of 256 ids"},
      {compress("slicegpt", "0.2", text, {"--ids-type", "int32"}), 2,
       "--ids-type applies only to raw"},
      {compress("slicegpt", "0.2", text, {"--set", "use=modegpt"}), 2, "given by --method"},
      {compress("slicegpt", "0.2", text, {"--seed", "-1"}), 2, "--seed -1"},
      {compress("slicegpt", "0.2", "text:"), 2, "no file is given"},
      {compress("slicegpt", "0.2", fmt::format("text:{}", File("empty", ""))), 3,
       "the text is empty"},
      {compress("slicegpt", "0.2", fmt::format("text:{}", File("brief", "Hello."))), 3,
       "a sequence of 256 ids"},
      {compress("slicegpt", "0.2", fmt::format("ids:{}", File("few.bin", std::string(4, 1)))), 3,
       "the file has 2"},
      {compress("slicegpt", "0.2", "tiny-8x64", {"--samples", "4"}), 2,
       "tiny-8x64 has fixed sizes; samples and length are for text:FILE and ids:FILE only"},
      {compress("slicegpt", "0.2", "tiny-8x65", {"--samples", "4"}), 2,
       "did you mean 'tiny-8x64'?"},
  });
  EXPECT_FALSE(fs::exists(Missing()));
}

}  // namespace
}  // namespace condense
