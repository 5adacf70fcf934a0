#include <algorithm>
#include <cmath>
#include <sstream>

#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/core/io/json.h>
#include <tern/core/text.h>
#include <tern/train/settings/schema.h>

namespace tern::train {
namespace {

using io::Json;

constexpr io::JsonLimits kLimits{.max_depth = 16};
constexpr uint64_t kMaxBytes = uint64_t{16} << 20;  // a configuration is a few kilobytes; larger is some other file

Json parse(const std::string& name, std::string_view text, std::string_view source) {
  try {
    return Json::parse(name.c_str(), std::string(source), text, kLimits);
  } catch (const FormatError& error) {
    throw UsageError(error.message());
  }
}

std::string shown(const Json& value) {
  std::string text = value.dump();
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

std::string number_text(double v) {
  return v == std::floor(v) && std::abs(v) < 0x1p53 ? std::to_string(static_cast<int64_t>(v)) : concat(v);
}

std::string range_text(const Limits& limits) {
  const bool low = std::isfinite(limits.min), high = std::isfinite(limits.max);
  std::string text;
  if (low) text = concat(limits.above ? "above " : "at least ", number_text(limits.min));
  if (high) text += concat(low ? " and at most " : "at most ", number_text(limits.max));
  return text;
}

bool inside(double v, const Limits& limits) {
  return std::isfinite(v) && v >= limits.min && v <= limits.max && !(limits.above && v == limits.min);
}

std::string leaf_name(std::string_view key) {
  const size_t dot = key.rfind('.');
  return std::string(dot == std::string_view::npos ? key : key.substr(dot + 1));
}

}  // namespace

// Turns JSON values into settings: type and range checks for one field.
struct Schema::Parser {
  const std::string& name;
  const Field& field;
  std::string_view source;

  [[noreturn]] void refuse(const std::string& expected, const Json& got) const {
    throw UsageError(concat("[", name, "] expected ", field.key, " to be ", expected, ", got ", shown(got),
                            source.empty() ? "" : concat(" (", source, ")")));
  }
  std::string with_range(const char* kind) const {
    const std::string range = range_text(field.limits);
    return range.empty() ? std::string(kind) : concat(kind, " ", range);
  }
  double number(const Json& json, const char* kind = "a number") const {
    if (!json.is_number() || !inside(json.as_number(), field.limits)) refuse(with_range(kind), json);
    return json.as_number();
  }
  int64_t integer(const Json& json) const {
    constexpr const char* kKind = "a whole number";
    if (!json.is_number() || !inside(json.as_number(), field.limits)) refuse(with_range(kKind), json);
    if (json.is_integer()) return json.as_int();
    const double v = json.as_number();  // 1e3 is a whole number too
    if (v != std::floor(v) || std::abs(v) > 0x1p53) refuse(with_range(kKind), json);
    return static_cast<int64_t>(v);
  }
  std::string text(const Json& json) const {
    std::string expected = "a text";
    if (!field.choices.empty()) {
      expected = "one of";
      for (size_t i = 0; i < field.choices.size(); ++i) expected += (i == 0 ? " " : ", ") + field.choices[i];
    }
    if (!json.is_string()) refuse(expected, json);
    const std::string value = json.as_string();
    if (!field.choices.empty() && std::find(field.choices.begin(), field.choices.end(), value) == field.choices.end())
      refuse(expected, json);
    return value;
  }
  template <class T, class One>
  std::vector<T> list(const Json& json, const char* kind, One one) const {
    const std::string expected =
        field.length == 0 ? concat("a list of ", kind) : concat("a list of ", field.length, " ", kind);
    if (!json.is_array() || (field.length != 0 && json.size() != 0 && json.size() != field.length))
      refuse(expected, json);
    std::vector<T> values;
    for (const Json& element : json.items()) values.push_back(one(element));
    return values;
  }

  Value operator()(const Json& json) const {
    return std::visit(
        [&]<class T>(T*) -> Value {
          if constexpr (std::is_same_v<T, bool>) {
            if (!json.is_bool()) refuse("true or false", json);
            return json.as_bool();
          } else if constexpr (std::is_same_v<T, int64_t>) {
            return integer(json);
          } else if constexpr (std::is_same_v<T, double>) {
            return number(json);
          } else if constexpr (std::is_same_v<T, std::string>) {
            return text(json);
          } else if constexpr (std::is_same_v<T, std::vector<double>>) {
            return list<double>(json, "numbers", [&](const Json& e) { return number(e, "a list of numbers"); });
          } else if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
            return list<int64_t>(json, "whole numbers", [&](const Json& e) { return integer(e); });
          } else {
            return list<std::string>(json, "texts", [&](const Json& e) { return text(e); });
          }
        },
        field.target);
  }

  // A value from a command line: text for texts, else JSON; lists may leave out the brackets.
  Value from_text(std::string_view value) const {
    const bool is_text = std::holds_alternative<std::string*>(field.target);
    const bool is_text_list = std::holds_alternative<std::vector<std::string>*>(field.target);
    const bool is_list = is_text_list || std::holds_alternative<std::vector<double>*>(field.target) ||
                         std::holds_alternative<std::vector<int64_t>*>(field.target);
    const bool quoted = value.size() >= 2 && value.front() == '"' && value.back() == '"';
    if (is_text && !quoted) return (*this)(Json(std::string(value)));
    if (is_text_list && (value.empty() || value.front() != '[')) {
      Json json = Json::array();
      std::istringstream parts{std::string(value)};
      for (std::string part; std::getline(parts, part, ',');) json.push_back(part);
      return (*this)(json);
    }
    const std::string text =
        is_list && (value.empty() || value.front() != '[') ? concat("[", value, "]") : std::string(value);
    Json json;
    try {
      json = parse(name, text, "");
    } catch (const UsageError&) {
      json = std::string(value);  // refused below, as it stands
    }
    return (*this)(json);
  }

  static void store(const Field& field, Value value) {
    std::visit([&]<class T>(T* target) { *target = std::get<T>(std::move(value)); }, field.target);
  }

  static Json json_of(const Field& field) {
    return std::visit([]<class T>(const T* target) { return Json(*target); }, field.target);
  }
};

void Schema::add_field(Field field) {
  TERN_ASSERT(find(field.key) == nullptr, "setting ", field.key, " declared twice");
  fields_.push_back(std::move(field));
}
void Schema::add(std::string key, bool& target, std::string doc) {
  add_field({.key = std::move(key), .target = &target, .limits = {}, .choices = {}, .doc = std::move(doc)});
}
void Schema::add(std::string key, int64_t& target, Limits limits, std::string doc) {
  add_field({.key = std::move(key), .target = &target, .limits = limits, .choices = {}, .doc = std::move(doc)});
}
void Schema::add(std::string key, double& target, Limits limits, std::string doc) {
  add_field({.key = std::move(key), .target = &target, .limits = limits, .choices = {}, .doc = std::move(doc)});
}
void Schema::add(std::string key, std::string& target, std::vector<std::string> choices, std::string doc) {
  add_field(
      {.key = std::move(key), .target = &target, .limits = {}, .choices = std::move(choices), .doc = std::move(doc)});
}
void Schema::add(std::string key, std::vector<double>& target, Limits limits, std::string doc, size_t length) {
  add_field({.key = std::move(key),
             .target = &target,
             .limits = limits,
             .choices = {},
             .doc = std::move(doc),
             .length = length});
}
void Schema::add(std::string key, std::vector<int64_t>& target, Limits limits, std::string doc) {
  add_field({.key = std::move(key), .target = &target, .limits = limits, .choices = {}, .doc = std::move(doc)});
}
void Schema::add(std::string key, std::vector<std::string>& target, std::string doc) {
  add_field({.key = std::move(key), .target = &target, .limits = {}, .choices = {}, .doc = std::move(doc)});
}

void Schema::alias(std::string spelling, std::string key) {
  TERN_ASSERT(find(spelling) == nullptr && find(key) != nullptr, "spelling ", spelling, " of setting ", key);
  aliases_.emplace_back(std::move(spelling), std::move(key));
}

const Schema::Field* Schema::find(std::string_view key) const {
  for (const auto& [spelling, meant] : aliases_)
    if (spelling == key) key = meant;
  const auto it = std::find_if(fields_.begin(), fields_.end(), [&](const Field& f) { return f.key == key; });
  return it == fields_.end() ? nullptr : &*it;
}

std::string Schema::nearest(std::string_view key) const {
  std::string best;
  size_t best_distance = std::numeric_limits<size_t>::max();
  for (const Field& field : fields_) {
    // The whole path counts, but the right last name in a wrong section ("train.lr") is a near miss as well.
    const size_t d =
        std::min(2 * edit_distance(key, field.key), 2 * edit_distance(leaf_name(key), leaf_name(field.key)) + 3);
    if (d < best_distance) best = field.key, best_distance = d;
  }
  return best;
}

void Schema::read_json(std::string_view text, std::string_view source) {
  const Json root = parse(name_, text, source);
  TERN_CHECK(root.is_object(), train::UsageError, "[", name_, "] expected a JSON object in ", source, ", got ",
             shown(root));

  std::vector<std::pair<const Field*, Value>> changes;
  struct Item {
    std::string key;
    const Json* value;
  };
  std::vector<Item> work;
  const auto push_members = [&](const std::string& prefix, const Json& object) {
    for (auto it = object.members().rbegin(); it != object.members().rend(); ++it)
      work.push_back({prefix.empty() ? it->first : concat(prefix, ".", it->first), &it->second});
  };
  push_members("", root);
  while (!work.empty()) {
    const Item item = work.back();
    work.pop_back();
    if (std::find(ignored_.begin(), ignored_.end(), item.key) != ignored_.end()) continue;
    if (const Field* field = find(item.key)) {
      for (const auto& [other, value] : changes)
        TERN_CHECK(other != field, train::UsageError, "[", name_, "] expected every key once in ", source, ", got ",
                   item.key, " twice");
      changes.emplace_back(field, Parser{name_, *field, source}(*item.value));
      continue;
    }
    const auto is_inside = [&](const std::string& key) { return key.starts_with(item.key + "."); };
    const bool section =
        std::any_of(fields_.begin(), fields_.end(), [&](const Field& f) { return is_inside(f.key); }) ||
        std::any_of(aliases_.begin(), aliases_.end(), [&](const auto& alias) { return is_inside(alias.first); });
    if (section && !item.value->is_object())
      throw UsageError(
          concat("[", name_, "] expected ", item.key, " to be an object, got ", shown(*item.value), " (", source, ")"));
    if (item.value->is_object() && (section || item.value->size() > 0)) {
      push_members(item.key, *item.value);
      continue;
    }
    throw UsageError(
        concat("[", name_, "] unknown key ", item.key, " in ", source, "; did you mean ", nearest(item.key), "?"));
  }
  for (auto& [field, value] : changes) Parser::store(*field, std::move(value));
}

void Schema::read_file(const io::FilePath& path) {
  read_json(io::read_file(name_.c_str(), path, kMaxBytes), path.text());
}

void Schema::set(std::string_view assignment) {
  const size_t equals = assignment.find('=');
  TERN_CHECK(equals != std::string_view::npos && equals > 0, train::UsageError, "[", name_,
             "] expected --set key=value, got \"", assignment, "\"");
  set(assignment.substr(0, equals), assignment.substr(equals + 1), "--set");
}

void Schema::set(std::string_view key, std::string_view value, std::string_view source) {
  const Field* field = find(key);
  TERN_CHECK(field != nullptr, train::UsageError, "[", name_, "] unknown key ", key,
             source.empty() ? "" : concat(" in ", source), "; did you mean ", nearest(key), "?");
  Parser::store(*field, Parser{name_, *field, source}.from_text(value));
}

void Schema::set_text(std::string_view key, std::string_view text) {
  const Field* field = find(key);
  TERN_ASSERT(is_text(key), "setting ", key, " holds no text");
  Parser::store(*field, Parser{name_, *field, ""}.text(Json(std::string(text))));
}

bool Schema::is_text(std::string_view key) const {
  const Field* field = find(key);
  return field != nullptr && std::holds_alternative<std::string*>(field->target);
}

bool Schema::is_flag(std::string_view key) const {
  const Field* field = find(key);
  return field != nullptr && std::holds_alternative<bool*>(field->target);
}

bool Schema::is_list(std::string_view key) const {
  const Field* field = find(key);
  return field != nullptr && field->target.index() >= Target(static_cast<std::vector<double>*>(nullptr)).index();
}

std::string Schema::to_json() const {
  Json root = Json::object();
  for (const Field& field : fields_) {
    Json* at = &root;
    std::istringstream parts(field.key);
    for (std::string part; std::getline(parts, part, '.');) at = &(*at)[part];
    *at = Parser::json_of(field);
  }
  return root.dump(2) + "\n";
}

std::vector<std::string> Schema::differing(std::string_view saved, std::string_view source) const {
  const Json before = Json::parse(name_.c_str(), std::string(source), saved);
  std::vector<std::string> keys;
  const auto saved_at = [&](const std::string& key) {
    const Json* at = &before;
    std::istringstream parts(key);
    for (std::string part; at != nullptr && std::getline(parts, part, '.');)
      at = at->is_object() ? at->find(part) : nullptr;
    return at;
  };
  for (const Field& field : fields_) {
    const Json* at = saved_at(field.key);
    for (const auto& [spelling, key] : aliases_)
      if (at == nullptr && key == field.key) at = saved_at(spelling);
    if (at != nullptr && at->dump() != Parser::json_of(field).dump()) keys.push_back(field.key);
  }
  return keys;
}

std::string Schema::describe() const {
  std::string out;
  for (const Field& field : fields_) {
    std::string allowed = range_text(field.limits);
    for (size_t i = 0; i < field.choices.size(); ++i) allowed += (i == 0 ? "" : " | ") + field.choices[i];
    std::string line = concat("  ", field.key, " = ", Parser::json_of(field).dump());
    line.resize(std::max<size_t>(line.size() + 2, 36), ' ');
    out += concat(line, field.doc, allowed.empty() ? "" : concat(" (", allowed, ")"), "\n");
  }
  return out;
}

}  // namespace tern::train
