"""Modules that have no op of their own: nn.TransformerEncoderLayer, nn.TransformerEncoder, nn.InstanceNorm2d (run by tests/nn)."""
import math

import torch
from torch import nn

from opcases import Family

WIDTH, HEADS, HIDDEN, BATCH, LENGTH = 8, 2, 12, 2, 5


def main():
    f = Family("layers")

    def encoder(case, layers=0, norm=False, mask=None, padding=False, **settings):
        module = nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, dropout=0.0, **settings)
        if layers:
            module = nn.TransformerEncoder(module, layers, nn.LayerNorm(WIDTH) if norm else None)
        first = settings.get("batch_first", False)
        given = {"src": f.rand(case, "src", [BATCH, LENGTH, WIDTH] if first else [LENGTH, BATCH, WIDTH], -1.5, 1.5)}
        if mask == "bool":
            given["mask"] = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
        elif mask == "float":
            given["mask"] = f.rand(case, "mask", [LENGTH, LENGTH])
            given["mask"][1, 2] = -math.inf
        if padding:
            given["src_key_padding_mask"] = torch.arange(LENGTH)[None, :] >= torch.tensor((3, 5))[:, None]
        weights = {}
        for name, p in module.named_parameters():
            offset = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            weights[name] = f.rand(case, name, p.shape, -0.4, 0.4) + offset
        names = [*given, *weights]

        def run(*values):
            by_name = dict(zip(names, values))
            masks = {"mask" if layers else "src_mask": by_name.get("mask"), "src_key_padding_mask": by_name.get("src_key_padding_mask")}
            return torch.nn.utils.stateless.functional_call(module, {n: by_name[n] for n in weights}, (by_name["src"],), masks)

        f.add(case, "TransformerEncoder" if layers else "TransformerEncoderLayer", run, {**given, **weights}, no_grad=("mask",), d_model=WIDTH,
              nhead=HEADS, dim_feedforward=HIDDEN, num_layers=layers, norm=norm, **settings)

    encoder("encoder_layer")
    encoder("encoder_layer_norm_first", norm_first=True)
    encoder("encoder_layer_gelu", activation="gelu", batch_first=True)
    encoder("encoder_layer_causal", mask="bool", batch_first=True)
    encoder("encoder_layer_masks", mask="float", padding=True, batch_first=True, layer_norm_eps=1e-3)
    encoder("encoder", layers=2)
    encoder("encoder_with_norm", layers=2, norm=True, padding=True, norm_first=True, batch_first=True)

    def instance_norm(case, shape, training=True, **settings):
        module = nn.InstanceNorm2d(shape[1], **settings).train(training)
        given = {"input": f.rand(case, "x", shape)}
        if settings.get("affine"):
            given.update(weight=f.rand(case, "w", [shape[1]]), bias=f.rand(case, "b", [shape[1]]))
        if settings.get("track_running_stats"):
            module.running_mean.copy_(f.rand(case, "mean", [shape[1]]))
            module.running_var.copy_(f.rand(case, "var", [shape[1]], 0.5, 2.0))
            given.update(running_mean=module.running_mean.clone(), running_var=module.running_var.clone())

        def run(x, w=None, b=None, *running):
            if not settings.get("affine"):
                w, b = None, None
            y = nn.functional.instance_norm(x, module.running_mean, module.running_var, w, b, training or module.running_mean is None,
                                            module.momentum, module.eps)
            after = {"running_mean": module.running_mean, "running_var": module.running_var} if module.running_mean is not None else {}
            return y, {"after_" + k: v for k, v in after.items()}

        f.add(case, "InstanceNorm2d", run, given, no_grad=("running_mean", "running_var"), num_features=shape[1], training=training, **settings)

    instance_norm("instance_norm", [2, 3, 4, 5])
    instance_norm("instance_norm_affine", [2, 3, 4, 5], affine=True, eps=1e-3)
    instance_norm("instance_norm_tracked", [2, 3, 4, 5], affine=True, track_running_stats=True, momentum=0.3)
    instance_norm("instance_norm_tracked_evaluation", [2, 3, 4, 5], training=False, affine=True, track_running_stats=True)
    f.save()


if __name__ == "__main__":
    main()
