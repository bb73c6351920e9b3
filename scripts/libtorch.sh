# shellcheck shell=bash
# Finds or downloads LibTorch; sourced, after common.sh and pip.sh, by the setup scripts, which set CUDA and
# LIBTORCH_NEEDED.

LIBTORCH=libtorch-2.11.0

# name==version  SHA-256 of the wheel
CPU_WHEELS="\
torch==2.11.0 7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a
nvidia-cuda-runtime==13.0.96 7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
nvidia-cuda-cupti==13.0.85 4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8"

# What libtorch_cuda, libtorch_cuda_linalg and libcaffe2_nvrtc load, in the versions that torch 2.11.0 asks for.
CUDA_WHEELS="\
nvidia-cublas==13.1.0.3 ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171
nvidia-cuda-nvrtc==13.0.88 ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575
nvidia-cudnn-cu13==9.19.0.56 d20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf
nvidia-cufft==12.0.0.61 6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3
nvidia-cufile==1.15.1.6 08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44
nvidia-curand==10.4.0.35 1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc
nvidia-cusolver==12.0.4.66 0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112
nvidia-cusparse==12.6.3.3 2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b
nvidia-cusparselt-cu13==0.8.0 25e30a8a7323935d4ad0340b95a0b69926eee755767e8e0b1cf8dd85b197d3fd
nvidia-nccl-cu13==2.28.9 e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42
nvidia-nvjitlink==13.0.88 13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b
nvidia-nvshmem-cu13==3.4.5 290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80"

# has_version folder 2.11: whether the LibTorch in this folder is of that version, as far as it is given.
has_version() {
  local header numbers
  for header in torch/headeronly/version.h torch/csrc/api/include/torch/version.h; do
    [ -e "$1/include/$header" ] || continue
    numbers=$(awk '/#define TORCH_VERSION_(MAJOR|MINOR|PATCH) / { printf "%s.", $3 }' "$1/include/$header")
    if [ -n "$numbers" ]; then FOUND_VERSION=${numbers%.}; break; fi
  done
  case ${FOUND_VERSION:=unknown}. in "$2".*) ;; *) return 1 ;; esac
}

# Sets EXISTING to the folder of the LibTorch that CMAKE_PREFIX_PATH names; to nothing without one.
find_existing_libtorch() {
  local folder prefixes=${CMAKE_PREFIX_PATH:-}
  EXISTING=
  while IFS= read -r -d ';' folder; do
    if [ ! -e "$folder/lib/libtorch_cpu.so" ] || [ ! -e "$folder/include/ATen/ATen.h" ]; then continue; fi
    FOUND_VERSION=
    has_version "$folder" "$LIBTORCH_NEEDED" ||
      fail "CMAKE_PREFIX_PATH names LibTorch $FOUND_VERSION in $folder, but $LIBTORCH_NEEDED.x is needed" \
        "remove that folder from CMAKE_PREFIX_PATH, so that ${LIBTORCH#libtorch-} is downloaded, or name another one"
    EXISTING=$folder
    return
  done <<<"${prefixes//:/;};"
}

cache_folder() {
  local folder=${CONDENSE_CACHE:-}
  if [ -z "$folder" ]; then
    [ -n "${XDG_CACHE_HOME:-}" ] || [ -n "${HOME:-}" ] || fail "there is no place for LibTorch: neither HOME nor CONDENSE_CACHE is set" \
      "set CONDENSE_CACHE to a folder with 2 GB of room"
    folder=${XDG_CACHE_HOME:-$HOME/.cache}/condense
  fi
  case $folder in
    /*) printf '%s\n' "$folder" ;;
    *) fail "the cache folder $folder is not an absolute path, so CMake would not find it" "set CONDENSE_CACHE to an absolute path" ;;
  esac
}

# unpack wheel folder: the libraries that are loaded, and LibTorch's headers.
unpack() {
  local patterns skipped=()
  case $1 in
    */torch-*)
      patterns=('torch/include/*' torch/version.py torch/lib/libtorch_cpu.so torch/lib/libc10.so 'torch/lib/libgomp*')
      [ -z "$CUDA" ] || patterns+=(torch/lib/libtorch_cuda.so torch/lib/libtorch_cuda_linalg.so torch/lib/libc10_cuda.so
        torch/lib/libtorch_nvshmem.so torch/lib/libcaffe2_nvrtc.so)
      ;;
    */nvidia_cuda_cupti-*) patterns=('nvidia/*/lib/libcupti.so*') ;;
    *)
      patterns=('nvidia/*/lib/*.so*')
      case $1 in
        */nvidia_cublas-*) skipped=(-x '*/libnvblas.so*') ;;
        */nvidia_cuda_nvrtc-*) skipped=(-x '*.alt.so*') ;;
        */nvidia_cufft-*) skipped=(-x '*/libcufftw.so*') ;;
        */nvidia_cusolver-*) skipped=(-x '*/libcusolverMg.so*') ;;
      esac
      ;;
  esac
  unzip -q -o "$1" "${patterns[@]}" "${skipped[@]}" -d "$2" ||
    fail "$(basename "$1") could not be unpacked into $2" "check that the disk is not full"
}

# Fills $cache/$LIBTORCH. What is there stays usable until the new folder takes its place.
install_libtorch() {
  local cache=$1 target=$1/$LIBTORCH wheels=$CPU_WHEELS wheel temporary
  [ -z "$CUDA" ] || wheels+=$'\n'$CUDA_WHEELS
  mkdir -p "$cache" 2>/dev/null || true
  [ -w "$cache" ] || fail "the cache folder $cache cannot be made or written" \
    "make it writable, or set CONDENSE_CACHE to another folder"

  exec 9>"$cache/.lock"
  flock -n 9 || { printf 'LibTorch: waiting for another setup\n'; flock 9; }
  if complete "$target" "$wheels"; then return; fi
  if [ -n "${SUDO_USER:-}" ] && [ "$(id -u)" -eq 0 ]; then
    warn "LibTorch goes to $cache, where $SUDO_USER's builds will not look: run this as $SUDO_USER, without sudo"
  fi
  find_pip LibTorch
  check_room "$([ -n "$CUDA" ] && echo 6500 || echo 1300)" "$cache" LibTorch \
    "free some room, or set CONDENSE_CACHE to a folder on another disk"

  temporary=$(mktemp -d "$cache/.$LIBTORCH.XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$temporary'" EXIT
  trap 'exit 130' INT TERM HUP
  mkdir "$temporary/wheels" "$temporary/tree"
  while IFS= read -r wheel; do
    printf 'LibTorch: downloading %s\n' "${wheel% *}"
    download "$wheel" "$temporary/wheels" \
      "or name a LibTorch $LIBTORCH_NEEDED.x that you have: CMAKE_PREFIX_PATH=/path/to/libtorch"
    unpack "$(ls "$temporary"/wheels/*.whl)" "$temporary/tree"
    rm -f "$temporary"/wheels/*.whl
  done <<<"$wheels"
  local unresolved
  unresolved=$(ldd "$temporary/tree/torch/lib/libtorch_cpu.so" 2>&1 | awk '/not found/ { print $1 }' | sort -u | tr '\n' ' ')
  [ -z "$unresolved" ] || fail "LibTorch needs libraries that this system does not have: $unresolved" \
    "LibTorch 2.11.0 is made for glibc 2.28 and newer"
  printf '%s\n' "$wheels" >"$temporary/tree/.complete"
  chmod -R u=rwX,go=rX "$temporary/tree"

  if [ -e "$target" ]; then mv "$target" "$temporary/replaced"; fi
  mv -T "$temporary/tree" "$target"
  rm -rf "$temporary"
  trap - EXIT INT TERM HUP
  printf 'LibTorch: %s%s is in %s\n' "${LIBTORCH#libtorch-}" "${CUDA:+ with CUDA}" "$target"
}

# complete folder wheels: whether all these wheels were unpacked there.
complete() {
  local wheel
  [ -e "$1/.complete" ] && [ -e "$1/torch/lib/libtorch_cpu.so" ] || return 1
  while IFS= read -r wheel; do
    grep -Fxq "$wheel" "$1/.complete" || return 1
  done <<<"$2"
  # The GPU libraries of the torch wheel are unpacked only on request.
  [ -z "$CUDA" ] || [ -e "$1/torch/lib/libtorch_cuda.so" ]
}

# Sets LIBTORCH_FOLDER to a folder with LibTorch in lib/ and include/, downloading it where needed.
libtorch() {
  local cache
  find_existing_libtorch
  if [ -n "$EXISTING" ]; then
    LIBTORCH_FOLDER=$EXISTING
    say "LibTorch: using $EXISTING, which CMAKE_PREFIX_PATH names"
    [ -z "$CUDA" ] || [ -e "$EXISTING/lib/libtorch_cuda.so" ] || warn "that LibTorch has no GPU back end (libtorch_cuda.so)"
    return
  fi
  [ "$(uname -s)/$(uname -m)" = Linux/x86_64 ] || fail "the pinned LibTorch is for Linux on x86-64; this is $(uname -s) on $(uname -m)" \
    "unpack a LibTorch $LIBTORCH_NEEDED.x for this machine and name its folder: CMAKE_PREFIX_PATH=/path/to/libtorch"
  cache=$(cache_folder)
  # shellcheck disable=SC2034
  LIBTORCH_FOLDER=$cache/$LIBTORCH/torch
  # A CPU-only request is served by a folder that holds the GPU libraries as well.
  if complete "$cache/$LIBTORCH" "$CPU_WHEELS${CUDA:+$'\n'$CUDA_WHEELS}"; then
    say "LibTorch: ${LIBTORCH#libtorch-}${CUDA:+ with CUDA} present in $cache/$LIBTORCH"
    return
  fi
  install_libtorch "$cache"
}
