// Published values beside fabricated ones of ours.
#include "report/published.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "base/file.h"
#include "report/measurements.h"
#include "report/statistics/stored_scores.h"
#include "report/tables/render.h"
#include "support/shared_data.h"
#include "unit/report/fabricated_results.h"

namespace condense {
namespace {

using testing::HasSubstr;
using Strings = std::vector<std::string>;

constexpr const char* kPerplexity =
    "paper,table,model,method,ratio,ratio_kind,protocol,calibration,value,confidence,note\n"
    "p,3,llama-2-7b,dense,0,none,wikitext2-4096,,5.12,seen,window inferred\n"
    "p,3,llama-2-7b,svd-llm,0.2,block-params,wikitext2-4096,wikitext2-128x2048,6.00,seen,\n"
    "p,3,llama-2-7b,svd-llm,0.3,block-params,wikitext2-4096,wikitext2-128x2048,7.50,seen,\n"
    "q,,llama-2-7b,svd-llm,0.3,block-params,wikitext2-4096,wikitext2,7.70,recalled,\n"
    "q,,llama-2-7b,svd-llm,0.3,block-params,wikitext2-4096,alpaca-128x2048,1.11,seen,\n"
    "q,,llama-2-7b,svd-llm,0.3,slice,wikitext2-4096,wikitext2-128x2048,2.22,seen,\n"
    "q,,llama-2-7b,svd-llm,0.3,block-params,wikitext2-4096,wikitext2-128x2048,3.33,weak,\n"
    "q,,llama-2-7b,svd-llm,0.3,block-params,wikitext2-2048,wikitext2-128x2048,4.44,seen,\n"
    "q,,llama-2-7b,svd-llm,0.4,block-params,wikitext2-2048,wikitext2-128x2048,5.55,seen,\n"
    "q,,llama-2-7b,svd-llm,0.5,block-params,wikitext2-4096,wikitext2-128x2048,,seen,overflow\n";
constexpr const char* kZeroShot =
    "paper,table,model,method,ratio,ratio_kind,task,metric,protocol,calibration,value,confidence,"
    "note\n"
    "s,7,llama-2-7b,dense,0,none,piqa,acc_norm,lmeval-nobos,,79.11,seen,\n"
    "s,7,llama-2-7b,dense,0,none,piqa,acc,lmeval-nobos,,78.00,seen,\n"
    "t,7,llama-2-7b,dense,0,none,piqa,acc_norm,lmeval-unstated,,78.07,seen,\n"
    "uniql,2,llama-2-7b,dense,0,none,mean5,mean,lmeval-nobos,,68.80,seen,another map\n"
    "s,7,llama-2-7b,dense,0,none,mean5,mean,lmeval-nobos,,63.47,seen,a misprint; do not use\n";
constexpr const char* kAblations =
    "paper,table,model,method,ratio,ratio_kind,factor,level,metric,protocol,value,confidence,note\n"
    "p,9,llama-2-7b,svd-llm,0.3,block-params,allocation,uniform,perplexity,wikitext2-4096,7.00,seen,\n"
    "p,9,llama-2-7b,svd-llm,0.3,block-params,saturation,128,samples,,128,seen,\n";
constexpr const char* kCost =
    "paper,table,model,method,ratio,hardware,devices,phase,quantity,unit,value,confidence,note\n"
    "p,8,llama-2-7b,svd-llm,,a100-80gb,1,total,wall_time,s,900,seen,\n"
    "p,8,llama-2-7b,svd-llm,,a100-80gb,1,mlp,wall_time,s,300,seen,\n"
    "p,8,llama-2-7b,svd-llm,0.3,h100,2,total,wall_time,s,700,recalled,\n";
constexpr const char* kThroughput =
    "paper,table,model,method,ratio,ratio_kind,protocol,device,devices,batch,seqlen,quantity,unit,"
    "value,confidence,note\n"
    "p,16,llama-2-7b,svd-llm,0.3,block-params,macs,,,,,macs_relative,ratio,0.7,recalled,\n"
    "p,16,llama-2-7b,svd-llm,0.3,block-params,params-count,,,,,parameters,1e9,4.79,recalled,\n"
    "p,16,llama-2-7b,svd-llm,0.3,block-params,decode-cpu,x,1,1,,seconds_per_token,s,20,recalled,\n";
constexpr const char* kTolerances =
    "model,method,ratio,metric,task,protocol,calibration,relative,absolute,note\n"
    "llama-2-7b,svd_llm,0.2,perplexity,,,,0.02,,\n"
    "llama-2-7b,svd_llm,,perplexity,,,,0.01,0.05,\n"
    ",dense,,,,lmeval-nobos,,,0.4,\n";

class PublishedTest : public testing::Test {
 protected:
  PublishedTest() {
    Write("perplexity.csv", kPerplexity);
    Write("zero_shot.csv", kZeroShot);
    Write("ablations.csv", kAblations);
    Write("compression_cost.csv", kCost);
    Write("throughput.csv", kThroughput);
    Write("tolerances.csv", kTolerances);
    std::vector<RunRecord> runs = {FabricatedResults::Run("llama-2-7b", "dense")};
    for (const double ratio : {0.2, 0.3, 0.4, 0.5}) {
      runs.push_back(FabricatedResults::Run("llama-2-7b", "svd_llm", ratio));
      runs.back().calibration = "wikitext2-128x2048";
    }
    experiment_ = results_.Register(runs);
    double perplexity = 5.13;
    for (const RunRecord& run : runs) {
      results_.AddValue(run, "wikitext2-4096", "", "perplexity", perplexity);
      perplexity += 1;
    }
    results_.AddValue(runs[0], "lmeval-nobos", "piqa", "acc_norm", 0.7871);
  }

  void Write(const std::string& name, const std::string& text) {
    WriteFileAtomically(results_.folder() / name, text);
  }

  Table Published(const TableSpec& spec) {
    const std::vector<Measurement> cells = MeasurementsOf(results_.store(), experiment_);
    return PublishedTable(BuildTable(spec, cells), cells, ReadPublished(results_.folder()));
  }

  static TableSpec Perplexities() {
    TableSpec spec;
    spec.title = "Perplexity";
    spec.rows = {"model", "method", "ratio"};
    spec.cells = {{{"perplexity"}}};
    return spec;
  }

  // Source, then the four columns.
  static std::vector<Strings> Lines(const Table& table) {
    std::vector<Strings> lines;
    for (const TableRow& row : table.rows) {
      Strings line = {row.keys.back()};
      for (const TableCell& cell : row.cells) line.push_back(cell.text);
      lines.push_back(line);
    }
    return lines;
  }

  std::string RefusalOf(const std::string& name, const std::string& text) {
    Write(name, text);
    try {
      ReadPublished(results_.folder());
    } catch (const DataError& error) {
      return error.what();
    }
    return "accepted";
  }

  FabricatedResults results_;
  int64_t experiment_ = 0;
};

TEST_F(PublishedTest, StandBesideOurs) {
  const Table table = Published(Perplexities());
  EXPECT_THAT(Lines(table),
              testing::ElementsAre(
                  Strings{"p, 3", "5.13", "5.12", "+0.01", "no tolerance defined"},
                  // 2% of 6.00 is 0.12
                  Strings{"p, 3", "6.13", "6.00", "+0.13", "off by 0.13"},
                  // 1% of 7.50 and 0.05 are 0.125
                  Strings{"p, 3", "7.13", "7.50", "-0.37", "off by 0.37"},
                  Strings{"q", "7.13", "7.70", "-0.57", "published value only recalled"},
                  Strings{"", "8.13", "-", "-", "not comparable: published under wikitext2-2048"},
                  Strings{"q", "9.13", "overflow", "-", "published value overflowed"}));
  EXPECT_THAT(table.footnotes,
              testing::ElementsAre(testing::Pair("a", "window inferred"),
                                   testing::Pair("b", "calibration: wikitext2, size not stated"),
                                   testing::Pair("c", "overflow")));
  EXPECT_EQ(table.rows[3].cells[1].mark, "b");
}

TEST_F(PublishedTest, NeverShowAnotherProtocolKindCalibrationOrAWeakValue) {
  const std::string text = ToText(Published(Perplexities()), TextStyle::kPlain);
  for (const char* value : {"1.11", "2.22", "3.33", "4.44", "5.55"}) {
    EXPECT_EQ(text.find(value), std::string::npos) << value;
  }
}

TEST_F(PublishedTest, CountWithinTheToleranceAsReproduced) {
  Write("tolerances.csv", std::string(kTolerances) + ",dense,,perplexity,,,,0.003,,\n");
  EXPECT_EQ(Lines(Published(Perplexities()))[0].back(), "reproduced");  // 0.01 <= 0.015
}

TEST_F(PublishedTest, AreFractionsHereAndPercentThere) {
  TableSpec spec = Perplexities();
  spec.cells = {{{"acc_norm", "", "piqa"}}, {{"", "", "", "mean5"}}};
  const Table table = Published(spec);
  EXPECT_THAT(Lines(table),
              testing::ElementsAre(
                  Strings{"s, 7", "78.71", "79.11", "-0.40", "reproduced"},
                  Strings{"t, 7", "78.71", "78.07", "-", "not comparable: protocol not stated"}));
  EXPECT_EQ(table.footnotes.at(0).second, "protocol: lmeval-unstated");
}

TEST_F(PublishedTest, AMethodWithChangedOptionsIsNotThatOfThePaper) {
  std::vector<Measurement> cells = MeasurementsOf(results_.store(), experiment_);
  for (Measurement& cell : cells) {
    if (!cell.dense) cell.keys["method"] = "svd_llm, no whitening";
  }
  EXPECT_EQ(
      PublishedTable(BuildTable(Perplexities(), cells), cells, ReadPublished(results_.folder()))
          .rows.size(),
      1u);
  for (Measurement& cell : cells) {
    if (!cell.dense) cell.keys["method"] = "SVD-LLM";  // only printed otherwise
  }
  EXPECT_EQ(
      PublishedTable(BuildTable(Perplexities(), cells), cells, ReadPublished(results_.folder()))
          .rows.size(),
      6u);
}

TEST_F(PublishedTest, AnAblationBelongsToTheCellThatNamesIt) {
  std::vector<Measurement> cells = MeasurementsOf(results_.store(), experiment_);
  cells[2].keys["method"] = "uniform";
  cells[2].keys["published_as"] = "allocation: uniform";
  const PublishedData data = ReadPublished(results_.folder());
  EXPECT_EQ(Lines(PublishedTable(BuildTable(Perplexities(), cells), cells, data)).back(),
            (Strings{"p, 9", "7.13", "7.00", "+0.13", "off by 0.13"}));
  // Without its option in the label, an ablated cell still is not the method of the paper.
  cells[2].keys.erase("published_as");
  cells[2].keys["method"] = "svd_llm";
  cells[2].keys["ablation"] = "uniform";
  EXPECT_EQ(PublishedTable(BuildTable(Perplexities(), cells), cells, data).rows.size(), 4u);
}

TEST_F(PublishedTest, AFractionOfParametersNotNamedIsShownWithANote) {
  Write("perplexity.csv", std::string(kPerplexity) +
                              "f,1,llama-2-7b,svd-llm,0.4,params,wikitext2-4096,"
                              "wikitext2-128x2048,8.00,seen,\n");
  const Table table = Published(Perplexities());
  EXPECT_EQ(Lines(table)[4], (Strings{"f, 1", "8.13", "8.00", "+0.13", "reproduced"}));
  EXPECT_EQ(table.rows[4].cells[1].mark, "c");
  EXPECT_EQ(table.footnotes[2].second, "a fraction of the parameters, of which is not stated");
}

TEST_F(PublishedTest, TimesCompareOnOneMachineAlone) {
  const auto cells = MeasurementsOf(results_.store(), experiment_);
  const std::string& run = cells[2].id;
  RunRecord record;
  record.fingerprint = run;
  results_.AddValue(record, "cost-cold", "", "total-seconds", 12.5);
  TableSpec spec = Perplexities();
  spec.cells = {{{"total-seconds"}}};
  const std::vector<Strings> lines = Lines(Published(spec));
  EXPECT_THAT(lines, testing::Contains(Strings{"p, 8", "12.5", "900.0", "-",
                                               "not comparable: measured on 1 a100-80gb"}));
  EXPECT_THAT(lines, testing::Contains(Strings{"p, 8", "12.5", "700.0", "-",
                                               "not comparable: measured on 2 h100"}));
}

TEST_F(PublishedTest, SizesStandBesideOursToo) {
  const auto cells = MeasurementsOf(results_.store(), experiment_);
  RunRecord record;
  for (const auto& [id, macs] : {std::pair(cells[0].id, 100.0), std::pair(cells[2].id, 71.0)}) {
    record.fingerprint = id;
    results_.AddValue(record, "macs-64", "", "macs", macs);
    results_.AddValue(record, "parameters", "", "parameters", macs * 1e8);
  }
  TableSpec spec = Perplexities();
  spec.cells = {{{"macs"}, "", ValueColumn::Kind::kRelativeToDense}, {{"parameters"}}};
  EXPECT_THAT(Lines(Published(spec)),
              testing::ElementsAre(
                  Strings{"p, 16", "0.710", "0.700", "+0.010", "published value only recalled"},
                  Strings{"p, 16", "7,100,000,000", "4,790,000,000", "+2,310,000,000",
                          "published value only recalled"}));
}

TEST_F(PublishedTest, CellsThatWereNotMeasuredAreListed) {
  std::vector<Measurement> cells = MeasurementsOf(results_.store(), experiment_);
  cells[1].values.clear();
  const Table table =
      PublishedTable(BuildTable(Perplexities(), cells), cells, ReadPublished(results_.folder()));
  EXPECT_EQ(Lines(table)[1], (Strings{"p, 3", "-", "6.00", "-", "not measured"}));
}

TEST_F(PublishedTest, RefuseWhatIsNotANumber) {
  EXPECT_THAT(RefusalOf("zero_shot.csv",
                        std::string(kZeroShot) + "s,7,a,dense,0,none,piqa,acc,x,,many,seen,\n"),
              HasSubstr("zero_shot.csv:7: value: 'many' is not a number"));
  EXPECT_THAT(RefusalOf("zero_shot.csv",
                        std::string(kZeroShot) + "s,7,a,dense,0,none,piqa,acc,x,,1,sen,\n"),
              HasSubstr("zero_shot.csv:7: confidence: unknown 'sen'; did you mean 'seen'?"));
}

TEST(PublishedFiles, AreReadAsTheyShip) {
  const PublishedData data = ReadPublished(SourceFolder() / "configs/published");
  // 459 perplexities of which 16 are weak; 699 accuracies of which one is a misprint; ablations
  // that are perplexities or means; whole times; parameters and multiplications.
  EXPECT_EQ(data.values.size(), 459u - 16 + 699 - 1 + 84 + 8 + 14);
  EXPECT_GT(data.tolerances.size(), 40u);
}

TEST(PublishedFiles, TheHeadlineIsJudgedByItsTolerance) {
  const PublishedData data = ReadPublished(SourceFolder() / "configs/published");
  Measurement cell;
  cell.id = "1";
  cell.method = "modegpt";
  cell.keys = {{"model", "llama-2-7b"},
               {"method", "modegpt"},
               {"ratio", "0.3"},
               {"ratio_kind", "block"},
               {"calibration", "wikitext2-128x2048"}};
  cell.status = Measurement::Status::kDone;
  TableSpec spec;
  spec.rows = {"model", "method", "ratio"};
  spec.cells = {{{"perplexity"}}};
  const auto verdict = [&](double perplexity) {
    cell.values = {{"perplexity", "wikitext2-4096", "", perplexity, ""}};
    const Table table = PublishedTable(BuildTable(spec, {cell}), {cell}, data);
    return table.rows.at(0).cells.at(3).text;
  };
  EXPECT_EQ(verdict(7.80), "reproduced");  // 7.51, 5%
  EXPECT_EQ(verdict(7.90), "off by 0.39");
}

}  // namespace
}  // namespace condense
