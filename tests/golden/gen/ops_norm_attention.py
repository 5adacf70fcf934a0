"""Normalisation, scaled dot-product attention and rotary embedding."""
import math

import torch
import torch.nn.functional as F

from opcases import Family


def norm():
    f = Family("norm")
    for tag, x in (("4d", [3, 4, 3, 2]), ("2d", [6, 5]), ("3d", [3, 4, 5]), ("one_sample", [1, 3, 4, 4]), ("c16", [4, 16, 5, 5]), ("one_pixel", [4, 3, 1, 1])):
        c = x[1]
        for affine in (True, False) if tag == "4d" else (True,):
            case = f"batch_norm_train_{tag}" + ("" if affine else "_no_affine")
            mean, var = f.rand(case, "rm", [c], -0.5, 0.5), f.rand(case, "rv", [c], 0.5, 1.5)

            def train(x, rm, rv, w, b):
                rm, rv = rm.clone(), rv.clone()
                out = F.batch_norm(x, rm, rv, w, b, True, 0.1, 1e-5)
                return out, {"running_mean": rm, "running_var": rv}

            f.add(case, "batch_norm", train,
                  {"input": f.rand(case, "x", x), "running_mean": mean, "running_var": var,
                   "weight": f.rand(case, "w", [c], 0.5, 1.5) if affine else None, "bias": f.rand(case, "b", [c]) if affine else None},
                  no_grad=("running_mean", "running_var"), training=True, momentum=0.1, eps=1e-5,
                  note="running_mean and running_var hold the updated statistics (unbiased variance)")
    case = "batch_norm_train_momentum"
    f.add(case, "batch_norm", lambda *a: _train_with(a, 0.37, 1e-3),
          {"input": f.rand(case, "x", [5, 3, 2, 3], 2.0, 6.0), "running_mean": f.rand(case, "rm", [3]), "running_var": f.rand(case, "rv", [3], 0.5, 1.5),
           "weight": f.rand(case, "w", [3]), "bias": f.rand(case, "b", [3])},
          no_grad=("running_mean", "running_var"), training=True, momentum=0.37, eps=1e-3)
    case = "batch_norm_train_no_stats"
    f.add(case, "batch_norm", lambda x, w, b: F.batch_norm(x, None, None, w, b, True, 0.1, 1e-5),
          {"input": f.rand(case, "x", [4, 3, 2, 2]), "weight": f.rand(case, "w", [3]), "bias": f.rand(case, "b", [3])}, training=True, momentum=0.1, eps=1e-5)
    for tag, x, affine in (("4d", [3, 4, 3, 2], True), ("4d_no_affine", [3, 4, 3, 2], False), ("2d", [6, 5], True), ("c16", [2, 16, 3, 3], True)):
        case, c = "batch_norm_eval_" + tag, x[1]
        f.add(case, "batch_norm", lambda x, rm, rv, w, b: F.batch_norm(x, rm, rv, w, b, False, 0.1, 1e-5),
              {"input": f.rand(case, "x", x), "running_mean": f.rand(case, "rm", [c], -0.5, 0.5), "running_var": f.rand(case, "rv", [c], 0.5, 1.5),
               "weight": f.rand(case, "w", [c], 0.5, 1.5) if affine else None, "bias": f.rand(case, "b", [c]) if affine else None},
              no_grad=("running_mean", "running_var"), training=False, momentum=0.1, eps=1e-5)

    for tag, x, normalized, parts, eps in (("last", [3, 7], [7], "wb", 1e-5), ("3d", [2, 3, 16], [16], "wb", 1e-6), ("two_dims", [2, 3, 4], [3, 4], "wb", 1e-5),
                                           ("no_affine", [3, 5], [5], "", 1e-5), ("no_bias", [3, 5], [5], "w", 1e-5), ("wide", [2, 67], [67], "wb", 1e-5)):
        case = "layer_norm_" + tag
        f.add(case, "layer_norm", lambda x, w, b, n=normalized, e=eps: F.layer_norm(x, n, w, b, e),
              {"input": f.rand(case, "x", x), "weight": f.rand(case, "w", normalized) if "w" in parts else None,
               "bias": f.rand(case, "b", normalized) if "b" in parts else None}, normalized_shape=normalized, eps=eps)
    case = "layer_norm_far_from_zero"
    f.add(case, "layer_norm", lambda x, w, b: F.layer_norm(x, [32], w, b, 1e-5),
          {"input": f.rand(case, "x", [2, 32], 999.0, 1001.0), "weight": f.rand(case, "w", [32]), "bias": f.rand(case, "b", [32])}, normalized_shape=[32], eps=1e-5)

    for tag, x, groups, affine in (("2", [2, 6, 3, 4], 2, True), ("one_group", [2, 4, 3, 3], 1, True), ("instance", [2, 4, 3, 3], 4, True),
                                   ("no_affine", [2, 6, 3, 2], 3, False), ("2d", [3, 8], 4, True), ("3d", [2, 6, 5], 3, True)):
        case, c = "group_norm_" + tag, x[1]
        f.add(case, "group_norm", lambda x, w, b, g=groups: F.group_norm(x, g, w, b, 1e-5),
              {"input": f.rand(case, "x", x), "weight": f.rand(case, "w", [c]) if affine else None, "bias": f.rand(case, "b", [c]) if affine else None},
              num_groups=groups, eps=1e-5)

    def rms(x, w, eps):
        y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)
        return y if w is None else y * w

    for tag, x, weight, eps in (("2d", [3, 7], True, 1e-6), ("3d", [2, 3, 16], True, 1e-5), ("no_weight", [3, 5], False, 1e-5), ("tiny", [2, 8], True, 1e-5)):
        case, high = "rms_norm_" + tag, 1e-3 if tag == "tiny" else 2.0
        f.add(case, "rms_norm", lambda x, w, e=eps: rms(x, w, e),
              {"input": f.rand(case, "x", x, -high, high), "weight": f.rand(case, "w", x[-1:]) if weight else None}, eps=eps,
              note="x / sqrt(mean(x^2 over the last dimension) + eps) * weight")
    f.save()


def _train_with(arguments, momentum, eps):
    x, rm, rv, w, b = arguments
    rm, rv = rm.clone(), rv.clone()
    return F.batch_norm(x, rm, rv, w, b, True, momentum, eps), {"running_mean": rm, "running_var": rv}


def attention():
    f = Family("attention")

    def sdpa(q, k, v, mask=None, scale=None, causal_offset=None):
        """softmax(q k^T * scale + mask) v; boolean masks keep True; causal keeps key j for query i where j <= i + offset."""
        heads = q.shape[-3] // k.shape[-3] if q.dim() > 2 else 1
        if heads > 1:
            k, v = k.repeat_interleave(heads, -3), v.repeat_interleave(heads, -3)
        scores = q @ k.transpose(-1, -2) * (1.0 / math.sqrt(q.shape[-1]) if scale is None else scale)
        if causal_offset is not None:
            keep = torch.ones(scores.shape[-2:], dtype=torch.bool).tril(causal_offset)
            scores = scores.masked_fill(~keep, -math.inf)
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
        return scores.softmax(-1) @ v

    def add(tag, q, k, v, mask=None, mask_grad=False, **attributes):
        case = "sdpa_" + tag
        kwargs = {"scale": attributes.get("scale"), "causal_offset": attributes.get("causal_offset") if attributes.get("is_causal") else None}
        inputs = {"query": f.rand(case, "q", q), "key": f.rand(case, "k", k), "value": f.rand(case, "v", v), "attn_mask": mask}
        attributes.setdefault("is_causal", False)
        f.add(case, "scaled_dot_product_attention", lambda q, k, v, m: sdpa(q, k, v, m, **kwargs), inputs,
              no_grad=() if mask_grad else ("attn_mask",), **attributes)

    def keep(tag, shape):
        """Boolean mask in which every row keeps at least its first key."""
        mask = f.ints("sdpa_" + tag, "mask", shape, 3) > 0
        mask[..., 0] = True
        return mask

    def additive(tag, shape):
        mask = f.rand("sdpa_" + tag, "mask", shape)
        mask[~keep(tag + "_inf", shape)] = -math.inf
        return mask

    b, h, t, d = 2, 3, 5, 4
    add("plain", [b, h, t, d], [b, h, t, d], [b, h, t, d])
    add("3d", [b, t, d], [b, 6, d], [b, 6, 3])
    add("2d", [t, d], [6, d], [6, 2])
    add("scale", [b, h, t, d], [b, h, t, d], [b, h, t, d], scale=0.3)
    add("lengths", [b, h, 3, d], [b, h, 7, d], [b, h, 7, d])
    add("value_width", [b, h, t, d], [b, h, t, d], [b, h, t, 6])
    add("one_query", [b, h, 1, d], [b, h, 9, d], [b, h, 9, d])
    add("one_key", [b, h, 4, d], [b, h, 1, d], [b, h, 1, d])
    add("longer", [1, 2, 37, 8], [1, 2, 41, 8], [1, 2, 41, 8])
    add("wide_scores", [1, 2, 4, 8], [1, 2, 6, 8], [1, 2, 6, 8], scale=60.0)
    add("causal", [b, h, t, d], [b, h, t, d], [b, h, t, d], is_causal=True, causal_offset=0)
    add("causal_longer", [1, 2, 35, 8], [1, 2, 35, 8], [1, 2, 35, 8], is_causal=True, causal_offset=0)
    add("causal_short_query_top_left", [b, h, 3, d], [b, h, 7, d], [b, h, 7, d], is_causal=True, causal_offset=0)
    add("causal_short_query_bottom_right", [b, h, 3, d], [b, h, 7, d], [b, h, 7, d], is_causal=True, causal_offset=4)
    add("causal_long_query", [b, h, 7, d], [b, h, 3, d], [b, h, 3, d], is_causal=True, causal_offset=0)
    add("mask_2d", [b, h, t, d], [b, h, 6, d], [b, h, 6, d], additive("mask_2d", [t, 6]))
    add("mask_4d", [b, h, t, d], [b, h, 6, d], [b, h, 6, d], additive("mask_4d", [b, h, t, 6]))
    add("mask_key_padding", [b, h, t, d], [b, h, 6, d], [b, h, 6, d], additive("mask_key_padding", [b, 1, 1, 6]))
    finite = f.rand("sdpa_mask_grad", "mask", [1, h, t, 6])
    add("mask_grad", [b, h, t, d], [b, h, 6, d], [b, h, 6, d], finite, mask_grad=True)
    add("bool_2d", [b, h, t, d], [b, h, 6, d], [b, h, 6, d], keep("bool_2d", [t, 6]))
    add("bool_4d", [b, h, t, d], [b, h, 6, d], [b, h, 6, d], keep("bool_4d", [b, 1, t, 6]))
    add("bool_key_padding", [b, h, t, d], [b, h, 6, d], [b, h, 6, d], keep("bool_key_padding", [b, 1, 1, 6]))
    add("grouped", [b, 4, t, d], [b, 2, t, d], [b, 2, t, d], note="query head h uses key head h / (query heads / key heads)")
    add("grouped_causal", [b, 6, t, d], [b, 2, t, d], [b, 2, t, d], is_causal=True, causal_offset=0)
    add("multi_query", [b, 4, t, d], [b, 1, 6, d], [b, 1, 6, d])
    f.save()


def rotary():
    f = Family("rotary")

    def tables(positions, width, theta):
        frequencies = theta ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
        angles = torch.outer(positions.to(torch.float64), frequencies)
        return angles.cos(), angles.sin()

    def half(x, cos, sin):
        a, b = x.chunk(2, -1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)

    def pairs(x, cos, sin):
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)

    for convention, fn in (("half", half), ("pairs", pairs)):
        for tag, x, theta, start in (("plain", [2, 3, 5, 8], 10000.0, 0), ("offset", [1, 2, 4, 6], 10000.0, 11), ("theta", [1, 2, 4, 16], 500000.0, 0),
                                     ("one", [2, 1, 1, 4], 10000.0, 100), ("width2", [1, 2, 3, 2], 10000.0, 0)):
            case = f"rotary_{convention}_{tag}"

            def run(x, fn=fn, theta=theta, start=start):
                cos, sin = tables(torch.arange(start, start + x.shape[-2]), x.shape[-1], theta)
                return fn(x, cos, sin), {"cos": cos, "sin": sin}

            f.add(case, "rotary_embedding", run, {"input": f.rand(case, "x", x)}, convention=convention, theta=theta, start=start,
                  note="input [batch, heads, tokens, width]; cos and sin are [tokens, width / 2] of position * theta^(-2i / width)")
    f.save()


def main():
    norm()
    attention()
    rotary()


if __name__ == "__main__":
    main()
