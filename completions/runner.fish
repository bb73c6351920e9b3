# Completion of `runner` for fish.

set -l commands run table figure stats compress evaluate tokenize score generate inspect list describe show doctor

function __runner_names
    runner list $argv[1] 2>/dev/null | string match -r '^[a-z0-9]\S*'
end

function __runner_in
    set -l words (commandline -opc)
    test (count $words) -gt 1; and contains -- $words[2] $argv
end

function __runner_experiment
    set -l words (commandline -opc)
    test (count $words) -gt 1; and string match -qr '^run$|\.ya?ml$' -- $words[2]
end

complete -c runner -f
complete -c runner -n "not __fish_seen_subcommand_from $commands" -a "$commands"
complete -c runner -n "not __runner_in compress evaluate tokenize score generate inspect list describe show doctor" -k -a "(__fish_complete_suffix .yaml)"
complete -c runner -n "__runner_in inspect" -a "(__fish_complete_directories)"
complete -c runner -n "__runner_in list" -a "methods allocators samplers models protocols evaluations tasks calibrations experiments"
complete -c runner -n "__runner_in describe" -a "(__runner_names methods) (__runner_names allocators)"

complete -c runner -l help -d "What it does, with an example"
complete -c runner -l threads -x -d "CPU threads"
complete -c runner -l device -x -a "cpu cuda" -d "Where to compute"

complete -c runner -n "__runner_experiment; or __runner_in table figure stats" -l profile -x -a "bundled paper" -d "Scale of the experiment"
complete -c runner -n "__runner_experiment; or __runner_in table doctor" -l models -x -a "(__fish_complete_directories)" -d "Folder with checkpoints"
complete -c runner -n "__runner_experiment; or __runner_in table compress evaluate doctor" -l data -x -a "(__fish_complete_directories)" -d "Folder with texts"
complete -c runner -n "__runner_experiment; or __runner_in table figure stats show" -l db -r -F -d "Results database"
complete -c runner -n "__runner_experiment; or __runner_in table figure stats compress" -l set -x -d "key=value"
complete -c runner -n __runner_experiment -l dry-run -d "Say what would run, and why"
complete -c runner -n __runner_experiment -l rerun -x -a "failed all" -d "Compute again"
complete -c runner -n __runner_experiment -l fail-fast -d "Stop at the first failed cell"
complete -c runner -n "__runner_experiment" -l tables -x -a "(__fish_complete_directories)" -d "Where the table goes"
complete -c runner -n "__runner_experiment" -l figures -x -a "(__fish_complete_directories)" -d "Where the figure goes"
complete -c runner -n "__runner_in figure" -l format -x -a "files csv gnuplot" -d "Files, or text on standard output"
complete -c runner -n "__runner_in figure" -l out -x -a "(__fish_complete_directories)" -d "Where the files go"
complete -c runner -n "__runner_in table" -l format -x -a "md tex csv" -d "Format of the table"
complete -c runner -n "__runner_in table" -l name -x -d "One of the further tables, or main"

complete -c runner -n "__runner_in compress evaluate tokenize score generate" -l model -x -a "(__fish_complete_directories)" -d "Checkpoint folder"
complete -c runner -n "__runner_in compress" -l method -x -a "(__runner_names methods)" -d "Compression method"
complete -c runner -n "__runner_in compress" -l allocator -x -a "(__runner_names allocators)" -d "How the budget is spread"
complete -c runner -n "__runner_in compress" -l ratio -x -d "Fraction to remove"
complete -c runner -n "__runner_in compress" -l match -x -a "block nominal total total_abs" -d "What the ratio counts"
complete -c runner -n "__runner_in compress" -l calibration -x -a "(__runner_names calibrations) text: ids:" -d "Calibration set"
complete -c runner -n "__runner_in compress" -l samples -x -d "Calibration sequences"
complete -c runner -n "__runner_in compress" -l length -x -d "Ids in each sequence"
complete -c runner -n "__runner_in compress" -l seed -x -d "Seed"
complete -c runner -n "__runner_in compress" -l out -x -a "(__fish_complete_directories)" -d "Folder to write"
complete -c runner -n "__runner_in stats" -l baseline -x -a "(__runner_names methods)" -d "Method to compare with too"
complete -c runner -n "__runner_in stats" -l average -x -a "seed calibration ratio model dtype" -d "Keys to average over"
complete -c runner -n "__runner_in stats" -l cell -x -d "Fingerprint of a cell"
complete -c runner -n "__runner_in stats" -l tasks -x -d "Only these tasks"
complete -c runner -n "__runner_in stats" -l metric -x -d "Only these metrics and means"
complete -c runner -n "__runner_in stats" -l protocol -x -d "Only these protocols"
complete -c runner -n "__runner_in stats" -l csv -d "Print CSV"

complete -c runner -n "__runner_in compress evaluate inspect stats" -l json -d "Print JSON"
complete -c runner -n "__runner_in evaluate" -l dense -x -a "(__fish_complete_directories)" -d "Measure the agreement with this model"
complete -c runner -n "__runner_in evaluate" -l tasks -x -a "(__runner_names tasks)" -d "Tasks, separated by commas"
complete -c runner -n "__runner_in evaluate" -l limit -x -d "Only the first documents"
complete -c runner -n "__runner_in evaluate" -l samples -r -d "Write the score of every document"
complete -c runner -n "__runner_in evaluate" -l max-length -x -d "Ids in one request"
complete -c runner -n "__runner_in evaluate" -l batch-tokens -x -d "Ids in one forward pass"
complete -c runner -n "__runner_in evaluate" -l text -r -F -d "Text file"
complete -c runner -n "__runner_in evaluate" -l ids -r -F -d "File of token ids"
complete -c runner -n "__runner_in evaluate" -l ids-type -x -a "uint16 int32" -d "Width of the ids"
complete -c runner -n "__runner_in evaluate" -l protocol -x -a "(__runner_names protocols)" -d "Named protocol"
complete -c runner -n "__runner_in evaluate" -l window -x -d "Ids in a window"
complete -c runner -n "__runner_in evaluate" -l special -x -a "once window none" -d "Where the special token goes"
complete -c runner -n "__runner_in tokenize" -l no-special -d "Without special tokens"
complete -c runner -n "__runner_in tokenize" -l decode -d "From ids to text"
complete -c runner -n "__runner_in score" -l requests -r -F -d "Requests, JSON lines"
complete -c runner -n "__runner_in score" -l protocol -x -a "lmeval-bos lmeval-nobos lmeval-0.3" -d "Encoding of the requests"
complete -c runner -n "__runner_in generate" -l prompt -x -d "Text to continue"
complete -c runner -n "__runner_in generate" -l tokens -x -d "Tokens to generate"
