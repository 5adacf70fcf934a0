# Sourced by apps/quickstart.sh, tests/run.sh and the other scripts: finds out what a build lacks and installs it.
#
# tern_need PACKAGE...: PACKAGE is what Debian calls it. Tools are tried here, libraries by cmake as the build looks for them
# (TernPackages.cmake has their list), so that what is there by any other way (a compiler of your own, headers in /usr/local)
# counts, and what would not do (a BLAS that is not OpenBLAS, a compiler before C++20) does not. What lacks is installed with
# apt-get as root or with sudo; where neither is possible, says exactly what to install and exits 1.

tern_cmake_directory=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tern_listed() { sed -n "s/^$1(\([^ )]*\).*/\1/p" "$tern_cmake_directory/TernPackages.cmake"; }
mapfile -t tern_libraries < <(tern_listed tern_package && tern_listed tern_test_package)
mapfile -t tern_build_packages < <(printf '%s\n' g++ cmake ninja-build && tern_listed tern_package)
mapfile -t tern_test_packages < <(printf '%s\n' g++ cmake ninja-build "${tern_libraries[@]}")

# tern_links COMPILER...: whether that command makes a program of what Tern needs of a compiler.
tern_links() {
  local program status=0
  program=$(mktemp) || return 1
  "$@" -std=c++20 -pthread "$tern_cmake_directory/probes/cxx20.cpp" -o "$program" > /dev/null 2>&1 || status=1
  rm -f "$program"
  return $status
}

# tern_find_compiler: puts into CXX, for cmake, the compiler that it names already or else the first one here that will do.
tern_find_compiler() {
  local compiler
  if [ -n "${CXX:-}" ]; then
    # shellcheck disable=SC2086  # it may have options
    tern_links $CXX
    return
  fi
  for compiler in c++ g++ g++-{16..11} clang++ clang++-{20..14}; do
    if command -v "$compiler" > /dev/null && tern_links "$compiler"; then
      export CXX=$compiler
      return 0
    fi
  done
  return 1
}

tern_cmake_wanted() { sed -n 's/^cmake_minimum_required(VERSION \([0-9.]*\)).*/\1/p' "$tern_cmake_directory/../CMakeLists.txt"; }
tern_cmake_version() { cmake --version 2> /dev/null | sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p'; }

# tern_missing REASONS PACKAGE...: those that are not there, one a line; what cmake says of libraries is appended to the file REASONS.
# Without tools libraries cannot be tried, and count as missing.
tern_missing() {
  local reasons=$1 package version libraries=() tools=1 compiler=1 scratch
  shift
  tern_find_compiler || compiler=0 tools=0
  for package in "$@"; do
    case "$package" in
      g++) [ "$compiler" -eq 1 ] || echo "$package" ;;
      cmake)
        version=$(tern_cmake_version || true)
        if [ -z "$version" ] || ! printf '%s\n' "$(tern_cmake_wanted)" "$version" | sort -V -C; then
          tools=0
          echo "$package"
        fi
        ;;
      ninja-build)
        if ! ninja --version > /dev/null 2>&1 && ! ninja-build --version > /dev/null 2>&1; then
          tools=0
          echo "$package"
        fi
        ;;
      clang) tern_links clang++ || echo "$package" ;;
      libclang-rt-dev) tern_links clang++ -fsanitize=address,undefined -fsanitize=fuzzer-no-link || echo "$package" ;;
      *)
        if [[ " ${tern_libraries[*]} " == *" $package "* ]]; then
          libraries+=("$package")
        else
          command -v "$package" > /dev/null || echo "$package"
        fi
        ;;
    esac
  done
  [ ${#libraries[@]} -gt 0 ] || return 0
  if [ "$tools" -eq 0 ]; then
    printf '%s\n' "${libraries[@]}"
    return 0
  fi
  scratch=$(mktemp -d)
  if cmake -S "$tern_cmake_directory/probes" -B "$scratch" -G Ninja "-DTERN_PACKAGES=$(IFS=';' && echo "${libraries[*]}")" > "$scratch/log" 2>&1; then
    [ ! -e "$scratch/missing.txt" ] || cat "$scratch/missing.txt"
    [ ! -e "$scratch/reasons.txt" ] || cat "$scratch/reasons.txt" >> "$reasons"
  else
    printf '%s\n' "${libraries[@]}"
    cat "$scratch/log" >> "$reasons"
  fi
  rm -rf "$scratch"
}

# tern_why REASONS PACKAGE...: one sentence for each, of a package that does not help although it is installed now.
tern_why() {
  local reasons=$1 package version
  version=$(tern_cmake_version || true)
  shift
  for package in "$@"; do
    case "$package" in
      g++) echo "No compiler here knows C++20 as Tern needs it${CXX:+ (CXX names \"$CXX\")}: g++ 12 and clang 14 do; CXX may name one." ;;
      cmake) echo "Tern needs cmake $(tern_cmake_wanted) or later, here is ${version:-none}." ;;
      *) echo "$package is installed, and still does not do:" ;;
    esac
  done
  cat "$reasons"
}

tern_need() {
  local missing=() reasons
  reasons=$(mktemp)
  mapfile -t missing < <(tern_missing "$reasons" "$@")
  if [ ${#missing[@]} -gt 0 ]; then
    tern_install "${missing[@]}"
    : > "$reasons"
    mapfile -t missing < <(tern_missing "$reasons" "$@")
    if [ ${#missing[@]} -gt 0 ]; then
      tern_why "$reasons" "${missing[@]}" >&2
      rm -f "$reasons"
      exit 1
    fi
  fi
  rm -f "$reasons"
  tern_find_compiler
}

tern_install() {
  local as_root=()
  if ! command -v apt-get > /dev/null; then
    echo "This needs what Debian 12 calls: $*. Install that with your system's package manager and run this again." >&2
    exit 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo > /dev/null && { [ -t 0 ] || sudo -n true 2> /dev/null; }; then
      as_root=(sudo)
    else
      echo "This needs packages that are not installed. Run, as root:  apt-get update && apt-get install --no-install-recommends $*" >&2
      exit 1
    fi
  fi
  echo "Installing $*"
  # Where a list could not be brought up to date, the packages may be there all the same.
  "${as_root[@]}" apt-get update -qq > /dev/null || true
  if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" > /dev/null; then
    echo "apt-get could not install $*; its messages are above." >&2
    exit 1
  fi
}

# tern_cmake SOURCE DIRECTORY OPTION...: configures a Release build; with Ninja where none has been configured there before.
tern_cmake() {
  local source=$1 directory=$2 generator=()
  shift 2
  [ -e "$directory/build.ninja" ] || [ -e "$directory/Makefile" ] || generator=(--fresh -G Ninja)
  cmake -S "$source" -B "$directory" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release "$@"
}

# tern_configure OPTION...: configures build/ with the kernels that this processor can run (the plain cmake has them all),
# sources compiled several at a time, which takes two thirds of the time.
tern_configure() {
  local isas="portable;avx2;avx2_vnni;avx512_vnni"
  if grep -qs '^flags' /proc/cpuinfo && ! grep -qsw avx512_vnni /proc/cpuinfo; then isas="portable;avx2;avx2_vnni"; fi
  tern_cmake . build -DTERN_ISAS="$isas" -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=6 "$@"
}
