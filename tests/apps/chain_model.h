// A language model whose every word is known beforehand: a llama2.c checkpoint and tokenizer file in which one token
// always makes the same next one likely. Attention and feed-forward weights are zero, embeddings are unit vectors, and
// row n of the output matrix is GAIN at the token that n follows.
#pragma once

#include <cmath>
#include <cstdint>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace tern::testing {

struct ChainModel {
  static constexpr int kBos = 1, kFirstByte = 3, kFirstPiece = kFirstByte + 256;
  std::vector<std::string> pieces{" ", "a", "b", "c", "d"};  ///< tokens after the bytes
  std::map<int, int> next;                                   ///< token -> the one that follows
  int positions = 16;
  double logit = 4;  ///< of the token that follows; all others have 0

  /// The token of a piece.
  int id(const std::string& piece) const {
    for (size_t i = 0; i < pieces.size(); ++i)
      if (pieces[i] == piece) return kFirstPiece + static_cast<int>(i);
    return -1;
  }
  /// Lets the pieces follow each other, the first one the beginning-of-text token.
  void chain(const std::vector<std::string>& sequence) {
    int token = kBos;
    for (const std::string& piece : sequence) token = next[token] = id(piece);
  }
  int vocabulary() const { return kFirstPiece + static_cast<int>(pieces.size()); }
  int width() const { return (vocabulary() + 3) / 4 * 4; }
  /// -ln p of the token that follows, and of any other one.
  double nll_expected() const { return std::log(1 + (vocabulary() - 1) * std::exp(-logit)); }
  double nll_other() const { return logit + nll_expected(); }

  void write_checkpoint(const std::string& path) const {
    const int d = width(), v = vocabulary(), hidden = 4, heads = 2;
    std::ofstream file(path, std::ios::binary);
    // A negative vocabulary stands for an output matrix of its own.
    for (const int32_t header : {d, hidden, 1, heads, heads, -v, positions})
      file.write(reinterpret_cast<const char*>(&header), 4);
    const auto write = [&](const std::vector<float>& values) {
      file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * 4));
    };
    const auto fill = [&](int count, float value) { write(std::vector<float>(static_cast<size_t>(count), value)); };
    std::vector<float> embedding(static_cast<size_t>(v) * d), output(static_cast<size_t>(v) * d);
    const double gain =
        logit * std::sqrt(1.0 / d + 1e-5);  // the final norm makes a unit vector 1 / sqrt(1/d + eps) long
    for (int t = 0; t < v; ++t) embedding[static_cast<size_t>(t) * d + t] = 1;
    for (const auto& [token, follower] : next)
      output[static_cast<size_t>(follower) * d + token] = static_cast<float>(gain);
    write(embedding);
    fill(d, 1);                      // attention norm
    fill(4 * d * d, 0);              // q, k, v, o
    fill(d, 1);                      // feed-forward norm
    fill(3 * hidden * d, 0);         // w1, w2, w3
    fill(d, 1);                      // final norm
    fill(positions * d / heads, 0);  // rotary tables, unused
    write(output);
  }

  /// Merges are preferred in the order of the pieces.
  void write_tokenizer(const std::string& path) const {
    std::ofstream file(path, std::ios::binary);
    std::vector<std::string> tokens{"<unk>", "\n<s>\n", "\n</s>\n"};
    for (int byte = 0; byte < 256; ++byte) {
      constexpr char kHex[] = "0123456789ABCDEF";
      tokens.push_back(std::string("<0x") + kHex[byte / 16] + kHex[byte % 16] + ">");
    }
    tokens.insert(tokens.end(), pieces.begin(), pieces.end());
    const int32_t longest = 16;
    file.write(reinterpret_cast<const char*>(&longest), 4);
    for (size_t i = 0; i < tokens.size(); ++i) {
      const float score = -static_cast<float>(i);
      const auto length = static_cast<int32_t>(tokens[i].size());
      file.write(reinterpret_cast<const char*>(&score), 4);
      file.write(reinterpret_cast<const char*>(&length), 4);
      file.write(tokens[i].data(), length);
    }
  }
};

}  // namespace tern::testing
