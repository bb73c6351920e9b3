// The axes of an experiment: what its cells differ in. The cells, their names, what identifies
// them, the order of work and the keys of tables all follow from the list that AxesOf() returns, so
// that a new axis is an entry there. A transform (transform.h) becomes an axis by being registered.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "experiment/inputs/inputs.h"
#include "experiment/spec/spec.h"

namespace condense {

// One setting, as positions in the lists of the spec.
struct CellSetting {
  size_t model = 0, method = 0;
  std::optional<double> ratio;          // none for methods without one
  std::optional<size_t> calibration;    // none for methods that need none
  std::optional<uint64_t> seed;         // none: the calibration set's own
  std::map<size_t, size_t> transforms;  // by axis of the spec, its value

  // Compression leaves the model as it is on disk.
  bool RemovesNothing() const { return ratio.value_or(0) == 0; }
};

// The transforms of a cell that are not switched off, in the order in which they are applied.
std::vector<Component<Transform>> TransformsOf(const ExperimentSpec& spec,
                                               const CellSetting& setting);

// What goes into a cell: looked up, and the records collected.
class CellInputs {
 public:
  explicit CellInputs(InputResolver& resolver) : resolver_(resolver) {}

  InputResolver& resolver() { return resolver_; }
  // The canonical text of an input; "null", and the cell is incomplete, when it was not found.
  std::string Use(const Input* input);
  bool complete() const { return complete_; }
  const std::vector<InputRecord>& records() const { return records_; }

 private:
  InputResolver& resolver_;
  bool complete_ = true;
  std::vector<InputRecord> records_;  // once each
};

struct Axis {
  std::string name;  // key in tables
  // The cell with each value of this axis; the axes before it are set. Nothing where the axis does
  // not apply.
  std::function<std::vector<CellSetting>(const CellSetting&)> settings;
  // Words of the cell's name for people; "" where it says nothing.
  std::function<std::string(const CellSetting&)> name_part;
  // Members of the canonical text, each after a comma; "" where the axis does not apply. Null for
  // transforms: the canonical text of a cell is that of its compression, then one more each.
  std::function<std::string(const CellSetting&, CellInputs&)> canonical = nullptr;
  // Cells with equal values are worked on together. Null where that saves nothing.
  std::function<std::optional<uint64_t>(const CellSetting&)> batch = nullptr;
  // The value in tables; "" where the axis does not apply. Null where the database has a column of
  // its own for it.
  std::function<std::string(const CellSetting&)> key = nullptr;
};

// From the outermost to the innermost. `spec` must outlive the list.
std::vector<Axis> AxesOf(const ExperimentSpec& spec);

// Each axis crossed with the others as far as it applies: a method that has no ratio appears once
// per model and calibration set; one that needs no calibration once per model and ratio.
std::vector<CellSetting> ExpandCells(const ExperimentSpec& spec);

}  // namespace condense
