// A Profiler's events as trace.json.
#pragma once

#include <string>

#include <tern/train/loop/detail/profile_recorder.h>

namespace tern::train {

/// Profiler::trace().
std::string profile_trace(const ProfileRecorder& recorder);

}  // namespace tern::train
