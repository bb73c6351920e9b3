// The key `figure`: what it may say, how it is refused, and its way from a database to numbers.
#include "experiment/spec/figure_yaml.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "base/file.h"
#include "compression/allocation.h"
#include "experiment/figures.h"
#include "experiment/run/cell_records.h"
#include "report/csv.h"
#include "report/figures/figure_render.h"
#include "support/shared_data.h"
#include "support/tiny_configs.h"
#include "unit/report/fabricated_results.h"

namespace condense {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

ExperimentFigure Read(const std::string& yaml) {
  return ReadStruct<ExperimentFigure>(Node::ParseText(yaml, "f.yaml"));
}

std::string Refusal(const std::string& yaml) {
  try {
    Read(yaml);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(FigureYaml, ReadsWhatItSays) {
  const FigureSpec spec = FigureSpecOf(
      Read("{x: {metric: tokens, protocol: calibration}, y: {metric: perplexity, relative: true}, "
           "panels: [], points: [calibration], x_axis: {scale: log2, low: 8}, interval: band, "
           "dense: none, width: single, labels: {flap: FLAP}}"),
      "T");
  EXPECT_EQ(spec.title, "T");
  EXPECT_EQ(spec.x.select.metric, "tokens");
  EXPECT_EQ(spec.x.select.protocol, "calibration");
  EXPECT_EQ(spec.y.kind, ValueColumn::Kind::kRelativeToDense);
  EXPECT_TRUE(spec.panels.empty());
  EXPECT_THAT(spec.points, ElementsAre("calibration"));
  EXPECT_EQ(spec.x_axis.scale, FigureAxis::Scale::kLog2);
  EXPECT_EQ(spec.x_axis.low, 8);
  EXPECT_EQ(spec.interval, FigureSpec::Interval::kBand);
  EXPECT_EQ(spec.dense, FigureSpec::Dense::kNone);
  EXPECT_EQ(spec.width, FigureSpec::Width::kSingle);
  EXPECT_EQ(spec.labels.at("flap"), "FLAP");
}

TEST(FigureYaml, PointsAreToldApartByTheRatioOrByXItself) {
  EXPECT_THAT(FigureSpecOf(Read("{x: block-params, y: perplexity}"), "").points,
              ElementsAre("ratio"));
  EXPECT_THAT(FigureSpecOf(Read("{x: ratio, y: perplexity}"), "").points, ElementsAre("ratio"));
  EXPECT_THAT(FigureSpecOf(Read("{x: layer, y: damping, panels: [module]}"), "").points,
              ElementsAre("layer"));
}

TEST(FigureYaml, RefusesWithThePlaceAndTheNearestName) {
  EXPECT_THAT(Refusal("{y: perplexity}"), HasSubstr("missing key 'x'"));
  EXPECT_THAT(
      Refusal("{x: block-param, y: perplexity}"),
      HasSubstr("f.yaml:1:5: x: 'block-param' is neither ratio, layer nor a metric; did you mean "
                "'block-params'?"));
  EXPECT_THAT(Refusal("{x: laier, y: perplexity}"), HasSubstr("did you mean 'layer'?"));
  EXPECT_THAT(Refusal("{x: ratio, y: perplexty}"),
              HasSubstr("y: unknown metric 'perplexty'; did you mean 'perplexity'?"));
  EXPECT_THAT(Refusal("{x: ratio, y: perplexity, series: [metod]}"),
              HasSubstr("series[0]: unknown figure key 'metod'; did you mean 'method'?"));
  EXPECT_THAT(Refusal("{x: ratio, y: perplexity, y_axis: {scale: lgo}}"), HasSubstr("log2"));
  EXPECT_THAT(Refusal("{x: ratio, y: perplexity, bands: yes}"), HasSubstr("unknown key 'bands'"));
}

TEST(FigureYaml, RefusesWhatDoesNotGoTogether) {
  EXPECT_THAT(Refusal("{x: ratio, y: [perplexity, nll]}"), HasSubstr("y: expected one metric"));
  EXPECT_THAT(Refusal("{x: {mean: mean5}, y: perplexity}"), HasSubstr("one stored metric"));
  EXPECT_THAT(Refusal("{x: layer, y: perplexity}"), HasSubstr("a metric of modules"));
  EXPECT_THAT(Refusal("{x: layer, y: kept-params}"), HasSubstr("'module' must be among"));
  EXPECT_THAT(Refusal("{x: ratio, y: nll, panels: [module]}"),
              HasSubstr("unknown figure key 'module'"));
  EXPECT_THAT(Refusal("{x: ratio, y: nll, points: [ratio]}"), HasSubstr("needs a metric as x"));
  EXPECT_THAT(Refusal("{x: ratio, y: nll, panels: [ratio]}"),
              HasSubstr("cannot distinguish lines or"));
  EXPECT_THAT(Refusal("{x: ratio, y: nll, panels: [method]}"), HasSubstr("'method' is used twice"));
  EXPECT_THAT(Refusal("{x: ratio, y: nll, y_axis: {scale: log, low: 0}}"),
              HasSubstr("y_axis.low: must be above 0 on a logarithmic axis"));
  EXPECT_THAT(Refusal("{x: ratio, y: nll, y_axis: {low: 2, high: 1}}"),
              HasSubstr("y_axis.high: must be above low"));
}

TEST(FigureYaml, AnExperimentHasATableOrAFigure) {
  const TinyConfigs configs;
  const std::string rest =
      "title: A\nmodels: [llama2-mini]\nmethods: [dense]\nperplexity: [tiny-64]\n";
  const auto read = [&](const std::string& yaml) {
    return ReadExperiment({configs.Experiment("e", yaml), "", {}});
  };
  const ExperimentSpec spec = read(rest + "figure: {x: ratio, y: perplexity}\n");
  EXPECT_FALSE(spec.has_table);
  ASSERT_TRUE(spec.figure);
  EXPECT_EQ(spec.figure->title, "A");
  try {
    read(rest);
    FAIL() << "accepted";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("missing key 'table' or 'figure'"));
  }
}

TEST(FigureStyles, AreReadFromTheShippedFileAndDiffer) {
  const auto styles = ReadFigureStyles(SourceFolder() / "configs/figure_styles.yaml");
  EXPECT_EQ(styles.at("modegpt"),
            (SeriesStyle{SeriesColor::kBlue, SeriesPoint::kSquare, SeriesDash::kSolid}));
  const std::vector<std::string> allocators = {"uniform", "block_influence", "owl", "kl_curves"};
  for (const auto& [name, style] : styles) {
    for (const auto& [other, its_style] : styles) {
      if (name >= other) continue;
      const bool kinds = std::count(allocators.begin(), allocators.end(), name) !=
                         std::count(allocators.begin(), allocators.end(), other);
      if (kinds) continue;  // methods and allocators are never drawn together
      EXPECT_FALSE(style.color == its_style.color && style.point == its_style.point)
          << name << " and " << other;
    }
  }
  const TempFolder folder;
  WriteText(folder.path() / "s.yaml", "a: {color: bleu, point: disc, dash: solid}\n");
  try {
    ReadFigureStyles(folder.path() / "s.yaml");
    FAIL() << "accepted";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("blue"));
  }
}

// From the rows of a database: real ratios, seeds, the title of the model.
TEST(ExperimentFigure, HoldsTheNumbersOfTheDatabase) {
  const TinyConfigs configs;
  const ExperimentSpec spec = ReadExperiment(
      {configs.Experiment("figure9",
                          "title: A\nmodels: [llama2-mini]\nmethods: [dense, flap]\n"
                          "ratios: [0.2]\ncalibration: [tiny-8x64]\nseeds: [0, 1]\n"
                          "perplexity: [tiny-64]\nfigure: {x: block-params, y: perplexity}\n"),
       "",
       {}});
  FabricatedResults results;
  const RunRecord dense = FabricatedResults::Run("llama2-mini", "dense");
  std::vector<RunRecord> runs = {dense};
  for (const int64_t seed : {0, 1}) {
    runs.push_back(FabricatedResults::Run("llama2-mini", "flap", 0.2));
    runs.back().seed = seed;
    runs.back().fingerprint += fmt::format("/{}", seed);
  }
  const int64_t experiment = results.Register(runs, "figure9", spec.canonical);
  results.AddValue(dense, "tiny-64", "", "perplexity", 5);
  for (const int64_t seed : {0, 1}) {
    const RunRecord& run = runs[static_cast<size_t>(1 + seed)];
    results.AddValue(run, "tiny-64", "", "perplexity", 7 + 2.0 * static_cast<double>(seed));
    results.AddValue(run, "tiny-32", "", "perplexity", 99);  // another experiment's
    results.AddValue(run, "parameters", "", "block-params", 0.203);
  }
  const Figure figure = ExperimentFigureOf(spec, results.store(), experiment);
  EXPECT_EQ(figure.panels.at(0).title, "LLaMA-2 mini");
  const CsvTable csv(FigureCsv(figure), "figure9.csv");
  ASSERT_EQ(csv.size(), 2u);
  EXPECT_EQ(csv.Field(0, "perplexity"), "5");
  EXPECT_EQ(csv.Field(1, "block-params"), "0.203");
  EXPECT_EQ(csv.Field(1, "perplexity"), "8");
  EXPECT_EQ(csv.Field(1, "protocol"), "tiny-64");
  // Two values at distance 2: sd = sqrt(2), t = 12.7062, half = 12.7062 * sqrt(2) / sqrt(2).
  EXPECT_NEAR(std::stod(csv.Field(1, "half_interval_95")), 12.706204736432095, 1e-9);
}

}  // namespace
}  // namespace condense
