// Encoding the bundled text with each bundled tokenizer: bytes per second.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <string>

#include "base/file.h"
#include "tokenizer/tokenizer.h"

namespace condense {
namespace {

void Encode(benchmark::State& state, const std::string& model) {
  const std::filesystem::path bundled = std::string(CONDENSE_SOURCE_DIR) + "/configs/bundled";
  const auto tokenizer = LoadTokenizer(bundled / "models" / model);
  const std::string text = ReadFile(bundled / "text/articles_history.txt");
  for (auto _ : state) {
    benchmark::DoNotOptimize(tokenizer->Encode(text, SpecialTokens::kNone));
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}
BENCHMARK_CAPTURE(Encode, llama2_mini, std::string("llama2-mini"))->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Encode, llama3_mini, std::string("llama3-mini"))->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Encode, opt_mini, std::string("opt-mini"))->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace condense
