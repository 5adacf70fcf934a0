// Running one golden case as its family says.
#pragma once

#include <map>
#include <string>

#include "golden_file.h"
#include "op_table/generic.h"

namespace tern::test {

/// Whether a tensor of a case is an input or an upstream gradient, rather than a result.
bool is_given(const std::string& key);

/// Runs a case with its floating-point inputs in `dtype`, and backward where it has gradients. Results under the names
/// that the file has for them: "out", "out1", "indices", "grad0", ...; a gradient that did not arrive is zeros.
std::map<std::string, Tensor> run_golden(const GoldenCase& one, DType dtype);

}  // namespace tern::test
