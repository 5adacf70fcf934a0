#include <png.h>

const void* use_libpng() {
  return png_get_header_ver(nullptr);
}
