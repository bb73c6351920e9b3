#include "config/registry.h"

#include <gmock/gmock.h>

namespace condense {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Shape {
 public:
  static constexpr const char* kKind = "shape";
  virtual ~Shape() = default;
  virtual double Area() const = 0;
};

class Colour {
 public:
  static constexpr const char* kKind = "colour";
  virtual ~Colour() = default;
};

class Point final : public Shape {
 public:
  double Area() const override { return 0; }
};
CONDENSE_REGISTER(Shape, Point, "point", /*version=*/1, "Has no extent.");

class Square final : public Shape {
 public:
  struct Params {
    double side = 2;
    template <class V>
    void Fields(V&& field) {
      field("side", side, "length of a side", Range::Above(0));
    }
  };
  explicit Square(Params params) : params_(params) {}
  double Area() const override { return params_.side * params_.side; }

 private:
  Params params_;
};
CONDENSE_REGISTER(Shape, Square, "square", /*version=*/3, "Four equal sides.");

class Frame final : public Shape {
 public:
  struct Params {
    Component<Shape> outer = MakeComponent<Shape>("square");
    std::optional<Component<Shape>> hole;
    template <class V>
    void Fields(V&& field) {
      field("outer", outer, "what is framed");
      field("hole", hole, "what is cut out");
    }
    void Validate(const Node& at, Problems& problems) const {
      if (hole && (*hole)->Area() > outer->Area()) problems.Add(at, "the hole is too large");
    }
  };
  explicit Frame(Params params) : params_(std::move(params)) {}
  double Area() const override {
    return params_.outer->Area() - (params_.hole ? (*params_.hole)->Area() : 0);
  }

 private:
  Params params_;
};
CONDENSE_REGISTER(Shape, Frame, "frame", /*version=*/2, "One shape less another.");

class Red final : public Colour {};
CONDENSE_REGISTER(Colour, Red, "red", /*version=*/1, "The colour red.");

Node Parse(std::string_view text) { return Node::ParseText(text, "test.yaml"); }

template <class Function>
std::string ConfigErrorOf(Function function) {
  try {
    function();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

std::string ErrorOfShape(std::string_view text) {
  return ConfigErrorOf([&] { MakeComponent<Shape>(Parse(text)); });
}

TEST(Registry, ListsItsPartsByNameWithSummaryAndVersion) {
  const auto& shapes = Registry<Shape>::Instance();
  EXPECT_THAT(shapes.Names(), ElementsAre("frame", "point", "square"));
  ASSERT_EQ(shapes.All().size(), 3u);
  EXPECT_EQ(shapes.All()[2]->summary, "Four equal sides.");
  EXPECT_EQ(shapes.Get("square").version, 3);
  EXPECT_EQ(shapes.Find("circle"), nullptr);
}

TEST(Registry, OfDifferentInterfacesAreIndependent) {
  EXPECT_THAT(Registry<Colour>::Instance().Names(), ElementsAre("red"));
  EXPECT_EQ(Registry<Shape>::Instance().Find("red"), nullptr);
}

TEST(Registry, SuggestsTheNearestName) {
  EXPECT_EQ(ConfigErrorOf([] { Registry<Shape>::Instance().Get("sqare"); }),
            "unknown shape 'sqare'; did you mean 'square'?");
  EXPECT_EQ(ConfigErrorOf([] { Registry<Shape>::Instance().Get("hyperboloid"); }),
            "unknown shape 'hyperboloid'; known: frame, point, square");
}

TEST(Registry, RefusesASecondPartOfTheSameName) {
  Registry<Colour> colours;
  colours.Add({"red", 1, "", nullptr, nullptr});
  EXPECT_THROW(colours.Add({"red", 1, "", nullptr, nullptr}), std::logic_error);
}

TEST(Registry, DescribesTheOptionsOfAPart) {
  const auto lines = Registry<Shape>::Instance().Get("frame").describe();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].name, "outer");
  EXPECT_EQ(lines[0].type, "shape");
  EXPECT_EQ(lines[0].default_value, "square");
  EXPECT_EQ(lines[0].allowed, "frame | point | square");
  EXPECT_EQ(lines[1].default_value, "null");
  EXPECT_TRUE(Registry<Shape>::Instance().Get("point").describe().empty());
}

TEST(Component, IsMadeFromANameOrFromAMapWithOptions) {
  EXPECT_EQ(MakeComponent<Shape>("square")->Area(), 4);
  EXPECT_EQ(MakeComponent<Shape>(Parse("square"))->Area(), 4);
  const auto square = MakeComponent<Shape>(Parse("{side: 3, use: square}"));
  EXPECT_EQ(square->Area(), 9);
  EXPECT_EQ(square.name, "square");
  EXPECT_EQ(square.version, 3);
  EXPECT_EQ(square.where.Text(), "test.yaml:1:1");
}

TEST(Component, CanonicalTextHoldsVersionAndDefaultsAndNestedParts) {
  const std::string expected = R"({"use":"square","version":3,"options":{"side":2}})";
  EXPECT_EQ(MakeComponent<Shape>("square").canonical, expected);
  EXPECT_EQ(MakeComponent<Shape>(Parse("use: square\nside: 2.0\n")).canonical, expected);
  EXPECT_EQ(MakeComponent<Shape>(Parse("{use: frame, hole: point}")).canonical,
            R"({"use":"frame","version":2,"options":{"outer":)" + expected +
                R"(,"hole":{"use":"point","version":1,"options":{}}}})");
}

TEST(Component, NestedPartIsReadWithItsOwnOptions) {
  const auto frame =
      MakeComponent<Shape>(Parse("{use: frame, outer: {use: square, side: 4}, hole: square}"));
  EXPECT_EQ(frame->Area(), 12);
}

TEST(Component, RefusesUnknownNamesAndOptionsWithTheirPlace) {
  EXPECT_EQ(ErrorOfShape("use: squar"),
            "test.yaml:1:6: use: unknown shape 'squar'; did you mean 'square'?");
  EXPECT_EQ(ErrorOfShape("use: square\nsid: 1"),
            "test.yaml:2:1: unknown key 'sid'; did you mean 'side'?");
  EXPECT_EQ(ErrorOfShape("{use: point, side: 1}"),
            "test.yaml:1:14: unknown key 'side'; known: use");
  EXPECT_EQ(ErrorOfShape("{use: frame, outer: {use: sqare}, hole: {use: square, side: 0}}"),
            "test.yaml:1:27: outer.use: unknown shape 'sqare'; did you mean 'square'?\n"
            "test.yaml:1:61: hole.side: must be above 0, found 0");
  EXPECT_THAT(ErrorOfShape("{side: 1}"),
              HasSubstr("missing key 'use': the name of the shape; known: frame, point, square"));
  EXPECT_THAT(
      ErrorOfShape("[square]"),
      HasSubstr("expected the name of a shape or {use: NAME, OPTION: VALUE}, found a list"));
  EXPECT_THAT(ErrorOfShape(""), HasSubstr("found nothing"));
  EXPECT_THAT(ErrorOfShape("{use: [square]}"), HasSubstr("use: expected the name of a shape"));
}

TEST(Component, RulesBetweenOptionsAreChecked) {
  EXPECT_THAT(ErrorOfShape("{use: frame, hole: {use: square, side: 9}}"),
              HasSubstr("the hole is too large"));
}

TEST(Component, LeavesKeysToItsFrameThatAreTakenOutBefore) {
  const Node node = Parse("{use: square, side: 3, label: big}");
  EXPECT_THAT(ConfigErrorOf([&] { MakeComponent<Shape>(node); }), HasSubstr("'label'"));
  EXPECT_EQ(MakeComponent<Shape>(node.Without({"label"}))->Area(), 9);
  // A misspelt key of the frame ends up here, and the suggestion knows the frame's keys.
  const Node slip = Parse("{use: square, lable: big}");
  EXPECT_EQ(ConfigErrorOf([&] { MakeComponent<Shape>(slip.Without({"label"})); }),
            "test.yaml:1:15: unknown key 'lable'; did you mean 'label'?");
}

TEST(Component, OptionOfAPartGivenByNameCanBeOverridden) {
  Node root = Parse("shapes: [point, square]");
  ApplyOverrides(root, {"shapes[1].side=5"});
  EXPECT_EQ(MakeComponent<Shape>(root.Find("shapes")->items()[1])->Area(), 25);
  ApplyOverrides(root, {"shapes[0].side=5"});
  EXPECT_EQ(ConfigErrorOf([&] { MakeComponent<Shape>(root.Find("shapes")->items()[0]); }),
            "--set shapes[0].side=5: shapes[0]: unknown key 'side'; known: use");
}

TEST(Component, ThatNobodyGaveIsEmpty) {
  const Component<Shape> none;
  EXPECT_FALSE(none);
  EXPECT_EQ(FieldType<Component<Shape>>::Canonical(none), "null");
}

}  // namespace
}  // namespace condense
