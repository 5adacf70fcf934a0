// What inspect_file finds, as lines for people and as JSON.
#pragma once

#include <string>

#include <tern/core/io/json.h>
#include <tern/train/insight/inspect.h>

namespace tern::train {

/// As aligned lines: a line a tensor, then metadata and totals. unicode: histograms as block elements (UTF-8), else as
/// ASCII. Control characters in names and metadata are shown escaped; long metadata are cut.
[[nodiscard]] std::string to_text(const Inspection& inspection, bool unicode = false);
/// All of it, metadata uncut, as one object.
[[nodiscard]] io::Json to_json(const Inspection& inspection);

}  // namespace tern::train
