// runner score: log-likelihoods of continuations, as the lm-evaluation-harness defines them.
#include "base/error.h"
#include "evaluation/scorer.h"
#include "experiment/run/workbench.h"
#include "runner/command.h"
#include "runner/json_output.h"

namespace condense {
namespace {

namespace po = boost::program_options;

void AddOptions(po::options_description& options) {
  auto add = options.add_options();
  add("model", po::value<std::string>()->value_name("DIR"), kModelHelp);
  add("requests", po::value<std::string>()->value_name("FILE"),
      "one {\"context\": \"...\", \"continuation\": \"...\"} a line");
  add("protocol", po::value<std::string>()->value_name("NAME"),
      "lmeval-bos (default), lmeval-nobos or lmeval-0.3");
}

int Run(const Arguments& arguments) {
  const RequestProtocol protocol = RequestProtocolNamed(arguments.TextOr("protocol", "lmeval-bos"));
  const std::filesystem::path folder = ModelFolder(arguments);
  const std::vector<Request> requests = ReadRequests(arguments.Text("requests"));
  const InferenceScope inference;
  const OpenedModel model(folder, {.device = OpenComputeDevice(arguments)});
  const auto tokenizer = LoadTokenizer(folder);
  const RequestEncoder encoder(*tokenizer, protocol, model.source().config().max_positions);
  std::vector<EncodedRequest> encoded;
  for (const Request& request : requests) encoded.push_back(encoder.Encode(request));
  for (const Score& score : ScoreRequests(model.source(), encoded)) {
    PrintJsonLine({{"log_likelihood", score.log_likelihood},
                   {"tokens", score.tokens},
                   {"greedy", score.greedy}});
  }
  return 0;
}

}  // namespace

const Command kScoreCommand{
    .name = "score",
    .summary = "log-likelihoods of continuations",
    .usage = "runner score --model DIR --requests FILE.jsonl [--protocol NAME]",
    .details =
        "Each request gives a line {\"log_likelihood\": -12.3, \"tokens\": 4, \"greedy\": false}, "
        "in\n"
        "order: the sum over the continuation in nats, its ids, and whether each is the likeliest.",
    .example = "runner score --model llama2-mini --requests requests.jsonl",
    .add_options = AddOptions,
    .positional = {},
    .run = Run};

}  // namespace condense
