"""Transposed convolution, interpolation and padding of images; pooling, convolution and shuffling of channels."""
import torch
from torch.nn import functional as F

from opcases import Family


def conv_transpose():
    f = Family("conv_transpose")

    def add(tag, x, w, stride=(1, 1), padding=(0, 0), output_padding=(0, 0), dilation=(1, 1), groups=1, bias=True):
        case = "conv_transpose2d_" + tag
        inputs = {"input": f.rand(case, "x", x), "weight": f.rand(case, "w", w, -0.5, 0.5),
                  "bias": f.rand(case, "b", [w[1] * groups]) if bias else None}

        def run(x, w, b):
            return F.conv_transpose2d(x, w, b, stride, padding, output_padding, groups, dilation)

        f.add(case, "conv_transpose2d", run, inputs, stride=list(stride), padding=list(padding), output_padding=list(output_padding),
              dilation=list(dilation), groups=groups)

    add("plain", [2, 3, 4, 5], [3, 4, 3, 3])
    add("no_bias", [1, 2, 3, 3], [2, 3, 2, 2], bias=False)
    add("stride2", [2, 3, 4, 3], [3, 2, 2, 2], stride=(2, 2))
    add("stride2_padded", [2, 3, 4, 3], [3, 2, 4, 4], stride=(2, 2), padding=(1, 1))
    add("output_padding", [1, 3, 4, 3], [3, 2, 3, 3], stride=(2, 2), padding=(1, 1), output_padding=(1, 1))
    add("uneven", [1, 2, 3, 4], [2, 3, 2, 3], stride=(3, 2), padding=(1, 0), output_padding=(2, 1), dilation=(1, 2))
    add("dilated", [1, 2, 3, 2], [2, 2, 2, 2], dilation=(3, 3), output_padding=(2, 1))
    add("groups", [2, 4, 3, 3], [4, 3, 3, 3], stride=(2, 2), padding=(1, 1), groups=2)
    add("depthwise", [2, 3, 3, 3], [3, 1, 3, 3], stride=(2, 2), groups=3)
    f.save()


def resample():
    f = Family("resample")

    def add(tag, x, mode, align_corners=False, **target):
        case = "interpolate_" + tag
        settings = {} if mode == "nearest" else {"align_corners": align_corners}
        f.add(case, "interpolate", lambda x: F.interpolate(x, mode=mode, **settings, **target), {"input": f.rand(case, "x", x)},
              mode=mode, align_corners=align_corners, **{k: list(v) if isinstance(v, tuple) else v for k, v in target.items()})

    for mode in ("nearest", "bilinear", "bicubic"):
        add(mode + "_double", [2, 3, 4, 5], mode, scale_factor=2)
        add(mode + "_size", [1, 2, 5, 4], mode, size=(7, 9))
        add(mode + "_smaller", [1, 2, 9, 8], mode, size=(4, 3))
        add(mode + "_fraction", [1, 2, 7, 5], mode, scale_factor=1.6)
        add(mode + "_half", [1, 2, 7, 5], mode, scale_factor=0.5)
        add(mode + "_uneven", [1, 2, 4, 6], mode, scale_factor=(2.5, 0.7))
        add(mode + "_one_pixel", [1, 2, 1, 1], mode, size=(3, 2))
        add(mode + "_to_one_pixel", [1, 2, 4, 3], mode, size=(1, 1))
        if mode != "nearest":
            add(mode + "_corners", [2, 2, 4, 5], mode, align_corners=True, scale_factor=2)
            add(mode + "_corners_size", [1, 2, 5, 4], mode, align_corners=True, size=(3, 9))
            add(mode + "_corners_to_one_pixel", [1, 2, 4, 3], mode, align_corners=True, size=(1, 1))

    for name, mode in (("reflection_pad2d", "reflect"), ("replication_pad2d", "replicate")):
        for tag, x, padding in (("all", [2, 2, 4, 5], (2, 2, 2, 2)), ("uneven", [1, 3, 4, 5], (4, 0, 1, 3)), ("none", [1, 1, 2, 2], (0, 0, 0, 0))):
            f.add(f"{name}_{tag}", name, lambda x: F.pad(x, padding, mode), {"input": f.rand(name + tag, "x", x)}, padding=list(padding))
    f.save()


def lines():
    f = Family("lines")

    def conv1d(tag, x, w, stride=1, padding=0, dilation=1, groups=1, bias=True):
        case = "conv1d_" + tag
        inputs = {"input": f.rand(case, "x", x), "weight": f.rand(case, "w", w, -0.5, 0.5), "bias": f.rand(case, "b", [w[0]]) if bias else None}
        f.add(case, "conv1d", lambda x, w, b: F.conv1d(x, w, b, stride, padding, dilation, groups), inputs, stride=stride, padding=padding,
              dilation=dilation, groups=groups)

    conv1d("plain", [2, 3, 7], [4, 3, 3])
    conv1d("padded", [2, 3, 7], [4, 3, 3], padding=1, bias=False)
    conv1d("stride2_dilated", [1, 4, 11], [2, 4, 3], stride=2, padding=2, dilation=2)
    conv1d("groups", [2, 4, 6], [6, 2, 2], groups=2)

    def pool(tag, op, fn, x, **attributes):
        f.add(f"{op}_{tag}", op, fn, {"input": f.rand(f"{op}_{tag}", "x", x)}, **attributes)

    for tag, k, s, p, d, ceil in (("plain", 2, 2, 0, 1, False), ("padded", 3, 2, 1, 1, False), ("dilated", 2, 1, 1, 3, False), ("ceil", 3, 2, 1, 1, True)):
        pool(tag, "max_pool1d", lambda x: F.max_pool1d(x, k, s, p, d, ceil), [2, 3, 8], kernel_size=k, stride=s, padding=p, dilation=d, ceil_mode=ceil)
    for tag, k, s, p, ceil, count in (("plain", 2, 2, 0, False, True), ("padded", 3, 2, 1, False, True), ("inside", 3, 1, 1, False, False), ("ceil", 3, 2, 1, True, True)):
        pool(tag, "avg_pool1d", lambda x: F.avg_pool1d(x, k, s, p, ceil, count), [2, 3, 8], kernel_size=k, stride=s, padding=p, ceil_mode=ceil, count_include_pad=count)
    pool("three", "adaptive_avg_pool1d", lambda x: F.adaptive_avg_pool1d(x, 3), [2, 3, 7], output_size=3)
    pool("three", "adaptive_max_pool1d", lambda x: F.adaptive_max_pool1d(x, 3), [2, 3, 7], output_size=3)
    pool("uneven", "adaptive_max_pool2d", lambda x: F.adaptive_max_pool2d(x, (3, 2)), [2, 3, 7, 5], output_size=[3, 2])
    pool("larger", "adaptive_max_pool2d", lambda x: F.adaptive_max_pool2d(x, (4, 5)), [1, 2, 3, 2], output_size=[4, 5])

    pool("two", "pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), [2, 12, 3, 4], factor=2)
    pool("three", "pixel_unshuffle", lambda x: F.pixel_unshuffle(x, 3), [2, 2, 6, 9], factor=3)
    pool("three", "channel_shuffle", lambda x: x.reshape(2, 3, 4, 2, 5).transpose(1, 2).reshape(2, 12, 2, 5), [2, 12, 2, 5], groups=3)
    f.save()


def main():
    conv_transpose()
    resample()
    lines()


if __name__ == "__main__":
    main()
