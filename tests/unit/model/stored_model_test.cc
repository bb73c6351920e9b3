#include "model/stored/stored_model.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "model/stored/stored_files.h"
#include "support/shared_data.h"
#include "support/temp_folder.h"

namespace condense {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

std::filesystem::path Mini() { return ModelFolder("llama2-mini"); }

std::vector<std::string> NamesOf(const std::vector<std::filesystem::path>& files) {
  std::vector<std::string> names;
  for (const auto& file : files) names.push_back(file.filename().string());
  return names;
}

TEST(StoredModel, IsInMemoryWhereItIsSmallAndStreamedOnRequest) {
  const StoredModel small(Mini());
  StoredModel streamed(Mini(), {}, Residence::kStreamed);
  EXPECT_TRUE(small.source().resident());
  EXPECT_FALSE(streamed.source().resident());
  const CausalLm& loaded = streamed.resident();
  EXPECT_EQ(&streamed.source(), &loaded);
}

TEST(StoredModel, IsTheSameModelHoweverItIsHeld) {
  const InferenceScope inference;
  const StoredModel small(Mini());
  const StoredModel streamed(Mini(), {}, Residence::kStreamed);
  EXPECT_EQ(small.digest(), streamed.digest());
  EXPECT_EQ(small.source().digest(), small.digest());
  EXPECT_EQ(small.StoredDType(), streamed.StoredDType());
  uint64_t bytes = 0;
  for (const auto& file : FilesOf(Mini()).weights) bytes += std::filesystem::file_size(file);
  EXPECT_EQ(streamed.FileBytes(), bytes);
  EXPECT_EQ(small.tokenizer(), Mini());
  const Tensor a = small.source().LoadBlock(1).mlp.up.weight;
  EXPECT_TRUE(at::equal(a, streamed.source().LoadBlock(1).mlp.up.weight));
}

TEST(StoredModel, WritesWhatWasMadeFromItBesideItsTokenizer) {
  const InferenceScope inference;
  const TempFolder folder;
  const StoredModel dense(Mini());
  const auto path = folder.path() / "copy";
  {
    CheckpointSink sink = dense.SinkTo(path, {.dtype = {}});
    const Embedding embedding = dense.source().LoadEmbedding();
    sink.PutEmbedding(embedding);
    for (int64_t l = 0; l < dense.config().num_layers(); ++l) {
      sink.PutBlock(l, dense.source().LoadBlock(l));
    }
    sink.PutHead(LoadHeadFor(dense.source(), embedding));
    sink.Finish(dense.config().Derived());
  }
  const StoredModel copy(path);
  EXPECT_FALSE(copy.config().IsDense());
  EXPECT_EQ(copy.config().layers, dense.config().layers);
  EXPECT_EQ(NamesOf(FilesOf(path).tokenizer), NamesOf(FilesOf(Mini()).tokenizer));
}

TEST(StoredFiles, AreThoseOfTheFolder) {
  const TempFolder folder;
  EXPECT_TRUE(IsStoredModel(Mini()));
  EXPECT_FALSE(IsStoredModel(folder.path()));
  EXPECT_THAT([&] { FilesOf(folder.path()); },
              ThrowsMessage<DataError>(HasSubstr("holds no weights")));
  EXPECT_EQ(NamesOf(FilesOf(Mini()).config), std::vector<std::string>{"config.json"});
}

}  // namespace
}  // namespace condense
