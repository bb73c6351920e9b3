#!/usr/bin/env bash
# Builds build/paper/main.pdf from paper/main.tex and the tables in results/tables/.
#
#   scripts/paper.sh
#
# Needs LaTeX; exits with 2 and says what to install where there is none.

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
case ${1:-} in -h | --help) print_help "$0"; exit 0 ;; esac

cd "$ROOT/paper"
if ! command -v latexmk >/dev/null && ! command -v pdflatex >/dev/null; then
  printf 'error: LaTeX is not installed, so the paper cannot be built\n' >&2
  printf '  on Debian: apt-get install --no-install-recommends latexmk texlive-latex-recommended lmodern\n' >&2
  exit 2
fi
[ -e ../results/tables/table1.tex ] || fail "results/tables/table1.tex is missing: the paper prints it" \
  "run build/release/runner experiments/table1.yaml, which makes it"

OUT=$ROOT/build/paper
mkdir -p "$OUT"
build() {
  if command -v latexmk >/dev/null; then
    latexmk -pdf -interaction=nonstopmode -halt-on-error -output-directory="$OUT" main.tex
  else
    # The second pass settles the references.
    pdflatex -interaction=nonstopmode -halt-on-error -output-directory="$OUT" main.tex &&
      pdflatex -interaction=nonstopmode -halt-on-error -output-directory="$OUT" main.tex
  fi
}
if ! build >"$OUT/output.txt" 2>&1; then
  grep -A 4 '^!' "$OUT/output.txt" >&2 || tail -n 20 "$OUT/output.txt" >&2
  fail "LaTeX stopped; the lines above say where" "the whole output is in build/paper/output.txt"
fi
say "paper: build/paper/main.pdf"
