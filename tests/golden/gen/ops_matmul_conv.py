"""Matrix products, linear, convolution and pooling."""
import torch
import torch.nn.functional as F

from opcases import Family


def matmul():
    f = Family("matmul")
    shapes = {
        "2d": ([3, 4], [4, 5]), "2d_odd": ([17, 33], [33, 9]), "one": ([1, 1], [1, 1]), "row_column": ([1, 6], [6, 1]),
        "outer": ([5, 1], [1, 4]), "batched": ([2, 3, 4], [2, 4, 5]), "batched_4d": ([2, 3, 4, 2], [2, 3, 2, 5]),
        "broadcast_right": ([2, 3, 4], [4, 5]), "broadcast_left": ([3, 4], [2, 4, 5]), "broadcast_one": ([1, 3, 4], [2, 4, 5]),
        "broadcast_both": ([2, 1, 3, 4], [5, 4, 2]), "dot": ([7], [7]), "matrix_vector": ([3, 4], [4]), "vector_matrix": ([4], [4, 5]),
        "batch_vector": ([2, 3, 4], [4]), "vector_batch": ([4], [2, 4, 5]), "empty_inner": ([3, 0], [0, 2]), "medium": ([40, 24], [24, 31]),
    }
    for tag, (a, b) in shapes.items():
        f.add("matmul_" + tag, "matmul", torch.matmul, {"input": f.rand(tag, "a", a), "other": f.rand(tag, "b", b)})
    for tag, a, b, ta, tb in (("tn", [4, 3], [4, 5], True, False), ("nt", [3, 4], [5, 4], False, True), ("tt", [4, 3], [5, 4], True, True),
                              ("batched_nt", [2, 3, 4], [2, 5, 4], False, True), ("batched_tn", [2, 4, 3], [2, 4, 5], True, False)):

        def product(x, y, ta=ta, tb=tb):
            return (x.transpose(-1, -2) if ta else x) @ (y.transpose(-1, -2) if tb else y)

        f.add("matmul_" + tag, "matmul", product, {"input": f.rand(tag, "a", a), "other": f.rand(tag, "b", b)}, transpose_input=ta,
              transpose_other=tb, note="the last two dimensions of the marked operands are swapped before the product")
    for tag, x, out, bias in (("2d", [4, 6], 5, True), ("no_bias", [4, 6], 5, False), ("3d", [2, 3, 6], 4, True), ("1d", [6], 3, True),
                              ("4d_no_bias", [2, 2, 3, 4], 3, False), ("wide", [7, 65], 19, True)):
        case = "linear_" + tag
        f.add(case, "linear", F.linear, {"input": f.rand(case, "x", x), "weight": f.rand(case, "w", [out, x[-1]]),
                                         "bias": f.rand(case, "b", [out]) if bias else None})
    f.save()


def conv():
    f = Family("conv")
    # tag: input shape, out channels, kernel, stride, padding, dilation, groups, bias
    cases = {
        "3x3": ([2, 3, 6, 7], 4, (3, 3), (1, 1), (1, 1), (1, 1), 1, True),
        "3x3_no_bias": ([2, 3, 6, 7], 4, (3, 3), (1, 1), (1, 1), (1, 1), 1, False),
        "3x3_valid": ([1, 2, 5, 6], 3, (3, 3), (1, 1), (0, 0), (1, 1), 1, True),
        "3x3_stride2": ([2, 3, 8, 8], 4, (3, 3), (2, 2), (1, 1), (1, 1), 1, False),
        "3x3_stride2_odd": ([2, 3, 7, 9], 4, (3, 3), (2, 2), (1, 1), (1, 1), 1, True),
        "3x3_stride2_leftover": ([1, 2, 6, 8], 3, (3, 3), (2, 2), (0, 0), (1, 1), 1, False),
        "3x3_stride21": ([2, 3, 7, 6], 2, (3, 3), (2, 1), (1, 1), (1, 1), 1, True),
        "3x3_stride12_pad02": ([1, 2, 5, 7], 3, (3, 3), (1, 2), (0, 2), (1, 1), 1, True),
        "3x3_stride3": ([1, 2, 10, 11], 3, (3, 3), (3, 3), (1, 1), (1, 1), 1, False),
        "3x3_padding2": ([1, 2, 4, 4], 3, (3, 3), (1, 1), (2, 2), (1, 1), 1, False),
        "3x3_padding_beyond_kernel": ([1, 1, 3, 3], 2, (3, 3), (1, 1), (4, 3), (1, 1), 1, True),
        "3x3_dilation2": ([2, 2, 8, 9], 3, (3, 3), (1, 1), (2, 2), (2, 2), 1, False),
        "3x3_dilation23_stride2": ([1, 2, 11, 12], 3, (3, 3), (2, 2), (1, 2), (2, 3), 1, True),
        "1x1": ([2, 5, 4, 3], 6, (1, 1), (1, 1), (0, 0), (1, 1), 1, True),
        "1x1_no_bias": ([2, 8, 4, 4], 4, (1, 1), (1, 1), (0, 0), (1, 1), 1, False),
        "1x1_stride2": ([2, 4, 6, 7], 6, (1, 1), (2, 2), (0, 0), (1, 1), 1, False),
        "1x1_padding": ([1, 2, 3, 3], 2, (1, 1), (1, 1), (1, 1), (1, 1), 1, True),
        "1x1_groups": ([1, 6, 3, 4], 9, (1, 1), (1, 1), (0, 0), (1, 1), 3, False),
        "7x7_stride2": ([1, 3, 16, 15], 4, (7, 7), (2, 2), (3, 3), (1, 1), 1, False),
        "5x5": ([1, 2, 7, 6], 3, (5, 5), (1, 1), (2, 2), (1, 1), 1, True),
        "2x2_stride2": ([1, 3, 6, 7], 2, (2, 2), (2, 2), (0, 0), (1, 1), 1, True),
        "1x3": ([1, 2, 5, 6], 3, (1, 3), (1, 1), (0, 1), (1, 1), 1, True),
        "3x1": ([1, 2, 5, 6], 3, (3, 1), (1, 1), (1, 0), (1, 1), 1, False),
        "4x3_stride12": ([1, 2, 8, 7], 3, (4, 3), (1, 2), (2, 1), (1, 1), 1, True),
        "patch": ([2, 3, 8, 8], 5, (4, 4), (4, 4), (0, 0), (1, 1), 1, True),
        "kernel_is_input": ([2, 3, 4, 5], 3, (4, 5), (1, 1), (0, 0), (1, 1), 1, True),
        "one_pixel": ([2, 3, 1, 1], 4, (3, 3), (1, 1), (1, 1), (1, 1), 1, True),
        "groups2": ([2, 4, 5, 6], 6, (3, 3), (1, 1), (1, 1), (1, 1), 2, True),
        "groups3_stride2": ([1, 6, 7, 6], 3, (3, 3), (2, 2), (1, 1), (1, 1), 3, False),
        "depthwise": ([2, 5, 6, 5], 5, (3, 3), (1, 1), (1, 1), (1, 1), 5, True),
        "depthwise_stride2": ([1, 4, 7, 8], 4, (3, 3), (2, 2), (1, 1), (1, 1), 4, False),
        "depthwise_multiplier": ([1, 3, 5, 5], 6, (3, 3), (1, 1), (1, 1), (1, 1), 3, True),
        "depthwise_5x5_dilation2": ([1, 3, 10, 9], 3, (5, 5), (1, 1), (4, 4), (2, 2), 3, False),
        "depthwise_16": ([1, 16, 6, 7], 16, (3, 3), (1, 1), (1, 1), (1, 1), 16, False),
        # channel counts that fill whole vector blocks, and ones just beside them
        "c16_3x3": ([2, 16, 8, 8], 16, (3, 3), (1, 1), (1, 1), (1, 1), 1, False),
        "c16_to_32_stride2": ([1, 16, 8, 8], 32, (3, 3), (2, 2), (1, 1), (1, 1), 1, False),
        "c16_odd_size": ([1, 16, 9, 11], 16, (3, 3), (1, 1), (1, 1), (1, 1), 1, True),
        "c17_to_19": ([1, 17, 6, 5], 19, (3, 3), (1, 1), (1, 1), (1, 1), 1, True),
        "c32_3x3": ([1, 32, 6, 6], 32, (3, 3), (1, 1), (1, 1), (1, 1), 1, False),
        "c64_3x3": ([1, 64, 4, 4], 64, (3, 3), (1, 1), (1, 1), (1, 1), 1, False),
        "c32_1x1_to_64": ([1, 32, 4, 4], 64, (1, 1), (1, 1), (0, 0), (1, 1), 1, False),
        "stem_16": ([2, 3, 12, 12], 16, (3, 3), (1, 1), (1, 1), (1, 1), 1, False),
    }
    for tag, (x, out, kernel, stride, padding, dilation, groups, bias) in cases.items():
        case = "conv2d_" + tag
        inputs = {"input": f.rand(case, "x", x), "weight": f.rand(case, "w", [out, x[1] // groups, *kernel], -1.0, 1.0),
                  "bias": f.rand(case, "b", [out]) if bias else None}

        def run(x, w, b, s=stride, p=padding, d=dilation, g=groups):
            return F.conv2d(x, w, b, s, p, d, g)

        f.add(case, "conv2d", run, inputs, stride=list(stride), padding=list(padding), dilation=list(dilation), groups=groups)
    f.save()


def pool():
    f = Family("pool")
    max_cases = {
        "2": ([2, 3, 6, 8], (2, 2), (2, 2), (0, 0), (1, 1)), "3_stride2_pad1": ([1, 2, 7, 8], (3, 3), (2, 2), (1, 1), (1, 1)),
        "3_stride1_pad1": ([1, 2, 5, 4], (3, 3), (1, 1), (1, 1), (1, 1)), "2_leftover": ([1, 2, 5, 7], (2, 2), (2, 2), (0, 0), (1, 1)),
        "23_stride12": ([1, 2, 5, 7], (2, 3), (1, 2), (1, 0), (1, 1)), "dilation2": ([1, 2, 7, 7], (2, 2), (1, 1), (0, 0), (2, 2)),
        "c16": ([1, 16, 6, 6], (3, 3), (2, 2), (1, 1), (1, 1)),
    }
    for tag, (x, kernel, stride, padding, dilation) in max_cases.items():
        case = "max_pool2d_" + tag

        def run(x, k=kernel, s=stride, p=padding, d=dilation):
            return F.max_pool2d(x, k, s, p, d)

        f.add(case, "max_pool2d", run, {"input": f.rand(case, "x", x)}, kernel_size=list(kernel), stride=list(stride), padding=list(padding),
              dilation=list(dilation), ceil_mode=False)
    f.add("max_pool2d_tie", "max_pool2d", lambda x: F.max_pool2d(x, 2), {"input": torch.tensor([[[[1.0, 1.0, 2.0, 3.0], [1.0, 0.0, 3.0, 3.0]]]])},
          kernel_size=[2, 2], stride=[2, 2], padding=[0, 0], dilation=[1, 1], ceil_mode=False, note="the first of equals takes the gradient")
    f.add("max_pool2d_nan", "max_pool2d", lambda x: F.max_pool2d(x, 2), {"input": torch.tensor([[[[1.0, float("nan")], [1.0, 0.0]]]])}, backward=False,
          kernel_size=[2, 2], stride=[2, 2], padding=[0, 0], dilation=[1, 1], ceil_mode=False)

    avg_cases = {
        "2": ([2, 3, 6, 8], (2, 2), (2, 2), (0, 0)), "3_stride2_pad1": ([1, 2, 7, 8], (3, 3), (2, 2), (1, 1)),
        "3_stride1_pad1": ([1, 2, 5, 4], (3, 3), (1, 1), (1, 1)), "2_leftover": ([1, 2, 5, 7], (2, 2), (2, 2), (0, 0)),
        "23_stride12": ([1, 2, 5, 7], (2, 3), (1, 2), (1, 1)), "8": ([2, 16, 8, 8], (8, 8), (8, 8), (0, 0)),
    }
    for tag, (x, kernel, stride, padding) in avg_cases.items():
        for include in (True, False) if any(padding) else (True,):
            case = f"avg_pool2d_{tag}" + ("" if include else "_exclude_pad")

            def run(x, k=kernel, s=stride, p=padding, include=include):
                return F.avg_pool2d(x, k, s, p, False, include)

            f.add(case, "avg_pool2d", run, {"input": f.rand(case, "x", x)}, kernel_size=list(kernel), stride=list(stride), padding=list(padding),
                  ceil_mode=False, count_include_pad=include)
    for tag, x, size in (("1", [2, 3, 5, 4], [1, 1]), ("even", [1, 2, 6, 8], [3, 4]), ("uneven", [1, 2, 7, 5], [3, 2]), ("bigger", [1, 2, 3, 2], [5, 3]),
                         ("same", [1, 2, 4, 4], [4, 4]), ("7", [1, 2, 10, 9], [7, 7])):
        case = "adaptive_avg_pool2d_" + tag
        f.add(case, "adaptive_avg_pool2d", lambda x, s=size: F.adaptive_avg_pool2d(x, s), {"input": f.rand(case, "x", x)}, output_size=size)
    f.add("global_avg_pool", "global_avg_pool", lambda x: x.mean((2, 3)), {"input": f.rand("gap", "x", [2, 5, 3, 4])}, note="the result is [N, C]")
    f.save()


def main():
    matmul()
    conv()
    pool()


if __name__ == "__main__":
    main()
