"""Hundred-step traces of optimizers, gradient clipping and weight averaging on a problem small enough to write down.

The gradient is a formula, so that a reader needs no autograd: see PROBLEM below, which is part of every file.
"""
import copy
import math

import torch

import hashed
import jsonfile

torch.set_default_dtype(torch.float64)
STEPS, KEPT = 100, (1, 2, 3, 10, 50, 100)
SIZES = {"a": 5, "b": 3}
COEFFICIENTS = {"start": (-2.0, 2.0), "curvature": (0.2, 2.0), "target": (-1.0, 1.0), "ripple": (0.1, 0.8), "frequency": (0.5, 3.0), "noise": (0.05, 0.4)}
PROBLEM = {
    name: {k: hashed.between(f"optim/{name}/{k}", [size], *span).tolist() for k, span in COEFFICIENTS.items()} for name, size in SIZES.items()
}
ABOUT = (
    "Two parameters, a and b, start at `start`. At step t = 0, 1, ..., 99 the gradient of element i is curvature[i] * (x - target[i]) - ripple[i] * "
    "frequency[i] * sin(frequency[i] * x) + noise[i] * cos(0.7 * t * (i + 1)), evaluated at the current x; then the optimizer steps once. "
    "`after` has the values after 1, 2, 3, 10, 50 and 100 steps, all in double precision."
)


def gradient(name, x, t):
    c = {k: torch.tensor(v) for k, v in PROBLEM[name].items()}
    i = torch.arange(len(x), dtype=torch.float64)
    ripple = c["ripple"] * c["frequency"] * torch.sin(c["frequency"] * x)
    return c["curvature"] * (x - c["target"]) - ripple + c["noise"] * torch.cos(0.7 * t * (i + 1.0))


def run(make, no_gradient=(), before_step=None, after_step=None):
    """make(parameters) builds the optimizer; the hooks get (step, parameters, optimizer) around each step."""
    parameters = {name: torch.tensor(PROBLEM[name]["start"]).requires_grad_() for name in SIZES}
    optimizer, after = make(parameters), {}
    for t in range(STEPS):
        for name, p in parameters.items():
            p.grad = None if name in no_gradient else gradient(name, p.detach(), t)
        if before_step:
            before_step(t, parameters, optimizer)
        optimizer.step()
        if after_step:
            after_step(t, parameters, optimizer)
        if t + 1 in KEPT:
            after[str(t + 1)] = {name: p.detach().tolist() for name, p in parameters.items()}
    return after


def case(name, cls, options, groups=None, **kwargs):
    """groups: list of (parameter name, options of its own)."""
    extra = {k: kwargs.pop(k) for k in ("note",) if k in kwargs}

    def make(parameters):
        if groups is None:
            return cls(list(parameters.values()), **options)
        return cls([{"params": [parameters[p]], **own} for p, own in groups], **options)

    row = {"name": name, "optimizer": cls.__name__, "options": {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}}
    if groups is not None:
        row["groups"] = [{"params": [p], **{k: list(v) if isinstance(v, tuple) else v for k, v in own.items()}} for p, own in groups]
    if kwargs.get("no_gradient"):
        row["no_gradient"] = list(kwargs["no_gradient"])
    row.update(extra)
    row["after"] = run(make, **kwargs)
    return row


def save(name, cases, about=ABOUT):
    jsonfile.write("optim", name, {"about": about, "problem": PROBLEM, "steps": STEPS, "cases": cases})


def sgd():
    o = torch.optim.SGD
    save("sgd", [
        case("plain", o, dict(lr=0.05)),
        case("momentum", o, dict(lr=0.05, momentum=0.9)),
        case("dampening", o, dict(lr=0.05, momentum=0.9, dampening=0.3), note="the first step's buffer is the gradient, not damped"),
        case("nesterov", o, dict(lr=0.05, momentum=0.9, nesterov=True)),
        case("weight_decay", o, dict(lr=0.05, weight_decay=0.1)),
        case("momentum_weight_decay", o, dict(lr=0.05, momentum=0.9, weight_decay=0.01)),
        case("nesterov_weight_decay", o, dict(lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.02)),
        case("missing_gradient", o, dict(lr=0.05, momentum=0.9, weight_decay=0.1), no_gradient=("b",), note="b has no gradient and stays as it is"),
    ])


def adam():
    o = torch.optim.Adam
    save("adam", [
        case("plain", o, dict(lr=0.02)),
        case("betas_eps", o, dict(lr=0.02, betas=(0.8, 0.95), eps=1e-3)),
        case("weight_decay", o, dict(lr=0.02, weight_decay=0.1), note="coupled: the decay joins the gradient"),
        case("amsgrad", o, dict(lr=0.02, betas=(0.9, 0.9), amsgrad=True)),
        case("amsgrad_weight_decay", o, dict(lr=0.02, betas=(0.9, 0.9), weight_decay=0.05, amsgrad=True)),
    ])
    o = torch.optim.AdamW
    save("adamw", [
        case("default", o, dict(lr=0.02, weight_decay=0.01)),
        case("decay", o, dict(lr=0.02, weight_decay=0.5)),
        case("no_decay", o, dict(lr=0.02, weight_decay=0.0)),
        case("betas_eps", o, dict(lr=0.02, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1)),
        case("amsgrad", o, dict(lr=0.02, betas=(0.9, 0.9), weight_decay=0.1, amsgrad=True)),
        case("missing_gradient", o, dict(lr=0.02, weight_decay=0.5), no_gradient=("b",), note="b has no gradient: no decay either"),
    ])


def groups():
    def scheduled(t, parameters, optimizer):
        for group, base in zip(optimizer.param_groups, (0.05, 0.01)):
            group["lr"] = base * 0.97**t

    save("groups", [
        case("sgd", torch.optim.SGD, dict(lr=0.05, momentum=0.9), [("a", dict(weight_decay=0.01)), ("b", dict(lr=0.002, weight_decay=0.1))]),
        case("sgd_own_momentum", torch.optim.SGD, dict(lr=0.05, momentum=0.9), [("a", dict(momentum=0.5)), ("b", dict(lr=0.01, nesterov=True))]),
        case("adam", torch.optim.Adam, dict(lr=0.02), [("a", dict(weight_decay=0.1)), ("b", dict(lr=0.005, betas=(0.7, 0.9)))]),
        case("adamw", torch.optim.AdamW, dict(lr=0.02), [("a", dict(weight_decay=0.3)), ("b", dict(lr=0.05, weight_decay=0.0))]),
        case("sgd_changing_rate", torch.optim.SGD, dict(lr=0.05, momentum=0.9), [("a", dict()), ("b", dict(lr=0.01))], before_step=scheduled,
             note="before step t the rate of each group is set to its first rate * 0.97^t"),
        case("adamw_changing_rate", torch.optim.AdamW, dict(lr=0.05, weight_decay=0.2), [("a", dict()), ("b", dict(lr=0.01))], before_step=scheduled,
             note="before step t the rate of each group is set to its first rate * 0.97^t"),
    ])


def clipping():
    rows = []
    for norm_type, max_norm in ((2.0, 1.0), (2.0, 0.2), (1.0, 1.0), (math.inf, 0.5)):
        norms = []

        def clip(t, parameters, optimizer, norm_type=norm_type, max_norm=max_norm, norms=norms):
            norms.append(torch.nn.utils.clip_grad_norm_(list(parameters.values()), max_norm, norm_type).item())

        label = "inf" if norm_type == math.inf else f"{norm_type:g}"
        row = case(f"norm_{label}_{max_norm:g}", torch.optim.SGD, dict(lr=0.05, momentum=0.9), before_step=clip)
        row.update(clip="norm", norm_type=label, max_norm=max_norm, norm_before_clipping={str(s): norms[s - 1] for s in KEPT})
        rows.append(row)
    for value in (0.5, 0.1):
        row = case(f"value_{value:g}", torch.optim.SGD, dict(lr=0.05, momentum=0.9),
                   before_step=lambda t, p, o, v=value: torch.nn.utils.clip_grad_value_(list(p.values()), v))
        row.update(clip="value", clip_value=value)
        rows.append(row)
    save("clip", rows, ABOUT + " Between gradient and step the gradients of both parameters are clipped together: by norm, all are multiplied by "
         "min(1, max_norm / (norm + 1e-6)); by value, each element is clamped to [-clip_value, clip_value]. norm_before_clipping is keyed by step count.")


def averaging():
    rows = []
    for start in ("initial", "first_update"):
        for decay in (0.9, 0.99):
            average, kept = {}, {}

            def update(t, parameters, optimizer, start=start, decay=decay, average=average, kept=kept):
                for name, p in parameters.items():
                    if t == 0:
                        average[name] = p.detach().clone() if start == "first_update" else torch.tensor(PROBLEM[name]["start"])
                    if t > 0 or start == "initial":
                        average[name].mul_(decay).add_(p.detach(), alpha=1.0 - decay)
                if t + 1 in KEPT:
                    kept[str(t + 1)] = {name: v.tolist() for name, v in copy.deepcopy(average).items()}

            row = case(f"{start}_{decay:g}", torch.optim.SGD, dict(lr=0.05, momentum=0.9), after_step=update)
            row.update(decay=decay, start=start, average=kept)
            rows.append(row)
    save("ema", rows, ABOUT + " After each step average = decay * average + (1 - decay) * parameter. With start `initial` the average begins as the "
         "parameters before the first step; with `first_update` (PyTorch's AveragedModel) the first update copies the parameters.")


def main():
    sgd()
    adam()
    groups()
    clipping()
    averaging()


if __name__ == "__main__":
    main()
