#include "model/taps.h"

namespace condense {

const char* TapName(Tap tap) {
  switch (tap) {
    case Tap::kBlockInput:
      return "block_input";
    case Tap::kAttentionInput:
      return "attention_input";
    case Tap::kQuery:
      return "query";
    case Tap::kKey:
      return "key";
    case Tap::kQueryRotated:
      return "query_rotated";
    case Tap::kKeyRotated:
      return "key_rotated";
    case Tap::kScores:
      return "scores";
    case Tap::kValue:
      return "value";
    case Tap::kValueMix:
      return "value_mix";
    case Tap::kResidualMid:
      return "residual_mid";
    case Tap::kMlpInput:
      return "mlp_input";
    case Tap::kMlpHidden:
      return "mlp_hidden";
    case Tap::kBlockOutput:
      return "block_output";
  }
  return "?";
}

}  // namespace condense
