#!/usr/bin/env bash
# Runs the commands between "commands: begin" and "commands: end" in README.md, as they stand but with a few steps of training, in
# a directory of its own.
#
#   commands_test.sh SOURCE BUILD WORK
set -euo pipefail
source=$(cd "$1" && pwd) build=$(cd "$2" && pwd) work=$3
rm -rf "$work"
mkdir -p "$work"
cd "$work"
ln -s "$build" build
mkdir apps
ln -s "$source/apps/configs" apps/configs
head -c 20000 "$source/README.md" > text.txt
commands=$(sed -n '/<!-- commands: begin -->/,/<!-- commands: end -->/p' "$source/README.md" | sed '/^<!--/d; /^```/d')
[ "$(grep -c . <<< "$commands")" -eq 5 ] || {
  echo "commands_test: expected five commands in README.md, got: $commands"
  exit 1
}
short="--set steps=4 eval_every=2 sample.every=0 sample.tokens=20 schedule.warmup_steps=1 data.context=32 data.batch_size=2"
while read -r command; do
  case "$command" in
    *train_lm*) command="$command $short" ;;
  esac
  echo "+ $command"
  bash -euo pipefail -c "$command"
done <<< "$commands"
[ -s runs/ternary/packed.safetensors ] && [ -s runs/ternary/report.html ]
