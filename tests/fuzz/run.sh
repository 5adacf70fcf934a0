#!/usr/bin/env bash
# Runs the libFuzzer programs of a build (TERN_BUILD_FUZZERS) for some seconds each, as many at once as there are processors.
#
#   tests/fuzz/run.sh BUILD SECONDS [TARGET...]
#
# They start from the seeds and the broken files of tests/fuzz/corpus. A crash, a leak, a file that takes more than ten seconds,
# or an allocation of more than 64 MiB ends with 1; the input stays in BUILD/fuzz as crash-*, leak-*, timeout-* or oom-*.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "$1" && pwd) seconds=$2
shift 2
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for program in "$build"/tests/fuzz_*; do [ -x "$program" ] && [ -f "$program" ] && targets+=("$(basename "$program" | sed s/^fuzz_//)"); done
fi
mkdir -p "$build/fuzz"
cd "$build/fuzz"
"$build/tests/fuzz" --write seeds --corpus "$here/corpus"
one() {
  local target=$1
  mkdir -p "found/$target"
  if "$build/tests/fuzz_$target" "found/$target" "seeds/$target" -max_total_time="$seconds" -timeout=10 -malloc_limit_mb=64 \
    -rss_limit_mb=1024 -max_len=65536 -print_final_stats=1 -artifact_prefix="$target-" > "$target.log" 2>&1; then
    echo "fuzz $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$target.log") inputs, nothing found"
  else
    tail -40 "$target.log"
    echo "fuzz $target: FAILED"
    return 1
  fi
}
export -f one
export build seconds
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'one {}'
