#!/usr/bin/env bash
# From a fresh clone to a first table and figure: sets up, builds, and runs experiments/quickstart.yaml.
#
#   scripts/quickstart.sh
#
# A small checkpoint that ships with the program is compressed on the CPU by five methods. A second
# call resumes where the first one stopped, and computes nothing when every result is stored.

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
case ${1:-} in
  -h | --help) print_help "$0"; exit 0 ;;
  ?*) fail "unknown option $1" "scripts/quickstart.sh takes no options; build/release/runner --help lists the commands" ;;
esac

cd "$ROOT"
EXPERIMENT=experiments/quickstart.yaml

scripts/setup.sh
limit_build_jobs
cmake --workflow --preset release

status=0
build/release/runner "$EXPERIMENT" || status=$?
if [ "$status" -ne 0 ]; then
  fail "runner $EXPERIMENT ended with exit code $status" \
    "finished cells are stored: run scripts/quickstart.sh again to resume, or build/release/runner $EXPERIMENT --rerun failed"
fi
printf '\n'
build/release/runner figure "$EXPERIMENT" --format text

cat <<'END'

Files: results/tables/quickstart.{md,tex,csv}, results/figures/quickstart.{svg,pdf,csv}; every number is in results/results.sqlite.

Next:
  build/release/runner experiments/table1.yaml     16 methods, 3 models, 5 ratios: the first table of the papers
  build/release/runner experiments/table1.yaml --profile paper --models DIR --data DIR     the same with LLaMA-2
  build/release/runner compress --model YOUR_MODEL_FOLDER --method modegpt --ratio 0.3 --calibration text:FILE --out small
END
