// Reads JPEG with libjpeg (libjpeg-turbo, as Debian has it). Not part of the public interface.
#pragma once

#include <tern/data/detail/image_file.h>

namespace tern::data::detail {

Tensor read_jpeg(const ImageFile& file);

}  // namespace tern::data::detail
