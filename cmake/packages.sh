# Sourced by apps/quickstart.sh and tests/run.sh: finds out what a build lacks and installs it.
#
# tern_need PACKAGE...: PACKAGE is a Debian package name of the list below. What is present by any other way (a compiler of your own,
# headers in /usr/local) counts as present. What lacks is installed with apt-get as root or with sudo; where neither is
# possible, says exactly what to install and exits 1.

tern_has_header() {
  local directory
  for directory in /usr/local/include /usr/include /usr/include/openblas /usr/include/*-linux-gnu /usr/include/*-linux-gnu/openblas*; do
    [ -e "$directory/$1" ] && return 0
  done
  return 1
}

tern_has() {
  case "$1" in
    g++) command -v "${CXX:-g++}" > /dev/null ;;
    cmake) command -v cmake > /dev/null ;;
    ninja-build) command -v ninja > /dev/null ;;
    libopenblas-dev) tern_has_header cblas.h ;;
    libgtest-dev) tern_has_header gtest/gtest.h ;;
    nlohmann-json3-dev) tern_has_header nlohmann/json.hpp ;;
    libpng-dev) tern_has_header png.h ;;
    libjpeg-dev) tern_has_header jpeglib.h ;;
    libclang-rt-14-dev) compgen -G "/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer*.a" > /dev/null ;;
    *) command -v "$1" > /dev/null ;;
  esac
}

tern_need() {
  local package missing=() as_root=()
  for package in "$@"; do tern_has "$package" || missing+=("$package"); done
  [ ${#missing[@]} -eq 0 ] && return 0
  if ! command -v apt-get > /dev/null; then
    echo "This needs what Debian 12 calls: ${missing[*]}. Install that with your system's package manager and run this again." >&2
    exit 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo > /dev/null && { [ -t 0 ] || sudo -n true 2> /dev/null; }; then
      as_root=(sudo)
    else
      echo "This needs packages that are not installed. Run, as root:  apt-get install ${missing[*]}" >&2
      exit 1
    fi
  fi
  echo "Installing ${missing[*]}"
  if ! { "${as_root[@]}" apt-get update -qq &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } > /dev/null; then
    echo "apt-get could not install ${missing[*]}; its messages are above." >&2
    exit 1
  fi
}

# tern_configure OPTION...: configures build/ as a Release build with the kernels that this processor can run (the plain
# cmake has them all), sources compiled several at a time, which takes two thirds of the time; Ninja where the directory is new.
tern_configure() {
  local generator=() isas="portable;avx2;avx512"
  [ -e build/CMakeCache.txt ] || generator=(-G Ninja)
  if grep -qs '^flags' /proc/cpuinfo && ! grep -qsw avx512_bf16 /proc/cpuinfo; then isas="portable;avx2"; fi
  cmake -S . -B build "${generator[@]}" -DCMAKE_BUILD_TYPE=Release -DTERN_ISAS="$isas" -DCMAKE_UNITY_BUILD=ON \
    -DCMAKE_UNITY_BUILD_BATCH_SIZE=6 "$@"
}
