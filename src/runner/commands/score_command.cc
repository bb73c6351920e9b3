// runner score: log-likelihoods of continuations, as the lm-evaluation-harness defines them.
#include "base/error.h"
#include "evaluation/scorer.h"
#include "experiment/inputs/model_tokenizer.h"
#include "model/stored/stored_model.h"
#include "runner/command.h"
#include "runner/json_output.h"

namespace condense {
namespace {

std::vector<Option> Options() {
  return {
      ModelOption(),
      TextOption("requests", "FILE",
                 "JSON lines, one {\"context\": \"...\", \"continuation\": \"...\"} per line",
                 {.files = true}),
      TextOption("protocol", "NAME",
                 "encoding of the requests: lmeval-bos (default), lmeval-nobos or lmeval-0.3",
                 {.words = RequestProtocolNames()}),
  };
}

int Run(const Arguments& arguments) {
  const RequestProtocol protocol = RequestProtocolNamed(arguments.TextOr("protocol", "lmeval-bos"));
  const std::filesystem::path folder = ModelFolder(arguments);
  const std::vector<Request> requests = ReadRequests(arguments.Text("requests"));
  const InferenceScope inference;
  const StoredModel model(folder, {.device = OpenComputeDevice(arguments)});
  const auto tokenizer = LoadModelTokenizer(folder);
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

Command ScoreCommand() {
  return {
      .name = "score",
      .summary = "print log-likelihoods of continuations",
      .usage = "runner score --model DIR --requests FILE.jsonl [--protocol NAME]",
      .details =
          "Prints one line per request, in order, such as\n"
          "{\"log_likelihood\": -12.3, \"tokens\": 4, \"greedy\": false}. log_likelihood is summed over the\n"
          "tokens of the continuation, in nats; tokens is their number; greedy says whether each of\n"
          "them is the likeliest token.",
      .example = "runner score --model llama2-mini --requests requests.jsonl",
      .options = Options(),
      .run = Run};
}

}  // namespace condense
