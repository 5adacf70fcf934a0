// The only user of libjpeg in the library.
#include <array>
#include <cstdio>
#include <vector>

#include <jerror.h>
#include <jpeglib.h>

#include <tern/core/error.h>
#include <tern/data/detail/read_jpeg.h>

namespace tern::data::detail {
namespace {

// Each scan goes over all pixels, and needs few bytes to say that it changes none. Files have some ten.
constexpr int kMaxScans = 500;

class JpegReader {
 public:
  explicit JpegReader(const ImageFile& file);
  ~JpegReader() { jpeg_destroy_decompress(&info_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  Tensor read();

 private:
  // How libjpeg stopped: one of its errors, or one of ours.
  enum Stop : int { kTooManyScans = -1, kNone = 0 };

  void read_header();
  void check_scans();
  template <class Step>
  void guard(const Step& step) {
    if (!landing_.run(step)) explain();
  }
  [[noreturn]] void explain() const;
  [[noreturn]] void stop(int code);

  static JpegReader& of(j_common_ptr info) { return *static_cast<JpegReader*>(info->client_data); }
  [[noreturn]] static void on_error(j_common_ptr info) { of(info).stop(info->err->msg_code); }
  static void on_message(j_common_ptr info, int level);
  static void on_output(j_common_ptr) {}
  static void on_progress(j_common_ptr info);

  const ImageFile& file_;
  Landing landing_;
  jpeg_decompress_struct info_ = {};
  jpeg_error_mgr errors_ = {};
  jpeg_progress_mgr progress_ = {};
  std::array<bool, MAX_COMPONENTS> seen_ = {};  // components of the scans until now
  int stop_ = kNone;
  std::array<char, JMSG_LENGTH_MAX> reason_ = {};
};

JpegReader::JpegReader(const ImageFile& file) : file_(file) {
  info_.err = jpeg_std_error(&errors_);
  errors_.error_exit = on_error;
  errors_.emit_message = on_message;
  errors_.output_message = on_output;
  info_.client_data = this;
  if (!landing_.run([&] { jpeg_create_decompress(&info_); })) {  // keeps err and client_data
    jpeg_destroy_decompress(&info_);
    explain();
  }
  progress_.progress_monitor = on_progress;
  info_.progress = &progress_;
}

void JpegReader::stop(int code) {
  stop_ = code;
  if (code == kTooManyScans)
    std::snprintf(reason_.data(), reason_.size(), "more than %d scans", kMaxScans);
  else
    errors_.format_message(reinterpret_cast<j_common_ptr>(&info_), reason_.data());
  landing_.leave();
}

// libjpeg goes on after damage and makes up what is missing, with a warning (level -1). The warnings that are passed
// over leave all pixels as they were written.
void JpegReader::on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  const int code = info->err->msg_code;
  if (code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM || code == JWRN_NOT_SEQUENTIAL) return;
  if (code == JWRN_EXTRANEOUS_DATA) {  // between a scan and the next segment; not within a scan, before RST0 to RST7
    const int marker = info->err->msg_parm.i[1];
    if (marker < 0xD0 || marker > 0xD7) return;
  }
  of(info).stop(code);
}

// Called before each step through the scans of a file that has several.
void JpegReader::on_progress(j_common_ptr info) {
  JpegReader& reader = of(info);
  const jpeg_decompress_struct& now = reader.info_;
  if (now.input_scan_number > kMaxScans) reader.stop(kTooManyScans);
  for (int i = 0; i < now.comps_in_scan; ++i)
    reader.seen_[static_cast<size_t>(now.cur_comp_info[i]->component_index)] = true;
}

// The sentence for what libjpeg could not read.
void JpegReader::explain() const {
  const int* parameters = errors_.msg_parm.i;
  switch (stop_) {
    case JERR_OUT_OF_MEMORY:
      file_.throw_no_memory();
    case JERR_BAD_PRECISION:
      file_.throw_unsupported("a JPEG of 8 bits a sample", concat("one of ", parameters[0]));
    case JERR_ARITH_NOTIMPL:
      file_.throw_unsupported("a JPEG that this libjpeg reads", "one with arithmetic coding");
    case JERR_EMPTY_IMAGE:
      file_.throw_unsupported(
          "a JPEG that begins with its size",
          concat("one of ", info_.image_width, " x ", info_.image_height, " (a height that comes later is not read)"));
    case JERR_IMAGE_TOO_BIG:
      file_.throw_unsupported(concat("a JPEG of at most ", parameters[0], " pixels a side"),
                              concat("one of ", info_.image_width, " x ", info_.image_height));
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_CCIR601_NOTIMPL:
      file_.throw_unsupported("a JPEG whose components are sampled in whole steps", "one with fractions");
    case JERR_SOF_UNSUPPORTED:
    case JERR_UNKNOWN_MARKER: {
      const int marker = parameters[0];
      const char* wanted = "a baseline or progressive JPEG";
      if (marker == 0xC3 || marker == 0xCB) file_.throw_unsupported(wanted, "a lossless one");
      if (marker == 0xDE || (marker >= 0xC5 && marker <= 0xCF)) file_.throw_unsupported(wanted, "a hierarchical one");
      break;
    }
    default:
      break;
  }
  file_.throw_damaged(reason_.data());
}

void JpegReader::read_header() {
  guard([&] {
    jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(file_.bytes.data()),
                 static_cast<unsigned long>(file_.bytes.size()));
    jpeg_read_header(&info_, TRUE);
  });
  if (info_.data_precision != 8)
    file_.throw_unsupported("a JPEG of 8 bits a sample", concat("one of ", info_.data_precision));
  const int components = info_.num_components;
  if (components != 1 && components != 3 && components != 4)
    file_.throw_unsupported("a JPEG of 1, 3 or 4 components", concat("one of ", components));
  if (components == 4 && !info_.saw_Adobe_marker)
    file_.throw_unsupported("a JPEG of 4 components with Adobe's marker",
                            "one without: whether its largest value is full ink or none is not known");
  info_.out_color_space = components == 4 ? JCS_CMYK : JCS_RGB;
}

// A file of several scans may end, in good order, before all its components had one.
void JpegReader::check_scans() {
  if (!jpeg_has_multiple_scans(&info_)) return;
  for (int c = 0; c < info_.num_components; ++c)
    if (!seen_[static_cast<size_t>(c)] || (info_.progressive_mode && info_.coef_bits[c][0] < 0))
      file_.throw_damaged(concat("no scan of component ", c + 1, " of ", info_.num_components));
}

// Cyan, magenta, yellow and black as Adobe's programs write them, 255 for no ink: each colour times black, rounded.
void put_cmyk(const uint8_t* samples, uint8_t* out, size_t width, size_t plane) {
  for (size_t x = 0; x < width; ++x, samples += 4)
    for (size_t c = 0; c < 3; ++c) {
      const unsigned product = static_cast<unsigned>(samples[c]) * samples[3] + 128;
      out[c * plane + x] = static_cast<uint8_t>((product + (product >> 8)) >> 8);
    }
}

Tensor JpegReader::read() {
  read_header();
  Tensor image = file_.canvas(info_.image_width, info_.image_height);
  guard([&] { jpeg_start_decompress(&info_); });
  check_scans();
  const size_t width = info_.output_width, height = info_.output_height;
  const auto channels = static_cast<size_t>(info_.output_components);
  TERN_ASSERT(static_cast<int64_t>(width) == image.size(2) && static_cast<int64_t>(height) == image.size(1) &&
                  channels == (info_.out_color_space == JCS_CMYK ? 4 : 3),
              "a JPEG comes as ", width, " x ", height, " x ", channels);
  std::vector<uint8_t> samples(width * channels);
  JSAMPROW row = samples.data();
  uint8_t* const planes = image.data<uint8_t>();
  guard([&] {
    for (size_t y = 0; y < height; ++y) {
      jpeg_read_scanlines(&info_, &row, 1);
      (channels == 3 ? put_rgb : put_cmyk)(row, planes + y * width, width, width * height);
    }
    jpeg_finish_decompress(&info_);  // up to the marker of the end, which must be there
  });
  return image;
}

}  // namespace

Tensor read_jpeg(const ImageFile& file) {
  return JpegReader(file).read();
}

}  // namespace tern::data::detail
