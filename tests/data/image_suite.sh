#!/usr/bin/env bash
# Compares what decode_image and PIL make of every .png, .jpg and .bmp file under a directory, for suites that do not come with the sources:
#
#   tests/data/image_suite.sh DIR [BUILD]
#
# BUILD (build) has the program test_data; needs python3-pil. Shows each file that only one of them reads; ends with 1 if
# pixels differ.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
directory=$(realpath "$1")
build=$(realpath "${2:-$root/build}")
expected=$(mktemp)
trap 'rm -f "$expected"' EXIT
/usr/bin/python3 "$root/tests/golden/gen/images.py" "$directory" > "$expected"
TERN_IMAGE_SUITE=$directory TERN_IMAGE_SUITE_EXPECTED=$expected "$build/tests/test_data" --gtest_brief=1 --gtest_filter=ImageSuites.ADirectoryOfOnesChoice
