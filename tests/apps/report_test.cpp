#include <algorithm>
#include <fstream>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/core/io/json.h>

#include "apps/process.h"
#include "data/image_writer.h"

namespace tern::testing {
namespace {

using io::Json;

std::vector<std::string> quick_run(const std::string& out, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments{"--data",
                                     mini_data(),
                                     "--out",
                                     out,
                                     "--threads",
                                     "2",
                                     "--set",
                                     "epochs=2",
                                     "data.train_limit=120",
                                     "data.test_limit=60",
                                     "data.batch_size=40",
                                     "model.name=mlp",
                                     "model.hidden=16"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::string text_of(const std::string& path) {
  return io::read_file("test", path);
}

std::string write(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
  return path;
}

// The data that a page carries.
Json data_of(const std::string& page) {
  const std::string text = text_of(page), start = "<script type=\"application/json\" id=\"data\">";
  const size_t begin = text.find(start) + start.size();
  return Json::parse("test", page, text.substr(begin, text.find("</script>", begin) - begin));
}

bool has_program(const char* name) {
  return std::system(concat("command -v ", name, " > /dev/null 2>&1").c_str()) == 0;
}

// Every element that is opened is closed, in order.
const char* const kParse = R"(
import html.parser, sys
class Parser(html.parser.HTMLParser):
    open = []
    def handle_starttag(self, tag, attributes):
        if tag not in ('meta', 'link', 'img', 'br'): self.open.append(tag)
        for name, value in attributes:
            if name in ('src', 'href') or name.startswith('on'): sys.exit(f'attribute {name} of {tag}')
    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag: sys.exit(f'{tag} closed, {self.open} open')
parser = Parser()
parser.feed(open(sys.argv[1], encoding='utf-8').read())
parser.close()
if parser.open: sys.exit(f'left open: {parser.open}')
)";

void expect_page(const std::string& page) {
  std::string text = text_of(page);
  EXPECT_LT(text.size(), 2u << 20);
  const std::string name = "http://www.w3.org/2000/svg";
  for (size_t at; (at = text.find(name)) != std::string::npos;) text.erase(at, name.size());
  EXPECT_EQ(text.find("http:"), std::string::npos);
  EXPECT_EQ(text.find("https:"), std::string::npos);
  if (!has_program("python3")) return;
  const ProcessResult parsed = run_command("/usr/bin/env", {"python3", "-c", kParse, page});
  EXPECT_EQ(parsed.exit_code, 0) << parsed.err;
}

// What a browser makes of a page; empty where there is none.
std::string drawn(const std::string& page) {
  if (!has_program("chromium")) return {};
  return run_command("/usr/bin/env", {"chromium", "--headless=new", "--no-sandbox", "--disable-gpu",
                                      "--virtual-time-budget=3000", "--dump-dom", "file://" + page})
      .out;
}

TEST(ReportProgram, ALanguageModelsPage) {
  TemporaryDirectory directory;
  std::string text;
  for (int i = 0; i < 80; ++i) text += concat("the cat sat on ", i % 7, " mats.\n");
  std::ofstream(directory / "text.txt") << text;
  const auto run = [&](const std::string& out) {
    return run_program("train_lm", {"--data", directory / "text.txt", "--out", out, "--threads", "2", "--log-every",
                                    "1", "--set", "model.hidden_size=16", "model.layers=1", "data.context=16",
                                    "data.batch_size=2", "steps=6", "eval_every=2", "schedule.warmup_steps=0"});
  };
  const std::string a = directory / "a", b = directory / "b", both = directory / "both.html";
  ASSERT_EQ(run(a).exit_code, 0);
  ASSERT_EQ(run(b).exit_code, 0);
  ASSERT_EQ(run_program("report", {a, b, "--out", both}).exit_code, 0);
  expect_page(a + "/report.html");
  expect_page(both);
  const Json data = data_of(a + "/report.html");
  EXPECT_EQ(data.at("runs")[0].at("epochs").at("val_perplexity").size(), 3u);
  EXPECT_EQ(data.at("runs")[0].at("steps").at("loss").size(), 6u);
  if (const std::string dom = drawn(a + "/report.html"); !dom.empty()) {
    for (const char* heading : {"Training", "What it writes", "Weights", "Layers", "Configuration", "Environment"})
      EXPECT_NE(dom.find(concat("<h2>", heading, "</h2>")), std::string::npos) << heading;
    EXPECT_EQ(dom.find("<h2>Compression</h2>"), std::string::npos);
    EXPECT_NE(dom.find("Perplexity"), std::string::npos);
    EXPECT_NE(dom.find("Made by Tern"), std::string::npos) << "the script came to its end";
    EXPECT_EQ(dom.find(">This page could not be drawn"), std::string::npos);
  }
  if (const std::string dom = drawn(both); !dom.empty()) {
    EXPECT_NE(dom.find("Validation perplexity"), std::string::npos);
    EXPECT_NE(dom.find("Made by Tern"), std::string::npos);
  }
}

TEST(ReportProgram, EveryRunEndsWithAPage) {
  TemporaryDirectory directory;
  const std::string out = directory / "run";
  const ProcessResult run = run_program(
      "train_classifier", quick_run(out, {"codeq.mode=mixed", "data.val_fraction=0.2", "--log-every", "1"}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.err, "");
  expect_page(out + "/report.html");

  const Json summary = Json::parse_file("test", out + "/summary.json"),
             evaluation = Json::parse_file("test", out + "/evaluation.json");
  for (const char* key : {"top1", "top5", "loss", "n"})
    EXPECT_EQ(evaluation.at(key).as_number(), summary.at(key).as_number()) << key;
  int64_t right = 0, all = 0;
  for (size_t r = 0; r < 10; ++r)
    for (size_t c = 0; c < 10; ++c) {
      const int64_t n = evaluation.at("confusion")[r][c].as_int();
      all += n;
      right += r == c ? n : 0;
    }
  EXPECT_EQ(all, 60);
  EXPECT_DOUBLE_EQ(static_cast<double>(right) / 60, summary.at("top1").as_number());
  EXPECT_EQ(evaluation.at("worst").size(), static_cast<size_t>(std::min<int64_t>(24, all - right)));

  const Json data = data_of(out + "/report.html");
  const Json& page = data.at("runs")[0];
  EXPECT_TRUE(page.at("finished").as_bool());
  EXPECT_EQ(page.at("epochs").at("val_top1").size(), 2u);
  EXPECT_EQ(page.at("steps").at("loss").size(), 6u);
  EXPECT_EQ(page.at("layers").at("names").size(), 2u);
  EXPECT_EQ(page.at("weights").size(), 2u);
  EXPECT_NEAR(page.at("table").at("totals").at("rel_bops").as_number(), summary.at("rel_bops").as_number(), 1e-5);

  if (const std::string dom = drawn(out + "/report.html"); !dom.empty()) {
    for (const char* heading :
         {"Training", "Compression", "Weights", "Layers", "Mistakes", "Configuration", "Environment"})
      EXPECT_NE(dom.find(concat("<h2>", heading, "</h2>")), std::string::npos) << heading;
    EXPECT_NE(dom.find("Made by Tern"), std::string::npos) << "the script came to its end";
    EXPECT_EQ(dom.find(">This page could not be drawn"), std::string::npos);
  }

  // The program writes the same page again.
  const std::string before = text_of(out + "/report.html");
  const ProcessResult again = run_program("report", {out});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(again.out, out + "/report.html\n");
  EXPECT_EQ(text_of(out + "/report.html"), before);
}

TEST(ReportProgram, HostileNamesStayTexts) {
  TemporaryDirectory directory;
  const std::string hostile = "<img src=x onerror='alert(1)'>&\"", data = directory / "images";
  for (const std::string split : {"train/", "test/"})
    for (const std::string& name : {hostile, std::string("b")}) {
      std::filesystem::create_directories(data + "/" + split + name);
      for (int i = 0; i < 4; ++i)
        write(data + "/" + split + name + "/" + std::to_string(i) + ".png",
              test::png_of(std::vector<uint8_t>(8 * 8 * 3, static_cast<uint8_t>(60 * i)), 8, 8, 3));
    }
  const std::string out = directory / "</title><script>alert(2)<";
  std::filesystem::create_directories(std::filesystem::path(out).parent_path());
  const ProcessResult run =
      run_program("train_classifier", {"--data", data, "--out", out, "--threads", "1", "--set", "epochs=1",
                                       "model.name=mlp", "model.hidden=4", "data.crop=8", "data.batch_size=4"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  expect_page(out + "/report.html");
  const std::string text = text_of(out + "/report.html");
  EXPECT_EQ(text.find("<img"), std::string::npos);
  EXPECT_EQ(text.find("<script>alert"), std::string::npos);
  const Json page = data_of(out + "/report.html");
  const Json& classes = page.at("runs")[0].at("evaluation").at("classes");
  if (const std::string dom = drawn(out + "/report.html"); !dom.empty()) {
    EXPECT_NE(dom.find("&lt;img src=x onerror"), std::string::npos) << "the name is there";
    EXPECT_EQ(dom.find("<img src=\"x\""), std::string::npos);
  }
  EXPECT_TRUE(classes[0].as_string() == hostile || classes[1].as_string() == hostile) << classes.dump();
}

TEST(ReportProgram, AStoppedRunHasOneToo) {
  TemporaryDirectory directory;
  const std::string out = directory / "run";
  bool sent = false;
  const ProcessResult stopped =
      run_program("train_classifier", quick_run(out, {"epochs=500"}), [&](pid_t pid, const std::string& text) {
        if (!sent && text.find("epoch 1/500:") != std::string::npos) sent = kill(pid, SIGINT) == 0;
      });
  ASSERT_EQ(stopped.exit_code, 130) << stopped.err;
  EXPECT_FALSE(std::filesystem::exists(out + "/summary.json"));
  expect_page(out + "/report.html");
  const Json data = data_of(out + "/report.html");
  EXPECT_FALSE(data.at("runs")[0].at("finished").as_bool());
  EXPECT_TRUE(data.at("runs")[0].contains("weights"));
  if (const std::string dom = drawn(out + "/report.html"); !dom.empty()) {
    EXPECT_NE(dom.find("not finished"), std::string::npos);
    EXPECT_EQ(dom.find(">This page could not be drawn"), std::string::npos);
  }
}

TEST(ReportProgram, ADamagedCheckpointLeavesThePageWithoutWeights) {
  TemporaryDirectory directory;
  const std::string out = directory / "run", other = directory / "other", both = directory / "both.html";
  ASSERT_EQ(run_program("train_classifier", quick_run(out, {"epochs=1"})).exit_code, 0);
  ASSERT_EQ(run_program("train_classifier", quick_run(other, {"epochs=1"})).exit_code, 0);
  std::filesystem::resize_file(out + "/last.safetensors", 1000);
  const ProcessResult report = run_program("report", {out});
  EXPECT_EQ(report.exit_code, 0) << report.err;
  expect_page(out + "/report.html");
  const Json data = data_of(out + "/report.html");
  EXPECT_NE(data.at("runs")[0].at("weights_problem").as_string().find(out + "/last.safetensors"), std::string::npos);
  EXPECT_FALSE(data.at("runs")[0].contains("weights"));
  if (const std::string dom = drawn(out + "/report.html"); !dom.empty()) {
    EXPECT_NE(dom.find("Weights cannot be shown: ["), std::string::npos);
    EXPECT_NE(dom.find("<h2>Training</h2>"), std::string::npos);
    EXPECT_NE(dom.find("Made by Tern"), std::string::npos) << "the script came to its end";
    EXPECT_EQ(dom.find(">This page could not be drawn"), std::string::npos);
  }
  ASSERT_EQ(run_program("report", {out, other, "--out", both}).exit_code, 0);
  if (const std::string dom = drawn(both); !dom.empty()) {
    EXPECT_NE(dom.find("run: Weights cannot be shown: ["), std::string::npos);
    EXPECT_NE(dom.find("Made by Tern"), std::string::npos);
  }
}

TEST(ReportProgram, SeveralRunsSideBySide) {
  TemporaryDirectory directory;
  ASSERT_EQ(run_program("train_classifier", quick_run(directory / "a")).exit_code, 0);
  ASSERT_EQ(
      run_program("train_classifier", quick_run(directory / "b", {"codeq.mode=fixed", "optim.lr=0.05"})).exit_code, 0);
  const std::string page = directory / "both.html";
  const ProcessResult both = run_program("report", {directory / "a", "--out", page, directory / "b"});
  ASSERT_EQ(both.exit_code, 0) << both.err;
  expect_page(page);
  const Json data = data_of(page);
  ASSERT_EQ(data.at("runs").size(), 2u);
  std::vector<std::string> keys;
  for (const Json& d : data.at("differences").items()) keys.push_back(d.at("key").as_string());
  EXPECT_EQ(keys, (std::vector<std::string>{"optim.lr", "codeq.mode"}));
  if (const std::string dom = drawn(page); !dom.empty()) {
    EXPECT_NE(dom.find("Comparison of 2 runs"), std::string::npos);
    EXPECT_NE(dom.find("Made by Tern"), std::string::npos);
    EXPECT_EQ(dom.find(">This page could not be drawn"), std::string::npos);
  }
}

TEST(ReportProgram, CommittedResultsHaveReports) {
  TemporaryDirectory directory;
  std::vector<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(TERN_SOURCE_DIR) + "/apps/results")) {
    if (!entry.is_directory()) continue;
    all.push_back(entry.path().string());
    const std::string page = directory / "page.html";
    const ProcessResult report = run_program("report", {all.back(), "--out", page});
    ASSERT_EQ(report.exit_code, 0) << report.err;
    expect_page(page);
    EXPECT_EQ(data_of(page).at("runs")[0].at("finished").as_bool(),
              std::filesystem::exists(entry.path() / "summary.json"))
        << all.back();
  }
  ASSERT_GT(all.size(), 1u);
  all.push_back("--out=" + (directory / "all.html"));
  ASSERT_EQ(run_program("report", all).exit_code, 0);
  expect_page(directory / "all.html");
}

TEST(ReportProgram, APageThatCannotBeWrittenLosesNothing) {
  TemporaryDirectory directory;
  const std::string out = directory / "run";
  ASSERT_EQ(run_program("train_classifier", quick_run(out)).exit_code, 0);
  for (const char* name : {"report.html", "evaluation.json"}) {
    std::filesystem::remove(out + "/" + name);
    std::filesystem::create_directories(out + "/" + name + "/in_the_way");
  }
  const ProcessResult run = run_program("train_classifier", {"--out", out, "--resume", "--set", "epochs=3"});
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(Json::parse_file("test", out + "/summary.json").at("epochs").as_int(), 3);
  for (const char* name : {"report.html", "evaluation.json"})
    EXPECT_NE(run.err.find(concat("train_classifier: ", name, " was not written: ")), std::string::npos) << run.err;
}

TEST(ReportProgram, MistakesGetOneSentence) {
  TemporaryDirectory directory;
  const std::string run = directory / "run", page = directory / "page.html";
  std::filesystem::create_directories(run);
  write(run + "/metrics.jsonl", "{\"epoch\":1,\"step\":1,\"train_loss\":1.0}\n{\"epoch\":\n{}\n");
  struct Case {
    std::vector<std::string> arguments;
    int exit_code;
    std::string text;
  };
  const std::vector<Case> cases{
      {{}, 2, "[report] expected RUN (see --help)"},
      {{run, "--uot", page}, 2, "unknown argument --uot; did you mean --out?"},
      {{run, "--out"}, 2, "expected FILE after --out, got nothing"},
      {{directory / "none", "--out", page},
       1,
       "expected the directory of a run, got " + (directory / "none") + " (not there)"},
      {{run, "--out", page}, 1, "got something else in line 2"},
  };
  for (const Case& c : cases) {
    const ProcessResult result = run_program("report", c.arguments);
    EXPECT_EQ(result.exit_code, c.exit_code) << c.text;
    EXPECT_NE(result.err.find("report: [report] "), std::string::npos) << result.err;
    EXPECT_NE(result.err.find(c.text), std::string::npos) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_FALSE(std::filesystem::exists(page));
  }
  EXPECT_EQ(run_program("report", {"--help"}).exit_code, 0);
}

}  // namespace
}  // namespace tern::testing
