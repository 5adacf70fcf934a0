// The settings of a language model's training: what the train_lm program reads from one JSON file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tern/train/methods/registry.h>
#include <tern/train/settings/optimization.h>
#include <tern/train/settings/schema.h>

namespace tern::train {

/// Every key of the JSON file, under its name: data.context is the key "data.context", LanguageConfig::weights
/// "model.weights". declare() has the ranges.
struct LanguageConfig {
  /// Sizes of a model from scratch; of weights that are started from, the file's own take their place.
  struct Model {
    int64_t hidden_size = 256;      ///< width between the layers
    int64_t intermediate_size = 0;  ///< width inside the feed-forward; 0: 8/3 of hidden_size, up to a multiple of 16
    int64_t layers = 4;
    int64_t heads = 4;
    int64_t kv_heads = 0;   ///< 0: as many as heads
    int64_t positions = 0;  ///< longest text it can see; 0: data.context
    double rope_theta = 10000;
    double norm_eps = 1e-5;
    bool tie_embeddings = true;  ///< the output matrix is the embedding
  } model;
  std::string weights;         ///< file to start from; empty: from scratch
  std::string weights_config;  ///< config.json that belongs to it, if it does not carry its own

  struct Data {
    std::vector<std::string> files;  ///< texts, one behind the other
    std::string separator;           ///< what stands between documents in them; empty: a file is one document
    double val_fraction = 0.05;      ///< share of the tokens at the end that is held out
    int64_t context = 256;           ///< tokens of a window
    int64_t batch_size = 16;         ///< windows a step
  } data;

  struct Tokenizer {
    std::string kind = "auto";  ///< auto, byte, bpe (trained on the texts) or file
    std::string file;           ///< llama2.c's, or one that a run left
    int64_t vocab_size = 1024;  ///< bpe
  } tokenizer;

  OptimConfig optim{.name = "adamw",
                    .lr = 2e-3,
                    .weight_decay = 0.1,
                    .decay_norms = false,
                    .beta1 = 0.9,
                    .beta2 = 0.95,
                    .clip_norm = 1};
  ScheduleConfig schedule{.warmup = 100, .milestones = {}};  ///< in steps

  MethodSet methods;  ///< of compression and learning, each under keys of its own

  struct Sample {
    int64_t every = 0;  ///< steps between two samples; the end always has one; 0: that one only
    std::string prompt;
    int64_t tokens = 200;  ///< of a sample, the prompt's included
    double temperature = 0.8;
    double top_p = 0.95;
  } sample;

  int64_t steps = 1500;
  int64_t eval_every = 100;  ///< steps between two measurements, each with a checkpoint
  int64_t save_every = 0;    ///< steps between further checkpoints; 0: none
  int64_t seed = 0;          ///< of initial weights, windows and samples
};

/// Declares every key of a run over a configuration, with its range and documentation. The key "environment", which
/// saved configurations carry, is ignored.
void declare(Schema& schema, LanguageConfig& config);

/// Refuses settings that contradict each other, with a UsageError that names them.
void check(const LanguageConfig& config);

}  // namespace tern::train
