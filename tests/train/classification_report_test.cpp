// Evaluations of many classes, whose matrix would fill the memory and no page.
#include <cmath>

#include <gtest/gtest.h>

#include <tern/core/ops/create.h>
#include <tern/data/dataset.h>
#include <tern/data/loader.h>
#include <tern/train/insight/classification_report.h>
#include <tern/train/insight/report.h>

#include "message_of.h"

namespace tern::train {
namespace {

using tern::test::message_of;

// One grey pixel an image, whose value of 256 and the next make the number of its class.
struct ManyClasses : data::Dataset {
  explicit ManyClasses(int64_t classes) : count(classes) {
    for (int64_t c = 0; c < classes; ++c) names.push_back(concat("c", c));
  }
  int64_t size() const override { return 2 * count; }
  data::Example get(int64_t index) const override {
    Tensor image = zeros({1, 1, 2}, DType::kU8);
    const int64_t label = index % count;
    image.data<uint8_t>()[0] = static_cast<uint8_t>(label / 256);
    image.data<uint8_t>()[1] = static_cast<uint8_t>(label % 256);
    return {image, label};
  }
  const std::vector<std::string>& class_names() const override { return names; }
  int64_t count;
  std::vector<std::string> names;
};

// Right for all but multiples of `wrong`, which it takes for class 1.
struct Reader : nn::Module {
  Reader(int64_t classes, int64_t wrong_every) : count(classes), wrong(wrong_every) {}
  Tensor forward(const Tensor& x) override {
    const std::vector<double> pixels = x.to_vector<double>();  // in [0, 1]
    const auto byte = [&](int64_t at) { return std::llround(255 * pixels[static_cast<size_t>(at)]); };
    Tensor logits = zeros({x.size(0), count});
    for (int64_t i = 0; i < x.size(0); ++i) {
      const int64_t label = 256 * byte(2 * i) + byte(2 * i + 1);
      logits.data<float>()[i * count + (label % wrong == 0 ? 1 : label)] = 5;
    }
    return logits;
  }
  int64_t count, wrong;
};

ClassificationReport evaluation_of(int64_t classes, int64_t wrong) {
  Reader model(classes, wrong);
  data::DataLoader loader(data::share(ManyClasses(classes)), {.batch_size = 50});
  return examine(model, loader, {.mistakes = 2});
}

TEST(ClassificationReport, OfManyClassesHasTheLargestConfusionsAlone) {
  const ClassificationReport e = evaluation_of(2100, 700);
  EXPECT_EQ(e.result.n, 4200);
  EXPECT_TRUE(e.confusion.empty());
  EXPECT_EQ(e.confused_pairs, 3);
  EXPECT_EQ(e.confused, (std::vector<ConfusedPair>{{0, 1, 2}, {700, 1, 2}, {1400, 1, 2}}));
  const io::Json json = to_json(e);
  EXPECT_FALSE(json.contains("confusion"));
  EXPECT_EQ(json.at("confused").dump(), "[[0,1,2],[700,1,2],[1400,1,2]]");
  EXPECT_LT(json.dump().size(), 100'000u);
  const ClassificationReport again =
      classification_report_from(io::Json::parse("test", "evaluation.json", json.dump()));
  EXPECT_EQ(again.confused, e.confused);
  EXPECT_EQ(again.confused_pairs, 3);
  EXPECT_EQ(again.classes, e.classes);
  RunRecord run;
  run.evaluation = again;
  const io::Json page = report_data({run}).at("runs")[0].at("evaluation");
  EXPECT_FALSE(page.contains("confusion"));
  EXPECT_EQ(page.at("confused")[1].dump(), R"({"count":2,"label":700,"predicted":1})");
}

TEST(ClassificationReport, KeepsSoManyPairs) {
  const ClassificationReport e = evaluation_of(3000, 2);
  EXPECT_EQ(e.confused_pairs, 1500);
  EXPECT_EQ(e.confused.size(), kMaxConfusedPairs);
  EXPECT_EQ(to_json(e).at("confused_pairs").as_int(), 1500);
}

TEST(ClassificationReport, HasTheMatrixOfFewClasses) {
  const ClassificationReport e = evaluation_of(128, 64);
  ASSERT_EQ(e.confusion.size(), 128u);
  EXPECT_EQ(e.confusion[64][1], 2);
  EXPECT_EQ(e.confusion[63][63], 2);
  EXPECT_TRUE(to_json(e).contains("confusion"));
  EXPECT_TRUE(evaluation_of(129, 64).confusion.empty());
}

// What was written when every file had the matrix.
TEST(ClassificationReport, ReadsALargeMatrixOfBefore) {
  io::Json names = io::Json::array(), rows = io::Json::array();
  for (int64_t c = 0; c < 200; ++c) {
    names.push_back(concat("c", c));
    std::vector<int64_t> row(200);
    row[static_cast<size_t>(c)] = 9;
    if (c == 150) row[3] = 7;
    rows.push_back(row);
  }
  io::Json json = io::Json::object({{"step", 1},
                                    {"top1", 0.5},
                                    {"top5", 1.0},
                                    {"loss", 1.0},
                                    {"n", 1807},
                                    {"classes", names},
                                    {"confusion", rows},
                                    {"worst", io::Json::array()}});
  const ClassificationReport e = classification_report_from(json);
  EXPECT_TRUE(e.confusion.empty());
  EXPECT_EQ(e.confused, (std::vector<ConfusedPair>{{150, 3, 7}}));
  json.erase("confusion");
  json["confused_pairs"] = 1;
  for (const char* bad : {"[[1,2]]", "[[1,1,2]]", "[[1,200,2]]", "[[-1,2,3]]", "[[1,2,0]]", "[3]", "3"}) {
    json["confused"] = io::Json::parse("test", "bad", bad);
    EXPECT_THROW((void)classification_report_from(json), FormatError) << bad;
  }
  json["confused"] = io::Json::parse("test", "good", "[[1,2,3],[4,5,6]]");
  EXPECT_EQ(classification_report_from(json).confused, (std::vector<ConfusedPair>{{4, 5, 6}, {1, 2, 3}}));
  json.erase("confused");
  EXPECT_NE(message_of<FormatError>([&] { (void)classification_report_from(json); }).find("'confused'"),
            std::string::npos);
}

}  // namespace
}  // namespace tern::train
