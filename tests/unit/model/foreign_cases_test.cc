// Folders from public bug reports, of the development data: what loads gives the loss that the
// reference gives, and what does not is refused with the remedy.
#include <gmock/gmock.h>

#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "model/causal_lm.h"
#include "model/loss.h"
#include "model/stored/checkpoint_model.h"
#include "support/shared_data.h"

namespace condense {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

std::filesystem::path Case(const std::string& name) { return SharedFolder() / "cases" / name; }

// Rows of 64 ids: int32 behind a header of 128 bytes.
Tensor WindowsOf(const std::filesystem::path& npy) {
  const std::string bytes = ReadFile(npy).substr(128);
  Tensor ids = at::empty({static_cast<int64_t>(bytes.size() / 4)}, kI32);
  std::memcpy(ids.mutable_data_ptr<int32_t>(), bytes.data(), bytes.size());
  return ids.to(kI64).view({-1, 64});
}

TEST(ForeignCases, GiveTheLossOfTheReference) {
  const InferenceScope inference;
  const std::pair<const char*, double> cases[] = {{"rope_linear", 6.405720},
                                                  {"prefix_orig_mod", 6.385514},
                                                  {"tied_head_stored_only", 6.399620}};
  for (const auto& [name, nll] : cases) {
    SCOPED_TRACE(name);
    CONDENSE_SKIP_WITHOUT(Case(name));
    const auto model = CausalLm::Load(*CheckpointModel::Open(Case(name) / "model"));
    const Tensor ids = WindowsOf(Case(name) / "ids.npy");
    const Tensor loss = NextTokenNll(model->head(), model->Hidden(ids), ids);
    EXPECT_NEAR(loss.mean().item<double>(), nll, 2e-6);
  }
}

TEST(ForeignCases, AreRefusedWithTheRemedy) {
  CONDENSE_SKIP_WITHOUT(Case("quantized_gptq"));
  const auto opening = [](const std::filesystem::path& model) {
    return [model] { CheckpointModel::Open(model); };
  };
  EXPECT_THAT(opening(Case("quantized_gptq") / "model"),
              ThrowsMessage<DataError>(HasSubstr("quantized (quantization_config: gptq)")));
  EXPECT_THAT(opening(Case("pickled_module") / "model"),
              ThrowsMessage<DataError>(AllOf(HasSubstr("pytorch_model.bin"), HasSubstr("python -c"),
                                             HasSubstr("m.state_dict()"))));
  EXPECT_THAT(opening(Case("hostile") / "deep_config_value"),
              ThrowsMessage<DataError>(HasSubstr("JSON nested more than")));
  EXPECT_THAT(opening(Case("hostile") / "zip_bomb_version"),
              ThrowsMessage<DataError>(HasSubstr("is compressed")));
  EXPECT_THAT(opening(Case("hostile") / "pickle_persid_copies"),
              ThrowsMessage<DataError>(HasSubstr("pickle, byte")));
}

}  // namespace
}  // namespace condense
