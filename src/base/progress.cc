#include "base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <utility>

#include "base/strings.h"

namespace condense {
namespace {

std::atomic<bool> enabled{true};
std::atomic<bool> line_is_open{false};

bool OnTerminal() {
  static const bool terminal = ::isatty(STDERR_FILENO) == 1;
  return terminal;
}

double Seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

Progress::Progress(std::string title, int64_t total, std::string unit)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      total_(total),
      start_(std::chrono::steady_clock::now()),
      drawn_(start_) {}

Progress::~Progress() {
  if (!finished_) ClearLine();
}

void Progress::Advance(int64_t count) {
  done_ += count;
  const double interval = OnTerminal() ? 0.1 : 15;
  if (Seconds(std::chrono::steady_clock::now() - drawn_) >= interval) Draw(false);
}

void Progress::Finish() {
  finished_ = true;
  ClearLine();
}

void Progress::SetEnabled(bool on) { enabled = on; }

void Progress::ClearLine() {
  if (line_is_open.exchange(false)) std::fputs("\r\033[K", stderr);
}

void Progress::Draw(bool last) {
  drawn_ = std::chrono::steady_clock::now();
  if (!enabled) return;
  const double elapsed = Seconds(drawn_ - start_);
  const double rate = elapsed > 0 ? static_cast<double>(done_) / elapsed : 0;
  std::string line = total_ > 0 ? fmt::format("{}  {}/{}", title_, done_, total_)
                                : fmt::format("{}  {}", title_, done_);
  if (!unit_.empty()) line += ' ' + unit_;
  if (rate > 0) {
    line += fmt::format("  {:.1f}/s", rate);
    if (total_ > done_ && !last) {
      line += fmt::format("  {} left", HumanDuration(static_cast<double>(total_ - done_) / rate));
    }
  }
  if (OnTerminal()) {
    fmt::print(stderr, "\r\033[K{}", line);
    line_is_open = true;
  } else {
    fmt::print(stderr, "{}\n", line);
  }
  std::fflush(stderr);
}

}  // namespace condense
