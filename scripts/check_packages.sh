#!/usr/bin/env bash
# Builds the packages, and tries each of them in a fresh Debian 12 of its own.
#
#   scripts/check_packages.sh [--keep]
#
#   --keep  leaves the two systems in build/packages for a look
#
# Needs root and debootstrap. The systems use the apt and pip settings of this one, and nothing else of
# it. In each, the program and LibTorch are installed, checked, and used to compress and evaluate.

# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
KEEP=
case ${1:-} in
  --keep) KEEP=1 ;;
  -h | --help) print_help "$0"; exit 0 ;;
  ?*) fail "unknown option $1" "scripts/check_packages.sh --help lists the options" ;;
esac
cd "$ROOT"
[ "$(id -u)" -eq 0 ] || fail "only root can make a fresh system" "run this with sudo"
command -v debootstrap >/dev/null || fail "debootstrap is not on the PATH" "install the package debootstrap"

PACKAGES=build/packages
SYSTEM=
CERTIFICATES=${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}
SYSTEM_CERTIFICATES=/etc/ssl/certificates-of-host.crt
remove_system() {
  [ -n "$SYSTEM" ] || return 0
  umount "$SYSTEM/proc" 2>/dev/null || true
  [ -n "$KEEP" ] || rm -rf --one-file-system "$SYSTEM"
  SYSTEM=
}
trap remove_system EXIT
trap 'exit 130' INT TERM HUP

# shellcheck disable=SC2016
mirror() { apt-get indextargets --format '$(SITE)' 'Codename: bookworm' | head -n 1; }

# A minimal Debian 12 in $SYSTEM, with network settings of this one.
make_system() {
  SYSTEM=$ROOT/$PACKAGES/system-$1
  rm -rf --one-file-system "$SYSTEM"
  debootstrap --variant=minbase bookworm "$SYSTEM" "$(mirror)" >"$PACKAGES/debootstrap.log" 2>&1 ||
    { tail -n 5 "$PACKAGES/debootstrap.log" >&2; fail "debootstrap failed"; }
  local file
  for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/apt/apt.conf.d /etc/apt/sources.list.d /etc/apt/auth.conf.d \
    /etc/ssl/certs/ca-certificates.crt; do
    [ ! -e "$file" ] || { mkdir -p "$SYSTEM$(dirname "$file")" && cp -rL "$file" "$SYSTEM$(dirname "$file")/"; }
  done
  # The package ca-certificates, which is installed later, writes a bundle of its own.
  [ ! -e "$CERTIFICATES" ] || cp -L "$CERTIFICATES" "$SYSTEM$SYSTEM_CERTIFICATES"
  mount -t proc proc "$SYSTEM/proc"
  cp "$PACKAGES/$2" "$SYSTEM/root/"
}

in_system() {
  env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    PIP_CERT="$SYSTEM_CERTIFICATES" \
    ${PIP_INDEX_URL:+PIP_INDEX_URL="$PIP_INDEX_URL"} ${HTTPS_PROXY:+HTTPS_PROXY="$HTTPS_PROXY"} \
    ${https_proxy:+https_proxy="$https_proxy"} ${HTTP_PROXY:+HTTP_PROXY="$HTTP_PROXY"} ${http_proxy:+http_proxy="$http_proxy"} \
    chroot "$SYSTEM" sh -ec "$1"
}

# try_program PREFIX: as a user would, with a model that ships.
try_program() {
  in_system "cd /root && export PATH=$1/bin:\$PATH
    runner --version
    runner doctor
    runner compress --model llama2-mini --method modegpt --ratio 0.3 --calibration bundled-16x256 --out small
    runner evaluate --model small --protocol bundled-256
    runner $1/share/condense/experiments/smoke.yaml"
}

rm -rf "$PACKAGES"
cmake --workflow --preset packages
ARCHIVE=$(basename "$PACKAGES"/*.tar.gz)
DEB=$(basename "$PACKAGES"/*.deb)

printf '\n== %s\n' "$DEB"
make_system deb "$DEB"
in_system "apt-get -q update && apt-get -q install -y --no-install-recommends /root/$DEB" >"$PACKAGES/deb.log" 2>&1 ||
  { tail -n 20 "$PACKAGES/deb.log" >&2; fail "$DEB could not be installed"; }
try_program /usr
in_system "apt-get -q remove -y condense >/dev/null && test ! -e /usr/lib/condense && test ! -e /usr/bin/runner"
remove_system

printf '\n== %s\n' "$ARCHIVE"
make_system archive "$ARCHIVE"
in_system "cd /root && tar xzf $ARCHIVE && apt-get -q update >/dev/null && ./${ARCHIVE%.tar.gz}/bin/condense-setup" >"$PACKAGES/archive.log" 2>&1 ||
  { tail -n 20 "$PACKAGES/archive.log" >&2; fail "condense-setup of $ARCHIVE failed"; }
try_program "/root/${ARCHIVE%.tar.gz}"
remove_system
printf '\nboth packages install and run: %s/%s, %s/%s\n' "$PACKAGES" "$DEB" "$PACKAGES" "$ARCHIVE"
