#!/usr/bin/python3
"""Image scaling with antialiasing, as torch.nn.functional.interpolate does it (align_corners False) -> golden/data/resize.json."""
import torch

import jsonfile

SIZES = [((9, 7), (4, 5)), ((9, 7), (13, 11)), ((9, 7), (1, 1)), ((9, 7), (3, 14)), ((32, 32), (8, 8)), ((5, 20), (10, 3)), ((2, 2), (7, 5)),
         ((40, 3), (4, 3))]


def image(height, width):
    i = torch.arange(height * width, dtype=torch.int64)
    return ((i * 37 + i * i % 91) % 256).to(torch.float32).reshape(1, 1, height, width)


def main():
    cases = []
    for (height, width), size in SIZES:
        for mode in ("bilinear", "bicubic"):
            out = torch.nn.functional.interpolate(image(height, width), size=size, mode=mode, align_corners=False, antialias=True)
            cases.append({"from": [height, width], "to": list(size), "mode": mode, "out": [round(v, 4) for v in out.flatten().tolist()]})
    jsonfile.write("data", "resize", {
        "about": "One plane of f32; pixel i (row-major) is (37 i + (i * i mod 91)) mod 256. `out` is row-major, in f32, to four digits.",
        "cases": cases,
    })


if __name__ == "__main__":
    main()
