// What the pieces of this folder include: compiled once.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include <tern/core/ops/create.h>
#include <tern/core/ops/operators.h>
#include <tern/core/ops/pool.h>
#include <tern/core/random.h>
#include <tern/nn/init.h>
#include <tern/nn/layers/activations.h>
#include <tern/nn/layers/batch_norm.h>
#include <tern/nn/layers/containers.h>
#include <tern/nn/layers/conv2d.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/layers/recurrent.h>
