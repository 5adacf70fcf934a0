#!/usr/bin/env bash
# Builds everything into build/ and runs every test. Installs the packages it lacks (Debian, Ubuntu).
#
#   ./tests/run.sh [--long] [-j JOBS] [--configure]
#
# --long adds the long tests (ctest label "long"): more fuzzing and kills, mutants, data races (tests/tsan.sh). Tests that need the full
# data sets run when TERN_TEST_DATA names their directory and are skipped otherwise. TERN_DEV=ON makes warnings errors.
# --configure stops once the packages are there and build/ is configured.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. cmake/packages.sh

jobs=$(nproc)
selection=(-LE long) configure=0
while [ $# -gt 0 ]; do
  case "$1" in
    --long) selection=() ;;
    --configure) configure=1 ;;
    -j)
      if ! [[ "${2:-}" =~ ^[1-9][0-9]*$ ]]; then
        echo "run.sh: -j expects a number of jobs of at least 1, got \"${2:-}\"" >&2
        exit 2
      fi
      jobs=$2
      shift
      ;;
    -h | --help)
      sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *)
      echo "run.sh: unknown argument \"$1\"; known are --long, -j JOBS, --configure, --help" >&2
      exit 2
      ;;
  esac
  shift
done

if [ -n "${TERN_TEST_DATA:-}" ]; then
  if [ ! -d "$TERN_TEST_DATA" ]; then
    echo "run.sh: TERN_TEST_DATA names \"$TERN_TEST_DATA\", which is not a directory" >&2
    exit 2
  fi
  TERN_TEST_DATA=$(cd "$TERN_TEST_DATA" && pwd)
  export TERN_TEST_DATA
fi

started=$SECONDS
tern_need "${tern_test_packages[@]}"
installed=$SECONDS

fail() {
  echo "tests: FAILED: $1"
  exit 1
}

mkdir -p build
tern_configure -DTERN_BUILD_APPS=ON -DTERN_BUILD_TESTS=ON -DTERN_DEV="${TERN_DEV:-OFF}" > build/configure.log 2>&1 || {
  cat build/configure.log
  fail "cmake could not configure build/ (above)"
}
if [ "$configure" -eq 1 ]; then
  echo "tests: configured (packages $((installed - started)) s)"
  exit 0
fi
cmake --build build --parallel "$jobs" || fail "the build stopped (above)"
built=$SECONDS

ctest --test-dir build --parallel "$jobs" --output-on-failure --no-tests=error "${selection[@]}" || fail "see the list above"
ended=$SECONDS
echo "tests: all passed (packages $((installed - started)) s, build $((built - installed)) s, tests $((ended - built)) s)"
