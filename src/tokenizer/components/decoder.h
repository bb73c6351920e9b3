// Token strings back to text: the decoders ByteLevel, Replace, ByteFallback, Fuse, Strip,
// Metaspace and Sequence of tokenizer.json.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tokenizer/components/pattern.h"
#include "tokenizer/json_file.h"

namespace condense {

class DecoderStep {
 public:
  virtual ~DecoderStep() = default;
  virtual void Apply(std::vector<std::string>& tokens) const = 0;
};

class Decoder {
 public:
  // Bytes of GPT-2's alphabet; invalid UTF-8 gives one U+FFFD for each maximal invalid prefix.
  Decoder& ByteLevel();
  Decoder& Replace(Pattern pattern, std::string content);
  // Neighbouring tokens "<0x41>" are their bytes' text if that is valid UTF-8 as a whole, else
  // U+FFFD each.
  Decoder& ByteFallback();
  Decoder& Fuse();
  // Removes up to `start` leading and `stop` trailing `content` of each token.
  Decoder& Strip(char32_t content, int64_t start, int64_t stop);
  // Replaces `replacement` by a space, or removes it from the first token if `drop_first`.
  Decoder& Metaspace(std::string replacement, bool drop_first);

  // Tokens are joined as they are.
  Decoder& Join();

  // Without any decoder, tokens are joined by spaces.
  std::string Decode(std::vector<std::string> tokens) const;

 private:
  bool joins_ = false;
  std::vector<std::unique_ptr<DecoderStep>> steps_;
};

// Reads the "decoder" of a tokenizer.json. DataError for a type that is not known.
Decoder ReadDecoder(const JsonNode& node);

}  // namespace condense
