#include <cstdio>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include <tern/train/settings/cli.h>
#include <tern/train/settings/schema.h>

namespace tern::train {
namespace {

struct Settings {
  bool flip = true;
  int64_t epochs = 10;
  double lr = 0.1, momentum = 0.9;
  std::string model = "resnet20", name;
  std::vector<double> mean{0.5, 0.5, 0.5};
  std::vector<int64_t> milestones;
  std::vector<std::string> exclude;
  Schema schema;
  Settings() {
    schema.add("model.name", model, {"resnet20", "resnet32", "vit"}, "which model");
    schema.add("data.flip", flip, "flip images");
    schema.add("data.mean", mean, {}, "mean of each channel", 3);
    schema.add("train.epochs", epochs, {.min = 1, .max = 100000}, "how long");
    schema.add("optim.lr", lr, {.min = 0, .above = true}, "learning rate");
    schema.add("optim.momentum", momentum, {.min = 0, .max = 1}, "momentum");
    schema.add("schedule.milestones", milestones, {.min = 0}, "where the rate falls");
    schema.add("codeq.exclude", exclude, "layers left out");
    schema.add("name", name, {}, "a name");
    schema.ignore("environment");
  }
};

template <class F>
std::string usage_error(F&& call) {
  try {
    call();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Schema, ReadsNestedAndDottedKeys) {
  Settings s;
  s.schema.read_json(R"({"model": {"name": "vit"}, "optim.lr": 1e-3, "train": {"epochs": 3}, "data": {"flip": false,
      "mean": [1, 2.5, 3]}, "schedule": {"milestones": [1, 2]}, "codeq": {"exclude": ["linear"]}, "environment": {"cpu": 3}})",
                     "run.json");
  EXPECT_EQ(s.model, "vit");
  EXPECT_EQ(s.lr, 1e-3);
  EXPECT_EQ(s.epochs, 3);
  EXPECT_FALSE(s.flip);
  EXPECT_EQ(s.mean, (std::vector<double>{1, 2.5, 3}));
  EXPECT_EQ(s.milestones, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(s.exclude, std::vector<std::string>{"linear"});
  EXPECT_EQ(s.momentum, 0.9);
}

TEST(Schema, SetsFromTheCommandLine) {
  Settings s;
  s.schema.set("optim.lr=0.05");
  s.schema.set("model.name=resnet32");
  s.schema.set("data.flip=false");
  s.schema.set("data.mean=0.1,0.2,0.3");
  s.schema.set("schedule.milestones=[3, 4]");
  s.schema.set("codeq.exclude=conv1,layer*.linear");
  s.schema.set("name=a=b");
  s.schema.set("train.epochs=1e3");
  EXPECT_EQ(s.lr, 0.05);
  EXPECT_EQ(s.model, "resnet32");
  EXPECT_FALSE(s.flip);
  EXPECT_EQ(s.mean, (std::vector<double>{0.1, 0.2, 0.3}));
  EXPECT_EQ(s.milestones, (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(s.exclude, (std::vector<std::string>{"conv1", "layer*.linear"}));
  EXPECT_EQ(s.name, "a=b");
  EXPECT_EQ(s.epochs, 1000);
  s.schema.set("codeq.exclude=");
  EXPECT_TRUE(s.exclude.empty());
}

TEST(Schema, SavedSettingsReadBackTheSame) {
  Settings a;
  a.schema.set("optim.lr=0.1234567890123456789");
  a.schema.set("codeq.exclude=\"x\",y");
  a.schema.set("name=caf\xc3\xa9 \"quoted\"");
  Settings b;
  b.schema.read_json(a.schema.to_json(), "saved");
  EXPECT_EQ(a.schema.to_json(), b.schema.to_json());
  EXPECT_EQ(a.lr, b.lr);
  EXPECT_EQ(a.name, b.name);
}

TEST(Schema, RefusesInOneSentence) {
  struct Case {
    const char* json;
    const char* expected;
  };
  const Case cases[] = {
      {R"({"optim": {"lrr": 1}})", "[config] unknown key optim.lrr in f.json; did you mean optim.lr?"},
      {R"({"optimizer": {"lr": 1}})", "[config] unknown key optimizer.lr in f.json; did you mean optim.lr?"},
      {R"({"train": {"lr": 1}})", "[config] unknown key train.lr in f.json; did you mean optim.lr?"},
      {R"({"epohcs": 1})", "[config] unknown key epohcs in f.json; did you mean train.epochs?"},
      {R"({"optim": 3})", "[config] expected optim to be an object, got 3 (f.json)"},
      {R"({"new": {}})", "[config] unknown key new in f.json; did you mean name?"},
      {R"({"optim": {"lr": 0}})", "[config] expected optim.lr to be a number above 0, got 0 (f.json)"},
      {R"({"optim": {"lr": "fast"}})", "[config] expected optim.lr to be a number above 0, got \"fast\" (f.json)"},
      {R"({"optim": {"lr": 1e999}})",
       "[config] expected valid JSON in 'f.json', got an error at line 1, column 22: number overflow parsing '1e999'"},
      {R"({"optim": {"momentum": 1.5}})",
       "[config] expected optim.momentum to be a number at least 0 and at most 1, got 1.5 (f.json)"},
      {R"({"train": {"epochs": 2.5}})",
       "[config] expected train.epochs to be a whole number at least 1 and at most 100000, got 2.5 (f.json)"},
      {R"({"train": {"epochs": 18446744073709551615}})",
       "[config] expected train.epochs to be a whole number at least 1 and at most 100000, got 18446744073709551616.0 "
       "(f.json)"},
      {R"({"train": {"epochs": null}})",
       "[config] expected train.epochs to be a whole number at least 1 and at most 100000, got null (f.json)"},
      {R"({"data": {"flip": 1}})", "[config] expected data.flip to be true or false, got 1 (f.json)"},
      {R"({"data": {"mean": [1, 2]}})", "[config] expected data.mean to be a list of 3 numbers, got [1,2] (f.json)"},
      {R"({"model": {"name": "vgg"}})",
       "[config] expected model.name to be one of resnet20, resnet32, vit, got \"vgg\" (f.json)"},
      {R"({"name": 1, "name": 2})",
       "[config] expected valid JSON in 'f.json', got an error at line 1, column 18: the key 'name' stands twice in "
       "one object"},
      {R"({"optim": {"lr": 1}, "optim.lr": 2})", "[config] expected every key once in f.json, got optim.lr twice"},
      {"{\n\"name\": ,}",
       "[config] expected valid JSON in 'f.json', got an error at line 2, column 9: syntax error while parsing value - "
       "unexpected ','; "
       "expected '[', '{', or a literal"},
      {"",
       "[config] expected valid JSON in 'f.json', got an error at line 1, column 1: syntax error while parsing value - "
       "unexpected "
       "end of input; expected '[', '{', or a literal"},
      {"[1]", "[config] expected a JSON object in f.json, got [1]"},
  };
  for (const Case& c : cases) {
    Settings s;
    const std::string before = s.schema.to_json();
    EXPECT_EQ(usage_error([&] { s.schema.read_json(c.json, "f.json"); }), c.expected);
    EXPECT_EQ(s.schema.to_json(), before) << "a refused text must change nothing: " << c.json;
  }
}

TEST(Schema, RefusesDeepNesting) {
  Settings s;
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  EXPECT_EQ(usage_error([&] { s.schema.read_json("{\"name\": " + deep + "}", "f.json"); }),
            "[config] expected valid JSON in 'f.json', got an error at line 1, column 25: more than 16 levels of "
            "arrays and objects");
  EXPECT_NE(usage_error([&] { s.schema.set("data.mean=" + deep); }).find("data.mean to be a list of 3 numbers"),
            std::string::npos);
}

TEST(Schema, RefusesBadOverrides) {
  Settings s;
  EXPECT_EQ(usage_error([&] { s.schema.set("optim.lr"); }), "[config] expected --set key=value, got \"optim.lr\"");
  EXPECT_EQ(usage_error([&] { s.schema.set("=3"); }), "[config] expected --set key=value, got \"=3\"");
  EXPECT_EQ(usage_error([&] { s.schema.set("optm.lr=3"); }),
            "[config] unknown key optm.lr in --set; did you mean optim.lr?");
  EXPECT_EQ(usage_error([&] { s.schema.set("optim.lr=nan"); }),
            "[config] expected optim.lr to be a number above 0, got \"nan\" (--set)");
  EXPECT_EQ(usage_error([&] { s.schema.set("data.flip=yes"); }),
            "[config] expected data.flip to be true or false, got \"yes\" (--set)");
}

TEST(Schema, MissingFileIsAnIoError) {
  Settings s;
  EXPECT_THROW(s.schema.read_file("/nonexistent/run.json"), IoError);
}

TEST(Schema, DescribesEverySetting) {
  Settings s;
  const std::string text = s.schema.describe();
  EXPECT_NE(text.find("optim.lr = 0.1"), std::string::npos);
  EXPECT_NE(text.find("learning rate (above 0)"), std::string::npos);
  EXPECT_NE(text.find("resnet20 | resnet32 | vit"), std::string::npos);
}

struct Line {
  std::string weights, mode = "fast";
  int64_t threads = 0;
  bool json = false;
  std::vector<std::string> only;
  Cli cli{"demo", "A demonstration."};
  Line() {
    cli.option("--weights", weights, "FILE", "weights to read").required();
    cli.option("--mode", mode, "MODE", "how", {"fast", "slow"});
    cli.option("--threads", threads, {.min = 1, .max = 4096}, "N", "threads");
    cli.option("--only", only, "NAME", "these only");
    cli.flag("--json", json, "one JSON line");
  }
  bool parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "demo");
    return cli.parse(static_cast<int>(arguments.size()), const_cast<char**>(arguments.data()));
  }
};

TEST(Cli, ReadsOptionsFlagsAndLists) {
  Line line;
  EXPECT_TRUE(line.parse({"--only", "a", "b", "--weights=x=y", "--json", "--threads", "2", "--only", "c"}));
  EXPECT_EQ(line.weights, "x=y");
  EXPECT_TRUE(line.json);
  EXPECT_EQ(line.threads, 2);
  EXPECT_EQ(line.only, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(line.cli.given("--threads"));
  EXPECT_FALSE(line.cli.given("--mode"));
}

TEST(Cli, TakesTextsAsTheyStand) {
  for (const char* text : {"", "\"quoted\"", "\"", "--dashes", "[1, 2]", "true", "\xC3\xA9\xFF"}) {
    Line line;
    EXPECT_TRUE(line.parse({"--weights", text}));
    EXPECT_EQ(line.weights, text);
  }
}

TEST(Cli, RefusesInOneSentence) {
  struct Case {
    std::vector<const char*> arguments;
    const char* expected;
  };
  const Case cases[] = {
      {{}, "[demo] expected --weights FILE (see --help)"},
      {{"--weigths", "f"}, "[demo] unknown argument --weigths; did you mean --weights?"},
      {{"f"}, "[demo] unknown argument f (see --help)"},
      {{"--weights"}, "[demo] expected FILE after --weights, got nothing"},
      {{"--weights", "f", "--threads", "0"},
       "[demo] expected --threads to be a whole number at least 1 and at most 4096, got 0"},
      {{"--weights", "f", "--threads", "two"},
       "[demo] expected --threads to be a whole number at least 1 and at most 4096, got \"two\""},
      {{"--weights", "f", "--mode", "best"}, "[demo] expected --mode to be one of fast, slow, got \"best\""},
      {{"--weights", "f", "--weights", "g"}, "[demo] expected --weights once, got it twice"},
      {{"--weights", "f", "--json=1"}, "[demo] expected no value after --json, got 1"},
  };
  for (const Case& c : cases) EXPECT_EQ(usage_error([&] { Line().parse(c.arguments); }), c.expected);
}

TEST(Cli, HelpNamesEveryArgument) {
  const std::string help = Line().cli.help();
  for (const char* text :
       {"A demonstration.", "Usage: demo --weights FILE [options]", "--mode MODE", "--only NAME", "--json"})
    EXPECT_NE(help.find(text), std::string::npos) << text;
}

TEST(Cli, ExitCodes) {
  EXPECT_EQ(run_program("demo", [] { return 0; }), 0);
  EXPECT_EQ(run_program("demo", []() -> int { throw UsageError("a mistake"); }), 2);
  EXPECT_EQ(run_program("demo", []() -> int { throw IoError("no such file"); }), 1);
  EXPECT_EQ(run_program("demo", []() -> int { throw std::bad_alloc(); }), 1);
}

}  // namespace
}  // namespace tern::train
