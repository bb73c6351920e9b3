#!/usr/bin/env bash
# Measures the parts that take the time, and prints one table: what, ours, what it is compared with, ratio,
# target. A ratio is the fraction of what the machine reaches in the same run, or how many times faster than the
# peer. Targets are those of docs/cost.md 5.
#
#   scripts/bench.sh [--json] [--threads N] [--filter REGEX] [--large] [--peer]
#
#   --json          lines of JSON with the keys name, ratio and target
#   --threads N     threads (default: one per core)
#   --filter REGEX  only these benchmarks of build/bench/tests/bench/condense_bench
#   --large         also blocks of LLaMA-2-7B's shape, which take minutes each
#   --peer          also MoDeGPT in plain PyTorch, which is installed for it (torch is half a gigabyte)
#
# Run it on a machine that does nothing else.

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
JSON=() PEER='' THREADS=$(nproc) FILTER='-Condense/(MLP|whole)'
while [ $# -gt 0 ]; do
  case $1 in
    --json) JSON=(--json) ;;
    --peer) PEER=1 ;;
    --large) FILTER=. ;;
    --threads | --filter)
      [ $# -gt 1 ] || fail "$1 needs a value"
      if [ "$1" = --threads ]; then THREADS=$2; else FILTER=$2; fi
      shift
      ;;
    -h | --help) print_help "$0"; exit 0 ;;
    *) fail "unknown option $1" "scripts/bench.sh --help lists the options" ;;
  esac
  shift
done

cd "$ROOT"
BUILD=build/bench
limit_build_jobs
{ cmake --preset bench && cmake --build --preset bench; } >"$BUILD.log" 2>&1 ||
  { tail -n 20 "$BUILD.log" >&2; fail "the build failed: $BUILD.log"; }
"$BUILD/tests/bench/condense_bench" --threads="$THREADS" --benchmark_format=json --benchmark_filter="$FILTER" >"$BUILD/results.json"
RESULTS=("$BUILD/results.json")
if [ -n "$PEER" ]; then
  PYTHON=$BUILD/peer/bin/python
  [ -x "$PYTHON" ] || python3 -m venv "$BUILD/peer"
  "$PYTHON" -c 'import torch, safetensors, tokenizers' 2>/dev/null ||
    "$PYTHON" -m pip install --quiet torch==2.11.0 safetensors==0.8.0 tokenizers==0.22.2 numpy
  "$PYTHON" tests/bench/compare_modegpt.py --runner "$BUILD/runner" --threads "$THREADS" >"$BUILD/peer.jsonl"
  RESULTS+=("$BUILD/peer.jsonl")
fi
python3 tests/bench/bench_table.py "${JSON[@]}" "${RESULTS[@]}"
