#include <thread>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/autograd/custom_op.h>
#include <tern/core/autograd/observer.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/operators.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/storage.h>

namespace tern::autograd {
namespace {

// Writes down what it is told, one line a call, indented by what is under way.
struct Diary : Observer {
  std::vector<std::string> lines;
  size_t depth = 0;
  void add(const std::string& text) { lines.push_back(std::string(2 * depth, ' ') + text); }
  void module_begins(std::string_view name) override {
    const std::string parent = current_module_path();
    add("> " + (parent.empty() ? "" : parent + ".") + std::string(name));
    ++depth;
  }
  void module_ends() noexcept override { --depth; }
  void node_recorded(const Node& node) override { add(std::string("node ") + node.name() + " in " + node.module_path); }
  void backward_begins(const Node& node) override {
    add(std::string("< ") + node.name() + " of " + node.module_path);
    ++depth;
  }
  void backward_ends(const Node&) noexcept override { --depth; }
};

using Lines = std::vector<std::string>;

TEST(Observer, SeesModulesNodesAndTheirBackward) {
  Diary diary;
  const Tensor x = ones({3}).requires_grad_();
  {
    const ObserverGuard guard(&diary);
    Tensor y;
    {
      const ModuleScope outer("outer");
      {
        const ModuleScope inner("inner");
        y = mul(x, x);
      }
      y = exp(y);
    }
    sum(y).backward();
  }
  EXPECT_EQ(diary.lines, (Lines{"> outer", "  > outer.inner", "    node mul in outer.inner", "  node exp in outer",
                                "node sum in ", "< sum of ", "< exp of outer", "< mul of outer.inner"}));
  EXPECT_EQ(diary.depth, 0u);
  diary.lines.clear();
  const ModuleScope after("after");
  sum(mul(x, x)).backward();
  EXPECT_TRUE(diary.lines.empty());
}

TEST(Observer, EndsWhatItBeganWhenABackwardThrows) {
  const CustomOp broken(
      "broken", [](CustomContext&, std::span<const Tensor> in) { return in[0].clone(); },
      [](const CustomContext&, const Tensor&) -> Gradients { throw ValueError("[broken] expected more"); });
  Diary diary;
  const ObserverGuard guard(&diary);
  const Tensor x = ones({1}).requires_grad_();
  const Tensor y = [&] {
    const ModuleScope scope("layer");
    return broken({x});
  }();
  try {
    y.backward();
    ADD_FAILURE() << "expected an error";
  } catch (const ValueError& error) {
    EXPECT_STREQ(error.what(), "[broken] expected more (in layer)");
  }
  EXPECT_EQ(diary.depth, 0u);
}

TEST(Observer, WatchesOneThreadAndNests) {
  Diary outer, inner;
  const ObserverGuard guard(&outer);
  std::thread([] { const ModuleScope scope("elsewhere"); }).join();
  {
    const ObserverGuard other(&inner);
    const ModuleScope scope("a");
    {
      const ObserverGuard nobody(nullptr);
      const ModuleScope unseen("b");
    }
  }
  const ModuleScope scope("c");
  EXPECT_EQ(outer.lines, Lines{"> c"});
  EXPECT_EQ(inner.lines, Lines{"> a"});
  EXPECT_EQ(inner.depth, 0u);
}

TEST(Observer, AThreadCountsWhatItAllocates) {
  const int64_t before = thread_allocated_bytes();
  const Tensor x = empty({1000});
  EXPECT_EQ(thread_allocated_bytes() - before, 4000);
  int64_t elsewhere = -1;
  std::thread([&] {
    const Tensor y = empty({10}, DType::kF64);
    elsewhere = thread_allocated_bytes();
  }).join();
  EXPECT_EQ(elsewhere, 80);
  EXPECT_EQ(thread_allocated_bytes() - before, 4000);
}

}  // namespace
}  // namespace tern::autograd
