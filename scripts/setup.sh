#!/usr/bin/env bash
# Installs what Condense is built from: Debian packages and LibTorch 2.11.0. A second run changes nothing.
#
#   scripts/setup.sh [--cuda] [--no-packages] [--quiet]
#
#   --cuda         adds the libraries of the GPU back end (3.4 GB on disk in all, 0.5 GB without)
#   --no-packages  leaves the system's packages alone
#   --quiet        prints only what was changed or went wrong
#
# apt-get installs the packages, with sudo unless you are root. LibTorch comes from the wheel of
# PyTorch, pinned by SHA-256, and is unpacked into $CONDENSE_CACHE (otherwise $XDG_CACHE_HOME/condense or
# ~/.cache/condense), which all clones share. A LibTorch 2.x found through CMAKE_PREFIX_PATH is used
# instead. pip does the download, so its own settings (PIP_INDEX_URL, PIP_FIND_LINKS, proxies) apply.

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=scripts/packages.sh
. "$ROOT/scripts/packages.sh"
# shellcheck source=scripts/pip.sh
. "$ROOT/scripts/pip.sh"
# shellcheck source=scripts/libtorch.sh
. "$ROOT/scripts/libtorch.sh"

PACKAGES=(
  g++ cmake ninja-build ccache pkg-config git python3 python3-pip unzip ca-certificates
  libyaml-cpp-dev libfmt-dev libspdlog-dev libsqlitecpp-dev libsqlite3-dev nlohmann-json3-dev
  libsentencepiece-dev libpcre2-dev libicu-dev libssl-dev libboost-program-options-dev libzstd-dev
  libgtest-dev libgmock-dev libbenchmark-dev gnuplot-nox sqlite3 clang-format-14
)

# LibTorch of this version is asked for where CMAKE_PREFIX_PATH names one.
# shellcheck disable=SC2034
LIBTORCH_NEEDED=2
CUDA=
MANAGE_PACKAGES=1
QUIET=
while [ $# -gt 0 ]; do
  case $1 in
    --cuda) CUDA=1 ;;
    --no-packages) MANAGE_PACKAGES= ;;
    --quiet) QUIET=1 ;;
    -h | --help) print_help "$0"; exit 0 ;;
    *) fail "unknown option $1" "$0 --help lists the options" ;;
  esac
  shift
done

# version_at_least 3.25.1 3.25
version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

check_tools() {
  local tool package found
  for tool in cmake:cmake ninja:ninja-build unzip:unzip g++:g++ git:git python3:python3; do
    package=${tool#*:}
    command -v "${tool%%:*}" >/dev/null || fail "${tool%%:*} is not on the PATH" "install the package $package"
  done
  found=$(cmake --version | awk 'NR == 1 { print $3 }')
  version_at_least "$found" 3.25 || fail "cmake $found is too old: the presets need 3.25" \
    "install the package cmake of Debian 12 or a newer one, and put it first on the PATH"
  found=$(g++ -dumpfullversion)
  version_at_least "$found" 11 || fail "g++ $found is too old: C++20 needs 11" "install a newer g++ and set CXX to it"
}

[ -z "$MANAGE_PACKAGES" ] || install_packages
check_tools
libtorch
say "setup: complete"
