#!/bin/bash
# Usage: run.sh WORK COMPILER FLAG...
# Compiles the pieces of tests/idioms/*.txt against the headers. A piece begins with a line "== NAME" and may say on the
# next line "expect: WORDS": it must then fail to compile, with these words in the compiler's first error, and say no
# more than one error. Other pieces must compile. The header is compiled once.
set -u
work=$1 compiler=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$work" && mkdir -p "$work/include" || exit 2
"$compiler" "$@" -w -x c++-header -o "$work/include/all.h.gch" "$here/all.h" || exit 1
cp "$here/all.h" "$work/include/all.h"
awk -v work="$work" 'FNR == 1 { name = "" } /^== / { name = work "/" $2 ".cpp"; print "#include \"all.h\"\nusing namespace tern;" > name; next }
  /^expect: / { print substr($0, 9) > (name ".expect"); next } name != "" { print > name }' "$here"/*.txt
failed=0
for source in "$work"/*.cpp; do
  name=$(basename "$source" .cpp)
  "$compiler" -I"$work/include" "$@" -fsyntax-only -w "$source" > "$source.log" 2>&1
  status=$?
  first=$(grep -m 1 'error:' "$source.log")
  errors=$(grep 'error:' "$source.log" | sort -u | wc -l)
  if [ -f "$source.expect" ]; then
    words=$(cat "$source.expect")
    if [ $status -eq 0 ]; then
      echo "$name: expected an error with \"$words\", got none" && failed=1
    elif ! grep -qF -- "$words" <<< "$first" || [ "$errors" -ne 1 ]; then
      echo "$name: expected one error with \"$words\", got $errors:" && cat "$source.log" && failed=1
    fi
  elif [ $status -ne 0 ]; then
    echo "$name: expected it to compile, got:" && cat "$source.log" && failed=1
  fi
done
[ $failed -eq 0 ] && echo "$(ls "$work"/*.cpp | wc -l) pieces as expected"
exit $failed
