// The commands for one model, as scripts call them.
#include <gmock/gmock.h>

#include <cmath>

#include "unit/runner/runner_process.h"

namespace condense {
namespace {

using nlohmann::json;
using testing::ContainsRegex;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

json GoldenJson(const std::string& path) {
  return json::parse(ReadFile(SharedFolder() / "golden" / path));
}

std::string Lines(const std::vector<json>& values) {
  std::string text;
  for (const json& value : values) text += value.dump() + "\n";
  return text;
}

TEST(RunnerHelp, EveryCommandExplainsItselfWithAnExample) {
  const ProgramResult overview = CallProgramWith({"--help"});
  EXPECT_EQ(overview.exit_code, 0);
  for (const char* command :
       {"run", "table", "stats", "compress", "evaluate", "tokenize", "score", "generate", "inspect",
        "import", "list", "describe", "show", "doctor"}) {
    EXPECT_THAT(overview.out, HasSubstr(command));
    const ProgramResult help = CallProgramWith({command, "--help"});
    EXPECT_EQ(help.exit_code, 0) << command;
    EXPECT_THAT(help.out, HasSubstr("Example:\n  ")) << command;
    EXPECT_THAT(help.out, HasSubstr("--threads")) << command;
  }
}

TEST(RunnerTokenize, GoesToIdsAndBack) {
  const std::vector<json> texts = {"Once upon a time", "", "two  spaces\nand a line",
                                   "\xC3\xA9\xF0\x9F\x98\x80"};
  for (const char* model : {"llama2-mini", "llama3-mini", "opt-mini"}) {
    const ProgramResult ids =
        RunProgramWith({"tokenize", "--model", model, "--no-special"}, Lines(texts));
    ASSERT_EQ(ids.exit_code, 0) << ids.err;
    const ProgramResult back = RunProgramWith({"tokenize", "--model", model, "--decode"}, ids.out);
    EXPECT_EQ(back.JsonLines(), texts) << model;
  }
}

TEST(RunnerTokenize, EqualsTheReference) {
  CONDENSE_SKIP_WITHOUT(SharedFolder() / "golden/tokenizer");
  const json golden = GoldenJson("tokenizer/llama2-mini.json");
  std::vector<json> texts, with, without;
  for (const json& row : golden.at("strings")) {
    texts.push_back(row.at("text"));
    with.push_back(row.at("ids"));
    without.push_back(row.at("ids"));
    if (row.at("bos").get<bool>()) without.back().erase(0);
  }
  const std::string input = Lines(texts);
  EXPECT_EQ(RunProgramWith({"tokenize", "--model", "llama2-mini"}, input).JsonLines(), with);
  EXPECT_EQ(
      RunProgramWith({"tokenize", "--model", "llama2-mini", "--no-special"}, input).JsonLines(),
      without);
}

TEST(RunnerScore, EqualsTheReference) {
  CONDENSE_SKIP_WITHOUT(SharedFolder() / "golden/zeroshot");
  const json golden = GoldenJson("zeroshot/llama2-mini.json").at("results");
  const json requests = GoldenJson("inputs/requests.json").at("requests");
  TempFolder folder;
  const std::string file = (folder.path() / "requests.jsonl").string();
  for (const auto& [protocol, mode] :
       {std::pair{"lmeval-bos", "bos_default"}, {"lmeval-nobos", "no_bos"}}) {
    std::vector<json> lines, expected;
    for (size_t i = 0; i < requests.size(); ++i) {
      const json row = golden.at(std::string("requests/") + mode).at("rows").at(i);
      if (!row.contains("loglikelihood")) continue;  // refused
      expected.push_back(row);
      lines.push_back({{"context", requests[i].at("context")},
                       {"continuation", requests[i].at("continuation")}});
    }
    WriteText(file, Lines(lines));
    const ProgramResult result = RunProgramWith(
        {"score", "--model", "llama2-mini", "--requests", file, "--protocol", protocol});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const std::vector<json> scores = result.JsonLines();
    ASSERT_EQ(scores.size(), expected.size());
    for (size_t i = 0; i < scores.size(); ++i) {
      SCOPED_TRACE(expected[i].at("name"));
      const double reference = expected[i].at("loglikelihood");
      const int64_t tokens = expected[i].at("continuation_tokens");
      EXPECT_EQ(scores[i].at("tokens"), tokens);
      EXPECT_EQ(scores[i].at("greedy"), expected[i].at("greedy"));
      EXPECT_NEAR(scores[i].at("log_likelihood").get<double>(), reference,
                  tokens > 300 ? 5e-3 : 1e-3);
    }
  }
}

TEST(RunnerScore, PrintsOneLineEachInOrder) {
  TempFolder folder;
  WriteText(folder.path() / "r.jsonl",
            "{\"context\": \"Once upon a\", \"continuation\": \" time there was\"}\n"
            "{\"context\": \"Once upon a\", \"continuation\": \" time\"}\n");
  const std::vector<std::string> arguments = {"score", "--model", "llama2-mini", "--requests",
                                              (folder.path() / "r.jsonl").string()};
  const ProgramResult scores = RunProgramWith(arguments);
  ASSERT_EQ(scores.exit_code, 0) << scores.err;
  const std::vector<json> lines = scores.JsonLines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_LT(lines[0].at("log_likelihood"), lines[1].at("log_likelihood"));
  EXPECT_GT(lines[0].at("tokens"), lines[1].at("tokens"));
  EXPECT_THAT(scores.out, StartsWith("{\"log_likelihood\":-"));
}

TEST(RunnerGenerate, EqualsTheReference) {
  CONDENSE_SKIP_WITHOUT(SharedFolder() / "golden/generation");
  for (const char* model : {"llama2-mini", "opt-mini"}) {
    const json row = GoldenJson(std::string("generation/") + model + ".json").at("rows").at(0);
    const ProgramResult made = RunProgramWith(
        {"generate", "--model", model, "--prompt", row.at("prompt"), "--tokens", "32", "--json"});
    ASSERT_EQ(made.exit_code, 0) << made.err;
    EXPECT_EQ(made.Json().at("ids"), row.at("ids"));
    EXPECT_EQ(made.Json().at("text"), row.at("text"));
  }
}

TEST(RunnerGenerate, SamplesRepeatably) {
  const std::vector<std::string> arguments = {
      "generate", "--model",       "llama2-mini", "--prompt", "Once", "--tokens",
      "8",        "--temperature", "1.5",         "--seed",   "7"};
  const ProgramResult once = RunProgramWith(arguments);
  EXPECT_EQ(once.exit_code, 0) << once.err;
  EXPECT_THAT(once.out, StartsWith("Once"));
  EXPECT_EQ(RunProgramWith(arguments).out, once.out);
}

TEST(RunnerEvaluate, TextIdsAndNpyAgree) {
  TempFolder folder;
  const std::string story =
      ReadFile(SourceFolder() / "configs/bundled/text/stories.txt").substr(0, 6000);
  const std::string text = (folder.path() / "t.txt").string(),
                    raw = (folder.path() / "t.bin").string();
  WriteText(text, story);
  const json ids =
      RunProgramWith({"tokenize", "--model", "llama3-mini"}, json(story).dump() + "\n").Json();
  std::string bytes;
  for (const int id : ids) {
    bytes += static_cast<char>(id & 255);
    bytes += static_cast<char>(id >> 8);
  }
  WriteText(raw, bytes);
  const auto evaluate = [](const char* option, const std::string& file) {
    const ProgramResult result = RunProgramWith(
        {"evaluate", "--model", "llama3-mini", option, file, "--window", "64", "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.Json();
  };
  const json by_text = evaluate("--text", text), by_ids = evaluate("--ids", raw);
  EXPECT_EQ(by_text.at("perplexity"), by_ids.at("perplexity"));
  EXPECT_EQ(by_text.at("tokens"), ids.size());
  EXPECT_EQ(by_text.at("windows"), ids.size() / 64);
  EXPECT_EQ(by_text.at("ids_sha256"), by_ids.at("ids_sha256"));
  EXPECT_NEAR(std::exp(by_text.at("nll").get<double>()), by_text.at("perplexity").get<double>(),
              1e-9);
}

TEST(RunnerCompress, MakesAModelThatEveryCommandTakes) {
  TinyConfigs configs;
  const std::string out = (configs.folder() / "out").string();
  const ProgramResult made = RunProgramWith(
      {"compress", "--model", "llama3-mini", "--method", "slicegpt", "--ratio", "0.2",
       "--calibration", "tiny-8x64", "--out", out, "--set", "round_to=1", "--json"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const json numbers = made.Json();
  for (const char* key :
       {"parameters", "block_parameters", "ratios", "seconds", "peak_rss_bytes"}) {
    EXPECT_TRUE(numbers.contains(key)) << key;
  }
  EXPECT_GE(numbers.at("ratios").at("block"), 0.2);
  EXPECT_LT(numbers.at("ratios").at("block"), 0.21);

  const ProgramResult inspected = RunProgramWith({"inspect", out, "--json"});
  ASSERT_EQ(inspected.exit_code, 0) << inspected.err;
  EXPECT_EQ(inspected.Json().at("parameters"), numbers.at("parameters"));
  EXPECT_EQ(inspected.Json().at("compressed"), true);
  const ProgramResult measured =
      RunProgramWith({"evaluate", "--model", out, "--protocol", "tiny-64", "--json"});
  ASSERT_EQ(measured.exit_code, 0) << measured.err;
  EXPECT_EQ(measured.Json().at("windows"), 10);
}

TEST(RunnerCompress, TakesTextAndIdsAsCalibration) {
  TinyConfigs configs;
  const std::string text = (SourceFolder() / "configs/bundled/text/stories.txt").string();
  const std::string ids = (configs.folder() / "ids.bin").string();
  WriteText(ids, std::string(4 * 32 * 2, '\1'));
  const auto compress = [&](const std::string& calibration, std::vector<std::string> more) {
    std::vector<std::string> arguments = {
        "compress",  "--model", "llama3-mini", "--method",
        "shortgpt",  "--ratio", "0.2",         "--calibration",
        calibration, "--json",  "--out",       (configs.folder() / "model").string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunProgramWith(arguments);
  };
  const ProgramResult by_text = compress("text:" + text, {"--samples", "4", "--length", "32"});
  ASSERT_EQ(by_text.exit_code, 0) << by_text.err;
  EXPECT_EQ(by_text.Json().at("calibration").at("tokens"), 128);
  EXPECT_EQ(compress("ids:" + ids, {"--samples", "4", "--length", "32"}).exit_code, 0);
  EXPECT_EQ(compress("ids:" + ids, {"--samples", "5", "--length", "32"}).exit_code, 3);
  EXPECT_EQ(compress("tiny-8x64", {"--samples", "4"}).exit_code, 2);
  EXPECT_EQ(compress("tiny-8x65", {}).exit_code, 2);
}

TEST(RunnerList, NamesWhatCanBeNamed) {
  EXPECT_THAT(CallProgramWith({"list", "methods"}).out, HasSubstr("slicegpt"));
  EXPECT_THAT(CallProgramWith({"list", "allocators"}).out, HasSubstr("block_influence"));
  EXPECT_THAT(CallProgramWith({"list", "models"}).out, HasSubstr("llama-2-7b"));
  const std::string experiments = CallProgramWith({"list", "experiments"}).out;
  EXPECT_THAT(experiments, ContainsRegex("table1 +Perplexity by method"));
  EXPECT_THAT(experiments, ContainsRegex("\\(bundled, paper\\)\n +Regenerates table 3 of MoDeGPT"));
  EXPECT_THAT(experiments, ContainsRegex("all +All tables and figures\n"));
  EXPECT_THAT(CallProgramWith({"list"}).out, HasSubstr("protocols:\n"));
  EXPECT_THAT(CallProgramWith({"describe", "slicegpt"}).out, HasSubstr("round_to"));
  EXPECT_THAT(CallProgramWith({"describe", "bundled-256"}).out, HasSubstr("window: 256"));
}

TEST(RunnerDoctor, FindsTheBundledModels) {
  TempFolder folder;
  const ProgramResult doctor =
      RunProgramWith({"doctor", "--db", (folder.path() / "r.sqlite").string()});
  EXPECT_EQ(doctor.exit_code, 0) << doctor.out;
  EXPECT_THAT(doctor.out, HasSubstr("llama2-mini, llama3-mini, opt-mini"));
}

}  // namespace
}  // namespace condense
