// Everything: #include <tern/tern.h>.
#pragma once

#include <tern/core/autograd/autograd.h>
#include <tern/core/autograd/custom_op.h>
#include <tern/core/autograd/gradcheck.h>
#include <tern/core/copy.h>
#include <tern/core/dropout.h>
#include <tern/core/io/json.h>
#include <tern/core/io/npy.h>
#include <tern/core/io/safetensors.h>
#include <tern/core/join.h>
#include <tern/core/linear.h>
#include <tern/core/loss.h>
#include <tern/core/matmul.h>
#include <tern/core/norm.h>
#include <tern/core/reduce.h>
#include <tern/core/rope.h>
#include <tern/core/shape.h>
#include <tern/core/softmax.h>
#include <tern/core/tensor.h>
#include <tern/nn/child.h>
#include <tern/nn/module.h>
#include <tern/nn/parameter.h>
#include <tern/nn/parametrization.h>
