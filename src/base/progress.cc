#include "base/progress.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <thread>
#include <utility>

#include "base/strings.h"

namespace condense {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kRedraw(500), kLeastPause(100), kPlainLines(30000);

bool OnTerminal() { return ::isatty(STDERR_FILENO) == 1; }

size_t TerminalColumns() {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Whole seconds: digits that change twenty times per second cannot be read.
std::string Duration(double seconds) {
  return seconds < 60 ? fmt::format("{:.0f} s", seconds) : HumanDuration(seconds);
}

std::string FirstCodePoints(const std::string& text, size_t count) {
  size_t end = 0;
  for (size_t i = 0; i < count && end < text.size(); ++i) NextCodePoint(text, end);
  return text.substr(0, end);
}

}  // namespace

// The pieces of work under way, and the thread that redraws the line while there are any.
class ProgressLine {
 public:
  // Never destroyed: a piece of work may be under way when the program exits.
  static ProgressLine& Instance() {
    static auto* const line = new ProgressLine;
    return *line;
  }

  std::mutex& mutex() { return mutex_; }

  void Begin(Progress* progress) {
    const std::lock_guard lock(mutex_);
    work_.push_back(progress);
    if (!enabled_) return;
    if (!ticker_.joinable()) StartTicker();
    DrawIfDue();
  }

  void End(Progress* progress) {
    std::thread ended;
    {
      const std::lock_guard lock(mutex_);
      std::erase(work_, progress);
      if (work_.empty()) {
        Clear();
        ended = std::exchange(ticker_, {});
        wake_.notify_all();
      }
    }
    if (ended.joinable()) ended.join();
  }

  void Advance(Progress* progress, int64_t count) {
    const std::lock_guard lock(mutex_);
    progress->done_ += count;
    if (enabled_) DrawIfDue();
  }

  void SetEnabled(bool enabled) {
    const std::lock_guard lock(mutex_);
    enabled_ = enabled;
  }

  void Clear() {
    if (std::exchange(open_, false)) std::fputs("\r\033[K", stderr);
  }

 private:
  // Signals go to the threads that did so before there was this one.
  void StartTicker() {
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    ticker_ = std::thread([this] { Tick(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void Tick() {
    const milliseconds interval = OnTerminal() ? kRedraw : kPlainLines;
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, interval, [&] { return work_.empty(); })) Draw();
  }

  void DrawIfDue() {
    if (OnTerminal() && Clock::now() - drawn_ >= kLeastPause) Draw();
  }

  void Draw() {
    drawn_ = Clock::now();
    UpdateShares();
    if (!OnTerminal()) {
      fmt::print(stderr, "{}\n", Text(0));
    } else {
      const size_t columns = TerminalColumns() - 1;
      std::string text = Text(0);
      // The innermost work is what changes.
      for (size_t first = 1; first < work_.size() && CodePointCount(text) > columns; ++first) {
        text = Text(first);
      }
      fmt::print(stderr, "\r\033[K{}", FirstCodePoints(text, columns));
      open_ = true;
    }
    std::fflush(stderr);
  }

  // A unit under way counts by the share of it that is done, where that is known.
  void UpdateShares() {
    double inner = 0;
    for (size_t i = work_.size(); i-- > 0;) {
      Progress& work = *work_[i];
      if (work.total_ > 0) {
        const double done =
            static_cast<double>(work.done_) + (work.done_ < work.total_ ? inner : 0);
        work.share_ = std::max(work.share_, std::min(1.0, done / static_cast<double>(work.total_)));
      }
      inner = work.share_;
    }
  }

  static std::string Left(const Progress& work) {
    if (work.share_ <= 0 || work.share_ >= 1) return "";
    const double seconds = SecondsSince(work.start_) * (1 - work.share_) / work.share_;
    return fmt::format(", about {} left", Duration(seconds));
  }

  static std::string Named(const Progress& work) {
    std::string text = work.title_;
    if (work.total_ > 0) text += fmt::format(" {}/{}", work.done_, work.total_);
    if (work.total_ == 0 && work.done_ > 0) text += fmt::format(" {}", work.done_);
    if (!work.unit_.empty()) text += ' ' + work.unit_;
    return text;
  }

  // "table1 3/17 cells: llama2-mini condense 0.2: measuring curves 2/6 layers (41 %, about 9 s
  // left); 1 min 20 s, about 6 min 10 s left" without the pieces of work before `first`.
  std::string Text(size_t first) const {
    size_t counted = work_.size();  // the innermost with a total
    for (size_t i = first; i < work_.size(); ++i) {
      if (work_[i]->total_ > 0) counted = i;
    }
    std::vector<std::string> names;
    for (size_t i = first; i < work_.size(); ++i) {
      names.push_back(Named(*work_[i]));
      if (i != counted) continue;
      const std::string left = i == 0 ? "" : Left(*work_[i]);
      names.back() += fmt::format(" ({:.0f} %{})", 100 * work_[i]->share_, left);
    }
    return fmt::format("{}; {}{}", Join(names, ": "), Duration(SecondsSince(work_[0]->start_)),
                       Left(*work_[0]));
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread ticker_;
  std::vector<Progress*> work_;  // outermost first
  Clock::time_point drawn_{};
  bool enabled_ = true, open_ = false;
};

Progress::Progress(std::string title, int64_t total, std::string unit)
    : title_(std::move(title)), unit_(std::move(unit)), total_(total), start_(Clock::now()) {
  ProgressLine::Instance().Begin(this);
}

Progress::~Progress() { ProgressLine::Instance().End(this); }

void Progress::Advance(int64_t count) { ProgressLine::Instance().Advance(this, count); }

void Progress::SetEnabled(bool enabled) { ProgressLine::Instance().SetEnabled(enabled); }

Progress::Hidden::Hidden() : lock_(ProgressLine::Instance().mutex()) {
  ProgressLine::Instance().Clear();
}

}  // namespace condense
