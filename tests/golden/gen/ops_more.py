"""Functions beside those of the other scripts: activations, losses, einsum, norms and angles, rearrangements."""
import torch
import torch.nn.functional as F

from opcases import Family

NAN, INF = float("nan"), float("inf")
REDUCTIONS = ("mean", "sum", "none")


def activations():
    f = Family("more_activation")
    special = torch.tensor([NAN, INF, -INF, 0.0, -0.0, 60.0, -60.0, 1e30, -1e30])
    plain = {
        "mish": (F.mish, {}), "selu": (F.selu, {}), "celu": (F.celu, {"alpha": 1.0}), "softsign": (F.softsign, {}),
        "tanhshrink": (F.tanhshrink, {}), "hardtanh": (F.hardtanh, {"min_val": -1.0, "max_val": 1.0}),
        "hardshrink": (F.hardshrink, {"lambd": 0.5}), "softshrink": (F.softshrink, {"lambd": 0.5}),
        "threshold": (F.threshold, {"threshold": 0.3, "value": -2.0}),
    }
    for op, (fn, settings) in plain.items():
        run = lambda x, fn=fn, s=settings: fn(x, **s)
        f.add(op, op, run, {"input": f.rand(op, "x", [4, 7], -4.0, 4.0)}, **settings)
        f.add(op + "_wide", op, run, {"input": f.rand(op + "w", "x", [40], -60.0, 60.0)}, **settings)
        if op != "softshrink":  # NaN gives 0 in PyTorch 1.13, NaN in later ones and in ours
            f.add(op + "_special", op, run, {"input": special}, backward=False, **settings)
    edges = torch.tensor([-1.0, -0.5, -0.0, 0.0, 0.3, 0.5, 1.0])
    for op in ("hardtanh", "hardshrink", "softshrink", "threshold", "selu", "celu"):
        fn, settings = plain[op]
        f.add(op + "_kink", op, lambda x, fn=fn, s=settings: fn(x, **s), {"input": edges}, **settings)
    for op in ("hardtanh", "hardshrink", "threshold"):
        fn, settings = plain[op]
        f.add(op + "_gradient_nan", op, lambda x, fn=fn, s=settings: fn(x, **s), {"input": torch.tensor([NAN, INF, -INF, NAN] * 8)}, **settings,
              note="as PyTorch's vector code has it, which takes all but the last few elements")
    f.add("relu6_gradient_nan", "relu6", F.relu6, {"input": torch.tensor([NAN, INF, -INF, 6.0, 0.0] * 8)})
    f.add("celu_alpha", "celu", lambda x: F.celu(x, 1.7), {"input": f.rand("ca", "x", [9], -4.0, 4.0)}, alpha=1.7)
    f.add("hardtanh_bounds", "hardtanh", lambda x: F.hardtanh(x, -2.0, 0.5), {"input": f.rand("hb", "x", [12], -4.0, 4.0)}, min_val=-2.0, max_val=0.5)
    f.add("softshrink_zero", "softshrink", lambda x: F.softshrink(x, 0.0), {"input": f.rand("sz", "x", [9])}, lambd=0.0)

    for tag, shape, channels in (("one", [3, 4], 1), ("channels", [3, 4], 4), ("image", [2, 3, 4, 2], 3), ("image_one", [2, 3, 2, 2], 1), ("row", [5], 1),
                                 ("sequence", [2, 3, 5], 3)):
        case = "prelu_" + tag
        f.add(case, "prelu", F.prelu, {"input": f.rand(case, "x", shape), "weight": f.rand(case, "w", [channels], -0.5, 0.8)})
    f.add("prelu_kink", "prelu", F.prelu, {"input": torch.tensor([-1.0, 0.0, -0.0, 1.0]), "weight": torch.tensor([0.25])})
    for tag, shape, dim in (("last", [3, 6], -1), ("first", [4, 3], 0), ("channels", [2, 4, 3, 2], 1), ("row", [8], 0)):
        case = "glu_" + tag
        f.add(case, "glu", lambda x, d=dim: F.glu(x, d), {"input": f.rand(case, "x", shape, -4.0, 4.0)}, dim=dim)
    for dim in (0, 1, -1):
        case = f"softmin_{str(dim).replace('-', 'm')}"
        f.add(case, "softmin", lambda x, d=dim: F.softmin(x, d), {"input": f.rand(case, "x", [3, 4, 2], -4.0, 4.0)}, dim=dim)
    for tag, a, b, w in (("same", [3, 4], [3, 4], [3, 4]), ("broadcast", [2, 3, 1], [3, 4], [4]), ("scalar", [3, 4], [4], [])):
        case = "lerp_" + tag
        f.add(case, "lerp", torch.lerp, {"input": f.rand(case, "a", a), "end": f.rand(case, "b", b), "weight": f.rand(case, "w", w, -0.5, 1.5)})
    f.add("lerp_special", "lerp", torch.lerp, {"input": torch.tensor([0.0, 1.0, INF, NAN]), "end": torch.tensor([1.0, INF, 1.0, 0.0]),
                                               "weight": torch.tensor([1.0, 0.0, 0.7, 0.5])}, backward=False)
    f.save()


def losses():
    f = Family("more_loss")
    for reduction in REDUCTIONS:
        for weighted in (False, True):
            case = f"binary_cross_entropy_{'weight_' if weighted else ''}{reduction}"
            f.add(case, "binary_cross_entropy", lambda x, t, w, r=reduction: F.binary_cross_entropy(x, t, w, reduction=r),
                  {"input": f.rand(case, "x", [3, 4], 0.01, 0.99), "target": f.rand(case, "t", [3, 4], 0.0, 1.0),
                   "weight": f.rand(case, "w", [4], 0.2, 2.0) if weighted else None}, no_grad=("weight",), reduction=reduction)
        for op, fn, target, settings in (
                ("smooth_l1_loss", lambda x, t, r: F.smooth_l1_loss(x, t, reduction=r, beta=0.7), None, {"beta": 0.7}),
                ("huber_loss", lambda x, t, r: F.huber_loss(x, t, reduction=r, delta=0.7), None, {"delta": 0.7}),
                ("soft_margin_loss", lambda x, t, r: F.soft_margin_loss(x, t, reduction=r), "signs", {}),
                ("hinge_embedding_loss", lambda x, t, r: F.hinge_embedding_loss(x, t, margin=0.8, reduction=r), "signs", {"margin": 0.8})):
            case = f"{op}_{reduction}"
            t = f.rand(case, "t", [3, 4])
            f.add(case, op, lambda x, t, fn=fn, r=reduction: fn(x, t, r), {"input": f.rand(case, "x", [3, 4]), "target": t.sign() if target else t},
                  no_grad=("target",) if target else (), reduction=reduction, **settings)
        case = "margin_ranking_loss_" + reduction
        f.add(case, "margin_ranking_loss", lambda a, b, t, r=reduction: F.margin_ranking_loss(a, b, t, margin=0.3, reduction=r),
              {"input1": f.rand(case, "a", [3, 4]), "input2": f.rand(case, "b", [3, 4]), "target": f.rand(case, "t", [3, 1]).sign()}, no_grad=("target",),
              reduction=reduction, margin=0.3)
        for margin in (0.0, 0.4):
            case = f"cosine_embedding_loss_{str(margin).replace('.', 'p')}_{reduction}"
            f.add(case, "cosine_embedding_loss", lambda a, b, t, r=reduction, m=margin: F.cosine_embedding_loss(a, b, t, margin=m, reduction=r),
                  {"input1": f.rand(case, "a", [6, 4]), "input2": f.rand(case, "b", [6, 4]), "target": torch.tensor([1.0, -1, 1, -1, -1, -1])},
                  no_grad=("target",), reduction=reduction, margin=margin)
        for tag, settings in (("plain", {}), ("p1", {"p": 1.0}), ("swap", {"swap": True}), ("margin", {"margin": 0.2, "eps": 1e-3})):
            case = f"triplet_margin_loss_{tag}_{reduction}"
            f.add(case, "triplet_margin_loss", lambda a, p, n, r=reduction, s=settings: F.triplet_margin_loss(a, p, n, reduction=r, **s),
                  {"anchor": f.rand(case, "a", [5, 4]), "positive": f.rand(case, "p", [5, 4]), "negative": f.rand(case, "n", [5, 4])}, reduction=reduction,
                  **{"margin": 1.0, "p": 2.0, "eps": 1e-6, "swap": False, **settings})
    f.add("binary_cross_entropy_limits", "binary_cross_entropy", lambda x, t: F.binary_cross_entropy(x, t, reduction="none"),
          {"input": torch.tensor([0.0, 1.0, 0.0, 1.0, 0.5, 1e-60, 1e-30]), "target": torch.tensor([0.0, 1.0, 1.0, 0.0, 0.3, 1.0, 0.5])}, no_grad=("target",),
          reduction="none", note="logarithms stop at -100, the gradient's denominator at 1e-12")
    f.add("hinge_embedding_loss_kink", "hinge_embedding_loss", lambda x, t: F.hinge_embedding_loss(x, t, margin=0.8, reduction="none"),
          {"input": torch.tensor([0.8, 0.8, -1.0, 2.0, 0.5]), "target": torch.tensor([-1.0, 1.0, 0.0, 0.0, -1.0])}, no_grad=("target",), reduction="none")
    f.add("margin_ranking_loss_kink", "margin_ranking_loss", lambda a, b, t: F.margin_ranking_loss(a, b, t, reduction="none"),
          {"input1": torch.tensor([1.0, 1.0]), "input2": torch.tensor([1.0, 2.0]), "target": torch.tensor([1.0, -1.0])}, no_grad=("target",), reduction="none",
          margin=0.0)
    f.add("soft_margin_loss_wide", "soft_margin_loss", lambda x, t: F.soft_margin_loss(x, t, reduction="none"),
          {"input": f.rand("smw", "x", [8], -60.0, 60.0), "target": f.rand("smw", "t", [8]).sign()}, no_grad=("target",), reduction="none")
    f.add("cosine_embedding_loss_vector", "cosine_embedding_loss", F.cosine_embedding_loss,
          {"input1": f.rand("cev", "a", [4]), "input2": f.rand("cev", "b", [4]), "target": torch.tensor(1.0)}, no_grad=("target",), reduction="mean", margin=0.0)
    f.add("cosine_embedding_loss_zero", "cosine_embedding_loss", F.cosine_embedding_loss,
          {"input1": torch.zeros(2, 3), "input2": f.rand("cez", "b", [2, 3]), "target": torch.tensor([1.0, -1.0])}, no_grad=("target",), reduction="mean", margin=0.0)
    f.save()


def einsum():
    f = Family("einsum")
    equations = {
        "matmul": ("ij,jk->ik", [2, 3], [3, 4]), "implicit": ("ij,jk", [2, 3], [3, 4]), "implicit_order": ("ba", [2, 3]), "capitals": ("bA,Ac", [2, 3], [3, 4]),
        "batch": ("bij,bjk->bik", [2, 3, 4], [2, 4, 5]), "inner": ("i,i", [5], [5]), "inner_arrow": ("i,i->", [5], [5]), "outer": ("i,j->ij", [3], [4]),
        "elementwise": ("ij,ij->ij", [2, 3], [2, 3]), "rows": ("bi,bi->b", [4, 3], [4, 3]), "diagonal": ("ii->i", [3, 3]), "trace": ("ii", [3, 3]),
        "diagonals": ("iijj->ij", [2, 2, 3, 3]), "triple_diagonal": ("iii->i", [3, 3, 3]), "batched_diagonal": ("...ii->...i", [2, 3, 3]),
        "sum": ("ij->", [2, 3]), "column_sums": ("ij->j", [2, 3]), "permute": ("abc->cab", [2, 3, 4]), "blanks": (" i j , j k -> i k ", [2, 3], [3, 4]),
        "bilinear": ("bn,anm,bm->ba", [2, 3], [4, 3, 5], [2, 5]), "chain": ("ij,jk,kl,lm->im", [2, 3], [3, 4], [4, 2], [2, 3]),
        "ellipsis": ("...ij,...jk->...ik", [2, 3, 4], [2, 4, 5]), "ellipsis_broadcast": ("...ij,...jk->...ik", [5, 1, 2, 3], [4, 3, 2]),
        "ellipsis_implicit": ("...ij,...jk", [2, 3, 4], [2, 4, 5]), "ellipsis_summed": ("...i->i", [2, 3, 4]), "ellipsis_middle": ("a...b->b...a", [2, 3, 4, 5]),
        "ellipsis_empty": ("...ij,jk->...ik", [2, 3], [3, 4]), "ellipsis_one_side": ("...,i->...i", [2, 3], [4]), "ellipsis_end": ("i...,i...->...", [3, 2, 2], [3, 2, 2]),
        "size_one": ("ij,jk->ik", [2, 1], [3, 4]), "size_one_kept": ("ij,ij->ij", [2, 1], [2, 3]), "size_one_batch": ("bij,bjk->bik", [1, 2, 3], [4, 3, 2]),
        "lone_sum": ("ij,kl->ik", [2, 3], [4, 5]), "diagonal_product": ("ii,ij->j", [3, 3], [3, 2]), "attention": ("bhqd,bhkd->bhqk", [2, 2, 3, 4], [2, 2, 5, 4]),
        "heads_last": ("bqhd,bkhd->bhqk", [2, 3, 2, 4], [2, 5, 2, 4]), "three_summed": ("abc,abc->", [2, 3, 4], [2, 3, 4]), "tucker": ("abc,ai,bj,ck->ijk", [2, 3, 4], [2, 2], [3, 2], [4, 3]),
        "scalar": (",i->i", [], [4]), "transposed_sum": ("ijk,kl->lj", [2, 3, 4], [4, 5]), "empty_inner": ("ij,jk->ik", [2, 0], [0, 3]), "same_twice": ("ij,ij,ij->i", [2, 3], [2, 3], [2, 3]),
        "diagonal_kept": ("aab,b->a", [3, 3, 2], [2]), "output_ellipsis_only": ("ij->...ij", [2, 3]),
    }
    for tag, (equation, *shapes) in equations.items():
        f.add(tag, "einsum", lambda *x, e=equation: torch.einsum(e, *x), {f"operand{i}": f.rand(tag, str(i), s) for i, s in enumerate(shapes)}, equation=equation)
    f.save()


def distances():
    f = Family("distance")
    for p in (1.0, 2.0, INF):
        for tag, shape, dim in (("rows", [3, 4], 1), ("columns", [3, 4], 0), ("channels", [2, 3, 2, 2], 1), ("last", [2, 3, 4], -1)):
            case = f"normalize_p{p:.0f}_{tag}".replace("inf", "max")
            f.add(case, "normalize", lambda x, p=p, d=dim: F.normalize(x, p, d), {"input": f.rand(case, "x", shape)}, p=p if p != INF else "inf", dim=dim, eps=1e-12)
        for keepdim in (False, True):
            case = f"pairwise_distance_p{p:.0f}_{'keepdim' if keepdim else 'plain'}".replace("inf", "max")
            f.add(case, "pairwise_distance", lambda a, b, p=p, k=keepdim: F.pairwise_distance(a, b, p, keepdim=k),
                  {"x1": f.rand(case, "a", [3, 4]), "x2": f.rand(case, "b", [3, 4])}, p=p if p != INF else "inf", eps=1e-6, keepdim=keepdim)
    f.add("normalize_zero", "normalize", F.normalize, {"input": torch.tensor([[0.0, 0.0], [3.0, 4.0]])}, p=2.0, dim=1, eps=1e-12)
    f.add("normalize_eps", "normalize", lambda x: F.normalize(x, eps=0.5), {"input": torch.tensor([[0.1, 0.2], [3.0, 4.0]])}, p=2.0, dim=1, eps=0.5)
    f.add("normalize_special", "normalize", F.normalize, {"input": torch.tensor([[NAN, 1.0], [INF, 1.0], [0.0, 2.0]])}, backward=False, p=2.0, dim=1, eps=1e-12)
    for tag, a, b, dim in (("rows", [3, 4], [3, 4], 1), ("columns", [3, 4], [3, 4], 0), ("broadcast", [2, 1, 4], [3, 4], -1), ("channels", [2, 3, 2, 2], [2, 3, 2, 2], 1),
                           ("vectors", [5], [5], 0)):
        case = "cosine_similarity_" + tag
        f.add(case, "cosine_similarity", lambda x, y, d=dim: F.cosine_similarity(x, y, d), {"x1": f.rand(case, "a", a), "x2": f.rand(case, "b", b)}, dim=dim, eps=1e-8)
    f.add("cosine_similarity_zero", "cosine_similarity", F.cosine_similarity, {"x1": torch.tensor([[0.0, 0.0], [3.0, 4.0]]), "x2": torch.tensor([[1.0, 2.0], [1.0, 2.0]])},
          dim=1, eps=1e-8)
    f.save()


def rearrangements():
    f = Family("rearrange")
    for dim in (0, 1, -1):
        case = f"unbind_{str(dim).replace('-', 'm')}"
        f.add(case, "unbind", lambda x, d=dim: list(x.unbind(d)), {"input": f.rand(case, "x", [2, 3, 2])}, dim=dim)
    f.add("repeat_interleave_flat", "repeat_interleave", lambda x: torch.repeat_interleave(x, 2), {"input": f.rand("rf", "x", [2, 3])}, repeats=2)
    for dim in (0, 1, -1):
        case = f"repeat_interleave_{str(dim).replace('-', 'm')}"
        f.add(case, "repeat_interleave", lambda x, d=dim: torch.repeat_interleave(x, 3, d), {"input": f.rand(case, "x", [2, 3, 2])}, repeats=3, dim=dim)
    f.add("repeat_interleave_each", "repeat_interleave", lambda x, r: torch.repeat_interleave(x, r, 1),
          {"input": f.rand("re", "x", [2, 3]), "repeats": torch.tensor([2, 0, 3])}, dim=1)
    f.add("repeat_interleave_each_flat", "repeat_interleave", torch.repeat_interleave, {"input": f.rand("rg", "x", [2, 2]), "repeats": torch.tensor([1, 2, 0, 3])})
    for tag, shape, offset, d0, d1 in (("square", [3, 3], 0, 0, 1), ("above", [3, 5], 1, 0, 1), ("below", [4, 3], -2, 0, 1), ("batch", [2, 3, 4], 0, -2, -1),
                                       ("outer", [3, 2, 4], 1, 0, 2), ("reversed", [3, 4], 1, 1, 0)):
        case = "diagonal_" + tag
        f.add(case, "diagonal", lambda x, o=offset, a=d0, b=d1: x.diagonal(o, a, b), {"input": f.rand(case, "x", shape)}, offset=offset, dim1=d0, dim2=d1)
    f.save()


def main():
    activations()
    losses()
    einsum()
    distances()
    rearrangements()


if __name__ == "__main__":
    main()
