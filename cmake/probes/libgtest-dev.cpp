#include <gtest/gtest.h>

#if !defined(GTEST_SKIP) || !defined(INSTANTIATE_TEST_SUITE_P)
#error "GoogleTest is older than 1.10"
#endif

void use_googletest() {
  ::testing::InitGoogleTest();
}
