// Errors: the exact sentences that entries ask for, and an Error rather than a crash for anything else.
#include <tern/core/error.h>

#include "op_table/generic.h"

namespace tern::test {
namespace {

class OpErrors : public OpTest {
 protected:
  // A result or a tern::Error are both fine; anything else ends the test program or fails here.
  void survives(const Inputs& inputs) const {
    try {
      entry().call(inputs);
    } catch (const InternalError& error) {
      ADD_FAILURE() << describe_inputs(inputs) << ": " << error.what();
    } catch (const Error& error) {
      EXPECT_EQ(error.message().substr(0, 1), "[") << error.what();
    } catch (const std::exception& error) {
      ADD_FAILURE() << describe_inputs(inputs) << ": not a tern::Error: " << error.what();
    }
  }
};

TEST_P(OpErrors, SayTheExpectedSentence) {
  for (const Reject& reject : entry().rejects) {
    SCOPED_TRACE(describe_inputs(reject.inputs));
    const OpFunction& call = reject.call ? reject.call : entry().call;
    try {
      call(reject.inputs);
      ADD_FAILURE() << "expected: " << reject.message << "\nbut nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(error.message(), reject.message);
    }
  }
}

TEST_P(OpErrors, BadInputsNeverCrash) {
  for (const Inputs& sample : entry().samples) {
    for (size_t i = 0; i < sample.size(); ++i) {
      Inputs inputs = fresh(sample, DType::kF32);
      inputs[i] = Tensor();
      survives(inputs);
      for (const Shape& shape : {Shape{}, Shape{1}, Shape{3}, Shape{0}, Shape{2, 3}, Shape{3, 1, 2}, Shape{2, 0, 3, 1},
                                 Shape{1, 2, 3, 2, 1}}) {
        for (const DType dtype : {DType::kF32, DType::kI64, DType::kU8, DType::kBF16}) {
          inputs[i] = empty(shape, dtype).zero_();
          survives(inputs);
        }
      }
    }
  }
}

TERN_INSTANTIATE_OP_TESTS(OpErrors);

}  // namespace
}  // namespace tern::test
