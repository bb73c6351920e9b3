#include "base/progress.h"

#include <gmock/gmock.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <thread>

#include "base/log.h"

namespace condense {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

void Pause(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

// What `work` writes to a terminal of so many columns.
std::string OnTerminal(unsigned short columns, const std::function<void()>& work) {
  winsize size{.ws_row = 24, .ws_col = columns};
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, &size);
  if (child == 0) {
    work();
    ::_exit(0);
  }
  std::string text;
  char buffer[4096];
  for (ssize_t count; (count = ::read(terminal, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<size_t>(count));
  }
  ::close(terminal);
  ::waitpid(child, nullptr, 0);
  return text;
}

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(Progress, MovesWhileNoUnitIsFinished) {
  const std::string text = OnTerminal(100, [] {
    const Progress progress("measuring", 30, "layers");
    Pause(1800);
  });
  EXPECT_GE(Count(text, "measuring 0/30 layers (0 %)"), 3u) << text;
  EXPECT_THAT(text, HasSubstr("; 0 s"));
  EXPECT_THAT(text, HasSubstr("; 1 s"));
  EXPECT_THAT(text, testing::EndsWith("\r\033[K"));  // the line goes with the work
}

TEST(Progress, NamesWhatIsUnderWayWithItsShareAndTheTimeLeft) {
  const std::string text = OnTerminal(200, [] {
    Progress outer("table", 4, "cells");
    outer.Advance();
    const Progress cell("some model");
    Progress layers("layers", 2);
    Progress inner("batches", 2);
    Pause(150);
    inner.Advance();
  });
  EXPECT_THAT(text, HasSubstr("table 1/4 cells: some model: layers 0/2: batches 1/2 (50 %"));
  EXPECT_THAT(text, ContainsRegex("about [0-9]+ s left\\); 0 s, about [0-9]+ s left"));
}

TEST(Progress, AUnitCountsByWhatIsDoneOfIt) {
  const std::string text = OnTerminal(200, [] {
    Progress layers("layers", 2);
    {
      Progress batches("batches", 2);
      batches.Advance();
      Pause(600);
    }
    const Progress unknown("solving");
    Pause(600);
  });
  EXPECT_THAT(text, HasSubstr("layers 0/2 (25 %): solving"));
}

TEST(Progress, FitsTheTerminal) {
  const std::string text = OnTerminal(30, [] {
    const Progress outer(std::string(40, 'x'));
    const Progress inner("inner", 7);
    Pause(600);
  });
  EXPECT_THAT(text, HasSubstr("\033[Kinner 0/7 (0 %); "));
  EXPECT_THAT(text, Not(HasSubstr(std::string(30, 'x'))));
}

TEST(Progress, MessagesStartOnACleanLine) {
  const std::string text = OnTerminal(100, [] {
    const Progress progress("working");
    LogWarning("look");
  });
  EXPECT_THAT(text, ContainsRegex("working; 0 s\r\033\\[K[^ ]*warning"));
}

TEST(Progress, IsSilentWhenItIsSwitchedOff) {
  const std::string text = OnTerminal(100, [] {
    Progress::SetEnabled(false);
    Progress progress("working", 3);
    progress.Advance();
    Pause(600);
  });
  EXPECT_EQ(text, "");
}

}  // namespace
}  // namespace condense
