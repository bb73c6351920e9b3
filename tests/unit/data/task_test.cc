#include "data/tasks/task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/sha256.h"
#include "config/paths.h"
#include "data/tasks/task_definition.h"
#include "support/shared_data.h"
#include "support/temp_folder.h"
#include "unit/data/error_text.h"

namespace condense {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const char* const kQuiz = R"(metrics: [acc, acc_norm]
kind: multiple-choice
files: [quiz.jsonl]
context: "Q: {question}\nA:"
forms:
  - {name: plain, choices: "answers[]", gold: right, id: key}
  - {name: nested, fields: {question: q.text}, choices: "q.options[].text",
     labels: "q.options[].mark", gold: right}
)";

class TaskTest : public ::testing::Test {
 protected:
  void SetUp() override { SetLogLevel(LogLevel::kWarning); }
  void TearDown() override { SetLogLevel(LogLevel::kInfo); }

  void Write(const std::string& name, std::string_view text) {
    std::filesystem::create_directories((folder_.path() / name).parent_path());
    WriteFileAtomically(folder_.path() / name, text);
  }
  static TaskSpec Spec(const std::string& yaml) {
    return ReadTaskSpec(Node::ParseText(yaml, "quiz.yaml"));
  }
  TaskSet Load(const std::string& yaml = kQuiz, const TaskOptions& options = {}) {
    return LoadTask(Spec(yaml), "quiz", {{folder_.path()}, {}}, options);
  }
  TaskSet LoadText(std::string_view text, const std::string& yaml = kQuiz) {
    Write("quiz.jsonl", text);
    return Load(yaml);
  }
  std::string Refused(std::string_view text, const std::string& yaml = kQuiz) {
    return ErrorText<DataError>([&] { LoadText(text, yaml); });
  }
  std::string Path(const std::string& name) const { return (folder_.path() / name).string(); }

  TempFolder folder_;
};

const char* const kGood =
    R"({"key": "k1", "question": "one?", "answers": ["a", "bé"], "right": 1})";

std::string QuizLines(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    text += fmt::format(R"({{"question": "{}?", "answers": ["a", "b"], "right": 0}})", i) + "\n";
  }
  return text;
}

// --- What comes out

TEST_F(TaskTest, RecordsBecomeOneRequestForEachChoice) {
  const TaskSet task = LoadText(std::string(kGood) + "\n");
  EXPECT_EQ(task.name, "quiz");
  EXPECT_THAT(task.metrics, ElementsAre(TaskMetric::kAcc, TaskMetric::kAccNorm));
  EXPECT_FALSE(task.known_file);
  EXPECT_FALSE(task.known_requests);
  ASSERT_EQ(task.documents.size(), 1u);
  const TaskDocument& document = task.documents.front();
  EXPECT_EQ(document.gold, 1);
  ASSERT_EQ(document.requests.size(), 2u);
  EXPECT_EQ(document.requests[1].context, "Q: one?\nA:");
  EXPECT_EQ(document.requests[1].continuation, " bé");
  EXPECT_EQ(document.requests[1].place, Path("quiz.jsonl") + ":1");
  EXPECT_THAT(document.code_points, ElementsAre(1, 2));
  EXPECT_THAT(document.bytes, ElementsAre(1, 3));
}

TEST_F(TaskTest, DigestsRunOverContextsAndContinuations) {
  const TaskSet task = LoadText(std::string(kGood) + "\n" + QuizLines(1));
  using namespace std::string_literals;
  const std::string first = "Q: one?\nA:\0 a\0Q: one?\nA:\0 bé\0"s;
  EXPECT_EQ(task.documents[0].sha256, Sha256Hex(first));
  EXPECT_EQ(task.requests_sha256, Sha256Hex(first + "Q: 0?\nA:\0 a\0Q: 0?\nA:\0 b\0"s));
}

TEST_F(TaskTest, EachRecordTakesTheFormThatFits) {
  const TaskSet task = LoadText(std::string(kGood) + "\n" +
                                R"({"q": {"text": "two?", "options": [{"text": "x", "mark": 1}, )"
                                R"({"text": "y", "mark": 2}]}, "right": "2"})");
  ASSERT_EQ(task.documents.size(), 2u);
  EXPECT_EQ(task.documents[1].requests[0].context, "Q: two?\nA:");
  EXPECT_EQ(task.documents[1].gold, 1);
}

TEST_F(TaskTest, ALimitTakesTheFirstDocumentsAndTheName) {
  Write("quiz.jsonl", QuizLines(3));
  const auto load = [&](int64_t limit) { return Load(kQuiz, {.limit = limit}); };
  EXPECT_EQ(load(2).name, "quiz@first-2");
  EXPECT_EQ(load(2).documents.size(), 2u);
  EXPECT_EQ(load(3).name, "quiz");
  EXPECT_EQ(load(7).documents.size(), 3u);
  EXPECT_EQ(load(2).data_sha256, load(3).data_sha256);
  EXPECT_THROW(load(0), ConfigError);
}

TEST_F(TaskTest, AnArrayIsReadLikeLines) {
  const std::string array = "[" + std::string(kGood) + ",\n" + kGood + "]\n";
  const TaskSet task = LoadText(array);
  EXPECT_EQ(task.documents.size(), 2u);
  EXPECT_EQ(task.documents[1].requests[0].place, Path("quiz.jsonl") + ": record 2");
  const TaskSet part = Load(kQuiz, {.limit = 1});
  EXPECT_EQ(part.name, "quiz@first-1");
  EXPECT_EQ(part.documents.size(), 1u);
}

TEST_F(TaskTest, MarksAndLineEndsOfWindowsChangeNothing) {
  const std::string plain = LoadText(QuizLines(2)).requests_sha256;
  std::string windows = "\xEF\xBB\xBF" + QuizLines(2) + "\n";
  for (size_t at = 0; (at = windows.find('\n', at)) != windows.npos; at += 2) {
    windows.replace(at, 1, "\r\n");
  }
  EXPECT_EQ(LoadText(windows).requests_sha256, plain);
  EXPECT_EQ(Load(kQuiz, {.limit = 2}).name, "quiz");
  std::string text = QuizLines(2);
  text.pop_back();  // the last line end may be missing
  EXPECT_EQ(LoadText(text).requests_sha256, plain);
  EXPECT_EQ(LoadText("\xEF\xBB\xBF[" + std::string(kGood) + "]").documents.size(), 1u);
}

TEST_F(TaskTest, TheFirstNameThatExistsIsRead) {
  const std::string yaml = std::string(kQuiz).replace(std::string(kQuiz).find("[quiz.jsonl]"), 12,
                                                      "[a/quiz.jsonl, quiz.jsonl]");
  Write("tasks/quiz.jsonl", QuizLines(1));
  EXPECT_EQ(Load(yaml).file, Path("tasks/quiz.jsonl"));
  Write("quiz.jsonl", QuizLines(2));
  EXPECT_EQ(Load(yaml).file, Path("quiz.jsonl"));
  Write("a/quiz.jsonl", QuizLines(3));
  EXPECT_EQ(Load(yaml).documents.size(), 3u);
}

TEST_F(TaskTest, AnotherNumberOfDocumentsIsWarnedOf) {
  const std::string yaml = "documents: 3\nrequests: 6\n" + std::string(kQuiz);
  const auto warning = [&](int count, std::optional<int64_t> limit) {
    Write("quiz.jsonl", QuizLines(count));
    ::testing::internal::CaptureStderr();
    Load(yaml, {.limit = limit});
    return ::testing::internal::GetCapturedStderr();
  };
  EXPECT_THAT(warning(2, {}), HasSubstr("has 2 documents, but the whole task has 3"));
  EXPECT_THAT(warning(3, {}), IsEmpty());
  EXPECT_THAT(warning(3, 2), IsEmpty());
  EXPECT_THAT(warning(2, 2), HasSubstr("has 2 documents, but the whole task has 3"));
}

TEST_F(TaskTest, KnownFilesAndRequestsAreRecognised) {
  const std::string text = QuizLines(2);
  const TaskSet plain = LoadText(text);
  const std::string yaml = fmt::format("sha256: [{}]\nrequests_sha256: {}\n{}", plain.data_sha256,
                                       plain.requests_sha256, kQuiz);
  EXPECT_TRUE(LoadText(text, yaml).known_file);
  EXPECT_TRUE(LoadText(text, yaml).known_requests);
  const TaskSet spaced = LoadText(text + "\n", yaml);
  EXPECT_FALSE(spaced.known_file);
  EXPECT_TRUE(spaced.known_requests);
}

TEST_F(TaskTest, TheDefinitionsDigestIsOfWhatMakesRequests) {
  const std::string digest = DefinitionSha256(Spec(kQuiz));
  EXPECT_EQ(DefinitionSha256(Spec("description: other\ndocuments: 5\n" + std::string(kQuiz))),
            digest);
  EXPECT_NE(DefinitionSha256(Spec("version: 2\n" + std::string(kQuiz))), digest);
  std::string other = kQuiz;
  other.replace(other.find("Q: "), 3, "Question: ");
  EXPECT_NE(DefinitionSha256(Spec(other)), digest);
}

// --- Right choices

TEST_F(TaskTest, GoldIsAnIndexABooleanOrALabel) {
  const auto gold = [&](const std::string& value, const std::string& form) {
    return LoadText(R"({"question": "?", "answers": ["x", "y"], "right": )" + value + "}",
                    "metrics: [acc]\nkind: multiple-choice\nfiles: [quiz.jsonl]\ncontext: "
                    "'{question}'\nforms: [{choices: 'answers[]', gold: " +
                        form + "}]\n")
        .documents.front()
        .gold;
  };
  EXPECT_EQ(gold("1", "right"), 1);
  EXPECT_EQ(gold("\"1\"", "right"), 1);
  EXPECT_EQ(gold("true", "right"), 1);
  EXPECT_EQ(gold("false", "right"), 0);
  EXPECT_EQ(gold("2", "right, gold_base: 1"), 1);
  EXPECT_EQ(gold("\"B\"", "right, label_names: [A, B, C]"), 1);
  EXPECT_EQ(gold("\" B\"", "right|lstrip, label_names: [A, B]"), 1);
}

TEST_F(TaskTest, AGoldOutsideTheChoicesIsRefused) {
  const auto refused = [&](const std::string& right) {
    return Refused(QuizLines(1) + R"({"question": "?", "answers": ["x", "y"], "right": )" + right +
                   "}");
  };
  EXPECT_EQ(refused("2"),
            Path("quiz.jsonl") + ":2: right is '2', outside the 2 choices; expected 0 to 1");
  EXPECT_THAT(refused("-1"), HasSubstr("is this a split without answers?"));
  EXPECT_THAT(refused("\"\""), HasSubstr("is this a split without answers?"));
  EXPECT_THAT(refused("\"A\""), HasSubstr("right is 'A', outside the 2 choices"));
  EXPECT_THAT(refused("18446744073709551615"), HasSubstr("expected 0 to 1"));
  EXPECT_THAT(refused("null"), HasSubstr(":2: right is null; expected text"));
  EXPECT_THAT(Refused(R"({"q": {"text": "?", "options": [{"text": "x", "mark": "A"}]}, )"
                      R"("right": "B"})"),
              HasSubstr("right is 'B'; the 1 choices have the labels A"));
}

// --- Records that do not fit

TEST_F(TaskTest, AMisnamedKeyIsShownWithWhatEachFormNeeds) {
  const std::string text =
      Refused(QuizLines(1) + R"({"question": "?", "answer": ["x"], "right": 0})");
  EXPECT_THAT(text,
              AllOf(HasSubstr(Path("quiz.jsonl") + ":2: the record fits no form of task quiz"),
                    HasSubstr("its keys are: answer[], question, right"),
                    HasSubstr("form plain needs question, answers[], right; the record lacks "
                              "answers[] (is 'answer' meant?)"),
                    HasSubstr("form nested needs q.text, q.options[].text")));
}

TEST_F(TaskTest, ValuesOfAnotherShapeAreNamed) {
  EXPECT_THAT(Refused(R"({"question": "?", "answers": "x", "right": 0})"),
              HasSubstr("lacks answers[]: answers is of type string, not array"));
  EXPECT_THAT(Refused(R"({"q": "?", "right": 0})"),
              HasSubstr("lacks q.text: q is of type string, not object"));
  EXPECT_THAT(Refused(R"({"question": 1.5, "answers": ["x"], "right": 0})"),
              HasSubstr(":1: question is 1.5; expected text"));
  EXPECT_THAT(Refused("[1]"), HasSubstr("record 1: expected an object"));
}

TEST_F(TaskTest, EmptyChoicesAreRefusedUnlessTheTaskAllowsThem) {
  const std::string text = R"({"question": "?", "answers": ["x", " "], "right": 0})";
  EXPECT_THAT(Refused(text), HasSubstr(":1: choice 2 of 2 is empty"));
  const TaskSet task = LoadText(text, "allow_empty_choices: true\n" + std::string(kQuiz));
  EXPECT_EQ(task.documents[0].requests[1].continuation, "  ");
  EXPECT_THAT(Refused(R"({"question": "?", "answers": [], "right": 0})"),
              HasSubstr(":1: no choices in answers[]; expected at least one"));
}

TEST_F(TaskTest, AnEmptyContinuationIsRefused) {
  Write("lambada_test.jsonl", "{\"text\": \"ends with a space \"}\n");
  EXPECT_THAT(ErrorText<DataError>([&] {
                LoadTask("lambada_openai", {{folder_.path()}, {}});
              }),
              HasSubstr("lambada_test.jsonl:1: the continuation is empty"));
  Write("winogrande_xl_dev.jsonl",
        R"({"sentence": "Nobody saw _", "option1": "a", "option2": "b", "answer": "1"})");
  EXPECT_THAT(ErrorText<DataError>([&] {
                LoadTask("winogrande", {{folder_.path()}, {}});
              }),
              HasSubstr(":1: the continuation is empty"));
  Write("winogrande_xl_dev.jsonl",
        R"({"sentence": "Nobody.", "option1": "a", "option2": "b", "answer": "1"})");
  EXPECT_THAT(ErrorText<DataError>([&] {
                LoadTask("winogrande", {{folder_.path()}, {}});
              }),
              HasSubstr(":1: sentence: no '_' marks the place of the options in \"Nobody.\""));
}

TEST_F(TaskTest, OneIdForTwoRecordsIsRefused) {
  const std::string other =
      R"({"key": "k1", "question": "other?", "answers": ["a", "b"], "right": 1})";
  EXPECT_THAT(Refused(std::string(kGood) + "\n" + other),
              AllOf(HasSubstr(":2: the id 'k1' was used before, at " + Path("quiz.jsonl") + ":1"),
                    HasSubstr("joined from several?")));
  EXPECT_EQ(LoadText(std::string(kGood) + "\n" + kGood).documents.size(), 2u);
  std::string gold = kGood;
  gold.replace(gold.find("1}"), 2, "0}");
  EXPECT_THAT(Refused(std::string(kGood) + "\n" + gold), HasSubstr("used before"));
}

// --- Damaged files

TEST_F(TaskTest, DamagedFilesAreRefusedWithThePlace) {
  EXPECT_THAT(Refused(QuizLines(1) + "{\"question\": \"\xFF\"}"), HasSubstr(":2: invalid UTF-8"));
  EXPECT_THAT(Refused(""), HasSubstr("the file is empty"));
  EXPECT_THAT(Refused(" \r\n\n"), HasSubstr("the file is empty"));
  EXPECT_THAT(Refused("[]"), HasSubstr("holds no records"));
  EXPECT_THAT(Refused("\xEF\xBB\xBF"), HasSubstr("holds no records"));
  const std::string good = QuizLines(2);
  for (const size_t cut : {3u, 8u, 20u}) {
    EXPECT_THAT(
        Refused(good.substr(0, good.size() - cut)),
        AllOf(HasSubstr("quiz.jsonl:2: not valid JSON"), HasSubstr("was the file cut off here?")));
  }
  EXPECT_THAT(Refused("[" + std::string(kGood) + ","), HasSubstr("was the file cut off here?"));
  EXPECT_THAT(Refused(R"({"question": "\ud800"})"), HasSubstr(":1: not valid JSON"));
  EXPECT_THAT(Refused(QuizLines(1) + "\n" + QuizLines(1)), HasSubstr(":2: the line is empty"));
}

TEST_F(TaskTest, FilesOfAnotherKindAreRefusedWithWhatToDo) {
  EXPECT_THAT(Refused("PAR1..."), HasSubstr("scripts/parquet_to_jsonl.py"));
  EXPECT_THAT(Refused("\x1F\x8B.."), HasSubstr("unpack it first"));
  EXPECT_THAT(Refused("version https://git-lfs.github.com/spec/v1\n"), HasSubstr("git lfs pull"));
}

TEST_F(TaskTest, AMissingFileIsLookedForByName) {
  const std::string text = ErrorText<DataError>([&] { Load(); });
  EXPECT_THAT(text, AllOf(HasSubstr("quiz.jsonl"), HasSubstr(folder_.path().string()),
                          HasSubstr("--data DIR")));
  EXPECT_THAT(ErrorText<DataError>([&] { LoadTask(Spec(kQuiz), "quiz", {}); }),
              HasSubstr("no data folder was named"));
}

TEST_F(TaskTest, AParquetFileNamesTheCommandThatConvertsIt) {
  Write("quiz.parquet", "PAR1");
  EXPECT_THAT(ErrorText<DataError>([&] { Load(); }),
              HasSubstr(fmt::format("python3 scripts/parquet_to_jsonl.py '{}' '{}'",
                                    Path("quiz.parquet"), Path("quiz.jsonl"))));
  Write("piqa/validation-00000-of-00001.parquet", "PAR1");
  EXPECT_THAT(ErrorText<DataError>([&] {
                LoadTask("piqa", {{folder_.path()}, {}});
              }),
              HasSubstr(fmt::format("'{}'", Path("piqa_val.jsonl"))));
}

// --- Labels in a second file

TEST_F(TaskTest, LabelsMayLieInASecondFile) {
  const std::string record = R"({"goal": "g", "sol1": "a", "sol2": "b"})";
  Write("piqa/valid.jsonl", record + "\n" + record + "\n");
  const auto load = [&](std::optional<int64_t> limit = {}) {
    return LoadTask("piqa", {{folder_.path()}, {}}, {.limit = limit});
  };
  const auto refused = [&] { return ErrorText<DataError>([&] { load(); }); };
  EXPECT_THAT(refused(), AllOf(HasSubstr(Path("piqa/valid-labels.lst") + ", which is missing"),
                               HasSubstr("keys are: goal, sol1, sol2")));
  Write("piqa/valid-labels.lst", "1\r\n0\r\n");
  SetLogLevel(LogLevel::kError);
  EXPECT_EQ(load().documents[0].gold, 1);
  EXPECT_EQ(load().documents[1].gold, 0);
  EXPECT_EQ(load(1).documents.size(), 1u);
  Write("piqa/valid-labels.lst", "1\n");
  EXPECT_THAT(refused(), HasSubstr("they do not belong together"));
  Write("piqa/valid-labels.lst", "1\n0\n1\n");
  EXPECT_THAT(refused(), HasSubstr("has 3 lines, but"));
  Write("piqa/valid-labels.lst", "1\n2\n");
  EXPECT_THAT(refused(),
              HasSubstr("valid.jsonl:2: valid-labels.lst is '2', outside the 2 choices"));
}

// --- Definitions

TEST(TaskConfigs, AreTheFilesOfTheFolderAndAllAreRead) {
  const std::vector<std::string> names = ListConfigs("tasks");
  EXPECT_THAT(names, ::testing::IsSupersetOf(
                         {"arc_easy", "arc_challenge", "piqa", "winogrande", "hellaswag", "boolq",
                          "openbookqa", "mathqa", "lambada_openai", "hellaswag-sample1000",
                          "bundle_science_easy", "bundle_facts", "bundle_physical",
                          "bundle_continuations", "bundle_coreference"}));
  for (const std::string& name : names) EXPECT_NO_THROW(ReadTaskSpec(name)) << name;
}

TEST(TaskNames, AreSuggestedForAMisspeltOne) {
  EXPECT_THAT(ErrorText<ConfigError>([] { LoadTask("arc_eazy", {}); }), HasSubstr("arc_easy"));
}

// The text between the first `begin` after `heading` and the next line that closes it.
std::string Block(const std::string& text, const std::string& heading, const std::string& begin) {
  const size_t from = text.find(begin, text.find(heading)) + begin.size();
  return text.substr(from, text.find("\n```", from) + 1 - from);
}

TEST_F(TaskTest, TheExampleOfTheDocumentationWorks) {
  const std::string readme = ReadFile(SourceFolder() / "configs/README.md");
  Write("quiz.jsonl", Block(readme, "## Tasks", "```\n"));
  const TaskSet task = Load(Block(readme, "## Tasks", "```yaml\n"));
  ASSERT_EQ(task.documents.size(), 1u);
  EXPECT_EQ(task.documents[0].gold, 1);
  EXPECT_EQ(task.documents[0].requests[0].context, "Question: Which of these floats?\nAnswer:");
  EXPECT_EQ(task.documents[0].requests[1].continuation, " a cork");
}

TEST(TaskDefinition, NamesEveryContradiction) {
  const auto refused = [](const std::string& yaml) {
    return ErrorText<ConfigError>(
        [&] { ReadTaskSpec(Node::ParseText("files: [f]\n" + yaml, "t.yaml")); });
  };
  EXPECT_THAT(refused("kind: multiple-choice\nmetrics: [ppl]\ncontext: x\nforms: [{gold: g}]"),
              AllOf(HasSubstr("ppl is not a metric of tasks of kind multiple-choice"),
                    HasSubstr("give choices in every form, or fixed_choices")));
  EXPECT_THAT(refused("kind: multiple-choice\nmetrics: [acc]\ncontext: '{choice}'\n"
                      "forms: [{choices: a, label_names: [x], labels: b}]"),
              AllOf(HasSubstr("t.yaml:5"), HasSubstr("expected one path to a list, with []"),
                    HasSubstr("labels: expected a path to a list"),
                    HasSubstr("one of gold and gold_file"), HasSubstr("labels and label_names"),
                    HasSubstr("{choice} cannot stand in it in this kind of task")));
  EXPECT_THAT(refused("kind: context-options\nmetrics: [acc]\ncontext: x\n"
                      "forms: [{choices: 'a[]', gold: g}]"),
              AllOf(HasSubstr("has to hold {choice}"), HasSubstr("the continuation is missing")));
  EXPECT_THAT(refused("kind: last-word\nmetrics: [greedy]\ncontext: x\ncontinuation: '{y}'\n"
                      "forms: [{gold: g}]"),
              HasSubstr("has no choices, labels and gold"));
  EXPECT_THAT(refused("kind: multiple-choice\nmetrics: [acc]\ncontext: '{q|upper}'\nchoises: 1\n"
                      "forms: [{choices: 'a[]', gold: g}]"),
              AllOf(HasSubstr("unknown filter 'upper'"), HasSubstr("unknown key 'choises'")));
}

}  // namespace
}  // namespace condense
