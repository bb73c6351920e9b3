#!/usr/bin/env bash
# Builds the preset ci, runs every test and one small experiment from end to end, and counts.
#
#   scripts/test.sh [--format] [-- CTEST_OPTION ...]
#
#   --format  checks the formatting too (clang-format 14)
#   --        options for ctest, e.g. -- -R tokenizer; the small experiment is then left out
#
# The last line is `N passed, N failed, N skipped`; the exit code is 1 when something failed.

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

FORMAT=
while [ $# -gt 0 ]; do
  case $1 in
    --format) FORMAT=1 ;;
    -h | --help) print_help "$0"; exit 0 ;;
    --) shift; break ;;
    *) fail "unknown option $1" "scripts/test.sh --help lists the options" ;;
  esac
  shift
done
CTEST_OPTIONS=("$@")

cd "$ROOT"
BUILD=build/ci
PASSED=0 FAILED=0 SKIPPED=0 CTEST_FAILED=
TEMPORARY=$(mktemp -d)
trap 'rm -rf "$TEMPORARY"' EXIT
trap 'exit 130' INT TERM HUP

# What stands after this line is the last thing printed, whatever happens.
finish() {
  printf '%d passed, %d failed, %d skipped\n' "$PASSED" "$FAILED" "$SKIPPED"
  [ "$FAILED" -eq 0 ] || exit 1
  exit 0
}

# check TITLE COMMAND...: a test of its own; what it prints is shown when it fails.
check() {
  local title=$1 start=$SECONDS
  shift
  if "$@" >"$TEMPORARY/output" 2>&1; then
    printf 'ok      %s (%d s)\n' "$title" $((SECONDS - start))
    PASSED=$((PASSED + 1))
  else
    cat "$TEMPORARY/output"
    printf 'FAILED  %s\n' "$title"
    FAILED=$((FAILED + 1))
    return 1
  fi
}

# A step without which nothing else can run: counts when it fails.
required() { check "$@" || finish; PASSED=$((PASSED - 1)); }

build() {
  if ! cmake --build --preset ci; then
    printf 'FAILED  build\n'
    FAILED=$((FAILED + 1))
    finish
  fi
}

# shellcheck disable=SC2317
smoke() {
  local experiment=experiments/smoke.yaml runner=$BUILD/runner database=$TEMPORARY/results/results.sqlite
  mkdir -p "$TEMPORARY/results"
  "$runner" "$experiment" --db "$database" </dev/null || return
  "$runner" table "$experiment" --db "$database" --format md >"$TEMPORARY/table" || return
  cat "$TEMPORARY/table"
  if ! grep -q '|.*[0-9]' "$TEMPORARY/table"; then
    printf 'runner table printed no table\n'
    return 1
  fi
}

required "setup" scripts/setup.sh --quiet
[ -z "$FORMAT" ] || check "formatting" scripts/format.sh --check || true
limit_build_jobs
required "configure" cmake --preset ci
build

rm -rf "$BUILD/test-results" "$TEMPORARY/ctest.xml"
mkdir -p "$BUILD/test-results"
ctest --preset ci --parallel "$(nproc)" --no-tests=error --output-junit "$TEMPORARY/ctest.xml" "${CTEST_OPTIONS[@]}" || CTEST_FAILED=1
failed=0
if [ -s "$TEMPORARY/ctest.xml" ]; then
  python3 scripts/test_counts.py "$TEMPORARY/ctest.xml" "$BUILD/test-results" --failures >"$TEMPORARY/counts"
  grep '^FAILED' "$TEMPORARY/counts" || true
  read -r passed _ failed _ skipped _ < <(tail -n 1 "$TEMPORARY/counts")
  PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + skipped))
fi
if [ -n "$CTEST_FAILED" ] && [ "$failed" -eq 0 ]; then
  printf 'FAILED  ctest; its output above says why\n'
  FAILED=$((FAILED + 1))
fi

[ ${#CTEST_OPTIONS[@]} -gt 0 ] || check "the experiment experiments/smoke.yaml" smoke || true
finish
