#!/usr/bin/env bash
# From a fresh clone to the first table: sets up, builds and runs experiments/table1.yaml.
#
#   scripts/quickstart.sh [option of `runner` ...]
#
# Three small checkpoints that ship with the program are compressed on the CPU. A second call goes on
# where the first stopped, and computes nothing when everything is there.

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
case ${1:-} in -h | --help) print_help "$0"; exit 0 ;; esac

cd "$ROOT"
EXPERIMENT=experiments/table1.yaml

scripts/setup.sh
limit_build_jobs
cmake --workflow --preset release

status=0
build/release/runner "$EXPERIMENT" "$@" || status=$?
if [ "$status" -ne 0 ]; then
  fail "runner $EXPERIMENT ended with exit code $status" \
    "finished cells are kept: run scripts/quickstart.sh again to go on, or build/release/runner $EXPERIMENT --rerun failed"
fi

printf '\nThe table is kept in:\n'
find results/tables -name 'table1.*' | sort | sed 's/^/  /'
printf 'Every number behind it is in results/results.sqlite.\n'
