#include <cstdio>

#include <jpeglib.h>

const void* use_libjpeg() {
  static jpeg_error_mgr errors;
  return jpeg_std_error(&errors);
}
