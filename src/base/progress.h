// One line that shows how far a piece of work is: redrawn on a terminal with rate and remaining
// time, and plain lines at long intervals elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace condense {

class Progress {
 public:
  // `total` in units of `unit`; 0 when unknown. Silent when progress is switched off.
  Progress(std::string title, int64_t total, std::string unit = "");
  ~Progress();
  Progress(const Progress&) = delete;

  void Advance(int64_t count = 1);
  void Finish();

  static void SetEnabled(bool enabled);
  // Removes a line under redrawing before something else is printed to the terminal.
  static void ClearLine();

 private:
  void Draw(bool last);

  std::string title_, unit_;
  int64_t total_, done_ = 0;
  std::chrono::steady_clock::time_point start_, drawn_;
  bool finished_ = false;
};

}  // namespace condense
