#include "stats/stored_names.h"

#include <gtest/gtest.h>

namespace condense {
namespace {

TEST(StoredNames, OfTasksAreReadAsTheyAreWritten) {
  for (const TaskPart& part : {TaskPart{"arc_easy", {}}, TaskPart{"arc_easy", 100}}) {
    EXPECT_EQ(ParseTaskPart(FormatTaskPart(part)), part);
  }
  EXPECT_EQ(FormatTaskPart({"arc_easy", 100}), "arc_easy@first-100");
  // A task of its own, and texts that only look like a part.
  for (const char* whole : {"hellaswag-sample1000", "piqa@first-", "piqa@first-few", ""}) {
    EXPECT_EQ(ParseTaskPart(whole), (TaskPart{whole, {}}));
  }
}

TEST(StoredNames, OfAgreementAreReadAsTheyAreWritten) {
  for (const AgreementText& text : {AgreementText{"wikitext2-2048", {}}, AgreementText{"c4", 16}}) {
    EXPECT_EQ(ParseAgreementText(FormatAgreementText(text)), text);
  }
  EXPECT_EQ(FormatAgreementText({"bundled-256", 16}), "agree-bundled-256@16");
  EXPECT_EQ(ParseAgreementText("bundled-256"), std::nullopt);
}

TEST(StoredNames, OfModulesAreReadAsTheyAreWritten) {
  const ModulePlace place{12, "mlp"};
  EXPECT_EQ(FormatModulePlace(place), "layer 12 mlp");
  EXPECT_EQ(ParseModulePlace("layer 12 mlp"), place);
  for (const char* other : {"layer mlp", "layer 12", "layer x mlp", "piqa", ""}) {
    EXPECT_EQ(ParseModulePlace(other), std::nullopt) << other;
  }
}

}  // namespace
}  // namespace condense
