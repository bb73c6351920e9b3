#!/usr/bin/env bash
# Formats the C++ sources in place, or checks them.
#
#   scripts/format.sh [--check] [FILE ...]
#
# clang-format has to be version 14: another one formats differently.

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

MODE=(-i)
case ${1:-} in
  -h | --help) print_help "$0"; exit 0 ;;
  --check) MODE=(--dry-run --Werror); shift ;;
esac

find_clang_format() {
  local candidate found=
  for candidate in clang-format-14 clang-format; do
    command -v "$candidate" >/dev/null || continue
    found=$("$candidate" --version | sed -n 's/.*version \([0-9.]*\).*/\1/p')
    [ "${found%%.*}" != 14 ] || { CLANG_FORMAT=$candidate; return; }
  done
  fail "formatting needs clang-format 14, and ${found:+only }${found:-no version} is installed" "install the package clang-format-14"
}

find_clang_format
if [ $# -gt 0 ]; then
  files=("$@")
else
  cd "$ROOT"
  mapfile -t files < <(git ls-files --cached --others --exclude-standard -- '*.cc' '*.h')
  # What is deleted but not committed is still listed.
  for i in "${!files[@]}"; do [ -e "${files[i]}" ] || unset "files[i]"; done
fi
[ ${#files[@]} -eq 0 ] && exit 0
if ! report=$("$CLANG_FORMAT" "${MODE[@]}" "${files[@]}" 2>&1); then
  mapfile -t files < <(sed -n 's/^\([^:]*\):[0-9:]* error: .*/\1/p' <<<"$report" | sort -u)
  [ ${#files[@]} -gt 0 ] || fail "clang-format failed" "$report"
  fail "these files are not formatted; run scripts/format.sh" "${files[@]}"
fi
say "format: ${#files[@]} files"
