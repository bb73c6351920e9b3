// Torch .bin files: made by LibTorch's own writer, by Python's pickler, and by hand.
#include "checkpoint/torch/torch_file.h"

#include <caffe2/serialize/inline_container.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/serialization/pickle.h>

#include <fstream>

#include "checkpoint/checkpoint.h"
#include "support/shared_data.h"
#include "support/temp_folder.h"
#include "unit/checkpoint/raw_files.h"

// LibTorch's archive reader does not free its few buffers when an archive turns out to be damaged.
extern "C" const char* __lsan_default_suppressions() { return "leak:mz_zip_reader_init"; }

namespace condense {
namespace {

class TorchFile : public ::testing::Test {
 protected:
  // An archive as torch.save lays it out, with this pickle and the float32 record "0" of six
  // values.
  void WriteArchive(const std::string& pickle) {
    const std::vector<float> values{1, 2, 3, 4, 5, 6};
    std::string bytes;
    caffe2::serialize::PyTorchStreamWriter writer([&](const void* data, size_t count) {
      bytes.append(static_cast<const char*>(data), count);
      return count;
    });
    writer.writeRecord("data.pkl", pickle.data(), pickle.size());
    writer.writeRecord("data/0", values.data(), 24);
    writer.writeEndOfFile();
    WriteFileAtomically(path_, bytes);
  }

  std::function<void()> Opening(const std::string& pickle) {
    WriteArchive(pickle);
    return OpeningFile();
  }
  std::function<void()> OpeningFile() {
    return [folder = folder_.path()] { Checkpoint::Open(folder); };
  }

  TempFolder folder_;
  std::filesystem::path path_ = folder_.path() / "pytorch_model.bin";
};

std::string Text(const std::string& text) {
  std::string bytes = "X";
  for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(text.size() >> shift);
  return bytes + text;
}

std::string Number(int32_t number) {
  std::string bytes = "J";
  for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(number >> shift);
  return bytes;
}

std::string Tuple(const std::vector<int32_t>& numbers) {
  std::string bytes = "(";
  for (const int32_t number : numbers) bytes += Number(number);
  return bytes + "t";
}

struct TensorPickle {
  int32_t offset = 0;
  std::vector<int32_t> shape = {2, 3}, strides = {3, 1};
  std::string storage_type = "FloatStorage";
  std::string key = "0";
  int32_t elements = 6;

  std::string Bytes() const {
    return "ctorch._utils\n_rebuild_tensor_v2\n((" + Text("storage") + "ctorch\n" + storage_type +
           "\n" + Text(key) + Text("cpu") + Number(elements) + "tQ" + Number(offset) +
           Tuple(shape) + Tuple(strides) + "\x89" + "ccollections\nOrderedDict\n)RtR";
  }
};

std::string Dictionary(const std::string& value) { return "\x80\x02}" + Text("w") + value + "s."; }

TEST_F(TorchFile, OfLibTorchsOwnWriterIsRead) {
  c10::Dict<std::string, at::Tensor> state;
  state.insert("linear.weight", at::arange(12, kF32).view({3, 4}));
  state.insert("half", at::arange(5, at::kFloat).to(kF16));
  state.insert("brain", at::arange(5, at::kFloat).to(kBF16));
  state.insert("ids", at::arange(4, kI64));
  const std::vector<char> bytes = torch::jit::pickle_save(state);
  WriteFileAtomically(path_, {bytes.data(), bytes.size()});

  const Checkpoint checkpoint = Checkpoint::Open(folder_.path());
  EXPECT_THAT(checkpoint.Names(), ::testing::ElementsAre("brain", "half", "ids", "linear.weight"));
  for (const auto& entry : state) {
    const Tensor read = checkpoint.Get(entry.key());
    EXPECT_EQ(read.scalar_type(), entry.value().scalar_type());
    EXPECT_TRUE(at::equal(read, entry.value())) << entry.key();
  }
}

TEST_F(TorchFile, OfPythonsPicklerIsReadWithViewsParametersAndMetadata) {
  std::filesystem::copy(SourceFolder() / "tests/data/checkpoint/state_dict.bin", path_);
  const Checkpoint checkpoint = Checkpoint::Open(folder_.path());
  const Tensor matrix = Floats({1, 2, 3, 4, 5, 6}).view({2, 3});
  EXPECT_TRUE(at::equal(checkpoint.Get("matrix"), matrix));
  EXPECT_TRUE(at::equal(checkpoint.Get("transposed"), matrix.t()));
  EXPECT_TRUE(checkpoint.Get("transposed").is_contiguous());
  EXPECT_TRUE(at::equal(checkpoint.Get("row"), Floats({4, 5, 6})));
  EXPECT_TRUE(at::equal(checkpoint.Get("half"), Floats({0.5, -2, 65504}).to(kF16)));
  EXPECT_TRUE(at::equal(checkpoint.Get("brain"), Floats({1, -3}).to(kBF16).view({2, 1})));
  EXPECT_EQ(checkpoint.Get("scalar").item<int64_t>(), -7);
  EXPECT_TRUE(at::equal(checkpoint.Get("mask"), at::tensor({1, 0, 1}).to(at::kBool)));
  EXPECT_EQ(checkpoint.Info("empty").shape, (std::vector<int64_t>{0, 4}));
  EXPECT_EQ(checkpoint.Get("empty").numel(), 0);
}

TEST_F(TorchFile, MadeByHandIsReadFromTheMap) {
  WriteArchive(Dictionary(TensorPickle{}.Bytes()));
  const Tensor w = Checkpoint::Open(folder_.path()).Get("w");
  EXPECT_TRUE(at::equal(w, Floats({1, 2, 3, 4, 5, 6}).view({2, 3})));
}

TEST_F(TorchFile, ThatAsksForCodeIsRefusedByName) {
  EXPECT_THAT(Opening("\x80\x02"
                      "cos\nsystem\n(" +
                      Text("true") + "tR."),
              FailsWith("pytorch_model.bin", "'os.system'", "refused"));
  // The same through protocol 4, and as a value of an otherwise good dictionary.
  EXPECT_THAT(Opening("\x80\x04" + Text("builtins") + Text("eval") + "\x93."),
              FailsWith("'builtins.eval'"));
  EXPECT_THAT(Opening(Dictionary("ctorch._utils\n_rebuild_qtensor\n)R")),
              FailsWith("'torch._utils._rebuild_qtensor'"));
  EXPECT_THAT(Opening(Dictionary(TensorPickle{.storage_type = "ComplexFloatStorage"}.Bytes())),
              FailsWith("'torch.ComplexFloatStorage'"));
}

TEST_F(TorchFile, WithAWholeModuleIsRefusedWithTheConversion) {
  const auto module = "ctransformers.models.llama.modeling_llama\nLlamaForCausalLM\n)R";
  EXPECT_THAT(Opening(Dictionary(module)),
              FailsWith("LlamaForCausalLM'", "python -c", "m.state_dict()", path_.string()));
  EXPECT_THAT(Opening("\x80\x02" + std::string(module) + "."), FailsWith("python -c"));
  // What no training program needs gets no help.
  EXPECT_THAT(
      Opening("\x80\x02"
              "cos\nsystem\n)R."),
      ::testing::ThrowsMessage<DataError>(::testing::Not(::testing::HasSubstr("python -c"))));
}

TEST_F(TorchFile, WithTheStateDictBesideOtherThingsIsRead) {
  for (const char* key : {"state_dict", "model", "module"}) {
    SCOPED_TRACE(key);
    const std::string state = "}" + Text("w") + TensorPickle{}.Bytes() + "s";
    WriteArchive("\x80\x02}(" + Text("step") + "K\x05" + Text(key) + state + "u.");
    EXPECT_EQ(Checkpoint::Open(folder_.path()).Names(), std::vector<std::string>{"w"});
  }
}

TEST_F(TorchFile, ThatNamesALongListAgainAndAgainIsRefused) {
  std::string pickle = "\x80\x02(" + Text("storage") + std::string(100000, 'N') + "tq" + '\0' + "0";
  for (int i = 0; i < 20000; ++i) pickle += std::string("h\0Q0", 4);
  EXPECT_THAT(Opening(pickle + "N."), FailsWith("pytorch_model.bin", "pickle, byte"));
}

TEST_F(TorchFile, WithALargeCompressedRecordIsRefusedBeforeItIsUnpacked) {
  const std::string zeros(size_t{2} << 20, '\0');
  std::string bytes;
  caffe2::serialize::PyTorchStreamWriter writer([&](const void* data, size_t count) {
    bytes.append(static_cast<const char*>(data), count);
    return count;
  });
  writer.writeRecord("extra", zeros.data(), zeros.size(), /*compress=*/true);
  writer.writeEndOfFile();
  WriteFileAtomically(path_, bytes);
  EXPECT_THAT(OpeningFile(), FailsWith("pytorch_model.bin", "extra' is compressed"));
}

TEST_F(TorchFile, ThatBuildsObjectsIsRefusedByOpcode) {
  EXPECT_THAT(Opening("\x80\x02"
                      "ccollections\nOrderedDict\n)\x81."),
              FailsWith("0x81", "refused"));
  EXPECT_THAT(Opening("\x80\x02(ios\nsystem\n."), FailsWith("0x69", "refused"));
}

TEST_F(TorchFile, ThatIsNoStateDictIsRefused) {
  EXPECT_THAT(Opening("\x80\x02K\x05."), FailsWith("state dict"));
  EXPECT_THAT(Opening(Dictionary("K\x05")), FailsWith("'w'", "not a tensor"));
  EXPECT_THAT(Opening(Dictionary("}")), FailsWith("'w'", "not a tensor"));
  EXPECT_THAT(Opening("\x80\x02}K\x01K\x02s."), FailsWith("key that is not a string"));
}

TEST_F(TorchFile, WithAMalformedPickleIsRefusedWithItsPlace) {
  for (const std::string pickle :
       {"", "\x80\x02", "\x80\x02.", "\x80\x02}s.", "\x80\x02t.", "\x80\x02h\x05.", "\x80\x02X\xff",
        "\x80\x02(K\x01.",
        "\x80\x02K\x01K\x02"
        "a.",
        "\x80\x02}K\x01u.", "\x80\x02)Q.", "\x80\x02}(K\x01u.", "\x80\x02K\x01)R.", "\x80\x02)}b.",
        "\x80\x63.", "\x80\x02\x8a\x09.",
        "\x80\x02"
        "cos"}) {
    EXPECT_THAT(Opening(pickle), FailsWith("pytorch_model.bin", "pickle, byte"))
        << ::testing::PrintToString(pickle);
  }
}

TEST_F(TorchFile, WithATensorThatDoesNotFitItsRecordIsRefused) {
  const auto opening = [&](const TensorPickle& tensor) {
    return Opening(Dictionary(tensor.Bytes()));
  };
  EXPECT_THAT(opening({.shape = {2, 4}, .strides = {4, 1}}),
              FailsWith("'w'", "[2, 4]", "24 bytes"));
  EXPECT_THAT(opening({.offset = 1}), FailsWith("'w'", "damaged"));
  EXPECT_THAT(opening({.shape = {7}, .strides = {0}}), FailsWith("'w'", "damaged"));
  EXPECT_THAT(opening({.shape = {2, 3}, .strides = {2147483647, 2147483647}}),
              FailsWith("damaged"));
  EXPECT_THAT(opening({.shape = {2, -3}}), FailsWith("'w'", "number from 0"));
  EXPECT_THAT(opening({.offset = -1}), FailsWith("'w'", "number from 0"));
  EXPECT_THAT(opening({.strides = {3, -1}}), FailsWith("'w'", "number from 0"));
  EXPECT_THAT(opening({.strides = {1}}), FailsWith("'w'", "differ in length"));
  EXPECT_THAT(opening({.elements = 7}), FailsWith("'w'", "24 bytes", "expected 7"));
  EXPECT_THAT(opening({.storage_type = "DoubleStorage"}), FailsWith("'w'", "damaged"));
  EXPECT_THAT(opening({.key = "1"}), FailsWith("'data/1'", "missing"));
  const int32_t large = 2147483647;
  EXPECT_THAT(opening({.shape = {large, large, large}, .strides = {1, 1, 1}}),
              FailsWith("damaged"));
}

TEST_F(TorchFile, ThatIsTruncatedOrNoArchiveIsRefused) {
  WriteArchive(Dictionary(TensorPickle{}.Bytes()));
  const std::string whole = ReadFile(path_);
  for (const size_t size : {size_t{5}, whole.size() / 2, whole.size() - 1}) {
    WriteFileAtomically(path_, whole.substr(0, size));
    EXPECT_THAT(OpeningFile(), FailsWith("pytorch_model.bin", "truncated")) << size;
  }
  WriteFileAtomically(path_, "");
  EXPECT_THAT(OpeningFile(), FailsWith("not a torch file"));
  WriteFileAtomically(path_, "GGUF....");
  EXPECT_THAT(OpeningFile(), FailsWith("not a torch file"));
}

// Every flip of a byte outside the tensor's values is found or harmless; none crashes.
TEST_F(TorchFile, SurvivesEveryFlippedByte) {
  WriteArchive(Dictionary(TensorPickle{}.Bytes()));
  const std::string whole = ReadFile(path_);
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0xff);
    std::ofstream(path_, std::ios::binary) << damaged;
    try {
      const Checkpoint checkpoint = Checkpoint::Open(folder_.path());
      for (const std::string& name : checkpoint.Names()) checkpoint.Get(name).to(kF64).sum();
    } catch (const DataError&) {
    }
  }
}

TEST_F(TorchFile, OfBeforePyTorch16IsRefusedWithTheConversion) {
  WriteFileAtomically(path_,
                      std::string("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80"));
  EXPECT_THAT(OpeningFile(), FailsWith("before PyTorch 1.6", "torch.save", "weights_only=True"));
}

}  // namespace
}  // namespace condense
