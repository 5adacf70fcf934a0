#!/usr/bin/env bash
# Looks for data races: builds the trainer's tests by clang with ThreadSanitizer and runs those that train two models in two threads
# of one process. Leaves with 1 if anything is reported. Installs the packages it lacks (Debian, Ubuntu).
#
#   ./tests/tsan.sh [-b DIRECTORY] [-j JOBS]
#
# DIRECTORY (default build-tsan) is kept, so that the next time is quicker.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tests=(Manners.TwoModelsTrainInTwoThreads)

usage() {
  echo "tsan.sh: $1" >&2
  exit 2
}

directory=$root/build-tsan jobs=$(nproc)
while [ $# -gt 0 ]; do
  case "$1" in
    -b)
      [ -n "${2:-}" ] || usage "-b expects a directory, got none"
      directory=$2
      shift
      ;;
    -j)
      [[ "${2:-}" =~ ^[1-9][0-9]*$ ]] || usage "-j expects a number of jobs of at least 1, got \"${2:-}\""
      jobs=$2
      shift
      ;;
    -h | --help)
      sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *) usage "unknown argument \"$1\"; known are -b DIRECTORY, -j JOBS, --help" ;;
  esac
  shift
done

fail() { # SENTENCE [LOG]
  [ -z "${2:-}" ] || tail -n 200 "$2"
  echo "tsan: FAILED: $1"
  exit 1
}

started=$SECONDS
. "$root/cmake/packages.sh"
tern_need "${tern_test_packages[@]}" clang libclang-rt-dev
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)

# Code without instrumentation (BLAS, the standard library) is not looked into. Newer kernels spread addresses wider than
# ThreadSanitizer of clang 14 can do with; setarch -R keeps them together where it may.
export TSAN_OPTIONS="ignore_noninstrumented_modules=1 halt_on_error=0 exitcode=66"
together=()
setarch "$(uname -m)" -R true 2> /dev/null && together=(setarch "$(uname -m)" -R)

# What reports nothing must be able to: a race made on purpose.
cat > "$directory/race.cpp" << 'EOF'
#include <thread>
int counter = 0;
int main() {
  std::thread other([] { for (int i = 0; i < 1000; ++i) ++counter; });
  for (int i = 0; i < 1000; ++i) ++counter;
  other.join();
}
EOF
clang++ -std=c++20 -O1 -g -fsanitize=thread "$directory/race.cpp" -o "$directory/race" -pthread > "$directory/race.log" 2>&1 ||
  fail "clang++ could not build a program with -fsanitize=thread (above)" "$directory/race.log"
code=0
"${together[@]}" "$directory/race" > "$directory/race.log" 2>&1 || code=$?
if [ "$code" -ne 66 ] || ! grep -q 'WARNING: ThreadSanitizer: data race' "$directory/race.log"; then
  fail "expected a report of a race made on purpose, got exit code $code (above)" "$directory/race.log"
fi

# Without precompiled headers, for which test_train would wait for the whole of test_core.
tern_cmake "$root" "$directory" -DCMAKE_CXX_COMPILER=clang++ -DTERN_SANITIZE=thread \
  -DTERN_BUILD_APPS=OFF -DTERN_BUILD_TESTS=ON -DTERN_ISAS="portable;avx2" -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON \
  -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=6 > "$directory/configure.log" 2>&1 ||
  fail "cmake could not configure $directory (above)" "$directory/configure.log"
cmake --build "$directory" --parallel "$jobs" --target test_train > "$directory/build.log" 2>&1 ||
  fail "the build stopped (above)" "$directory/build.log"
built=$SECONDS

program=$directory/tests/test_train filter=$(IFS=: && echo "${tests[*]}") log=$directory/tests.log code=0
timeout -k 10 1800 "${together[@]}" "$program" --gtest_filter="$filter" > "$log" 2>&1 || code=$?
! grep -q 'WARNING: ThreadSanitizer' "$log" || fail "ThreadSanitizer reports the above" "$log"
[ "$code" -eq 0 ] || fail "expected $filter to pass, got exit code $code (above)" "$log"
# A filter that names nothing passes too.
grep -qE "^\[  PASSED  \] ${#tests[@]} tests?\." "$log" || fail "expected ${#tests[@]} tests of the name $filter, got others (above)" "$log"
echo "tsan: nothing to report (build $((built - started)) s, tests $((SECONDS - built)) s)"
