#!/usr/bin/python3
"""What PIL makes of image files: size and hash of the pixels, for the tests of data/decode_image.

  images.py           writes tests/golden/data/images.json, for the files under tests/data/suites
  images.py --make    makes the JPEG files of tests/data/suites/jpeg before that (needs cjpeg of libjpeg-turbo-progs)
  images.py DIR       prints the same for every .png, .jpg and .bmp file under another directory

Needs Debian's python3-pil and python3-numpy (written with Pillow 9.4 and libjpeg-turbo 2.1.5). The hash is fnv1a64
(see hashed.py) of the rows from the top, red, green and blue of each pixel in turn; null stands for a file that PIL refuses.
"""
import io
import json
import os
import subprocess
import sys
import warnings

import numpy as np
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
SUITES = os.path.join(HERE, "..", "..", "data", "suites")
GOLDEN = os.path.join(HERE, "..", "data", "images.json")


def fnv1a64(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001B3) & ((1 << 64) - 1)
    return h


def rgb(path):
    """Pixels as decode_image promises them: 16-bit samples cut to 8 (PIL limits grey ones to 255 instead)."""
    with Image.open(path) as image:
        image.load()
        if image.mode.startswith("I"):
            image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).astype(np.uint8))
        return image.convert("RGB")


def expected(path):
    try:
        image = rgb(path)
    except Exception:  # of many types
        return None
    return [image.width, image.height, f"{fnv1a64(image.tobytes()):016x}"]


def files_of(directory):
    for folder, _, names in sorted(os.walk(directory)):
        for name in sorted(names):
            if name.lower().endswith((".png", ".jpg", ".jpeg", ".bmp")):
                path = os.path.join(folder, name)
                yield os.path.relpath(path, directory), path


def picture(width, height):
    """Colours that change slowly, with a sharp edge and some noise, the same on every machine."""
    y, x = np.mgrid[0:height, 0:width]
    noise = (x * 7919 + y * 104729) % 31
    planes = [128 + 100 * np.sin(x / 5.0) + noise, 120 + 90 * np.cos(y / 4.0 + x / 9.0) - noise, np.where(x > y, 210, 40) + noise]
    return Image.fromarray(np.stack(planes, -1).clip(0, 255).astype(np.uint8))


def make_jpegs(directory):
    os.makedirs(directory, exist_ok=True)
    image = picture(45, 31)
    ppm = io.BytesIO()
    image.save(ppm, "PPM")
    scans = {"separate": "0;\n1;\n2;\n", "luma_first": "0;\n1 2;\n"}
    variants = {
        "baseline": [], "optimized": ["-optimize"], "progressive": ["-progressive"], "arithmetic": ["-arithmetic"],
        "arithmetic_progressive": ["-arithmetic", "-progressive"], "grey": ["-grayscale"], "grey_sampled": ["-grayscale", "-sample", "2x2"],
        "rgb": ["-rgb"], "quality_1": ["-quality", "1"], "quality_100": ["-quality", "100"], "tables_of_16_bits": ["-quality", "1", "-qslots", "0,1"],
        "restart_blocks": ["-restart", "2B"], "restart_rows": ["-restart", "1", "-progressive"], "arithmetic_restart": ["-arithmetic", "-restart", "1"],
    }
    for sampling in ("1x1", "2x1", "1x2", "4x1", "1x4", "4x2", "3x1", "1x1,2x2,1x1", "2x2,1x2,2x1"):
        name = sampling.replace(",", "_")
        variants["sampling_" + name] = ["-sample", sampling]
        variants["sampling_" + name + "_progressive"] = ["-sample", sampling, "-progressive"]
    for name, script in scans.items():
        path = os.path.join(directory, "scans.tmp")
        with open(path, "w") as f:
            f.write(script)
        variants["scans_" + name] = ["-scans", path]
    for name, options in variants.items():
        made = subprocess.run(["cjpeg", *options], input=ppm.getvalue(), stdout=subprocess.PIPE, check=True).stdout
        with open(os.path.join(directory, name + ".jpg"), "wb") as f:
            f.write(made)
    os.remove(os.path.join(directory, "scans.tmp"))
    for width, height in ((1, 1), (1, 40), (40, 1), (8, 8), (9, 17), (16, 16)):
        for subsampling in (0, 2):
            for progressive in (False, True):
                name = f"size_{width}x{height}_{'420' if subsampling else '444'}{'_progressive' if progressive else ''}.jpg"
                picture(width, height).save(os.path.join(directory, name), subsampling=subsampling, progressive=progressive)
    image.convert("CMYK").save(os.path.join(directory, "cmyk.jpg"))
    exif = Image.Exif()
    exif[0x112] = 6  # to be turned by a quarter: neither PIL's convert nor decode_image does
    image.save(os.path.join(directory, "exif_turned.jpg"), exif=exif)


def write(out, directory):
    about = "width, height and hash of the pixels that PIL reads from each file, null where it refuses one; see gen/images.py"
    lines = [f"{json.dumps(name)}: {json.dumps(expected(path))}" for name, path in files_of(directory)]
    out.write('{"about": ' + json.dumps(about) + ',\n"files": {\n' + ",\n".join(lines) + "\n}}\n")


def main():
    warnings.simplefilter("ignore")
    if len(sys.argv) > 1 and sys.argv[1] != "--make":
        write(sys.stdout, sys.argv[1])
        return
    if len(sys.argv) > 1:
        make_jpegs(os.path.join(SUITES, "jpeg"))
    with open(GOLDEN, "w") as f:
        write(f, SUITES)


if __name__ == "__main__":
    main()
