"""Ten training steps of ResNet-20 with the dead-zone quantizer on every convolution and linear weight."""
import math

import torch
from torch import nn
from torch.nn.utils import parametrize

import jsonfile
import model_traces as T
import models

QUANTILE, EPS, MIN_BITS, MAX_BITS = 0.99, 1e-8, 2.0, 8.0
GROUPS = [
    {"params": "everything else", "lr": 0.1, "weight_decay": 1e-4},
    {"params": "logit_dz", "lr": 1e-3, "weight_decay": 0.01},
    {"params": "logit_bit", "lr": 1e-3, "weight_decay": 0.01},
]


class Through(torch.autograd.Function):
    """fn forward, identity backward."""

    @staticmethod
    def forward(ctx, x, fn):
        return fn(x)

    @staticmethod
    def backward(ctx, grad):
        return grad, None


def magnitude_range(w):
    """The 0.99 quantile of |w|, interpolated between two order statistics from the nearer one."""
    magnitudes = w.detach().abs().flatten().sort()[0]
    position = QUANTILE * (len(magnitudes) - 1)
    low = math.floor(position)
    if position == low:
        return magnitudes[low]
    weight, below = torch.tensor(position - low, dtype=w.dtype), magnitudes[low]
    gap = magnitudes[low + 1] - below
    return below + weight * gap if weight < 0.5 else magnitudes[low + 1] - gap * (1 - weight)


class DeadZone(nn.Module):
    """Latent weight to quantized weight; mixed precision."""

    def __init__(self, logit_dz, logit_bit):
        super().__init__()
        self.logit_dz, self.logit_bit = nn.Parameter(torch.tensor(logit_dz)), nn.Parameter(torch.tensor(logit_bit))

    def bits(self):
        return Through.apply((MAX_BITS - MIN_BITS) * self.logit_bit.tanh().abs() + MIN_BITS, torch.round)

    def forward(self, w):
        reach = magnitude_range(w)
        top = 2.0 ** (self.bits() - 1) - 1
        zone = 2 * reach * (1 - self.logit_dz.tanh().abs())
        step = (reach - zone / 2) / (top - 0.5) + EPS
        shift = zone / 2 - step / 2
        u = w.sign() * Through.apply(w.abs() - shift, torch.relu) / step
        limit = top.detach()
        code = Through.apply(u, lambda t: t.round().clamp(-limit, limit))
        return step * code + shift * code.sign()


def quantizers(model):
    return {n: m.parametrizations.weight[0] for n, m in model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}


def run(start, groups, dtype):
    history = {"mean_logit_dz": [], "mean_logit_bit": []}

    def attach(model):
        for module in list(model.modules()):
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                parametrize.register_parametrization(module, "weight", DeadZone(*start))

    def optimizer(model):
        pick = {"logit_dz": [], "logit_bit": [], "everything else": []}
        for name, p in model.named_parameters():
            last = name.rsplit(".", 1)[-1]
            pick[last if last in pick else "everything else"].append(p)
        return torch.optim.SGD([{**g, "params": pick[g["params"]]} for g in groups], lr=0.0, momentum=0.9)

    def record(model):
        found = quantizers(model).values()
        for key in ("logit_dz", "logit_bit"):
            history["mean_" + key].append(sum(getattr(q, key).item() for q in found) / len(found))

    model, rules, losses, _ = T.train(models.CifarResNet, optimizer, T.image_loss, dtype, prepare=attach, after_step=record)
    layers, zeros, total = {}, 0, 0
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                q, w = module.parametrizations.weight[0], module.weight
                gone = int((w == 0).sum())
                latent = module.parametrizations.weight.original.double()
                layers[name] = {"logit_dz": q.logit_dz.item(), "logit_bit": q.logit_bit.item(), "bits": int(q.bits().item()), "zeros": gone,
                                "latent": [latent.sum().item(), latent.square().sum().item()]}
                zeros, total = zeros + gone, total + w.numel()
    result = {"losses": losses, **history}
    if dtype == torch.float64:
        result.update(layers_after=layers)
        result.update(sparsity_after=zeros / total)
    return rules, result


def main():
    # A code or a ReLU that f32 rounding turns over moves later losses, more so at high rates: those runs are f64 only.
    low, quick = ([{**GROUPS[0], "lr": base}] + [{**g, "lr": rate} for g in GROUPS[1:]] for base, rate in ((0.0002, 1e-3), (0.002, 0.05)))
    for name, start, groups, single in (
        ("codeq_resnet20", (3.0, 3.0), low, True),
        ("codeq_resnet20_bits_change", (1.0, 0.68), quick, False),
        ("codeq_resnet20_recipe", (3.0, 3.0), GROUPS, False),
    ):
        rules, f64 = run(start, groups, torch.float64)
        row = {"f64": f64}
        if single:
            row["f32"] = run(start, groups, torch.float32)[1]
        T.report(row)
        torch.set_default_dtype(torch.float64)
        jsonfile.write("traces", name, {
            "about": "ResNet-20 as in resnet20.json with a dead-zone quantizer (0.99 quantile, eps 1e-8, 2 to 8 learned bits) on every convolution and linear "
                     "weight, all logits starting at logit_dz and logit_bit. losses[t] is before step t, mean_logit_*[t] the mean over layers after it; layers_after "
                     "is after ten steps, latent holds [sum, sum of squares] of the latent weight. " + T.WEIGHTS_ABOUT,
            "loss": "cross entropy, mean", "optimizer": "SGD", "momentum": 0.9, "groups": groups, "logit_dz": start[0], "logit_bit": start[1],
            "images": T.IMAGES, "labels": T.LABELS, "tensors": rules, **row})


if __name__ == "__main__":
    main()
