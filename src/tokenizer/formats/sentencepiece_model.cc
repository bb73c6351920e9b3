// Reads tokenizer.model of SentencePiece (Kudo & Richardson 2018): BPE over characters with byte
// fall-back, as LLaMA-1 and -2 have it, or a unigram model. The format is
// sentencepiece_model.proto.
//
// Ids are those of the reference tokenizer made from the file (LlamaTokenizer), which differ from
// the library's in two ways: text that spells <s>, </s> or <unk> becomes that token, with a dummy
// prefix for each part between; and remove_extra_whitespaces is ignored. Character maps (NFKC) are
// refused.
#include <algorithm>
#include <bit>
#include <cmath>
#include <initializer_list>
#include <map>

#include "base/error.h"
#include "base/strings.h"
#include "tokenizer/components/pipeline.h"
#include "tokenizer/formats/loaders.h"
#include "tokenizer/formats/settings.h"

namespace condense {

namespace {

constexpr std::string_view kSpaceMark = "\u2581";

// Walks the fields of one protobuf message.
class MessageReader {
 public:
  MessageReader(std::string_view bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  // Moves to the next field; false at the end.
  bool Next() {
    if (position_ == bytes_.size()) return false;
    const uint64_t key = ReadVarint();
    field_ = static_cast<int>(key >> 3);
    switch (key & 7) {
      case 0:
        number_ = ReadVarint();
        break;
      case 1:
        payload_ = Take(8);
        break;
      case 2:
        payload_ = Take(ReadVarint());
        break;
      case 5:
        payload_ = Take(4);
        break;
      default:
        Fail();
    }
    wire_type_ = static_cast<int>(key & 7);
    return true;
  }

  int field() const { return field_; }
  std::string_view Bytes() const { return Expect(2), payload_; }
  uint64_t Number() const { return Expect(0), number_; }
  float Float() const {
    Expect(5);
    uint32_t bits = 0;
    for (int i = 3; i >= 0; --i) bits = bits << 8 | static_cast<uint8_t>(payload_[i]);
    return std::bit_cast<float>(bits);
  }

 private:
  [[noreturn]] void Fail() const {
    throw MakeError<DataError>(
        "{}: neither a SentencePiece model nor tiktoken ranks, or truncated (protobuf field {})",
        path_, field_);
  }
  void Expect(int wire_type) const {
    if (wire_type_ != wire_type) Fail();
  }
  uint64_t ReadVarint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(Take(1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    Fail();
  }
  std::string_view Take(uint64_t count) {
    if (count > bytes_.size() - position_) Fail();
    position_ += count;
    return bytes_.substr(position_ - count, count);
  }

  std::string_view bytes_;
  const std::string& path_;
  size_t position_ = 0;
  int field_ = 0, wire_type_ = 0;
  uint64_t number_ = 0;
  std::string_view payload_;
};

// ModelProto.SentencePiece.Type
enum PieceType {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

// TrainerSpec.ModelType
enum ModelType { kUnigram = 1, kBpe = 2 };

struct Piece {
  std::string_view text;
  float score = 0;
  int type = kNormal;
};

// The fields of the model that are used, with the defaults of the proto.
struct SentencePieceModel {
  std::vector<Piece> pieces;
  int model_type = kUnigram;
  bool whitespace_as_suffix = false;
  int32_t unknown_id = 0, bos_id = 1, eos_id = 2;
  bool has_character_map = false, add_dummy_prefix = true, escape_whitespaces = true;
};

Piece ParsePiece(std::string_view bytes, const std::string& path) {
  Piece piece;
  for (MessageReader reader(bytes, path); reader.Next();) {
    if (reader.field() == 1) piece.text = reader.Bytes();
    if (reader.field() == 2) piece.score = reader.Float();
    if (reader.field() == 3) piece.type = static_cast<int>(reader.Number());
  }
  return piece;
}

SentencePieceModel ParseModel(std::string_view bytes, const std::string& path) {
  SentencePieceModel model;
  const auto trainer = [&](MessageReader reader) {
    while (reader.Next()) {
      switch (reader.field()) {
        case 3:
          model.model_type = static_cast<int>(reader.Number());
          break;
        case 24:
          model.whitespace_as_suffix = reader.Number() != 0;
          break;
        case 40:
          model.unknown_id = static_cast<int32_t>(reader.Number());
          break;
        case 41:
          model.bos_id = static_cast<int32_t>(reader.Number());
          break;
        case 42:
          model.eos_id = static_cast<int32_t>(reader.Number());
          break;
        default:
          break;
      }
    }
  };
  const auto normalizer = [&](MessageReader reader) {
    while (reader.Next()) {
      if (reader.field() == 2) model.has_character_map = !reader.Bytes().empty();
      if (reader.field() == 3) model.add_dummy_prefix = reader.Number() != 0;
      if (reader.field() == 5) model.escape_whitespaces = reader.Number() != 0;
    }
  };
  for (MessageReader reader(bytes, path); reader.Next();) {
    if (reader.field() == 1) model.pieces.push_back(ParsePiece(reader.Bytes(), path));
    if (reader.field() == 2) trainer(MessageReader(reader.Bytes(), path));
    if (reader.field() == 3) normalizer(MessageReader(reader.Bytes(), path));
  }
  return model;
}

void CheckSupported(const SentencePieceModel& model, const std::string& path) {
  const auto refuse = [&](std::string_view what) {
    throw MakeError<DataError>("{}: {}; supported: BPE as LLaMA-2 has it, and unigram models", path,
                               what);
  };
  if (model.pieces.empty()) refuse("no pieces");
  if (model.model_type != kUnigram && model.model_type != kBpe) {
    refuse(fmt::format("model type {} is neither BPE (2) nor unigram (1)", model.model_type));
  }
  if (model.has_character_map) refuse("a normalization map (NFKC or the like) is not supported");
  if (!model.escape_whitespaces) refuse("escape_whitespaces=false is not supported");
  if (model.whitespace_as_suffix) refuse("treat_whitespace_as_suffix is not supported");
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& piece = model.pieces[id];
    if (piece.text.empty() || InvalidUtf8At(piece.text)) {
      refuse(fmt::format("piece {} is empty or not UTF-8", id));
    }
    if (piece.type < kNormal || piece.type > kByte || piece.type == kUnused) {
      refuse(fmt::format("piece {} has the type {}", id, piece.type));
    }
    if (!std::isfinite(piece.score)) refuse(fmt::format("the score of piece {} is not finite", id));
  }
}

// SentencePiece joins the pair that makes the piece of the highest score, the leftmost among
// equals.
std::vector<BpeMerge> MergesOfPieces(const std::vector<Piece>& pieces) {
  std::unordered_map<std::string_view, TokenId> normal;
  std::map<float, uint32_t, std::greater<>> ranks;
  for (size_t id = 0; id < pieces.size(); ++id) {
    if (pieces[id].type != kNormal) continue;
    normal.emplace(pieces[id].text, static_cast<TokenId>(id));
    ranks.emplace(pieces[id].score, 0);
  }
  uint32_t next_rank = 0;
  for (auto& [score, rank] : ranks) rank = next_rank++;
  std::vector<BpeMerge> merges;
  for (const auto& [text, id] : normal) {
    for (size_t cut = 0; NextCodePoint(text, cut), cut < text.size();) {
      const auto left = normal.find(text.substr(0, cut));
      const auto right = normal.find(text.substr(cut));
      if (left == normal.end() || right == normal.end()) continue;
      merges.push_back({left->second, right->second, id, ranks.at(pieces[id].score)});
    }
  }
  return merges;
}

void SetUpBpe(const SentencePieceModel& model, const std::string& path, PipelineParts& parts) {
  BpeOptions options;
  options.byte_fallback = true;  // whatever the file says
  options.fuse_unknown = true;
  options.unknown = model.unknown_id;
  if (parts.vocabulary.Token(model.unknown_id) == nullptr) {
    throw MakeError<DataError>("{}: unk_id is {}, which is no piece", path, model.unknown_id);
  }
  parts.model.emplace(parts.vocabulary, MergesOfPieces(model.pieces), options);
}

// As the reference tokenizer is made from the file: the first three pieces have the score 0, the
// first is the unknown token, and bytes are fallen back on whatever the file says.
void SetUpUnigram(const SentencePieceModel& model, PipelineParts& parts) {
  std::vector<double> scores;
  for (const Piece& piece : model.pieces) {
    scores.push_back(scores.size() < 3 ? 0.0 : static_cast<double>(piece.score));
  }
  parts.unigram.emplace(parts.vocabulary, std::move(scores),
                        UnigramOptions{.unknown = 0, .byte_fallback = true});
}

// The text of a piece. The first three are taken as added_tokens_decoder has them, if it does.
std::string_view TextOfPiece(const SentencePieceModel& model, size_t id,
                             const TokenizerSettings& settings) {
  if (id < 3 && settings.known_class != nullptr) {
    for (const NamedToken& named : settings.added) {
      if (named.token.id == static_cast<TokenId>(id)) return named.token.content;
    }
  }
  return model.pieces[id].text;
}

// Control pieces become special tokens, and those that the user defined added tokens.
void DefinePieces(const SentencePieceModel& model, const std::string& path,
                  const TokenizerSettings& settings, PipelineParts& parts) {
  std::vector<NamedToken> added;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& piece = model.pieces[id];
    parts.vocabulary.Add(TextOfPiece(model, id, settings), static_cast<int64_t>(id), path);
    if (piece.type != kControl && piece.type != kUserDefined) continue;
    AddedToken token;
    token.content = piece.text;
    token.special = piece.type == kControl;
    added.push_back({token, path});
  }
  parts.Add(added);
}

// The dummy prefix: before every part between special tokens, or ("legacy": false) only at the
// start of the text and only if that is no space already.
void SetUpSpaces(bool prepends, bool legacy, PipelineParts& parts) {
  if (legacy) {
    if (prepends) parts.normalizer.Prepend(std::string(kSpaceMark));
    parts.normalizer.Replace(Pattern::Literal(" "), std::string(kSpaceMark));
  } else {
    parts.pre_tokenizer.Metaspace({std::string(kSpaceMark),
                                   prepends ? PrependScheme::kFirst : PrependScheme::kNever,
                                   /*split=*/false});
  }
  parts.decoder.Replace(Pattern::Literal(std::string(kSpaceMark)), " ").ByteFallback().Fuse();
  if (prepends) parts.decoder.Strip(' ', 1, 0);
}

// Without a class the file itself says what BOS, EOS and the unknown token are.
void NameByModel(const SentencePieceModel& model, const std::string& path,
                 TokenizerSettings& settings) {
  const auto name = [&](const char* role, int32_t id, int type) {
    if (id < 0 || id >= static_cast<int64_t>(model.pieces.size())) return;
    const Piece& piece = model.pieces[id];
    if (piece.type != type || settings.unnamed.contains(role)) return;
    AddedToken token;
    token.content = piece.text;
    token.special = true;
    settings.roles.emplace(role, NamedToken{token, path});
  };
  name("bos_token", model.bos_id, kControl);
  name("eos_token", model.eos_id, kControl);
  name("unk_token", model.unknown_id, kUnknown);
}

// LlamaTokenizer and CodeLlamaTokenizer, the latter without settings of spaces.
void SetUpAsClass(const SentencePieceModel& model, const std::string& path,
                  TokenizerSettings& settings, PipelineParts& parts) {
  if (settings.known_class == nullptr) {
    NameByModel(model, path, settings);
    SetUpSpaces(settings.add_prefix_space.value_or(model.add_dummy_prefix),
                settings.legacy.value_or(true), parts);
    if (!settings.add_bos_token) settings.add_bos_token = settings.roles.contains("bos_token");
    MakeTokensOfNames({"bos_token", "eos_token", "unk_token", "pad_token"}, false, settings);
    return;
  }
  if (!settings.add_bos_token) settings.add_bos_token = settings.known_class->adds_bos;
  MakeTokensOfNames({"bos_token", "eos_token", "unk_token"}, false, settings);
  if (!settings.known_class->heeds_spaces) return SetUpSpaces(true, true, parts);
  MakeTokensOfNames({"pad_token"}, false, settings);
  SetUpSpaces(settings.add_prefix_space.value_or(!settings.prefix_space_is_null),
              settings.legacy.value_or(true), parts);
}

}  // namespace

std::unique_ptr<Tokenizer> LoadSentencePiece(TokenizerFolder& folder, std::string_view bytes) {
  const std::string path = folder.PathOf("tokenizer.model");
  const SentencePieceModel model = ParseModel(bytes, path);
  CheckSupported(model, path);
  TokenizerSettings settings = ReadSettings(folder);
  std::string_view named = settings.class_name;
  if (named.ends_with("Fast")) named.remove_suffix(4);
  if (!named.empty() && named != "LlamaTokenizer" && named != "CodeLlamaTokenizer") {
    throw MakeError<DataError>(
        "{}: a SentencePiece model of the tokenizer_class '{}' is not supported, only that of "
        "LlamaTokenizer and CodeLlamaTokenizer; add the model's tokenizer.json to the folder",
        folder.PathOf("tokenizer_config.json"), settings.class_name);
  }
  PipelineParts parts;
  DefinePieces(model, path, settings, parts);
  SetUpAsClass(model, path, settings, parts);
  if (model.model_type == kBpe) {
    SetUpBpe(model, path, parts);
  } else {
    SetUpUnigram(model, parts);
  }
  if (const auto file = folder.ReadJsonIfPresent("tokenizer.json")) {
    TakeAddedTokens(ReadAddedTokens(file->root()), settings);
  }
  ApplySettings(settings, parts);
  return MakePipeline(std::move(parts), folder.FinishDigest());
}

}  // namespace condense
