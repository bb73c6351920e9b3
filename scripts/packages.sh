# shellcheck shell=bash
# Installs what is missing of the Debian packages in PACKAGES; sourced by the setup scripts.

# A package also counts as present when another one provides its program.
provided_otherwise() {
  case $1 in
    gnuplot-nox) command -v gnuplot >/dev/null ;;
    clang-format-14) clang-format --version 2>/dev/null | grep -q 'version 14\.' ;;
    *) return 1 ;;
  esac
}

missing_packages() {
  local installed package
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${PACKAGES[@]}" 2>/dev/null || true)
  for package in "${PACKAGES[@]}"; do
    grep -Fxq "installed $package" <<<"$installed" || provided_otherwise "$package" || printf '%s\n' "$package"
  done
}

install_packages() {
  local missing
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    fail "this is not a Debian system: its packages cannot be installed by this script" \
      "install the equivalents of: ${PACKAGES[*]}" \
      "then run $0 --no-packages"
  fi
  mapfile -t missing < <(missing_packages)
  if [ ${#missing[@]} -eq 0 ]; then
    say "packages: all ${#PACKAGES[@]} present"
    return
  fi

  local privileged=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "packages are missing, and there is no sudo to install them: ${missing[*]}" \
      "ask an administrator to run: apt-get install ${missing[*]}"
    privileged=(sudo)
  fi
  printf 'packages: installing %s\n' "${missing[*]}"
  local apt=("${privileged[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
  local log
  log=$(mktemp)
  # shellcheck disable=SC2064
  trap "rm -f '$log'" EXIT
  # Lists that cannot be brought up to date may still do.
  "${apt[@]}" update 2>&1 | grep '^[WE]:' >"$log" || true
  if ! "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1; then
    { grep '^[WE]:' "$log" || tail -n 20 "$log"; } >&2
    mapfile -t missing < <(missing_packages)
    fail "these packages could not be installed: ${missing[*]}" \
      "the lines above are apt-get's; Debian 12 has all of these packages in its section main" \
      "fix the cause, or install them by hand, and run $0 again"
  fi
  rm -f "$log"
  trap - EXIT
}
