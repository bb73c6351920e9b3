#include "report/figures/figure_gnuplot.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/strings.h"
#include "report/figures/figure_render.h"

namespace condense {
namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "figure";
constexpr const char* kScript = "figure.gp";
constexpr const char* kMessages = "messages";

// A temporary folder, deleted at the end of the scope.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (fs::temp_directory_path() / "condense-figure-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) {
      throw MakeError<DataError>("{}: cannot make a folder for gnuplot: {}", pattern,
                                 std::strerror(errno));
    }
    path_ = pattern;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// The environment of gnuplot: the user's search path and nothing else of the user's, and a fixed
// time.
std::vector<std::string> Environment(const fs::path& home) {
  std::vector<std::string> environment = {"HOME=" + home.string(), "LC_ALL=C", "TZ=UTC",
                                          "SOURCE_DATE_EPOCH=946684800"};
  for (const char* name : {"PATH", "LD_LIBRARY_PATH", "FONTCONFIG_FILE", "FONTCONFIG_PATH"}) {
    if (const char* value = std::getenv(name))
      environment.push_back(fmt::format("{}={}", name, value));
  }
  return environment;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// The first lines of gnuplot's messages.
std::string Messages(const fs::path& folder) {
  std::string text = ReadFile(folder / kMessages);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0)
    text.pop_back();
  constexpr size_t kMost = 600;
  if (text.size() > kMost) text = text.substr(0, kMost) + " ...";
  return text.empty() ? "it said nothing" : text;
}

[[noreturn]] void RefuseMissing(const std::string& program, int error) {
  throw MakeError<DataError>(
      "figures need the program {}, which cannot be started: {}; install it (Debian: apt-get "
      "install gnuplot-nox; scripts/setup.sh does)",
      program, std::strerror(error));
}

void RunGnuplot(const std::string& program, const std::string& argument, const fs::path& folder) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, kMessages,
                                     O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  // -d: no start-up files.
  std::vector<std::string> arguments = {program, "-d", argument};
  std::vector<std::string> environment = Environment(folder);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, program.c_str(), &actions, nullptr,
                                   Pointers(arguments).data(), Pointers(environment).data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) RefuseMissing(program, error);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) throw MakeError<DataError>("{}: {}", program, std::strerror(errno));
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  throw MakeError<DataError>("{} failed: {}", program, Messages(folder));
}

std::string Output(const std::string& program, const fs::path& folder, const std::string& ending,
                   std::string_view beginning) {
  const fs::path file = folder / (std::string(kName) + ending);
  std::string bytes = fs::exists(file) ? ReadFile(file) : "";
  if (StartsWith(bytes, beginning)) return bytes;
  throw MakeError<DataError>(
      "{} wrote no {} (a version with the terminals svg and pdfcairo is needed: gnuplot 5.4, "
      "Debian's gnuplot-nox): {}",
      program, ending.substr(1), Messages(folder));
}

// The cairo of Debian 12 ignores SOURCE_DATE_EPOCH. A replacement of the same length keeps all
// offsets of the file valid.
void FixDate(std::string& pdf) {
  const std::string key = "/CreationDate (D:", date = "20000101000000";
  const size_t at = pdf.find(key);
  if (at == std::string::npos || at + key.size() + date.size() > pdf.size()) return;
  pdf.replace(at + key.size(), date.size(), date);
}

std::string XmlText(const std::string& text) {
  std::string out;
  for (const char c : text) {
    out += c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : std::string(1, c);
  }
  return out;
}

// gnuplot titles every SVG "Gnuplot"; screen readers and browsers show the title.
void NameSvg(const std::string& title, std::string& svg) {
  const std::string name = "<title>Gnuplot</title>";
  const size_t at = svg.find(name);
  if (at != std::string::npos) {
    svg.replace(at, name.size(), fmt::format("<title>{}</title>", XmlText(title)));
  }
}

}  // namespace

std::string GnuplotVersion(const std::string& program) {
  const ScratchFolder scratch;
  RunGnuplot(program, "--version", scratch.path());
  return Messages(scratch.path());
}

DrawnFigure DrawWithGnuplot(const Figure& figure, const std::string& program) {
  const ScratchFolder scratch;
  WriteFileAtomically(scratch.path() / kScript, GnuplotScript(figure, kName));
  RunGnuplot(program, kScript, scratch.path());
  DrawnFigure drawn{Output(program, scratch.path(), ".svg", "<?xml"),
                    Output(program, scratch.path(), ".pdf", "%PDF")};
  NameSvg(figure.title, drawn.svg);
  FixDate(drawn.pdf);
  return drawn;
}

void WriteFigure(const Figure& figure, const fs::path& folder, const std::string& name,
                 const std::string& program) {
  MakeFolder(folder);
  const fs::path script = folder / (name + ".gp");
  DrawnFigure drawn;
  try {
    drawn = DrawWithGnuplot(figure, program);
  } catch (const DataError& error) {
    WriteFileAtomically(script, GnuplotScript(figure, name));
    throw MakeError<DataError>(
        "{}\nthe numbers and the script are in {}: draw it again from the database, or run gnuplot "
        "on it in its folder",
        error.what(), script.string());
  }
  WriteFileAtomically(folder / (name + ".svg"), drawn.svg);
  WriteFileAtomically(folder / (name + ".pdf"), drawn.pdf);
  WriteFileAtomically(folder / (name + ".csv"), FigureCsv(figure));
  std::error_code ignored;
  fs::remove(script, ignored);
}

}  // namespace condense
