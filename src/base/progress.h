// Shows on standard error how far the work is, on one line.
//
// Pieces of work nest. The line names those under way, from the outermost to the innermost, with
// the units done and the share of the innermost one; then the time since the outermost began, and
// an estimate of the time left. On a terminal a thread redraws the line twice per second, also
// while no unit is finished. Elsewhere a plain line is printed every 30 seconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace condense {

class Progress {
 public:
  // `total` counts units of `unit`; 0 when it is unknown. The work ends with the object.
  explicit Progress(std::string title, int64_t total = 0, std::string unit = "");
  ~Progress();
  Progress(const Progress&) = delete;

  void Advance(int64_t count = 1);

  static void SetEnabled(bool enabled);

  // Removes the line from the terminal, and keeps it away while the object lives, so that
  // something else can be printed.
  class Hidden {
   public:
    Hidden();
    ~Hidden() = default;
    Hidden(const Hidden&) = delete;

   private:
    std::unique_lock<std::mutex> lock_;
  };

 private:
  friend class ProgressLine;

  std::string title_, unit_;
  int64_t total_, done_ = 0;
  double share_ = 0;  // largest shown; it never falls
  std::chrono::steady_clock::time_point start_;
};

}  // namespace condense
