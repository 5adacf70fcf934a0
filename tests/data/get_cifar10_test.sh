#!/bin/sh
# data/get_cifar10.sh against archives on this machine. Usage: get_cifar10_test.sh PATH/TO/get_cifar10.sh
set -eu
script=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

check() {  # check DESCRIPTION COMMAND...
  what=$1
  shift
  if "$@"; then echo "ok: $what"; else
    echo "FAILED: $what"
    failures=$((failures + 1))
  fi
}
run() {  # run ARGUMENTS...: sets status and output
  status=0
  output=$("$script" "$@" 2>&1) || status=$?
}
says() { case $output in *"$1"*) true ;; *) echo "  output was: $output" && false ;; esac }
nothing_left() { [ -z "$(ls -A "$work/$1" 2>/dev/null)" ]; }

# An archive like the real one, with two records a file.
make_archive() {  # make_archive NAME BYTES
  mkdir -p "$work/$1/cifar-10-batches-bin"
  for i in 1 2 3 4 5; do head -c "$2" /dev/zero >"$work/$1/cifar-10-batches-bin/data_batch_$i.bin"; done
  head -c "$2" /dev/zero >"$work/$1/cifar-10-batches-bin/test_batch.bin"
  echo airplane >"$work/$1/cifar-10-batches-bin/batches.meta.txt"
  tar -czf "$work/$1.tar.gz" -C "$work/$1" cifar-10-batches-bin
}
sum_of() { md5sum "$work/$1.tar.gz" | cut -d ' ' -f 1; }
make_archive good 6146
make_archive ragged 6147
mkdir -p "$work/other/cifar-10-batches-bin" && echo x >"$work/other/cifar-10-batches-bin/readme"
tar -czf "$work/other.tar.gz" -C "$work/other" cifar-10-batches-bin
head -c 300 "$work/good.tar.gz" >"$work/cut.tar.gz"

mkdir "$work/a"
run --url "file://$work/good.tar.gz" --md5 "$(sum_of good)" "$work/a/cifar"
check "a good archive succeeds" [ "$status" -eq 0 ]
check "and is unpacked" [ "$(cat "$work/a/cifar/"*.bin | wc -c)" -eq 36876 ]
check "with nothing beside it" [ "$(ls -A "$work/a")" = cifar ]
check "and with the usual access rights" [ -r "$work/a/cifar/test_batch.bin" ]

run --url "file://$work/missing.tar.gz" "$work/a/cifar"
check "files of another size than the official ones are fetched again" [ "$status" -eq 1 ]
check "and not taken for the data" says "cannot read $work/missing.tar.gz"
mkdir "$work/whole"
for file in data_batch_1 data_batch_2 data_batch_3 data_batch_4 data_batch_5 test_batch; do
  truncate -s 30730000 "$work/whole/$file.bin"
done
echo airplane >"$work/whole/batches.meta.txt"
run --url "file://$work/missing.tar.gz" "$work/whole"
check "data that is there is not fetched again" [ "$status" -eq 0 ]
check "and says so" says "already in"
truncate -s 30729999 "$work/whole/test_batch.bin"
run --url "file://$work/missing.tar.gz" "$work/whole"
check "a truncated file is fetched again" [ "$status" -eq 1 ]

run --force --url "file://$work/ragged.tar.gz" --md5 "$(sum_of ragged)" "$work/a/cifar"
check "broken records are refused" [ "$status" -eq 1 ]
check "with a reason" says "expected whole records of 3073 bytes in data_batch_1.bin, got 6147 bytes"
check "and the old files stay" [ "$(cat "$work/a/cifar/"*.bin | wc -c)" -eq 36876 ]

mkdir "$work/b"
run --url "file://$work/good.tar.gz" "$work/b/cifar"
check "another checksum than the official one is refused" [ "$status" -eq 1 ]
check "with both sums" says "expected an archive with md5 c32a1d4ab5d03f1284b67883e8d87530, got $(sum_of good)"
run --url "file://$work/cut.tar.gz" --md5 "$(sum_of cut)" "$work/b/cifar"
check "a cut archive is refused" [ "$status" -eq 1 ]
run --url "file://$work/other.tar.gz" --md5 "$(sum_of other)" "$work/b/cifar"
check "an archive of something else is refused" [ "$status" -eq 1 ]
run --url "file://$work/missing.tar.gz" "$work/b/cifar"
check "a missing archive is refused" [ "$status" -eq 1 ]
check "with its path" says "cannot read $work/missing.tar.gz"
check "no refusal leaves anything behind" nothing_left b

run --md5
check "an option without its value is a usage error" [ "$status" -eq 2 ]
run --speed
check "and so is an unknown option" [ "$status" -eq 2 ]
run --help
check "help succeeds" [ "$status" -eq 0 ]
check "and explains" says "TERN_CIFAR10_URL"

# Without a network: curl and wget that fail, and neither of them.
mkdir "$work/bin" "$work/c"
for tool in sh cat mkdir mktemp rm cp mv ls sed dirname md5sum cut tar gzip wc tr head; do
  path=$(command -v $tool) && ln -s "$path" "$work/bin/$tool"
done
status=0
output=$(PATH="$work/bin" "$work/bin/sh" "$script" "$work/c/cifar" 2>&1) || status=$?
check "without curl and wget it fails" [ "$status" -eq 1 ]
check "and says what to install" says "expected curl or wget, found neither"
check "and what to do without a network" says "--url file:///PATH/TO/cifar-10-binary.tar.gz"
check "and leaves nothing behind" nothing_left c
for tool in wget curl; do  # curl comes first where both exist
  printf '#!/bin/sh\nfor a in "$@"; do case $a in --output-document=*) echo half >"${a#*=}" ;; esac; done\nexit 6\n' >"$work/bin/$tool"
  chmod +x "$work/bin/$tool"
  status=0
  output=$(PATH="$work/bin" "$work/bin/sh" "$script" "$work/c/cifar" 2>&1) || status=$?
  check "a failed $tool is a failure" [ "$status" -eq 1 ]
  check "that says what to do without a network" says "--url file:///PATH/TO/cifar-10-binary.tar.gz"
  check "and leaves nothing behind" nothing_left c
done
# curl and wget that succeed, and the environment instead of options.
printf '#!/bin/sh\nwhile [ "$1" != --output ]; do shift; done\ncp "%s" "$2"\n' "$work/good.tar.gz" >"$work/bin/curl"
status=0
output=$(PATH="$work/bin" TERN_CIFAR10_MD5=$(sum_of good) TERN_CIFAR10_URL=https://example.org/x \
  "$work/bin/sh" "$script" "$work/c/cifar" 2>&1) || status=$?
check "curl's file is used" [ "$status" -eq 0 ]
check "under the URL of the environment" says "Downloading https://example.org/x"
check "and unpacked" [ -s "$work/c/cifar/test_batch.bin" ]
rm "$work/bin/curl"
printf '#!/bin/sh\nfor a in "$@"; do case $a in --output-document=*) cp "%s" "${a#*=}" ;; esac; done\n' "$work/good.tar.gz" >"$work/bin/wget"
status=0
output=$(PATH="$work/bin" TERN_CIFAR10_MD5=$(sum_of good) "$work/bin/sh" "$script" --force "$work/c/cifar" 2>&1) || status=$?
check "wget's file is used" [ "$status" -eq 0 ]

if [ "$failures" -gt 0 ]; then
  echo "$failures checks failed"
  exit 1
fi
echo "all checks passed"
