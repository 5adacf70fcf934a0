// A Profiler's sums as lines of layers and phases, as the table for people and as profile.json.
#pragma once

#include <string>
#include <vector>

#include <tern/core/io/json.h>
#include <tern/train/loop/detail/profile_recorder.h>
#include <tern/train/loop/profile.h>

namespace tern::train {

/// Profiler::rows(), phases(), table() and to_json().
std::vector<ProfileRow> profile_rows(const ProfileRecorder& recorder);
std::vector<ProfilePhase> profile_phases(const ProfileRecorder& recorder);
std::string profile_table(const ProfileRecorder& recorder);
io::Json profile_json(const ProfileRecorder& recorder);

}  // namespace tern::train
