#!/bin/sh
# Downloads CIFAR-10 in its official binary form, verifies it and unpacks it.
#
#   data/get_cifar10.sh [--url URL] [--md5 SUM] [--force] [DIRECTORY]
#
# DIRECTORY (default: data/cifar-10-batches-bin beside this script) receives data_batch_1.bin to data_batch_5.bin,
# test_batch.bin and batches.meta.txt: all of them, or, if anything goes wrong, nothing. An archive that is already on this
# machine can be given as --url file:///PATH. TERN_CIFAR10_URL and TERN_CIFAR10_MD5 do the same as the options.
set -eu

url=${TERN_CIFAR10_URL:-https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz}
md5=${TERN_CIFAR10_MD5:-c32a1d4ab5d03f1284b67883e8d87530}
target=
force=no
files="data_batch_1.bin data_batch_2.bin data_batch_3.bin data_batch_4.bin data_batch_5.bin test_batch.bin batches.meta.txt"

fail() {
  echo "get_cifar10.sh: $1" >&2
  exit "${2:-1}"
}
advise() {
  cat >&2 <<END
Without a network:
  - fetch cifar-10-binary.tar.gz (about 170 MB) on another machine from https://www.cs.toronto.edu/~kriz/cifar.html,
    copy it here and run: data/get_cifar10.sh --url file:///PATH/TO/cifar-10-binary.tar.gz
  - or train on the 5,000 images in data/cifar10_mini, which come with the sources.
END
}
usage() {
  sed -n '2,9s/^# \{0,1\}//p' "$0"
}

while [ $# -gt 0 ]; do
  case $1 in
    --url | --md5)
      [ $# -ge 2 ] || fail "expected a value after $1" 2
      if [ "$1" = --url ]; then url=$2; else md5=$2; fi
      shift 2
      ;;
    --force) force=yes && shift ;;
    -h | --help) usage && exit 0 ;;
    -*) fail "unknown option $1; --help lists them" 2 ;;
    *)
      [ -z "$target" ] || fail "expected one directory, got '$target' and '$1'" 2
      target=$1
      shift
      ;;
  esac
done
[ -n "$target" ] || target=$(cd "$(dirname "$0")" && pwd)/cifar-10-batches-bin
[ -n "$url" ] || fail "expected a URL, got nothing" 2

has_all() {
  for file in $files; do [ -s "$1/$file" ] || return 1; done
}
# Whole files: 10,000 records of 3073 bytes in each of the binary ones.
is_complete() {
  has_all "$1" || return 1
  for file in "$1"/data_batch_[1-5].bin "$1/test_batch.bin"; do
    [ "$(wc -c <"$file" | tr -d ' ')" -eq 30730000 ] || return 1
  done
}
if [ "$force" = no ] && is_complete "$target"; then
  echo "CIFAR-10 is already in $target (--force fetches it again)"
  exit 0
fi

# Everything happens in a directory of its own beside the target, which goes away at the end, however that comes.
parent=$(dirname "$target")
mkdir -p "$parent" || fail "cannot make $parent"
work=$(mktemp -d "$parent/.cifar10.XXXXXX") || fail "cannot write to $parent"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

archive=$work/archive.tar.gz
echo "Downloading $url"
case $url in
  file://*)
    from=${url#file://}
    [ -r "$from" ] || fail "cannot read $from"
    cp "$from" "$archive" || fail "cannot copy $from; is the disk full?"
    ;;
  *)
    if command -v curl >/dev/null 2>&1; then
      progress=--silent
      [ ! -t 2 ] || progress=--progress-bar
      curl --fail --location $progress --show-error --retry 3 --connect-timeout 20 --output "$archive" "$url" || got=no
    elif command -v wget >/dev/null 2>&1; then
      wget --quiet --tries=3 --timeout=20 --output-document="$archive" "$url" || got=no
    else
      echo "get_cifar10.sh: expected curl or wget, found neither; install one of them (Debian: apt-get install curl)" >&2
      advise
      exit 1
    fi
    if [ "${got:-yes}" = no ]; then
      echo "get_cifar10.sh: the download failed: $url" >&2
      advise
      exit 1
    fi
    ;;
esac

if command -v md5sum >/dev/null 2>&1; then
  sum=$(md5sum "$archive" | cut -d ' ' -f 1)
elif command -v md5 >/dev/null 2>&1; then
  sum=$(md5 -q "$archive")
else
  fail "expected md5sum or md5 to verify the download, found neither"
fi
[ "$sum" = "$md5" ] || fail "expected an archive with md5 $md5, got $sum; the download is damaged or another file"

tar -xzf "$archive" -C "$work" || fail "cannot unpack the archive; is the disk full?"
inside=$work/cifar-10-batches-bin
has_all "$inside" || fail "expected cifar-10-batches-bin with $files in the archive, got other content"
for file in $files; do
  case $file in
    *.bin)
      bytes=$(wc -c <"$inside/$file" | tr -d ' ')
      [ $((bytes % 3073)) -eq 0 ] || fail "expected whole records of 3073 bytes in $file, got $bytes bytes"
      ;;
  esac
done

# A new directory appears in one step; in one that is there already, files replace files.
if [ ! -e "$target" ]; then
  mv "$inside" "$target"
else
  for file in $files; do mv -f "$inside/$file" "$target/$file"; done
fi
echo "CIFAR-10 is in $target"
