// What the pieces of this folder include: compiled once.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include <tern/core/create.h>
#include <tern/core/operators.h>
#include <tern/core/pool.h>
#include <tern/core/random.h>
#include <tern/nn/activations.h>
#include <tern/nn/batch_norm.h>
#include <tern/nn/containers.h>
#include <tern/nn/conv2d.h>
#include <tern/nn/init.h>
#include <tern/nn/linear.h>
#include <tern/nn/recurrent.h>
