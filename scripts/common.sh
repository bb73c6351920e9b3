# shellcheck shell=bash
# What the other scripts share; sourced, not run.

set -euo pipefail
# shellcheck disable=SC2034
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { [ -n "${QUIET:-}" ] || printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
  exit 1
}

# The text between the first line and the first line that is no comment.
print_help() { awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$1"; }

# A source file that includes LibTorch takes about 1.5 GiB to compile: fewer jobs on a small memory.
limit_build_jobs() {
  [ -z "${CMAKE_BUILD_PARALLEL_LEVEL:-}" ] || return 0
  local cores memory
  cores=$(nproc)
  memory=$(awk '/^MemAvailable:/ { print int($2 / 1572864) }' /proc/meminfo)
  [ "${memory:-1}" -ge 1 ] || memory=1
  export CMAKE_BUILD_PARALLEL_LEVEL=$((cores < memory ? cores : memory))
}
