#include <gtest/gtest.h>

#include <tern/core/dims.h>
#include <tern/core/error.h>

#include "message_of.h"

namespace tern {
namespace {

// The sentence that f throws as an Error of that kind.
using test::message_of;

TEST(Dims, HoldsUpToEightAxes) {
  Dims d{1, 2, 3};
  EXPECT_EQ(to_string(d), "[1, 2, 3]");
  d.insert(0, 9);
  d.insert(4, 7);
  EXPECT_EQ(to_string(d), "[9, 1, 2, 3, 7]");
  d.erase(1);
  EXPECT_EQ(d, (Dims{9, 2, 3, 7}));
  EXPECT_EQ(d.back(), 7);
  EXPECT_EQ(to_string(Dims{}), "[]");
  EXPECT_EQ(to_string(Dims(3, 5)), "[5, 5, 5]");
  EXPECT_EQ(message_of<ShapeError>([] { Dims(9, 1); }), "[shape] expected at most 8 axes, got 9");
  Dims full(8, 1);
  EXPECT_EQ(message_of<ShapeError>([&] { full.push_back(1); }), "[shape] expected at most 8 axes, got 9");
  EXPECT_EQ(message_of<ShapeError>([&] { full.insert(0, 1); }), "[shape] expected at most 8 axes, got 9");
  EXPECT_EQ(full.size(), 8);
}

TEST(Dims, ComparesSizeAndValues) {
  EXPECT_TRUE((Dims{1, 2} == Dims{1, 2}));
  EXPECT_FALSE((Dims{1, 2} == Dims{1, 3}));
  EXPECT_FALSE((Dims{1, 2} == Dims{1, 2, 1}));
  EXPECT_TRUE((Dims{} == Dims{}));
}

TEST(NumelOf, MultipliesAndRefuses) {
  EXPECT_EQ(numel_of({}), 1);
  EXPECT_EQ(numel_of({3, 4}), 12);
  EXPECT_EQ(numel_of({3, 0, 4}), 0);
  EXPECT_EQ(numel_of({int64_t{1} << 62}), int64_t{1} << 62);
  EXPECT_EQ(message_of<ShapeError>([] { numel_of({2, -1}); }), "[shape] expected sizes of at least 0, got [2, -1]");
  const int64_t large = int64_t{1} << 32;
  EXPECT_THROW(numel_of({large, large}), ShapeError);
  EXPECT_THROW(numel_of({large, large, large, large}), ShapeError);  // wraps to 0 in 64 bits
  EXPECT_EQ(numel_of({large, large, 0}), 0);
}

TEST(NormalizeAxis, CountsFromTheBack) {
  EXPECT_EQ(normalize_axis("op", -1, 3), 2);
  EXPECT_EQ(normalize_axis("op", 0, 3), 0);
  EXPECT_EQ(normalize_axis("op", -1, 0), 0);  // a scalar accepts 0 and -1
  EXPECT_EQ(message_of<ShapeError>([] { (void)normalize_axis("op", 3, 3); }),
            "[op] expected an axis in [-3, 2], got 3");
  EXPECT_EQ(message_of<ShapeError>([] { (void)normalize_axis("op", -4, 3); }),
            "[op] expected an axis in [-3, 2], got -4");
  EXPECT_EQ(message_of<ShapeError>([] { (void)normalize_axis("op", 1, 0); }),
            "[op] expected an axis in [-1, 0], got 1");
}

TEST(NormalizeAxes, SortsAndRefusesRepetition) {
  EXPECT_EQ(normalize_axes("op", {-1, 0}, 3), (Dims{0, 2}));
  EXPECT_EQ(normalize_axes("op", {}, 3), (Dims{0, 1, 2}));
  EXPECT_EQ(normalize_axes("op", {0}, 0), (Dims{}));
  EXPECT_EQ(message_of<ShapeError>([] {
              (void)normalize_axes("op", {2, -1}, 3);
            }),
            "[op] expected every axis once, got [2, -1]");
}

TEST(BroadcastShapes, FollowsNumPy) {
  EXPECT_EQ(broadcast_shapes("op", {2, 1, 3}, {4, 1}), (Shape{2, 4, 3}));
  EXPECT_EQ(broadcast_shapes("op", {}, {2}), (Shape{2}));
  EXPECT_EQ(broadcast_shapes("op", {0, 2}, {1, 1}), (Shape{0, 2}));
  EXPECT_EQ(broadcast_shapes("op", {1}, {0}), (Shape{0}));
  EXPECT_EQ(message_of<ShapeError>([] {
              (void)broadcast_shapes("op", {2, 3}, {3, 2});
            }),
            "[op] expected shapes that broadcast together, got [2, 3] and [3, 2]");
  EXPECT_THROW((void)broadcast_shapes("op", {2}, {0}), ShapeError);
}

}  // namespace
}  // namespace tern
