#!/usr/bin/env bash
# Line coverage of every room by the whole suite, with gcovr, in build-coverage/. Exits 1 if one is below what we ask of it.
#
#   ./tests/coverage.sh [-j JOBS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. cmake/packages.sh

jobs=$(nproc)
if [ "${1:-}" = -j ]; then jobs=${2:?"coverage.sh: -j expects a number of jobs"}; fi
tern_need "${tern_test_packages[@]}" gcovr

tern_cmake . build-coverage -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS="-O1 --coverage" -DTERN_BUILD_APPS=ON \
  -DTERN_BUILD_TESTS=ON -DTERN_ISAS="portable;avx2" -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=6 > /dev/null
cmake --build build-coverage --parallel "$jobs"
find build-coverage -name '*.gcda' -delete
ctest --test-dir build-coverage --parallel "$jobs" --output-on-failure -R '^(core|op_table_[0-9]|nn|quant|optim|data|train|apps|fuzz)$'

room() { # NAME LEAST: lines of that directory
  gcovr --root . --object-directory build-coverage --gcov-ignore-parse-errors --filter "$1/" --fail-under-line "$2" -j "$jobs" \
    --json-summary build-coverage/"$1.json" build-coverage 2> build-coverage/gcovr.log || {
    echo "coverage: $1 is below $2 %"
    return 1
  }
  echo "$1 $(sed -n 's/.*"line_percent": *\([0-9.]*\).*/\1/p' "build-coverage/$1.json") %"
}
failed=0
for name in core quant; do room "$name" 90 || failed=1; done
for name in nn optim data apps; do room "$name" 85 || failed=1; done
exit "$failed"
