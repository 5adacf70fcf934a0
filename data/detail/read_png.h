// Reads PNG with libpng. Not part of the public interface.
#pragma once

#include <tern/data/detail/image_file.h>

namespace tern::data::detail {

Tensor read_png(const ImageFile& file);

}  // namespace tern::data::detail
