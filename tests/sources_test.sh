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
library="core nn quant optim data apps/common"
sources() { find "$@" -type f \( -name '*.h' -o -name '*.cpp' \); }

grep -nE '#include <(nlohmann|png\.h|jpeglib|jerror|cblas|CLI|fmt|hwy|benchmark)' $(find $library -name '*.h') | rule "third-party headers stay in sources"
grep -ln '#include <cblas.h>' $(sources $rooms) | grep -v '^core/blas.cpp$' | rule "core/blas.cpp alone includes cblas.h"
grep -ln '#include <png.h>' $(sources $rooms) | grep -vE '^(data/detail/read_png|apps/common/evaluation|tests/data/image_writer).cpp$' | rule "PNG files have one reader and one writer"
grep -ln '#include <jpeglib.h>' $(sources $rooms) | grep -vE '^(data/detail/read_jpeg|tests/data/image_writer).cpp$' | rule "data/detail/read_jpeg.cpp alone includes jpeglib.h"
grep -ln '#include <nlohmann/' $(sources $library) | grep -v '^core/io/json.cpp$' | rule "core/io/json.cpp alone includes nlohmann's JSON"
grep -nE '#include [<"]tern/(nn|quant|optim|data|train)/' $(sources core) | grep -v '^core/tern.h:' | rule "core sees no other room"
grep -nE '#include [<"]tern/(quant|optim|data|train)/' $(sources nn) | rule "nn sees core alone"
grep -nE '#include [<"]tern/(optim|data|train)/' $(sources quant) | rule "quant sees nn and core alone"
grep -nE '#include [<"]tern/quant/(codeq|bitnet|ptq|awq)/' $(sources quant/packed quant/kernels) | rule "quant/packed and its kernels know no method"
grep -nE '#include [<"]tern/(nn|quant|data|train)/' $(sources optim) | rule "optim sees core alone"
grep -nE '#include [<"]tern/(nn|quant|optim|train)/' $(sources data) | rule "data sees core alone"
grep -nE '\b(std::|__builtin_)?(nearbyint|rint|lrint|llrint)f?\(|clamp\([^,]*round_half_even\(' $(sources $library) | grep -v '^core/rounding.h:' |
  rule "core/rounding.h alone rounds to codes"
# run_program in apps/common/cli.cpp prints what a program threw: that is its purpose.
grep -nE '(std::(cout|cerr|exit|abort)|[^a-z_](printf|puts|fprintf|exit|abort)) *(\(|<<)' $(sources $library) | grep -vE '^apps/common/cli.cpp:|///|^[^:]*:[0-9]+: *//' |
  rule "the library neither prints nor ends the program"
grep -nP '[^\x00-\x7F]' $(sources $rooms) | rule "sources are ASCII"
sources $rooms | xargs wc -l | awk '$1 > 600 && $2 != "total"' | rule "files have at most 600 lines"
for header in $(find $library -name '*.h'); do grep -q '^#pragma once' "$header" || echo "$header"; done | rule "headers have #pragma once"
exit $failed
