#!/usr/bin/env bash
# docs/torch_names.md names every layer of nn/layers and every function of nn/functional.h, in sorted tables.
# torch_names_test.sh DIRECTORY
set -uo pipefail
cd "$1" || exit 2
page=docs/torch_names.md
failed=0
fail() {
  printf '%s: %s\n' "$page" "$1"
  failed=1
}
rows() { awk -F'|' -v section="## $1" '/^## / { inside = $0 == section } inside && /^\|/ && !/---/ && !/\| torch/' "$page"; }

# Classes with a base, but for those that others derive from.
declarations=$(grep -hE '^(class|struct) [A-Z][A-Za-z0-9]*( final)? : ' nn/layers/*.h)
bases=$(sed 's/^[^:]* : //' <<<"$declarations" | grep -oE '[A-Z][A-Za-z0-9]*' | sort -u)
layers=$(awk '{ print $2 }' <<<"$declarations" | sort -u | comm -23 - <(printf '%s\n' "$bases"))
[ "$(wc -l <<<"$layers")" -gt 50 ] || fail "expected more than 50 layers in nn/layers, got $(wc -l <<<"$layers")"
functions=$(sed -n 's/^using tern::\(.*\);$/\1/p' nn/functional.h)
[ "$(wc -l <<<"$functions")" -gt 50 ] || fail "expected more than 50 functions in nn/functional.h"
named=$(awk -F'|' '/^\|/ { print $3 }' "$page" | grep -oE '`[A-Za-z0-9_:]+`' | tr -d '`')
for name in $(sed 's/^/nn::/' <<<"$layers") $functions; do
  grep -qxF -- "$name" <<<"$named" || fail "expected a row that names \`$name\`"
done

for section in torch.nn torch.nn.functional torch; do
  names=$(rows "$section" | awk -F'|' '{ print $2 }' | tr -d ' ')
  [ -n "$names" ] || fail "expected rows under \"$section\""
  LC_ALL=C sort -u -C <<<"$names" || fail "expected the rows of \"$section\" sorted, each name once, got $(LC_ALL=C sort -c <<<"$names" 2>&1)"
done
exit $failed
