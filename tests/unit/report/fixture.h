// Measurements for tests, written by hand.
#pragma once

#include <initializer_list>
#include <string>

#include "report/tables/table.h"

namespace condense {

inline Measurement Cell(const std::string& model, const std::string& method,
                        const std::string& ratio,
                        std::initializer_list<std::pair<const char*, double>> values = {}) {
  Measurement cell;
  cell.id = model + "/" + method + "/" + ratio;
  cell.keys = {{"model", model}, {"method", method}};
  cell.dense = method == "dense";
  if (!cell.dense) {
    cell.keys["ratio"] = ratio;
    cell.keys["ratio_kind"] = "block";
  }
  for (const auto& [metric, value] : values) {
    const bool perplexity = std::string(metric) == "perplexity";
    cell.values.push_back({metric, perplexity ? "bundled-256" : "parameters", "", value, ""});
    cell.status = Measurement::Status::kDone;
  }
  return cell;
}

inline Measurement Failed(Measurement cell, const std::string& error_class,
                          const std::string& message) {
  cell.status = Measurement::Status::kFailed;
  cell.error_class = error_class;
  cell.error_message = message;
  return cell;
}

// Rows model and method, columns ratio, perplexity in the cells.
inline TableSpec PerplexityByRatio() {
  TableSpec spec;
  spec.title = "Perplexity by method and ratio";
  spec.rows = {"model", "method"};
  spec.columns = {"ratio"};
  spec.cells = {{{"perplexity"}}};
  return spec;
}

}  // namespace condense
