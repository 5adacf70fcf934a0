// The only user of libpng in the library.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <png.h>

#include <tern/core/error.h>
#include <tern/core/ops/create.h>
#include <tern/data/detail/read_png.h>

namespace tern::data::detail {
namespace {

class PngReader {
 public:
  explicit PngReader(const ImageFile& file) : file_(file) {
    png_ = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, this, on_error, on_warning, this, allocate, release);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      file_.throw_no_memory();
    }
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  Tensor read();

 private:
  struct Canvas {
    uint8_t* planes;
    size_t width, height;
    bool colours;  // three samples a pixel, else one
    void put(size_t row, const uint8_t* samples) const;
  };
  void read_header();
  void read_rows(const Canvas& canvas, uint8_t* samples, size_t row_bytes, int passes);
  void look_up(const Canvas& canvas);
  template <class Step>
  void guard(const Step& step) {
    if (landing_.run(step)) return;
    if (no_memory_) file_.throw_no_memory();
    file_.throw_damaged(reason_.data());
  }

  static PngReader& of(png_structp png) { return *static_cast<PngReader*>(png_get_error_ptr(png)); }
  [[noreturn]] static void on_error(png_structp png, png_const_charp message) {
    PngReader& reader = of(png);
    std::snprintf(reader.reason_.data(), reader.reason_.size(), "%s", message);
    reader.landing_.leave();
  }
  static void on_warning(png_structp, png_const_charp) {}
  static png_voidp allocate(png_structp png, png_alloc_size_t bytes) {
    void* block = std::malloc(bytes);
    if (block == nullptr) static_cast<PngReader*>(png_get_mem_ptr(png))->no_memory_ = true;
    return block;
  }
  static void release(png_structp, png_voidp block) { std::free(block); }
  static void give_bytes(png_structp png, png_bytep out, size_t count) {
    auto& reader = *static_cast<PngReader*>(png_get_io_ptr(png));
    if (count > reader.file_.bytes.size() - reader.offset_) png_error(png, "the file ends early");
    std::memcpy(out, reader.file_.bytes.data() + reader.offset_, count);
    reader.offset_ += count;
  }

  const ImageFile& file_;
  Landing landing_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  size_t offset_ = 0;
  bool no_memory_ = false;
  std::array<char, 128> reason_ = {};
};

void PngReader::Canvas::put(size_t row, const uint8_t* samples) const {
  uint8_t* out = planes + row * width;
  if (colours) return put_rgb(samples, out, width, width * height);
  for (size_t c = 0; c < 3; ++c) std::memcpy(out + c * width * height, samples, width);
}

// What stands before the image's data. Only the chunks that say what the pixels are count; of the others, only that
// they are whole.
void PngReader::read_header() {
  guard([&] {
    png_set_read_fn(png_, this, give_bytes);
    png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // canvas() checks the size
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    constexpr png_byte kTransparency[] = "tRNS";
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, kTransparency, 1);
    png_read_info(png_, info_);
  });
}

Tensor PngReader::read() {
  const std::string_view content(reinterpret_cast<const char*>(file_.bytes.data()), file_.bytes.size());
  if (content.substr(0, 16).ends_with("CgBI"))
    file_.throw_unsupported("a PNG as its standard has it",
                            "one of the variant for iPhones (CgBI), whose red and blue are exchanged");
  read_header();
  const size_t width = png_get_image_width(png_, info_), height = png_get_image_height(png_, info_);
  const png_byte kind = png_get_color_type(png_, info_);
  Tensor image = file_.canvas(static_cast<int64_t>(width), static_cast<int64_t>(height));
  int passes = 0;
  guard([&] {
    png_set_strip_16(png_);
    png_set_strip_alpha(png_);
    if (kind == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png_);
    if (kind == PNG_COLOR_TYPE_PALETTE) png_set_packing(png_);  // a byte for each index
    passes = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    // From here on there is the image's data: what libpng would only warn of (a wrong sum, too much data) is damage.
    png_set_benign_errors(png_, 0);
  });
  const Canvas canvas{image.data<uint8_t>(), width, height, (kind & ~PNG_COLOR_MASK_ALPHA) == PNG_COLOR_TYPE_RGB};
  const size_t row_bytes = canvas.colours ? 3 * width : width;
  TERN_ASSERT(png_get_rowbytes(png_, info_) == row_bytes, "rows of a PNG of kind ", static_cast<int>(kind));
  Tensor samples = empty({passes == 1 ? 1 : image.size(1), static_cast<int64_t>(row_bytes)}, DType::kU8);
  read_rows(canvas, samples.data<uint8_t>(), row_bytes, passes);
  if (kind == PNG_COLOR_TYPE_PALETTE) look_up(canvas);
  return image;
}

// samples: room for one row, or for all where the image comes in several passes over its rows.
void PngReader::read_rows(const Canvas& canvas, uint8_t* samples, size_t row_bytes, int passes) {
  guard([&] {
    for (int pass = 0; pass < passes; ++pass)
      for (size_t y = 0; y < canvas.height; ++y) {
        uint8_t* const row = passes == 1 ? samples : samples + y * row_bytes;
        png_read_row(png_, row, nullptr);
        if (pass == passes - 1) canvas.put(y, row);
      }
    png_read_end(png_, nullptr);
  });
}

// The planes hold indices: each becomes its colour.
void PngReader::look_up(const Canvas& canvas) {
  png_colorp palette = nullptr;
  int colours = 0;
  if (png_get_PLTE(png_, info_, &palette, &colours) == 0) file_.throw_damaged("no palette");
  const size_t pixels = canvas.width * canvas.height;
  for (size_t i = 0; i < pixels; ++i) {
    const size_t index = canvas.planes[i];
    if (index >= static_cast<size_t>(colours)) file_.throw_damaged("a colour that the palette lacks");
    canvas.planes[i] = palette[index].red;
    canvas.planes[pixels + i] = palette[index].green;
    canvas.planes[2 * pixels + i] = palette[index].blue;
  }
}

}  // namespace

Tensor read_png(const ImageFile& file) {
  return PngReader(file).read();
}

}  // namespace tern::data::detail
