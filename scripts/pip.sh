# shellcheck shell=bash
# Downloads pinned Python packages with pip; sourced by the scripts that need one.

# find_pip WHAT: pip of the python3 on the PATH, or else Debian's: a virtual environment may have none.
find_pip() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -m pip --version >/dev/null 2>&1; then
      PIP=("$python" -m pip)
      return
    fi
  done
  fail "python3 has no pip, which downloads $1" "install the package python3-pip"
}

# download "name==version sha256" folder [another remedy]
download() {
  local name=${1% *} digest=${1#* } folder=$2
  shift 2
  printf '%s --hash=sha256:%s\n' "$name" "$digest" >"$folder/requirement.txt"
  if ! PIP_REQUIRE_VIRTUALENV=0 "${PIP[@]}" --disable-pip-version-check --no-input download --quiet --no-deps \
    --no-cache-dir --only-binary=:all: --require-hashes --implementation cp --python-version 3.11 \
    --abi cp311 --abi none --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 \
    --platform manylinux_2_25_x86_64 --platform manylinux_2_18_x86_64 --platform manylinux2014_x86_64 \
    --dest "$folder" --requirement "$folder/requirement.txt" >"$folder/log" 2>&1; then
    tail -n 8 "$folder/log" >&2
    ! grep -q 'DO NOT MATCH THE HASHES' "$folder/log" || fail "$name has another SHA-256 than the one that is pinned" \
      "do not use it: the lines above, which are pip's, say where it comes from"
    fail "$name could not be downloaded" \
      "the lines above are pip's: check the network, or point pip at a mirror or a folder of wheels (PIP_INDEX_URL, PIP_FIND_LINKS)" \
      "$@"
  fi
}

# check_room MIB FOLDER WHAT REMEDY: what needs the room, and what to do without it.
check_room() {
  local have
  have=$(df -Pk "$2" | awk 'NR == 2 { print int($4 / 1024) }')
  [ "$have" -ge "$1" ] || fail "$2 has $have MiB of room; $3 needs $1 MiB while it is unpacked" "$4"
}
