"""Golden vectors for the CoDeQ quantizer (own reimplementation of the maths).

Rerun:  /usr/bin/python3 codeq_golden.py [DIR_WITH_quantizer_orig.py]
Writes ../../codeq/*.json.  Needs torch (written with 1.13).
If the optional directory with the published quantizer module is given, every
case is also compared with it and the largest difference is printed.
"""
import os, sys, math, glob
import torch
import codeq_ref as R
from codeq_verify import mirror
from jsonfmt import dump

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "codeq")
torch.set_num_threads(1)
os.makedirs(OUT, exist_ok=True)
for f in glob.glob(os.path.join(OUT, "*.json")):
    os.remove(f)
orig = None
if len(sys.argv) > 1:
    sys.path.insert(0, sys.argv[1])
    import quantizer_orig
    orig = quantizer_orig.DeadZoneLDZCompander
worst = {"w_hat": 0.0, "d_w": 0.0, "d_logit_dz": 0.0, "d_logit_bit": 0.0, "f32_vs_f64_rel": 0.0}


def away_from_ties(w, ldz, lbit, fixed, learn, margin=2e-3):
    _, c = R.forward(w.double(), ldz.double(), lbit.double(), fixed_bit=fixed, learn_bit=learn)
    u = c["u"].abs()
    near = ((u - u.floor()) - 0.5).abs() < margin
    near &= u < c["Q"] + 1.0
    near |= ((w.double().abs() - c["d"] / 2).abs() < margin * c["s"])
    return ~near | (w == 0)


def case(name, note, w, ldz, lbit, fixed, learn, gen, check_ties=True):
    ldt, lbt = torch.tensor(float(ldz)), torch.tensor(float(lbit))
    if check_ties:
        for _ in range(200):
            ok = away_from_ties(w, ldt, lbt, fixed, learn)
            if ok.all():
                break
            w = torch.where(ok, w, w * 1.013)
        assert ok.all(), name
    g = torch.randn(w.shape, generator=gen)
    w = w.float(); g = g.float()
    res = {}
    for dt in (torch.float32, torch.float64):
        torch.set_default_dtype(dt)
        wl = w.detach().clone().to(dt).requires_grad_(True)
        a = ldt.detach().clone().to(dt).requires_grad_(True)
        b = lbt.detach().clone().to(dt).requires_grad_(True)
        y = mirror(wl, a, b, fixed, learn)
        (y * g.to(dt)).sum().backward()
        _, c = R.forward(w.to(dt), ldt.to(dt), lbt.to(dt), fixed_bit=fixed, learn_bit=learn)
        z = torch.zeros(())
        res[dt] = dict(y=y.detach(), gw=wl.grad, ga=a.grad, gb=b.grad if b.grad is not None else z, c=c)
    torch.set_default_dtype(torch.float32)
    f, d = res[torch.float32], res[torch.float64]
    assert torch.equal(f["c"]["q"].double(), d["c"]["q"]), name
    for k in ("y", "gw", "ga", "gb"):
        worst["f32_vs_f64_rel"] = max(worst["f32_vs_f64_rel"],
                                      ((f[k].double() - d[k]).abs().max() / max(1.0, d[k].abs().max().item())).item())
    if orig is not None:
        m = orig(fixed_bit_val=fixed, max_bits=8, init_bit_logit=float(lbit), init_deadzone_logit=float(ldz),
                 learnable_bit=learn, learnable_deadzone=True)
        wl = w.clone().requires_grad_(True)
        y = m(wl)
        (y * g).sum().backward()
        z = torch.zeros(())
        for k, p, q in (("w_hat", f["y"], y), ("d_w", f["gw"], wl.grad), ("d_logit_dz", f["ga"], m.logit_dz.grad),
                        ("d_logit_bit", f["gb"], m.logit_bit.grad if m.logit_bit.grad is not None else z)):
            worst[k] = max(worst[k], (p - q).abs().max().item())
    c = d["c"]
    dump(os.path.join(OUT, name + ".json"), dict(
        name=name, note=note, shape=list(w.shape), quantile=0.99, eps=1e-8, min_bits=2, max_bits=8,
        learnable_bit=learn, fixed_bit=fixed, logit_dz=float(ldt), logit_bit=float(lbt),
        w=w, g=g,
        absmax=c["A"], bits=int(c["B"].item()), Q=int(c["Q"].item()), deadzone=c["d"], step=c["s"], shift=c["delta"],
        codes=[int(v) for v in c["q"].reshape(-1).tolist()],
        w_hat=f["y"], d_w=f["gw"], d_logit_dz=d["ga"], d_logit_bit=d["gb"],
        d_logit_dz_f32=f["ga"], d_logit_bit_f32=f["gb"],
        zeros=int((c["q"] == 0).sum().item()),
        sparsity=float((c["q"] == 0).double().mean().item())))


def main():
    gen = torch.Generator().manual_seed(7)
    n = lambda *s, k=0.1: torch.randn(*s, generator=gen) * k
    case("c01_init_fixed4", "initial logits, fixed 4 bit, d < s so shift is negative", n(8, 3, 3, 3), 3.0, 3.0, 4, False, gen)
    case("c02_conv16_fixed4", "16x16x3x3 conv, fixed 4 bit, typical dead zone", n(16, 16, 3, 3, k=0.06), 1.0, 3.0, 4, False, gen)
    case("c03_init_mixed8", "initial logits, learnable bits (8)", n(8, 9), 3.0, 3.0, 4, True, gen)
    case("c04_mixed5", "learnable bits (5), linear layer", n(10, 16), 0.7, 0.5, 4, True, gen)
    case("c05_bit_logit_zero", "bit logit 0: B = 2 and zero bit gradient", n(6, 8), 1.0, 0.0, 4, True, gen)
    case("c06_fixed2", "fixed 2 bit: outer level is absmax whatever d is", n(5, 5, 3, 3), 0.6, 1.0, 2, False, gen)
    case("c07_negative_logits", "negative logits fold through |tanh|", n(12, 12), -0.8, -0.4, 4, True, gen)
    w = n(4, 8); w.view(-1)[::5] = 0.0; w.view(-1)[5] = -0.0
    case("c08_exact_zeros", "exact +0 and -0 entries, fixed 3 bit", w, 1.2, 1.0, 3, False, gen)
    case("c09_one_element", "single element: quantile is the element itself", torch.tensor([0.3]), 1.0, 0.9, 4, True, gen, False)
    case("c10_all_zero", "all-zero tensor: zero output and zero gradients", torch.zeros(3, 4), 1.0, 0.9, 4, True, gen, False)
    case("c11_two_elements", "two elements: interpolation weight 0.99", torch.tensor([0.2, -0.5]), 0.9, 0.6, 4, True, gen)
    w = n(101); case("c12_exact_rank", "101 elements: 0.99*100 is integral, no interpolation", w, 0.5, 0.35, 4, True, gen)
    w = n(16, 16); w.view(-1)[3] *= 20; w.view(-1)[70] = -1.5
    case("c13_outliers", "outliers far above the quantile: clamped codes, unmasked gradient", w, 0.4, 1.1, 4, True, gen)
    case("c14_deadzone_max", "logit_dz 0: d = 2*absmax, step = eps, only entries above the quantile survive", n(15, 15), 0.0, 0.8, 4, True, gen, False)
    case("c15_constant", "constant magnitude tensor (batch-norm scale like)", torch.tensor([1.0, 1.0, -1.0, 1.0, 1.0]), 2.0, 1.3, 4, True, gen, False)
    case("c16_near_zero_logit", "small logit_dz: large gradient from clamped entries", n(20, 20), 0.02, 0.7, 4, False, gen)

    # three-group AdamW trace on a tiny linear layer
    gen = torch.Generator().manual_seed(99)
    W0 = torch.randn(6, 10, generator=gen) * 0.3
    X = torch.randn(7, 10, generator=gen)
    T = torch.randn(7, 6, generator=gen)
    tr = {}
    for dt in (torch.float32, torch.float64):
        torch.set_default_dtype(dt)
        W, a, b = (W0.to(dt).clone().requires_grad_(True), torch.tensor(1.5).to(dt).requires_grad_(True),
                   torch.tensor(0.8).to(dt).requires_grad_(True))
        opt = torch.optim.AdamW([dict(params=[W], lr=1e-2, weight_decay=1e-3),
                                 dict(params=[a], lr=2e-2, weight_decay=0.4),
                                 dict(params=[b], lr=3e-2, weight_decay=0.1)], betas=(0.9, 0.999), eps=1e-8)
        loss_h, a_h, b_h, bits, w_h = [], [], [], [], []
        for _ in range(8):
            opt.zero_grad()
            y = X.to(dt) @ mirror(W, a, b, 4, True).t()
            loss = 0.5 * ((y - T.to(dt)) ** 2).mean()
            loss.backward()
            opt.step()
            loss_h.append(loss.item()); a_h.append(a.item()); b_h.append(b.item())
            bits.append(int(torch.round(6 * torch.tanh(b.detach()).abs() + 2).item()))
        tr[dt] = (loss_h, a_h, b_h, bits, W.detach().clone())
    torch.set_default_dtype(torch.float32)
    dd = max(abs(p - q) for i in range(3) for p, q in zip(tr[torch.float32][i], tr[torch.float64][i]))
    dw = (tr[torch.float32][4].double() - tr[torch.float64][4]).abs().max().item()
    print("adamw trace f32 vs f64: scalars %.2e weights %.2e" % (dd, dw))
    L = tr[torch.float64]
    dump(os.path.join(OUT, "t01_adamw_three_groups.json"), dict(
        note="8 AdamW steps, loss = 0.5*mean((X What^T - T)^2); decoupled decay; betas 0.9/0.999, eps 1e-8; values after each step (float64 run)",
        W_shape=[6, 10], X_shape=[7, 10], T_shape=[7, 6], W0=W0, X=X, T=T, logit_dz0=1.5, logit_bit0=float(torch.tensor(0.8)),
        lr=[1e-2, 2e-2, 3e-2], weight_decay=[1e-3, 0.4, 0.1], loss_before_step=L[0], logit_dz=L[1], logit_bit=L[2],
        bits_after_step=L[3], W_final=L[4].float()))

    # BOPs accounting on CIFAR ResNet-20
    layers = [("conv1", 3, 16, 3, 32)]
    c = 16
    for st, (ch, sp) in enumerate([(16, 32), (32, 16), (64, 8)]):
        for b in range(3):
            layers.append((f"layer{st+1}.{b}.conv1", c, ch, 3, sp))
            layers.append((f"layer{st+1}.{b}.conv2", ch, ch, 3, sp))
            c = ch
    layers.append(("linear", 64, 10, 1, 1))
    gen = torch.Generator().manual_seed(5)
    rows, dense, comp = [], 0, 0.0
    for nme, ci, co, k, sp in layers:
        weights = ci * co * k * k
        macs = weights * sp * sp
        nz = int(weights * (0.1 + 0.5 * torch.rand((), generator=gen).item()))
        bw = int(torch.randint(2, 6, (), generator=gen).item())
        bops = nz * sp * sp * bw * 32
        dense += macs; comp += bops
        rows.append(dict(name=nme, c_in=ci, c_out=co, kernel=k, out_hw=sp, dense_macs=macs, nonzero=nz, bits=bw, bops=bops))
    dump(os.path.join(OUT, "b01_bops_resnet20.json"), dict(
        note="BOPs = (nonzero weights * output positions) * weight bits * 32; baseline = dense MACs * 32 * 32; no shortcut convs (parameter-free shortcuts)",
        layers=rows, total_dense_macs=dense, baseline_bops=dense * 1024, compressed_bops=int(comp),
        relative_percent=100.0 * comp / (dense * 1024)))
    print("max abs difference against the published module:" if orig else "internal:", worst)


main()
