// The commands of the program. A new one is a file in commands/, and a line in each list here.
#include "runner/command.h"

namespace condense {

Command RunCommand();
Command TableCommand();
Command FigureCommand();
Command StatsCommand();
Command ShowCommand();
Command CompressCommand();
Command EvaluateCommand();
Command GenerateCommand();
Command ScoreCommand();
Command TokenizeCommand();
Command InspectCommand();
Command ImportCommand();
Command SynthesizeCommand();
Command ListCommand();
Command DescribeCommand();
Command DoctorCommand();
Command CompletionCommand();

const std::vector<Command>& AllCommands() {
  static const std::vector<Command> commands = {
      RunCommand(),      TableCommand(),     FigureCommand(),     StatsCommand(), ShowCommand(),
      CompressCommand(), EvaluateCommand(),  GenerateCommand(),   ScoreCommand(), TokenizeCommand(),
      InspectCommand(),  ImportCommand(),    SynthesizeCommand(), ListCommand(),  DescribeCommand(),
      DoctorCommand(),   CompletionCommand()};
  return commands;
}

}  // namespace condense
