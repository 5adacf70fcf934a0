#!/usr/bin/env bash
# The rules that hold for the sources as texts: what may be included where, what the library never calls, ASCII, length of files.
# sources_test.sh DIRECTORY
set -uo pipefail
shopt -s lastpipe  # so that a rule at the end of a pipe can set a variable
cd "$1" || exit 2
failed=0
# rule SENTENCE, then lines that break it on standard input
rule() {
  local found
  found=$(cat)
  [ -z "$found" ] && return
  printf 'sources: %s:\n%s\n' "$1" "$found"
  failed=1
}
rooms="core nn quant optim data apps tests"
library="core nn quant optim data apps/train"
sources() { find "$@" -type f \( -name '*.h' -o -name '*.cpp' \); }

grep -nE '#include <(nlohmann|png\.h|jpeglib|jerror|cblas|CLI|fmt|hwy|benchmark)' $(find $library -name '*.h') | rule "third-party headers stay in sources"
grep -ln '#include <cblas.h>' $(sources $rooms) | grep -v '^core/linalg/blas.cpp$' | rule "core/linalg/blas.cpp alone includes cblas.h"
grep -ln '#include <png.h>' $(sources $rooms) | grep -vE '^(data/detail/read_png|apps/train/insight/classification_report|tests/data/image_writer).cpp$' | rule "PNG files have one reader and one writer"
grep -ln '#include <jpeglib.h>' $(sources $rooms) | grep -vE '^(data/detail/read_jpeg|tests/data/image_writer).cpp$' | rule "data/detail/read_jpeg.cpp alone includes jpeglib.h"
grep -ln '#include <nlohmann/' $(sources $library) | grep -v '^core/io/json.cpp$' | rule "core/io/json.cpp alone includes nlohmann's JSON"
grep -nE '#include [<"]tern/(nn|quant|optim|data|train)/' $(sources core) | rule "core sees no other room"
grep -nE '#include [<"]tern/(quant|optim|data|train)/' $(sources nn) | rule "nn sees core alone"
grep -nE '#include [<"]tern/(optim|data|train)/' $(sources quant) | rule "quant sees nn and core alone"
grep -nE '#include [<"]tern/(nn|quant)/' $(sources quant/packed quant/kernels) | grep -vE '<tern/quant/(packed|kernels)/' |
  rule "quant/packed and the kernels see core alone"
# Methods of compression: none sees another, and what they share and the programs go through quant/method.h and
# apps/train/methods, where alone they are named.
methods="bitnet codeq ptq awq"
for method in $methods; do
  [ -d quant/$method ] || continue
  grep -nE "#include [<\"]tern/quant/(${methods// /|})/" $(sources quant/$method) | grep -v "<tern/quant/$method/" |
    rule "quant/$method sees no other method"
done
grep -nE "#include [<\"]tern/quant/(${methods// /|})/" $(sources quant apps) |
  grep -vE "^(quant/(${methods// /|})|apps/train/methods|apps/bench)/|^apps/train/tern\.h:" | rule "methods are known to their rooms and to apps/train/methods alone"
grep -nE '#include [<"]tern/(nn|quant|data|train)/' $(sources optim) | rule "optim sees core alone"
grep -nE '#include [<"]tern/(nn|quant|optim|train)/' $(sources data) | rule "data sees core alone"
grep -nE '#include [<"]tern/data/' $(sources data/text) | grep -v '<tern/data/text/' | rule "data/text sees core alone"
grep -nE '#include [<"]tern/data/text/' $(sources data | grep -v '^data/text/') | rule "images know no texts"
grep -nE '\b(std::|__builtin_)?(nearbyint|rint|lrint|llrint)f?\(|clamp\([^,]*round_half_even\(' $(sources $library) | grep -v '^core/rounding.h:' |
  rule "core/rounding.h alone rounds to codes"
# run_program in apps/train/settings/cli.cpp prints what a program threw: that is its purpose.
grep -nE '(std::(cout|cerr|exit|abort)|[^a-z_](printf|puts|fprintf|exit|abort)) *(\(|<<)' $(sources $library) | grep -vE '^apps/train/settings/cli.cpp:|///|^[^:]*:[0-9]+: *//' |
  rule "the library neither prints nor ends the program"
grep -nP '[^\x00-\x7F]' $(sources $rooms) | rule "sources are ASCII"
# Folders of apps/train, low to high: each sees only those before it, and vision and language do not see each other.
below=""
for folder in settings weights loop methods vision language insight run; do
  allowed="$below|$folder"
  [ "$folder" = language ] && allowed=${allowed/|vision/}
  grep -nE '^#include [<"]tern/train/' $(sources apps/train/$folder) | grep -vE "<tern/train/(${allowed#|})/" |
    rule "apps/train/$folder sees only the folders of apps/train before it"
  below="$below|$folder"
done
find apps/train -maxdepth 1 -type f \( -name '*.h' -o -name '*.cpp' \) | grep -v '^apps/train/tern.h$' | rule "each source of apps/train is in a folder"
find apps/train -mindepth 1 -maxdepth 1 -type d | grep -vE "/(${below#|})$" | rule "the folders of apps/train have an order, in this file"

# A header's place in the tree is its include path; apps/train/X is <tern/train/X>, and apps/train/tern.h is <tern/tern.h>.
grep -noE '^#include <tern/[^>]*>' $(sources $rooms) | while IFS=: read -r file line include; do
  header=${include#*<tern/}
  header=${header%>}
  case $header in
    tern.h) header=apps/train/tern.h ;;
    train/*) header=apps/$header ;;
  esac
  [ -f "$header" ] || echo "$file:$line: $include"
done | rule "an include names a header by its place in the tree"
grep -nE '^#include "' $(sources $library) | grep -vE '#include "commit.h"$' | rule "the library includes its headers as <tern/...>"
grep -nE '^#include <tern/tern.h>' $(sources $library) | rule "the library includes what it uses, not all of it"

# A source has the name of its header. Where a class has more members than one file takes, the second source is named here;
# a family of kernels may have several sources, X_PART.cpp beside X.h.
for source in $(find $library -name '*.cpp'); do
  header=${source%.cpp}.h
  case $source in
    nn/module_members.cpp) header=nn/module.h ;;
    nn/models/llama_load.cpp) header=nn/models/llama.h ;;
    core/workers_pool.cpp | core/workers_openmp.cpp) header=core/workers.h ;;  # a build takes one of them
    */kernels/*)
      while [ ! -f "$header" ]; do
        case ${header##*/} in
          *_*) header=${header%_*}.h ;;
          *) break ;;
        esac
      done
      ;;
  esac
  [ -f "$header" ] && grep -q "#include <tern/${header#apps/}>" "$source" || echo "$source: expected $header, and its include"
done | rule "a source has the name of its header and includes it"

sources $rooms | xargs wc -l | awk '$1 > 600 && $2 != "total"' | rule "files have at most 600 lines"
for header in $(find $library -name '*.h'); do grep -q '^#pragma once' "$header" || echo "$header"; done | rule "headers have #pragma once"
exit $failed
