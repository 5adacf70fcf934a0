// The table covers the library: every free function that a header of core/ops declares has an entry, or stands here
// with the reason why it has none.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>

#include <gtest/gtest.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

// Public functions without an entry, each with its reason.
const std::map<std::string, std::string> kExempt{
    {"copy_into", "in place; tests/core covers it"},
};

// Names of free functions declared at the outermost indentation of a header, by header.
std::map<std::string, std::set<std::string>> declared_ops() {
  // [[nodiscard]] TYPE NAME( with TYPE mentioning Tensor or a struct of results, or void.
  const std::regex declaration(
      R"(^(?:\[\[nodiscard\]\] )?(?:inline )?[A-Za-z_][A-Za-z0-9_:<>, ]*?[&*]? ([a-z_][a-z0-9_]*)\()");
  const std::regex detail(R"(^(?:namespace (?:tern::)?detail \{|\}  // namespace (?:tern::)?detail$))");
  std::map<std::string, std::set<std::string>> found;
  for (const auto& file :
       std::filesystem::directory_iterator(std::filesystem::path(TERN_SOURCE_DIR) / "core" / "ops")) {
    if (file.path().extension() != ".h") continue;
    std::set<std::string>& names = found[file.path().stem().string()];
    std::ifstream text(file.path());
    bool inside_detail = false;
    for (std::string line; std::getline(text, line);) {
      if (std::regex_search(line, detail)) inside_detail = line[0] == 'n';
      std::smatch match;
      if (!inside_detail && std::regex_search(line, match, declaration)) names.insert(match[1]);
    }
    names.erase("if");
    names.erase("for");
    names.erase("return");
  }
  return found;
}

TEST(Coverage, EveryPublicOpHasAnEntry) {
  std::set<std::string> covered;
  for (const OpEntry& entry : op_table().entries()) covered.insert(entry.name);
  size_t declared = 0;
  for (const auto& [header, names] : declared_ops()) {
    const auto& families = op_families();
    if (std::find(families.begin(), families.end(), header) == families.end()) {
      EXPECT_TRUE(names.empty()) << "core/ops/" << header << ".h has no file tests/op_table/" << header << ".cpp";
      continue;
    }
    for (const std::string& name : names) {
      ++declared;
      EXPECT_TRUE(covered.count(name) != 0 || kExempt.count(name) != 0)
          << name << " (core/ops/" << header << ".h) has no entry in the op table";
    }
  }
  EXPECT_GT(declared, 0u);
}

TEST(Coverage, EveryEntryIsOfAPublicOp) {
  std::set<std::string> declared;
  for (const auto& [header, names] : declared_ops()) declared.insert(names.begin(), names.end());
  for (const OpEntry& entry : op_table().entries())
    EXPECT_TRUE(declared.count(entry.name) != 0) << entry.name << " is declared in no header of core/ops";
  for (const auto& [name, reason] : kExempt) {
    EXPECT_TRUE(declared.count(name) != 0) << name << " is exempt, but declared nowhere";
    EXPECT_FALSE(reason.empty());
  }
}

TEST(Coverage, EntriesAreToldApart) {
  std::set<std::string> titles;
  for (const OpEntry& entry : op_table().entries())
    EXPECT_TRUE(titles.insert(entry.title()).second) << "two entries are called " << entry.title();
}

}  // namespace
}  // namespace tern::test
