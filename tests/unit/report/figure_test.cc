// From measurements to the numbers, the look and the files of a figure.
#include "report/figures/figure.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/strings.h"
#include "report/csv.h"
#include "report/figures/figure_axis.h"
#include "report/figures/figure_gnuplot.h"
#include "report/figures/figure_render.h"
#include "report/figures/figure_text.h"
#include "support/temp_folder.h"
#include "unit/report/fixture.h"

namespace condense {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Scale = FigureAxis::Scale;

FigureSpec PerplexityByWeights() {
  FigureSpec spec;
  spec.title = "Perplexity";
  spec.x.select.metric = "block-params";
  spec.y = {{"perplexity"}};
  return spec;
}

std::vector<Measurement> TwoModels() {
  return {Cell("llama2-mini", "dense", "", {{"perplexity", 5.5}}),
          Cell("llama2-mini", "slicegpt", "0.2", {{"block-params", 0.21}, {"perplexity", 9}}),
          Cell("llama2-mini", "slicegpt", "0.1", {{"block-params", 0.104}, {"perplexity", 7}}),
          Cell("llama2-mini", "svd_llm", "0.1", {{"block-params", 0.1}, {"perplexity", 8}}),
          Cell("opt-mini", "dense", "", {{"perplexity", 10.25}}),
          Cell("opt-mini", "svd_llm", "0.1", {{"block-params", 0.1}, {"perplexity", 12}})};
}

Measurement Seeded(Measurement cell, const std::string& seed) {
  cell.keys["seed"] = seed;
  cell.id += "/" + seed;
  return cell;
}

Measurement Layered(const std::string& method, const std::vector<double>& mlp) {
  Measurement cell = Cell("llama2-mini", method, "0.3");
  cell.status = Measurement::Status::kDone;
  for (size_t i = 0; i < mlp.size(); ++i) {
    const std::string layer = "layer " + std::to_string(i) + " ";
    cell.values.push_back({"kept-params", "modules", layer + "mlp", mlp[i], ""});
    cell.values.push_back({"kept-params", "modules", layer + "qk", 1 - mlp[i], ""});
    cell.values.push_back({"damping", "modules", layer + "qk", 17, ""});
  }
  return cell;
}

FigureSpec KeptByLayer() {
  FigureSpec spec;
  spec.title = "Allocation";
  spec.x.key = "layer";
  spec.y = {{"kept-params"}};
  spec.panels = {"module"};
  spec.points = {"layer"};
  return spec;
}

std::string RefusalOf(const FigureSpec& spec, const std::vector<Measurement>& cells) {
  try {
    BuildFigure(spec, cells);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

std::vector<std::string> LabelsOf(const DrawnAxis& axis) {
  std::vector<std::string> labels;
  for (const AxisTick& tick : axis.ticks) {
    if (!tick.label.empty()) labels.push_back(tick.label);
  }
  return labels;
}

TEST(Figure, HoldsAPanelForEachModelAndALineForEachMethodFromLeftToRight) {
  FigureSpec spec = PerplexityByWeights();
  spec.labels = {{"svd_llm", "SVD-LLM"}, {"llama2-mini", "LLaMA-2 mini"}};
  const Figure figure = BuildFigure(spec, TwoModels());
  ASSERT_EQ(figure.panels.size(), 2u);
  EXPECT_EQ(figure.panels[0].title, "LLaMA-2 mini");
  EXPECT_EQ(figure.panels[1].title, "opt-mini");
  EXPECT_EQ(figure.panels[0].dense, 5.5);
  EXPECT_EQ(figure.panels[1].dense, 10.25);
  ASSERT_EQ(figure.series.size(), 2u);
  EXPECT_EQ(figure.series[0].label, "slicegpt");
  EXPECT_EQ(figure.series[1].label, "SVD-LLM");
  const std::vector<FigurePoint>& sliced = figure.panels[0].lines.at(0).points;
  ASSERT_EQ(sliced.size(), 2u);
  EXPECT_EQ(sliced[0].x, 0.104);
  EXPECT_EQ(sliced[1].y, 9);
  EXPECT_EQ(figure.x_axis.label, "block weights removed (%)");
  EXPECT_TRUE(figure.gaps.empty());
}

TEST(Figure, CsvHoldsExactlyWhatIsDrawn) {
  EXPECT_EQ(FigureCsv(BuildFigure(PerplexityByWeights(), TwoModels())),
            "model,method,ratio,block-params,perplexity,half_interval_95,seeds,protocol\n"
            "llama2-mini,dense,,,5.5,,1,bundled-256\n"
            "llama2-mini,slicegpt,0.1,0.104,7,,1,bundled-256\n"
            "llama2-mini,slicegpt,0.2,0.21,9,,1,bundled-256\n"
            "llama2-mini,svd_llm,0.1,0.1,8,,1,bundled-256\n"
            "opt-mini,dense,,,10.25,,1,bundled-256\n"
            "opt-mini,svd_llm,0.1,0.1,12,,1,bundled-256\n");
}

// Student's t with two degrees of freedom: 4.302652730; the standard deviation of 7, 8, 9.3 is
// sqrt((1.1^2 + 0.1^2 + 1.2^2) / 2) = 1.153256... with mean 8.1.
TEST(Figure, SeedsBecomeAMeanWithItsTInterval) {
  std::vector<Measurement> cells;
  int seed = 0;
  for (const double perplexity : {7.0, 8.0, 9.3}) {
    cells.push_back(Seeded(
        Cell("m", "flap", "0.1", {{"block-params", 0.1 + 0.01 * seed}, {"perplexity", perplexity}}),
        std::to_string(seed)));
    ++seed;
  }
  const Figure figure = BuildFigure(PerplexityByWeights(), cells);
  const CsvTable csv(FigureCsv(figure), "figure.csv");
  ASSERT_EQ(csv.size(), 1u);
  EXPECT_NEAR(std::stod(csv.Field(0, "perplexity")), 8.1, 1e-12);
  EXPECT_NEAR(std::stod(csv.Field(0, "block-params")), 0.11, 1e-12);
  const double deviation = std::sqrt((1.1 * 1.1 + 0.1 * 0.1 + 1.2 * 1.2) / 2);
  EXPECT_NEAR(std::stod(csv.Field(0, "half_interval_95")),
              4.302652729911275 * deviation / std::sqrt(3.0), 1e-9);
  EXPECT_EQ(csv.Field(0, "seeds"), "3");
}

TEST(Figure, CountsCalibrationTokensOfItsProtocolAlone) {
  FigureSpec spec = PerplexityByWeights();
  spec.x.select = {"tokens", "calibration"};
  spec.points = {"calibration"};
  std::vector<Measurement> cells;
  for (const int tokens : {4096, 2048}) {
    Measurement cell = Cell("m", "flap", "0.3", {{"perplexity", 10.0 + tokens}});
    cell.keys["calibration"] = "set-" + std::to_string(tokens);
    cell.values.push_back({"tokens", "bundled-256", "", 9, ""});
    cell.values.push_back({"tokens", "calibration", "", 1.0 * tokens, "other ids each"});
    cells.push_back(cell);
  }
  const Figure figure = BuildFigure(spec, cells);
  EXPECT_EQ(figure.panels.at(0).lines.at(0).points.at(0).x, 2048);
  EXPECT_EQ(figure.panels.at(0).lines.at(0).points.at(1).y, 4106);
  spec.x.select.protocol.clear();
  EXPECT_THAT(RefusalOf(spec, cells), HasSubstr("stored under two protocols, 'bundled-256' and"));
}

TEST(Figure, ALayerAndModuleOfARunIsAPoint) {
  FigureSpec spec = KeptByLayer();
  spec.labels = {{"mlp", "MLP"}};
  const Figure figure =
      BuildFigure(spec, {Layered("uniform", {0.7, 0.7}), Layered("owl", {0.9, 0.5}),
                         Cell("llama2-mini", "dense", "", {{"perplexity", 5}})});
  ASSERT_EQ(figure.panels.size(), 2u);
  EXPECT_EQ(figure.panels[0].title, "MLP");
  EXPECT_EQ(figure.panels[0].dense, std::nullopt);
  ASSERT_EQ(figure.panels[1].lines.size(), 2u);
  EXPECT_EQ(figure.panels[1].lines[1].points.at(1).y, 0.5);
  EXPECT_THAT(FigureCsv(figure), HasSubstr("module,method,layer,kept-params,half_interval_95"));
  EXPECT_THAT(FigureCsv(figure), HasSubstr("mlp,owl,0,0.9,,1,modules\nmlp,owl,1,0.5"));
}

TEST(Figure, WhatCannotBeDrawnIsAGapWithItsReason) {
  std::vector<Measurement> cells = TwoModels();
  cells.push_back(Failed(Cell("opt-mini", "slicegpt", "0.1"), "numeric", "not\nfinite"));
  cells.push_back(Cell("opt-mini", "svd_llm", "0.2", {{"block-params", 0.2}}));
  cells.push_back(
      Cell("opt-mini", "svd_llm", "0.3", {{"block-params", 0.3}, {"perplexity", HUGE_VAL}}));
  const Figure figure = BuildFigure(PerplexityByWeights(), cells);
  EXPECT_THAT(figure.gaps,
              ElementsAre("model=opt-mini, method=slicegpt, ratio=0.1: numeric: not finite",
                          "model=opt-mini, method=svd_llm, ratio=0.2: perplexity was not measured",
                          "model=opt-mini, method=svd_llm, ratio=0.3: is not finite"));
  EXPECT_THAT(
      RefusalOf(KeptByLayer(), TwoModels()),
      HasSubstr("figure 'Allocation' has nothing to draw; model=llama2-mini, method=slicegpt, "
                "ratio=0.2: no kept-params of its modules is stored (and 3 more)"));
}

TEST(Figure, RefusesTwoMeasurementsAtOnePointAndTwoProtocolsInOneLine) {
  std::vector<Measurement> cells = TwoModels();
  cells.push_back(cells[1]);
  cells.back().keys["calibration"] = "other";
  EXPECT_THAT(RefusalOf(PerplexityByWeights(), cells),
              HasSubstr("figure 'Perplexity': two cells fall on model=llama2-mini"));
  cells = TwoModels();
  cells[2].values.back().protocol = "bundled-512";
  EXPECT_THAT(RefusalOf(PerplexityByWeights(), cells), HasSubstr("numbers of two protocols"));
}

TEST(FigureStyle, IsThatOfTheNameWhateverElseIsDrawn) {
  FigureSpec spec = PerplexityByWeights();
  const SeriesStyle own{SeriesColor::kPurple, SeriesPoint::kStar, SeriesDash::kDotted};
  spec.styles = {{"svd_llm", own}, {"absent", SpareStyle(0)}};
  std::vector<Measurement> cells = TwoModels();
  EXPECT_EQ(BuildFigure(spec, cells).series.at(1).style, own);
  cells.erase(cells.begin() + 1, cells.begin() + 3);
  EXPECT_EQ(BuildFigure(spec, cells).series.at(0).style, own);
}

TEST(FigureStyle, NoTwoSeriesOfAFigureShareColourAndPoint) {
  std::vector<Measurement> cells;
  for (int i = 0; i < 30; ++i) {
    cells.push_back(
        Cell("m", "method" + std::to_string(i), "0.1", {{"block-params", 0.1}, {"perplexity", 9}}));
  }
  FigureSpec spec = PerplexityByWeights();
  spec.styles = {{"method7", SpareStyle(2)}};
  std::set<std::string> seen;
  for (const FigureSeries& series : BuildFigure(spec, cells).series) {
    seen.insert(GnuplotColor(series.style.color) + GnuplotPoint(series.style.point));
  }
  EXPECT_EQ(seen.size(), 30u);
}

TEST(FigureAxis, ALogarithmicAxisHasNumbersHoweverShortItIs) {
  FigureAxis axis{.label = "y", .scale = Scale::kLog};
  EXPECT_THAT(LabelsOf(LayOutAxis(axis, {3, 900}, 1, false)),
              ElementsAre("3", "10", "30", "100", "300", "1000"));
  EXPECT_THAT(LabelsOf(LayOutAxis(axis, {9.1, 11.8}, 1, false)),
              ElementsAre("9", "9.5", "10", "10.5", "11", "11.5"));
  EXPECT_THAT(LabelsOf(LayOutAxis(axis, {2, 3e9}, 1, false)),
              ElementsAre("1", "100", "10⁴", "10⁶", "10⁸"));
  axis.scale = Scale::kLog2;
  EXPECT_THAT(LabelsOf(LayOutAxis(axis, {2048, 16384}, 1, false)),
              ElementsAre("2¹¹", "2¹²", "2¹³", "2¹⁴"));
}

TEST(FigureAxis, KeepsTheRangeThatIsGivenAndCoversTheRest) {
  const FigureAxis axis{.label = "x", .scale = Scale::kLinear, .low = 0.0, .high = std::nullopt};
  const DrawnAxis drawn = LayOutAxis(axis, {10, 50}, 100, false);
  EXPECT_EQ(drawn.low, 0);
  EXPECT_GT(drawn.high, 50);
  EXPECT_THAT(LabelsOf(drawn), ElementsAre("0", "10", "20", "30", "40", "50"));
  const DrawnAxis layers = LayOutAxis({.label = "layer"}, {0, 5}, 1, true);
  EXPECT_EQ(layers.low, -0.5);
  EXPECT_THAT(LabelsOf(layers), ElementsAre("0", "1", "2", "3", "4", "5"));
  EXPECT_THROW(LayOutAxis({.label = "y", .scale = Scale::kLog}, {-1, 0}, 1, false), ConfigError);
}

TEST(FigureScript, QuotesWhateverALabelHolds) {
  EXPECT_EQ(GnuplotText("it's a_b{^c}@\\n"), "'it''s a_b{^c}@\\n'");
  EXPECT_EQ(GnuplotText("two\nlines"), "'two lines'");
  FigureSpec spec = PerplexityByWeights();
  spec.title = "first\nset output '/etc/passwd'";
  spec.labels = {{"slicegpt", "slice_gpt's"}};
  const std::string script = GnuplotScript(BuildFigure(spec, TwoModels()), "f");
  EXPECT_THAT(script, HasSubstr("'slice_gpt''s'"));
  EXPECT_THAT(script, HasSubstr("# 'first set output"));
  EXPECT_THAT(script, Not(HasSubstr("\nset output '/etc")));
  EXPECT_THAT(script, HasSubstr("0.104 7 0\n0.21 9 0\n"));
}

bool HasGnuplot() { return std::system("gnuplot --version >/dev/null 2>&1") == 0; }

TEST(FigureFiles, AreTheSameBytesWheneverTheyAreDrawn) {
  if (!HasGnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const TempFolder folder;
  FigureSpec spec = PerplexityByWeights();
  spec.title = "Fish & <chips>";
  spec.y_axis.scale = Scale::kLog;
  spec.labels = {{"slicegpt", "a_b^{c}'s"}};
  const Figure figure = BuildFigure(spec, TwoModels());
  WriteFigure(figure, folder.path() / "new", "f");
  const std::string svg = ReadFile(folder.path() / "new/f.svg");
  const std::string pdf = ReadFile(folder.path() / "new/f.pdf");
  EXPECT_THAT(svg, testing::StartsWith("<?xml"));
  EXPECT_THAT(pdf, testing::StartsWith("%PDF"));
  EXPECT_THAT(svg, HasSubstr("<title>Fish &amp; &lt;chips&gt;</title>"));
  EXPECT_THAT(svg, HasSubstr("a_b^{c}'s"));
  EXPECT_EQ(ReadFile(folder.path() / "new/f.csv"), FigureCsv(figure));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "new/f.gp"));
  std::system("sleep 1.1");
  const DrawnFigure again = DrawWithGnuplot(figure);
  EXPECT_EQ(again.svg, svg);
  EXPECT_EQ(again.pdf, pdf);
}

TEST(FigureFiles, WithoutGnuplotTheScriptIsKeptAndNothingIsOverwritten) {
  const TempFolder folder;
  WriteFileAtomically(folder.path() / "f.csv", "old");
  const Figure figure = BuildFigure(PerplexityByWeights(), TwoModels());
  try {
    WriteFigure(figure, folder.path(), "f", "no-such-gnuplot");
    FAIL() << "drawn without gnuplot";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("apt-get install gnuplot-nox"));
    EXPECT_THAT(error.what(), HasSubstr("f.gp"));
  }
  EXPECT_EQ(ReadFile(folder.path() / "f.csv"), "old");
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "f.svg"));
  EXPECT_THAT(ReadFile(folder.path() / "f.gp"), HasSubstr("0.104 7 0"));
  if (!HasGnuplot()) return;
  // The script is complete: gnuplot alone draws the figure from it.
  const std::string command = "cd '" + folder.path().string() + "' && gnuplot f.gp";
  EXPECT_EQ(std::system(command.c_str()), 0);
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "f.pdf"));
  WriteFigure(figure, folder.path(), "f");
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "f.gp"));
}

TEST(FigureFiles, AProgramThatFailsIsQuoted) {
  const TempFolder folder;
  const Figure figure = BuildFigure(PerplexityByWeights(), TwoModels());
  EXPECT_THROW(DrawWithGnuplot(figure, "false"), DataError);
  try {
    DrawWithGnuplot(figure, "true");
    FAIL() << "drawn by true";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("true wrote no svg"));
  }
}

TEST(FigureText, ShowsPointsLinesTicksAndTheDenseModel) {
  FigureSpec spec = PerplexityByWeights();
  spec.labels = {{"slicegpt", "SliceGPT"}};
  const std::string text = FigureText(BuildFigure(spec, TwoModels()));
  EXPECT_THAT(text, testing::StartsWith("Perplexity\n\nllama2-mini\n"));
  EXPECT_THAT(text, HasSubstr("● SliceGPT"));
  EXPECT_THAT(text, HasSubstr("■ svd_llm"));
  EXPECT_THAT(text, HasSubstr("╌╌ dense"));
  // Lines as they stand: of the first panel 18 with an axis, the highest value on top.
  std::vector<std::string> rows;
  for (const std::string& line : Split(text, '\n')) {
    if (line.find("│") != std::string::npos || line.find("┤") != std::string::npos) {
      rows.push_back(line);
    }
  }
  ASSERT_EQ(rows.size(), 36u);
  const auto row_of = [&](const std::string& mark, bool last) {
    size_t found = rows.size();
    for (size_t i = 0; i < 18; ++i) {
      if (rows[i].find(mark) == std::string::npos) continue;
      if (last || found == rows.size()) found = i;
    }
    return found;
  };
  EXPECT_LT(row_of("●", false), row_of("■", false));  // 9 above 8
  EXPECT_LT(row_of("■", false), row_of("●", true));   // 8 above 7
  EXPECT_LT(row_of("●", true), row_of("╌", false));   // 7 above 5.5
  EXPECT_THAT(text, HasSubstr("·"));
}

}  // namespace
}  // namespace condense
