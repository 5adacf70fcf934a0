#include <tern/data/text/byte_pair.h>
#include <tern/train/language/language_config.h>

namespace tern::train {
namespace {

constexpr Limits kSize{.min = 1, .max = 65536};

}  // namespace

void declare(Schema& schema, LanguageConfig& c) {
  auto& m = c.model;
  schema.add("model.hidden_size", m.hidden_size, kSize, "width between the layers");
  schema.add("model.intermediate_size", m.intermediate_size, {.min = 0, .max = 1e6},
             "width inside the feed-forward; 0: 8/3 of hidden_size, up to a multiple of 16");
  schema.add("model.layers", m.layers, {.min = 1, .max = 1024}, "decoder layers");
  schema.add("model.heads", m.heads, {.min = 1, .max = 1024}, "attention heads");
  schema.add("model.kv_heads", m.kv_heads, {.min = 0, .max = 1024},
             "heads of keys and values, shared by groups of heads; 0: as many as heads");
  schema.add("model.positions", m.positions, {.min = 0, .max = 1 << 20},
             "longest text that the model can see, in tokens; 0: data.context");
  schema.add("model.rope_theta", m.rope_theta, {.min = 0, .above = true}, "base of the rotary positions");
  schema.add("model.norm_eps", m.norm_eps, {.min = 0, .above = true}, "added to the mean square in norms");
  schema.add("model.tie_embeddings", m.tie_embeddings, "whether the output matrix is the embedding");
  schema.add("model.weights", c.weights, {},
             "weights to start from, whose sizes take the place of those above; empty: from scratch");
  schema.add("model.weights_config", c.weights_config, {}, "config.json of weights that do not carry their own");

  auto& d = c.data;
  schema.add("data.files", d.files, "texts to learn from, one behind the other");
  schema.add("data.separator", d.separator, {}, "what stands between documents in them; empty: a file is one document");
  schema.add("data.val_fraction", d.val_fraction, {.min = 0, .max = 0.5},
             "share of the tokens, at the end, that is held out to measure on; 0: none");
  schema.add("data.context", d.context, {.min = 2, .max = 1 << 20}, "tokens of a window");
  schema.add("data.batch_size", d.batch_size, kSize, "windows a step");

  auto& t = c.tokenizer;
  schema.add(
      "tokenizer.kind", t.kind, {"auto", "byte", "bpe", "file"},
      "byte: every byte a token; bpe: byte pairs, trained on the texts; file: tokenizer.file; auto: file if there "
      "is one, else that beside model.weights, else byte");
  schema.add("tokenizer.file", t.file, {}, "tokenizer of llama2.c, or one that a run left");
  schema.add("tokenizer.vocab_size", t.vocab_size,
             {.min = static_cast<double>(text::BytePairTokenizer::kFirstMerge),
              .max = static_cast<double>(text::BytePairTokenizer::kMaxVocabulary)},
             "bpe: tokens, the 256 bytes and the end of a text among them");

  declare(schema, c.optim);
  declare(schema, c.schedule, "step");

  c.methods.declare(schema);

  auto& s = c.sample;
  schema.add(
      "sample.every", s.every, kCountOrNone,
      "steps between two texts of the model, a multiple of eval_every; the end always has one; 0: that one only");
  schema.add("sample.prompt", s.prompt, {}, "what they begin with");
  schema.add("sample.tokens", s.tokens, {.min = 1, .max = 1 << 20}, "their length, at most what the model can see");
  schema.add("sample.temperature", s.temperature, {.min = 0, .max = 100}, "0 takes the likeliest token each time");
  schema.add("sample.top_p", s.top_p, {.min = 0, .max = 1, .above = true},
             "draw from the likeliest tokens that reach this together");

  schema.add("steps", c.steps, kCount, "steps in all, a multiple of eval_every");
  schema.add("seed", c.seed, {.min = 0, .max = 0x1p53}, "seed of initial weights, windows and samples");
  schema.add("eval_every", c.eval_every, kCount, "steps between two measurements, each with a checkpoint");
  schema.add("save_every", c.save_every, kCountOrNone, "steps between two checkpoints besides; 0: none");
  schema.ignore("environment");
}

void check(const LanguageConfig& c) {
  const auto need = [](bool condition, auto&&... text) {
    if (!condition) throw UsageError(concat("[config] ", text...));
  };
  check(c.optim, c.schedule, "step", c.steps);
  c.methods.check();
  need(c.steps % c.eval_every == 0, "expected steps to be a multiple of eval_every (", c.eval_every, "), got ",
       c.steps);
  need(c.sample.every % c.eval_every == 0, "expected sample.every to be a multiple of eval_every (", c.eval_every,
       "), got ", c.sample.every);
  need(c.tokenizer.kind != "file" || !c.tokenizer.file.empty(),
       "expected tokenizer.file with tokenizer.kind file, got none");
  need(c.tokenizer.file.empty() || c.tokenizer.kind == "file" || c.tokenizer.kind == "auto",
       "expected tokenizer.kind file or auto with tokenizer.file, got ", c.tokenizer.kind);
  need(c.weights_config.empty() || !c.weights.empty(), "expected model.weights with model.weights_config, got none");
}

}  // namespace tern::train
