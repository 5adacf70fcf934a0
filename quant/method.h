// The methods of compression that Tern knows, as the rest of it sees them: checkpoints, inspect, reports, event files
// and `pack` loop over this list and name none of them. Another method is a room under quant/ with a method() of its
// own, listed in quant/CMakeLists.txt, or one that a program registers.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tern/nn/module.h>
#include <tern/quant/layer_state.h>

namespace tern::quant {

/// A tensor of a file by its name; nothing if the file has none of that name.
using ReadTensor = std::function<std::optional<Tensor>(const std::string& name)>;

/// A compressed weight of a file, for who has no model to load it into.
struct DescribedLayer {
  std::string parameter;  ///< path of the latent weight, a tensor of the file
  /// The weight's state for its latent value, all finite, f32 or f64; nothing where that cannot be said (logits that
  /// are NaN).
  std::function<std::optional<LayerState>(const Tensor& latent)> state;
};

/// What lies in a model. All functions but `effective`, `described` and `pack` are there.
struct Method {
  std::string key;           ///< unique, of letters, digits and _
  std::string metadata_key;  ///< under which a file's metadata has the description: "tern.quantizers"
  std::string title;         ///< for people

  /// Whether a model has layers of the method.
  std::function<bool(const nn::Module& model)> is_in = {};
  /// A model's layers of the method as text (JSON), for a file's metadata.
  std::function<std::string(const nn::Module& model)> describe = {};
  /// Makes a model of the same structure, without layers of the method, one that has what a description says; values
  /// then come with the state dict. Throws FormatError for a text that is no description, ValueError or StateError
  /// where the model does not fit. A caller who needs the model as it was then holds an nn::StructureGuard, as
  /// train::load_weights does.
  std::function<void(nn::Module& model, const std::string& description)> restore = {};
  /// A state for every layer that the method has in a model, `method` being its key.
  std::function<std::vector<LayerState>(const nn::Module& model)> layer_states = {};

  /// What the layer whose parameter has that path computes with, where that is not the parameter's effective value;
  /// undefined for a layer that is not the method's. Empty: it always is.
  std::function<Tensor(const nn::Module& model, const LayerState& layer)> effective = {};
  /// The weights that a description names, looked at in the file itself. Throws FormatError for a text that is no
  /// description and for tensors that the file lacks. Empty: such files are shown as they are.
  std::function<std::vector<DescribedLayer>(const std::string& description, const ReadTensor& read)> described = {};
  /// Puts packed layers (packed/) in the place of the method's, for inference; throws StateError for layers that have
  /// no packed form. Empty: the method has none.
  std::function<void(nn::Module& model)> pack = {};
};

/// All methods: those of Tern, then those registered, in that order.
const std::deque<Method>& methods();
/// Adds one, for the life of the program. Throws ValueError for a key or metadata key that is empty or taken, and if
/// one of the functions is missing. Not to be called while another thread uses methods().
void register_method(Method method);
/// The method of that key; null if there is none.
const Method* find_method(std::string_view key);
/// The weight that a layer of a model's table computes with.
Tensor effective_weight(const nn::Module& model, const LayerState& layer);

}  // namespace tern::quant
