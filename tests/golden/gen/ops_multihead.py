"""nn.MultiheadAttention: output, averaged attention weights, gradients of inputs and parameters."""
import math

import torch
from torch import nn

from opcases import Family

EMBED, HEADS, BATCH, TARGETS, SOURCES = 24, 4, 2, 5, 7


def main():
    f = Family("multihead_attention")

    def add(case, same=False, bias=True, kdim=None, vdim=None, key_padding=None, mask=None, average=True, batch_first=True, note=None):
        module = nn.MultiheadAttention(EMBED, HEADS, bias=bias, kdim=kdim, vdim=vdim, batch_first=batch_first)
        parameters = dict(module.named_parameters())
        sources = TARGETS if same else SOURCES

        def sequence(tag, length, width):
            return f.rand(case, tag, [BATCH, length, width] if batch_first else [length, BATCH, width], -1.5, 1.5)

        query = sequence("query", TARGETS, EMBED)
        inputs = {"query": query} if same else {"query": query, "key": sequence("key", sources, kdim or EMBED), "value": sequence("value", sources, vdim or EMBED)}
        extra = {}
        if key_padding:
            extra["key_padding_mask"] = torch.arange(sources)[None, :] >= torch.tensor(key_padding)[:, None]
        if mask == "bool":
            extra["attn_mask"] = torch.ones(TARGETS, sources, dtype=torch.bool).triu(1)
        elif mask == "float":
            extra["attn_mask"] = f.rand(case, "mask", [TARGETS, sources])
            extra["attn_mask"][1, 2] = extra["attn_mask"][3, 0] = -math.inf
        elif mask == "per_head":
            extra["attn_mask"] = f.rand(case, "mask", [BATCH * HEADS, TARGETS, sources])
        weights = {name: f.rand(case, name, p.shape, -0.4, 0.4) for name, p in parameters.items()}
        names = list({**inputs, **extra, **weights})

        def run(*values):
            given = dict(zip(names, values))
            state = {n: given[n] for n in weights}
            key, value = (given["query"],) * 2 if same else (given["key"], given["value"])
            out, attention = torch.nn.utils.stateless.functional_call(
                module, state, (given["query"], key, value),
                {"key_padding_mask": given.get("key_padding_mask"), "attn_mask": given.get("attn_mask"), "average_attn_weights": average})
            return out, {"weights": attention}

        attributes = {"note": note} if note else {}
        f.add(case, "MultiheadAttention", run, {**inputs, **extra, **weights}, no_grad=("attn_mask",), embed_dim=EMBED, num_heads=HEADS, bias=bias, kdim=kdim or EMBED,
              vdim=vdim or EMBED, batch_first=batch_first, average_attn_weights=average, self_attention=same, **attributes)

    add("self", same=True)
    add("self_causal_bool", same=True, mask="bool")
    add("self_no_bias", same=True, bias=False)
    add("cross")
    add("cross_key_padding", key_padding=(4, 7))
    add("cross_attn_mask", mask="float")
    add("cross_attn_mask_per_head", mask="per_head", note="attn_mask is [batch * heads, targets, sources]")
    add("cross_both_masks", key_padding=(6, 5), mask="float")
    add("cross_weights_per_head", average=False, note="weights are [batch, heads, targets, sources]")
    add("cross_sequence_first", batch_first=False, note="query, key and value are [length, batch, width]")
    add("cross_kdim_vdim", kdim=10, vdim=6)
    f.save()


if __name__ == "__main__":
    main()
