#include <algorithm>
#include <numeric>

#include <tern/nn/models/config_reader.h>

namespace tern::nn::models {

ConfigReader::ConfigReader(std::string op, const io::Json& config) : op_(std::move(op)), config_(config) {
  TERN_CHECK(config.is_object() || config.is_null(), ValueError, "[", op_,
             "] expected the configuration as an object, ", "got ", io::name_of(config.kind()));
}

const io::Json* ConfigReader::member(std::string_view key) {
  known_.emplace_back(key);
  const io::Json* value = config_.is_object() ? config_.find(key) : nullptr;
  return value == nullptr || value->is_null() ? nullptr : value;
}

void ConfigReader::read(std::string_view key, int64_t& value, int64_t min, int64_t max) {
  const io::Json* given = member(key);
  if (given == nullptr) return;
  TERN_CHECK(given->is_integer(), ValueError, "[", op_, "] expected an integer for ", key, ", got ", given->dump());
  const int64_t number = given->as_int();
  TERN_CHECK(number >= min && number <= max, ValueError, "[", op_, "] expected ", key, " in [", min, ", ", max,
             "], got ", number);
  value = number;
}

void ConfigReader::read(std::string_view key, double& value, double min, double max) {
  const io::Json* given = member(key);
  if (given == nullptr) return;
  TERN_CHECK(given->is_number(), ValueError, "[", op_, "] expected a number for ", key, ", got ", given->dump());
  const double number = given->as_number();
  TERN_CHECK(number >= min && number <= max, ValueError, "[", op_, "] expected ", key, " in [", min, ", ", max,
             "], got ", number);
  value = number;
}

void ConfigReader::read(std::string_view key, bool& value) {
  const io::Json* given = member(key);
  if (given == nullptr) return;
  TERN_CHECK(given->is_bool(), ValueError, "[", op_, "] expected true or false for ", key, ", got ", given->dump());
  value = given->as_bool();
}

void ConfigReader::read(std::string_view key, std::string& value) {
  const io::Json* given = member(key);
  if (given == nullptr) return;
  TERN_CHECK(given->is_string(), ValueError, "[", op_, "] expected a text for ", key, ", got ", given->dump());
  value = given->as_string();
}

void ConfigReader::read(std::string_view key, std::vector<int64_t>& value, int64_t min) {
  const io::Json* given = member(key);
  if (given == nullptr) return;
  TERN_CHECK(given->is_array(), ValueError, "[", op_, "] expected a list for ", key, ", got ", given->dump());
  std::vector<int64_t> numbers;
  for (const io::Json& item : given->items()) {
    TERN_CHECK(item.is_integer() && item.as_int() >= min, ValueError, "[", op_, "] expected integers of at least ", min,
               " in ", key, ", got ", given->dump());
    numbers.push_back(item.as_int());
  }
  value = std::move(numbers);
}

void ConfigReader::finish() const {
  if (!config_.is_object()) return;
  for (const auto& [key, value] : config_.members()) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    throw ValueError(
        concat("[", op_, "] expected a known setting, got '", key, "' (nearest: ", nearest_name(key, known_), ")"));
  }
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = SIZE_MAX;
  for (const std::string& candidate : candidates) {
    // Levenshtein distance, one row of the table at a time.
    std::vector<size_t> row(candidate.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 1; i <= name.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j <= candidate.size(); ++j) {
        const size_t substitute = diagonal + (name[i - 1] != candidate[j - 1]);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace tern::nn::models
