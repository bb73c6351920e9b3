// Changes of the linear maps of a module, and derivatives by them: the vectors in which a refit of
// whole modules (gauss_newton.h) is solved.
//
// They are in the type of the maps and are changed in place, because each is as large as the
// module. Sums that run over all of their entries are made in float64.
#pragma once

#include <vector>

#include "model/linear.h"

namespace condense {

// A change of a linear map, or a derivative by it. The bias is undefined where the map has none.
struct MapChange {
  Tensor weight, bias;

  // rows [..., in] -> what the change adds to the map's output, [..., out].
  Tensor Apply(const Tensor& rows) const;
  // += the derivative by this map of sum(gradient * output): gradient [..., out], inputs [..., in].
  void Collect(const Tensor& gradient, const Tensor& inputs);
};
using Change = std::vector<MapChange>;  // one for each map of a module

Change ZeroChange(const std::vector<Linear>& maps);
Change Copy(const Change& change);
double Dot(const Change& a, const Change& b);
void SetZero(Change& a);
void Scale(Change& a, double factor);
void AddScaled(Change& a, double factor, const Change& b);  // a += factor b
// maps + factor change, in new tensors.
std::vector<Linear> Moved(const std::vector<Linear>& maps, double factor, const Change& change);

}  // namespace condense
