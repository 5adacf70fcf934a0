#include <charconv>
#include <utility>

#include <tern/core/error.h>
#include <tern/train/loop/train_state.h>

namespace tern::train {
namespace {

using io::Json;

// 64-bit integers travel as texts: JSON numbers beyond 2^63 would lose bits.
uint64_t whole(const Json& json) {
  const std::string& text = json.as_string();
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, number);
  TERN_CHECK(error == std::errc() && last == end, FormatError,
             "[checkpoint] expected a whole number of at most 64 bits, got \"", text, "\"");
  return number;
}

Json json_of(const Generator::State& state) {
  Json json = Json::object();
  json["seed"] = std::to_string(state.seed);
  json["stream"] = std::to_string(state.stream);
  json["position"] = std::to_string(state.position);
  return json;
}

Json json_of(const EvalResult& result) {
  return Json::object({{"top1", result.top1}, {"top5", result.top5}, {"loss", result.loss}, {"n", result.n}});
}

EvalResult result_of(const Json& json) {
  return {.top1 = json.at("top1").as_number(),
          .top5 = json.at("top5").as_number(),
          .loss = json.at("loss").as_number(),
          .n = json.at("n").as_int()};
}

}  // namespace

EvalResult TrainState::result() const {
  Accuracy accuracy;
  accuracy.set_sums(sums);
  EvalResult out = accuracy.result();
  out.loss = sums.n > 0 ? loss_sum / static_cast<double>(sums.n) : 0;
  return out;
}

Json to_json(const TrainState& s) {
  Json json = Json::object();
  json["epoch"] = s.epoch;
  json["batch"] = s.batch;
  json["step"] = s.step;
  json["loss_sum"] = s.loss_sum;
  json["seen"] = s.sums.n;
  json["top1"] = s.sums.top1;
  json["top5"] = s.sums.top5;
  json["nll"] = s.sums.loss;
  json["trained"] = json_of(s.trained);
  json["best"] = s.best.score;
  if (s.knows_best_step) json["best_step"] = s.best.step;
  if (s.lr) json["lr"] = *s.lr;
  json["random"] = json_of(s.random);
  return json;
}

TrainState train_state_from(const Json& json, const std::string& name) {
  TrainState s{.epoch = json.at("epoch").as_int(),
               .batch = json.at("batch").as_int(),
               .step = json.at("step").as_int(),
               .loss_sum = json.at("loss_sum").as_number(),
               .sums = {.n = json.at("seen").as_int(),
                        .top1 = json.at("top1").as_int(),
                        .top5 = json.at("top5").as_int(),
                        .loss = json.at("nll").as_number()},
               .best = {.score = json.at(json.contains("best") ? "best" : "best_top1").as_number()},  // until 0.1
               .knows_best_step = json.contains("best_step")};
  if (s.knows_best_step) s.best.step = json.at("best_step").as_int();
  if (const Json* trained = json.find("trained")) s.trained = result_of(*trained);
  const std::pair<const char*, int64_t> counts[] = {
      {"epoch", s.epoch},    {"batch", s.batch},    {"step", s.step},        {"seen", s.sums.n},
      {"top1", s.sums.top1}, {"top5", s.sums.top5}, {"trained", s.trained.n}};
  for (const auto& [what, count] : counts)
    TERN_CHECK(count >= 0, FormatError, "[trainer] expected counts of at least 0 in ", name, ", got ", what, " ",
               count);
  if (const Json* lr = json.find("lr")) s.lr = lr->as_number();
  const Json& random = json.at("random");
  s.random = {
      .seed = whole(random.at("seed")), .stream = whole(random.at("stream")), .position = whole(random.at("position"))};
  return s;
}

}  // namespace tern::train
