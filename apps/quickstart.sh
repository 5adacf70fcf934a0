#!/usr/bin/env bash
# From a clone to a compressed network in a few minutes: installs the packages it lacks (Debian, Ubuntu), builds the programs
# into build/, trains ResNet-20 with CoDeQ at 4 bits on CIFAR-10, and shows what came of it.
#
#   ./apps/quickstart.sh [--out DIR] [--configure] [-- ARGUMENTS OF train_classifier]
#
# --configure stops once the packages are there and build/ is configured.
# Uses the full data set in data/cifar-10-batches-bin if it is there (data/get_cifar10.sh fetches it), and otherwise the images
# that ship in data/cifar10_mini.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. cmake/packages.sh

out=runs/quickstart configure=0
while [ $# -gt 0 ]; do
  case "$1" in
    --out)
      if [ -z "${2:-}" ]; then
        echo "quickstart.sh: expected a directory after --out, got nothing" >&2
        exit 2
      fi
      out=$2
      shift
      ;;
    --configure) configure=1 ;;
    --)
      shift
      break
      ;;
    -h | --help)
      sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *)
      echo "quickstart.sh: unknown argument \"$1\"; known are --out DIR, --configure, --help, and -- before arguments of train_classifier" >&2
      exit 2
      ;;
  esac
  shift
done

tern_need "${tern_build_packages[@]}"
started=$SECONDS

mkdir -p build
if ! tern_configure -DTERN_BUILD_APPS=ON > build/configure.log 2>&1; then
  cat build/configure.log
  echo "quickstart: FAILED: cmake could not configure build/ (above)"
  exit 1
fi
if [ "$configure" -eq 1 ]; then
  echo "quickstart: configured"
  exit 0
fi
cmake --build build --parallel "$(nproc)" --target train_classifier eval || {
  echo "quickstart: FAILED: the build stopped (above)"
  exit 1
}
built=$SECONDS

if [ -e data/cifar-10-batches-bin/data_batch_1.bin ]; then
  data=data/cifar-10-batches-bin
  echo "Training on the full CIFAR-10 in $data (50,000 images; the time grows accordingly)."
else
  data=data/cifar10_mini
  echo "Training on the subset of CIFAR-10 that ships in $data; data/get_cifar10.sh fetches the full set for better accuracy."
fi
build/apps/train_classifier --config apps/configs/quickstart.json --data "$data" --out "$out" --overwrite "$@" || {
  echo "quickstart: FAILED: the training stopped (above)"
  exit 1
}
echo "quickstart: done in $((SECONDS - started)) s (build $((built - started)) s); weights, log and configuration are in $out;"
echo "            open $out/report.html in a browser to see them"
echo "            try: build/apps/eval --weights $out/last.safetensors --data $data"
