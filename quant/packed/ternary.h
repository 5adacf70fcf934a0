// Ternary weights, codes -1, 0 and +1 with one scale, at two bits or at 1.6 bits each.
#pragma once

#include <tern/quant/packed/format.h>

namespace tern::packed {

/// How codes become bytes. The digit of a code is the code plus one: 0, 1 or 2. A row of n weights is, in
/// - pack2_linear, 2 bits each, for files: weight i in bits 2 (i % 4) and up of byte i / 4; unused bits are 0;
/// - pack2_block128, 2 bits each, for files and for computing: 32 bytes for 128 weights; byte p holds weights p,
///   p + 32, p + 64 and p + 96, from the top two bits down; the last block is filled up with digit 1, weights of zero;
/// - pack3_digits, 1.6 bits each, for files: five weights a byte, the number whose digits in base 3 they are, the first
///   one the most significant; unused digits are 0;
/// - pack3_fixed, the same, with ceil(256 v / 243) in the place of that number v: digit n is (b 3^n mod 256) 3 >> 8,
///   without division.
///
/// All are computed with as pack2_block128, which is the I2_S layout of bitnet.cpp on x86 (Wang et al., 2025, arXiv
/// 2502.11880), where rows are multiples of 128; a file's rows may have any length here.
extern const Format pack2_linear, pack2_block128, pack3_digits, pack3_fixed;

}  // namespace tern::packed
