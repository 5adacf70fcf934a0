"""Losses."""
import warnings

import torch
import torch.nn.functional as F

from opcases import Family

REDUCTIONS = ("mean", "sum", "none")
warnings.filterwarnings("ignore", message="reduction: 'mean' divides")  # kl_div: that is the meaning we want recorded


def class_losses(f):
    for reduction in REDUCTIONS:
        for tag, smoothing, weighted, ignore in (("plain", 0.0, False, False), ("smooth", 0.1, False, False), ("weight", 0.0, True, False),
                                                 ("ignore", 0.0, False, True), ("smooth_weight", 0.15, True, False), ("smooth_ignore", 0.1, False, True),
                                                 ("all", 0.2, True, True)):
            case = f"cross_entropy_{tag}_{reduction}"
            target = f.ints(case, "t", [6], 5)
            if ignore:
                target[1] = target[4] = -100
            f.add(case, "cross_entropy",
                  lambda x, t, w, r=reduction, s=smoothing: F.cross_entropy(x, t, w, reduction=r, label_smoothing=s),
                  {"input": f.rand(case, "x", [6, 5], -3.0, 3.0), "target": target, "weight": f.rand(case, "w", [5], 0.2, 2.0) if weighted else None},
                  no_grad=("weight",), reduction=reduction, label_smoothing=smoothing, ignore_index=-100)
        for tag, smoothing, weighted in (("plain", 0.0, False), ("smooth", 0.1, False), ("weight", 0.0, True), ("smooth_weight", 0.1, True)):
            case = f"cross_entropy_probabilities_{tag}_{reduction}"
            target = f.rand(case, "t", [4, 5], -2.0, 2.0).softmax(1)
            f.add(case, "cross_entropy", lambda x, t, w, r=reduction, s=smoothing: F.cross_entropy(x, t, w, reduction=r, label_smoothing=s),
                  {"input": f.rand(case, "x", [4, 5], -3.0, 3.0), "target": target, "weight": f.rand(case, "w", [5], 0.2, 2.0) if weighted else None},
                  no_grad=("weight",), reduction=reduction, label_smoothing=smoothing,
                  note="targets are class probabilities; grad1 is their gradient; mean divides by the number of rows")
        case = "nll_" + reduction
        f.add(case, "nll_loss", lambda x, t, r=reduction: F.nll_loss(x, t, reduction=r),
              {"input": f.rand(case, "x", [5, 4]).log_softmax(1), "target": f.ints(case, "t", [5], 4)}, reduction=reduction, ignore_index=-100)
        case = "nll_weight_ignore_" + reduction
        target = f.ints(case, "t", [6], 4)
        target[0] = 2
        target[1] = target[3] = 1
        f.add(case, "nll_loss", lambda x, t, w, r=reduction: F.nll_loss(x, t, w, ignore_index=2, reduction=r),
              {"input": f.rand(case, "x", [6, 4]).log_softmax(1), "target": target, "weight": f.rand(case, "w", [4], 0.2, 2.0)}, no_grad=("weight",),
              reduction=reduction, ignore_index=2)
        case = "cross_entropy_3d_" + reduction
        f.add(case, "cross_entropy", lambda x, t, r=reduction: F.cross_entropy(x, t, reduction=r),
              {"input": f.rand(case, "x", [2, 4, 3]), "target": f.ints(case, "t", [2, 3], 4)}, reduction=reduction, label_smoothing=0.0, ignore_index=-100,
              note="classes are dimension 1")
    f.add("cross_entropy_wide", "cross_entropy", F.cross_entropy,
          {"input": f.rand("cw", "x", [3, 6], -900.0, 900.0), "target": f.ints("cw", "t", [3], 6)}, reduction="mean", label_smoothing=0.0, ignore_index=-100)
    f.add("cross_entropy_ignore_index_3", "cross_entropy", lambda x, t: F.cross_entropy(x, t, ignore_index=3),
          {"input": f.rand("c3", "x", [4, 5]), "target": torch.tensor([3, 0, 3, 4])}, reduction="mean", label_smoothing=0.0, ignore_index=3)
    f.add("cross_entropy_unbatched", "cross_entropy", F.cross_entropy, {"input": f.rand("cu", "x", [5]), "target": torch.tensor(2)}, reduction="mean",
          label_smoothing=0.0, ignore_index=-100)


def regression_losses(f):
    for reduction in REDUCTIONS:
        for op, fn in (("mse_loss", F.mse_loss), ("l1_loss", F.l1_loss)):
            case = f"{op}_{reduction}"
            f.add(case, op, lambda x, t, fn=fn, r=reduction: fn(x, t, reduction=r), {"input": f.rand(case, "x", [3, 4]), "target": f.rand(case, "t", [3, 4])},
                  reduction=reduction)
        for tag, weighted, positive in (("plain", False, False), ("pos_weight", False, True), ("weight", True, False), ("both", True, True)):
            case = f"bce_with_logits_{tag}_{reduction}"
            f.add(case, "binary_cross_entropy_with_logits",
                  lambda x, t, w, p, r=reduction: F.binary_cross_entropy_with_logits(x, t, w, reduction=r, pos_weight=p),
                  {"input": f.rand(case, "x", [3, 4], -4.0, 4.0), "target": f.rand(case, "t", [3, 4], 0.0, 1.0),
                   "weight": f.rand(case, "w", [3, 4], 0.2, 2.0) if weighted else None, "pos_weight": f.rand(case, "p", [4], 0.2, 3.0) if positive else None},
                  no_grad=("target", "weight", "pos_weight"), reduction=reduction)
    f.add("l1_loss_kink", "l1_loss", F.l1_loss, {"input": torch.tensor([1.0, 2.0]), "target": torch.tensor([1.0, 1.0])}, reduction="mean",
          note="the gradient at equality is 0")
    f.add("bce_with_logits_wide", "binary_cross_entropy_with_logits", F.binary_cross_entropy_with_logits,
          {"input": f.rand("bw", "x", [8], -900.0, 900.0), "target": f.ints("bw", "t", [8], 2).double()}, no_grad=("target",), reduction="mean")
    for reduction in REDUCTIONS + ("batchmean",):
        for log_target in (False, True):
            case = f"kl_div_{'log_' if log_target else ''}{reduction}"
            target = f.rand(case, "t", [3, 5]).log_softmax(1)
            f.add(case, "kl_div", lambda x, t, r=reduction, l=log_target: F.kl_div(x, t, reduction=r, log_target=l),
                  {"input": f.rand(case, "x", [3, 5]).log_softmax(1), "target": target if log_target else target.exp()}, reduction=reduction,
                  log_target=log_target)
    f.add("kl_div_zero_target", "kl_div", lambda x, t: F.kl_div(x, t, reduction="sum"),
          {"input": f.rand("kz", "x", [4]).log_softmax(0), "target": torch.tensor([0.0, 0.5, 0.5, 0.0])}, no_grad=("target",), reduction="sum",
          log_target=False, note="0 * log 0 counts as 0")


def main():
    f = Family("loss")
    class_losses(f)
    regression_losses(f)
    f.save()


if __name__ == "__main__":
    main()
