#!/usr/bin/python3
"""The affine quantizer: golden/quant/affine.safetensors.

fake_quantize: PyTorch's torch.fake_quantize_per_tensor_affine and _per_channel_affine in single precision, with gradients. ranges: scales, zero
points and codes of rules from their definition, in numpy's single precision.
"""
import json
import os

import numpy as np
import torch

import hashed
import safetensors_file

tensors, metadata = {}, {}


def put(case, attributes, **arrays):
    metadata[case] = json.dumps(attributes)
    for tag, array in arrays.items():
        tensors[f"{case}/{tag}"] = np.asarray(array)


def numbers(tag, shape, low, high):
    return hashed.between(f"affine/{tag}", shape, low, high).to(torch.float32)


def fake_quantize(case, bits, signed, shape, axis, zeros):
    lo, hi = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    x = numbers(case + "/x", shape, -2.0, 2.0)
    channels = 1 if axis is None else shape[axis]
    scale = numbers(case + "/scale", [channels], 1.0, 4.0) / (hi - lo)  # some values are clamped at either end
    zero = torch.tensor([lo + (hi - lo) * (i % 4 + 1) // 5 if zeros else 0 for i in range(channels)], dtype=torch.int32)
    grad = numbers(case + "/grad", shape, -1.0, 1.0)
    flat = x.view(-1)
    for i in range(0, flat.numel() // 2, 7):  # halves, with the tensor's first scale
        flat[i] = scale[0] * (i % 5 + 0.5)
    leaf = x.clone().requires_grad_(True)
    if axis is None:
        out = torch.fake_quantize_per_tensor_affine(leaf, float(scale[0]), int(zero[0]), lo, hi)
    else:
        out = torch.fake_quantize_per_channel_affine(leaf, scale, zero, axis, lo, hi)
    out.backward(grad)
    scale, zero = scale.numpy(), zero.numpy()
    put(case, {"op": "fake_quantize", "bits": bits, "signed": signed, "axis": axis}, in0=x.numpy(), grad_out=grad.numpy(),
        scale=scale if axis is not None else scale[0], zero=zero if axis is not None else zero[0], out=out.detach().numpy(), grad0=leaf.grad.numpy())


def ranges(case, w, group, bits, signed, symmetric, top=False, min_range=0.0, min_scale=2.0**-23, scale_of_zeros=0.0, include_zero=False,
           pad_last=False):
    f = np.float32
    lo, hi = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    rows, n = w.shape
    groups = -(-n // group)
    scale, zero = np.zeros((rows, groups), f), np.zeros((rows, groups), np.int32)
    codes = {order: np.zeros((rows, n), np.int32) for order in ("fused", "split", "reciprocal")}
    for r in range(rows):
        for g in range(groups):
            part = w[r, g * group:(g + 1) * group]
            low, high = part.min(), part.max()
            if include_zero or (pad_last and len(part) < group):
                low, high = min(low, f(0)), max(high, f(0))
            span = max(-low, high) if symmetric else high - low
            divisor = f(hi) if symmetric and top else f((hi - lo) / 2) if symmetric else f(hi - lo)
            s = max(max(span, f(min_range)) / divisor, f(min_scale))
            if span == 0 and scale_of_zeros > 0:
                s = f(scale_of_zeros)
            z = 0 if symmetric else int(np.clip(lo - np.rint(low / s), lo, hi))
            scale[r, g], zero[r, g] = s, z
            at = np.s_[r, g * group:(g + 1) * group]
            codes["fused"][at] = np.clip(np.rint(part / s + f(z)), lo, hi)
            codes["split"][at] = np.clip(np.rint(part / s) + f(z), lo, hi)
            codes["reciprocal"][at] = np.clip(np.rint(part * (f(1) / s)) + f(z), lo, hi)
    put(case, {"op": "ranges", "bits": bits, "signed": signed, "symmetric": symmetric, "group": group, "top": top, "min_range": min_range,
               "min_scale": min_scale, "scale_of_zeros": scale_of_zeros, "include_zero": include_zero, "pad_last": pad_last},
        in0=w, scale=scale, zero=zero, **codes)


def main():
    for bits in (2, 4, 8, 16):
        for signed in (True, False):
            for axis, shape in ((None, [5, 21]), (0, [5, 21]), (1, [3, 4, 6]), (2, [2, 3, 9])):
                name = f"{'int' if signed else 'uint'}{bits}_{'tensor' if axis is None else f'axis{axis}'}"
                fake_quantize(name, bits, signed, shape, axis, zeros=not signed or axis == 1)
    w = numbers("weight", [5, 22], -0.1, 0.1).numpy()
    w[0, :8] = np.abs(w[0, :8])         # one sign
    w[1, 8:16] = -np.abs(w[1, 8:16]) - np.float32(0.05)
    w[2, :] = 0
    w[3, 5] = 3.0                       # an outlier
    w[4, 20:] = np.float32(0.07)        # a constant last group
    for group in (4, 8, 22):
        ranges(f"uint4_g{group}", w, group, 4, False, False, min_scale=1e-8)
        ranges(f"uint4_include_zero_g{group}", w, group, 4, False, False, min_scale=1e-8, include_zero=True)
        ranges(f"uint4_pad_g{group}", w, group, 4, False, False, min_scale=1e-8, pad_last=True)
        ranges(f"uint4_awq_g{group}", w, group, 4, False, False, min_range=1e-5, min_scale=0.0)
        ranges(f"int4_top_g{group}", w, group, 4, True, True, top=True, min_scale=0.0, scale_of_zeros=1.0)
        ranges(f"int8_half_range_g{group}", w, group, 8, True, True)
        ranges(f"uint8_g{group}", w, group, 8, False, False)
    os.makedirs(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "quant"), exist_ok=True)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "quant", "affine.safetensors")
    safetensors_file.write(path, tensors, metadata)
    print(f"quant/affine.safetensors: {len(metadata)} cases, {os.path.getsize(path) // 1024} KiB")


if __name__ == "__main__":
    main()
