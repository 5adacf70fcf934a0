#!/usr/bin/env bash
# Looks whether the tests notice mistakes: makes them one at a time (NN_NAME.patch beside this script, each a mutant of one
# source), builds the test program that the mutant names and runs it. A mutant whose tests pass has survived: a test is missing.
#
#   ./tests/mutants/run.sh [-b DIRECTORY] [-j JOBS] [--check | --list] [MUTANT ...]
#
# MUTANT is a name with or without its number; none means all. The tracked files of the working tree are copied to DIRECTORY
# (default build-mutants; kept, so that the next time is quicker) and changed only there. --check looks only whether every
# patch fits the sources, --list says what the mutants are. Leaves with 1 if one survived, with 2 if one could not be tried.
#
# A mutant begins with a sentence that says what goes wrong, and a line "test: PROGRAM [FILTER]" with the test program
# (core: test_core) and, where that takes long, GoogleTest's filter for the part of it that is about the mutated code.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

stop() {
  echo "mutants: $1" >&2
  exit 2
}

directory=$root/build-mutants jobs=$(nproc) mode=run wanted=()
while [ $# -gt 0 ]; do
  case "$1" in
    -b)
      [ -n "${2:-}" ] || stop "-b expects a directory, got none"
      directory=$2
      shift
      ;;
    -j)
      [[ "${2:-}" =~ ^[1-9][0-9]*$ ]] || stop "-j expects a number of jobs of at least 1, got \"${2:-}\""
      jobs=$2
      shift
      ;;
    --check) mode=check ;;
    --list) mode=list ;;
    -h | --help)
      sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    -*) stop "unknown argument \"$1\"; known are -b DIRECTORY, -j JOBS, --check, --list, --help and names of mutants" ;;
    *) wanted+=("$1") ;;
  esac
  shift
done

mutants=()
for patch in "$here"/*.patch; do
  name=$(basename "$patch" .patch)
  [ ${#wanted[@]} -eq 0 ] && mutants+=("$name")
  for one in "${wanted[@]}"; do
    if [ "$one" = "$name" ] || [ "$one" = "${name#[0-9][0-9]_}" ]; then mutants+=("$name"); fi
  done
done
[ ${#mutants[@]} -ge ${#wanted[@]} ] && [ ${#mutants[@]} -gt 0 ] || stop "expected names of mutants (--list has them), got ${wanted[*]}"

sentence_of() { sed -n 1p "$here/$1.patch"; }
test_of() { sed -n 's/^test: //p' "$here/$1.patch"; }  # PROGRAM [FILTER]
file_of() { sed -n 's,^+++ b/,,p' "$here/$1.patch"; }
# git_apply DIRECTORY ARGUMENT...: a patch for files that belong to no repository, whatever lies around them.
git_apply() { env -u GIT_DIR -u GIT_WORK_TREE GIT_CEILING_DIRECTORIES="$(dirname "$1")" git -C "$1" apply "${@:2}"; }

for name in "${mutants[@]}"; do
  [[ "$(test_of "$name")" =~ ^[a-z_]+(\ [^\ ]+)?$ ]] || stop "expected a line \"test: PROGRAM [FILTER]\" in $name.patch"
  [ -f "$root/$(file_of "$name")" ] || stop "expected $name.patch to change one file of the sources, got \"$(file_of "$name")\""
done

if [ "$mode" = list ]; then
  for name in "${mutants[@]}"; do printf '%-32s %s\n' "$name" "$(sentence_of "$name")"; done
  exit 0
fi

if [ "$mode" = check ]; then
  copy=$(mktemp -d)
  trap 'rm -rf "$copy"' EXIT
  bad=0
  for name in "${mutants[@]}"; do
    file=$(file_of "$name")
    mkdir -p "$copy/$(dirname "$file")"
    cp "$root/$file" "$copy/$file"
    git_apply "$copy" "$here/$name.patch" 2> /dev/null && ! cmp -s "$root/$file" "$copy/$file" && continue
    echo "mutants: $name.patch does not fit $file any more; make it anew"
    bad=2
  done
  [ "$bad" -ne 0 ] || echo "mutants: all ${#mutants[@]} fit the sources"
  exit $bad
fi

# -- the copy of the sources, and what is built of it without a mutant

command -v git > /dev/null || stop "expected git, which is not installed (Debian: git)"
git -C "$root" rev-parse --is-inside-work-tree > /dev/null 2>&1 || stop "expected the sources in a git working tree, got $root"
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
[ "$directory" != "$root" ] || stop "expected a directory other than that of the sources"
declare -A tracked=()
while IFS= read -r -d '' file; do
  [ -f "$root/$file" ] || continue
  tracked["$file"]=1
  cmp -s "$root/$file" "$directory/$file" && continue
  mkdir -p "$directory/$(dirname "$file")"
  cp "$root/$file" "$directory/$file"
done < <(git -C "$root" ls-files -z)
while IFS= read -r -d '' file; do
  [ -n "${tracked["$file"]:-}" ] || rm "$directory/$file"
done < <(cd "$directory" && find . -path ./build -prune -o -type f -printf '%P\0')
cd "$directory"

. cmake/packages.sh
tern_need "${tern_test_packages[@]}"
mkdir -p build
# One source at a time, so that a mutant costs one; the kernels that run on any processor of today.
tern_configure -DTERN_ISAS="portable;avx2" -DCMAKE_UNITY_BUILD=OFF -DTERN_BUILD_TESTS=ON -DTERN_BUILD_APPS=OFF \
  > build/configure.log 2>&1 || { cat build/configure.log && stop "cmake could not configure $directory/build (above)"; }

# run_tests PROGRAM FILTER SECONDS LOG: threads that wait sleep, for the tests also ask for more than there are cores.
run_tests() {
  env -u TERN_TEST_DATA OMP_WAIT_POLICY=passive GTEST_FAIL_FAST=1 GTEST_COLOR=no timeout -k 10 "$3" "build/tests/test_$1" --gtest_filter="$2" > "$4" 2>&1
}

started=$SECONDS
targets=()
for name in "${mutants[@]}"; do
  read -r program filter < <(test_of "$name")
  [[ " ${targets[*]} " == *" test_$program "* ]] || targets+=("test_$program")
done
echo "mutants: building ${targets[*]} as they are"
cmake --build build --parallel "$jobs" --target "${targets[@]}" > build/build.log 2>&1 ||
  { tail -n 40 build/build.log && stop "the build stopped (above)"; }
declare -A usual=()  # seconds, by program and filter
for name in "${mutants[@]}"; do
  read -r program filter < <(test_of "$name")
  filter=${filter:-*}
  [ -z "${usual["$program $filter"]:-}" ] || continue
  before=$SECONDS
  run_tests "$program" "$filter" 600 build/tests.log && grep -q '^\[  PASSED  \] [1-9]' build/tests.log ||
    { tail -n 40 build/tests.log && stop "expected test_$program --gtest_filter='$filter' to pass without a mutant (above)"; }
  usual["$program $filter"]=$((SECONDS - before))
done
echo "mutants: built, and their tests pass ($((SECONDS - started)) s)"

# -- the mutants

rows=() killed=0 survived=0 untried=0 number=0
for name in "${mutants[@]}"; do
  number=$((number + 1)) before=$SECONDS
  read -r program filter < <(test_of "$name")
  filter=${filter:-*} file=$(file_of "$name")
  cp "$file" build/original
  if ! git_apply "$directory" "$here/$name.patch" 2> build/apply.log || cmp -s "$file" build/original; then
    untried=$((untried + 1)) what="NOT TRIED: the patch does not fit $file any more; make it anew"
  elif ! cmake --build build --parallel "$jobs" --target "test_$program" > build/build.log 2>&1; then
    cp build/build.log "build/$name.log"
    untried=$((untried + 1)) what="NOT TRIED: it does not compile (build/$name.log)"
  else
    code=0
    run_tests "$program" "$filter" $((30 + 5 * usual["$program $filter"])) build/tests.log 2> /dev/null || code=$?
    test=$(sed -n '/^\[  FAILED  \] /{s/^\[  FAILED  \] //;s/[ ,].*//;p;q}' build/tests.log)
    running=$(sed -n 's/^\[ RUN      \] //p' build/tests.log | tail -n 1)
    case $code in
      0) survived=$((survived + 1)) what="SURVIVED" ;;
      1) killed=$((killed + 1)) what=$test ;;
      124 | 137) killed=$((killed + 1)) what="$running (never ended)" ;;
      *) killed=$((killed + 1)) what="${test:-$running} (crashed)" ;;
    esac
  fi
  cp build/original "$file"
  seconds=$((SECONDS - before))
  rows+=("$(printf '%-32s %-34s %-9s %4d s  %s' "$name" "$file" "$program" "$seconds" "$what")")
  printf '%2d/%d %-32s %4d s  %s\n' "$number" "${#mutants[@]}" "$name" "$seconds" "$what"
done

printf '\n%-32s %-34s %-9s %6s  %s\n' mutant file tests time "killed by"
printf '%s\n' "${rows[@]}"
echo "mutants: $killed of ${#mutants[@]} killed, $survived survived, $untried not tried ($((SECONDS - started)) s)"
[ "$untried" -eq 0 ] || exit 2
[ "$survived" -eq 0 ]
