"""Learning rates of a hundred steps for every schedule, alone and behind a linear warm-up."""
import warnings

import torch
from torch.optim import lr_scheduler as S

import hashed
import jsonfile

torch.set_default_dtype(torch.float64)
warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step\\(\\)` before `optimizer.step\\(\\)`")
warnings.filterwarnings("ignore", message="The epoch parameter in `scheduler.step\\(\\)` was not necessary")
STEPS, BASE = 100, (0.1, 0.004)
ABOUT = (
    "lr[g][t] is the rate of parameter group g in optimizer step t = 0, 1, ..., 99; the schedule moves once after every step. The groups' own "
    "rates are base_lr. Compare to 1e-12 of the group's largest "
    "rate: PyTorch works step by step where a closed form rounds once."
)
WARMUP_ABOUT = (
    "lr[g][t] for t = 0 .. 99. With base = the schedule's own rate at its step 0 (the group's rate; for OneCycleLR max_lr / div_factor), the warm-up "
    "has lr = base * (start_factor + (1 - start_factor) * t / W) for t < W = warmup_steps, and from t = W on lr is the schedule's rate at its own step "
    "t - W. T_max, milestones and total_steps count the schedule's own steps, without the warm-up. Compare to 1e-12 of the group's largest rate."
)


def fresh_optimizer(base=BASE):
    return torch.optim.SGD([{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in base], lr=1.0)


def rates(make, steps=STEPS):
    optimizer = fresh_optimizer()
    schedule, seen = make(optimizer), [[] for _ in BASE]
    for t in range(steps):
        for g, group in enumerate(optimizer.param_groups):
            seen[g].append(float(group["lr"]))
        if t + 1 < steps:
            optimizer.step()
            schedule.step()
    return seen


def one_cycle(**options):
    return lambda o: S.OneCycleLR(o, max_lr=list(BASE), cycle_momentum=False, **options)


SCHEDULES = {
    "constant": ("constant", {}, lambda o: S.LambdaLR(o, lambda t: 1.0)),
    "step": ("StepLR", dict(step_size=17, gamma=0.3), lambda o: S.StepLR(o, 17, 0.3)),
    "multi_step": ("MultiStepLR", dict(milestones=[20, 50, 51, 90], gamma=0.1), lambda o: S.MultiStepLR(o, [20, 50, 51, 90], 0.1)),
    "multi_step_repeated": ("MultiStepLR", dict(milestones=[30, 30, 60], gamma=0.5), lambda o: S.MultiStepLR(o, [30, 30, 60], 0.5)),
    "cosine": ("CosineAnnealingLR", dict(T_max=100, eta_min=0.0), lambda o: S.CosineAnnealingLR(o, 100)),
    "cosine_eta_min": ("CosineAnnealingLR", dict(T_max=99, eta_min=0.001), lambda o: S.CosineAnnealingLR(o, 99, 0.001)),
    "exponential": ("ExponentialLR", dict(gamma=0.95), lambda o: S.ExponentialLR(o, 0.95)),
}
for _strategy in ("cos", "linear"):
    for _three in (False, True):
        _o = dict(total_steps=100, pct_start=0.3, anneal_strategy=_strategy, div_factor=25.0, final_div_factor=1e4, three_phase=_three)
        SCHEDULES[f"one_cycle_{_strategy}" + ("_three_phase" if _three else "")] = ("OneCycleLR", dict(max_lr=list(BASE), **_o), one_cycle(**_o))
_o = dict(total_steps=100, pct_start=0.17, anneal_strategy="cos", div_factor=10.0, final_div_factor=100.0, three_phase=False)
SCHEDULES["one_cycle_options"] = ("OneCycleLR", dict(max_lr=list(BASE), **_o), one_cycle(**_o))


def plain():
    cases = [{"name": n, "schedule": s, "options": o, "lr": rates(make)} for n, (s, o, make) in SCHEDULES.items()]
    cases.append({"name": "cosine_beyond_t_max", "schedule": "CosineAnnealingLR", "options": dict(T_max=40, eta_min=0.001),
                  "note": "past T_max PyTorch's rate rises again along the cosine", "lr": rates(lambda o: S.CosineAnnealingLR(o, 40, 0.001))})
    jsonfile.write("optim", "schedules", {"about": ABOUT, "base_lr": list(BASE), "steps": STEPS, "cases": cases})


def warmed_up():
    cases = []
    for name, (schedule, options, make) in SCHEDULES.items():
        for warmup, start_factor in ((10, 0.1), (7, 0.0)) if name in ("constant", "cosine") else ((10, 0.1),):
            own = rates(make)
            lr = [[g[0] * (start_factor + (1.0 - start_factor) * t / warmup) for t in range(warmup)] + g[: STEPS - warmup] for g in own]
            if schedule != "OneCycleLR" and start_factor > 0:
                check_against_sequential(name, make, warmup, start_factor, lr)
            cases.append({"name": f"{name}_{warmup}_{start_factor:g}", "schedule": schedule, "options": options, "warmup_steps": warmup,
                          "start_factor": start_factor, "lr": lr})
    jsonfile.write("optim", "schedules_warmup", {"about": WARMUP_ABOUT, "base_lr": list(BASE), "steps": STEPS, "cases": cases})


def check_against_sequential(name, make, warmup, start_factor, lr):
    """The formula of WARMUP_ABOUT is what torch's own SequentialLR does."""
    sequential = rates(lambda o: S.SequentialLR(o, [S.LinearLR(o, start_factor, 1.0, warmup), make(o)], [warmup]))
    for mine, theirs in zip(lr, sequential):
        worst = max(abs(a - b) for a, b in zip(mine, theirs))
        assert worst < 1e-12, f"{name}: SequentialLR differs by {worst}"


def plateau():
    cases = []
    falling = [(1.0 + 2.0 * 0.93**t) + 0.12 * (u - 0.5) for t, u in enumerate(hashed.between("plateau/falling", [STEPS], 0.0, 1.0).tolist())]
    rising = [3.0 - v for v in falling]
    table = {
        "min_rel": (falling, dict(mode="min", factor=0.5, patience=3, threshold=0.01, threshold_mode="rel", cooldown=0, min_lr=0.0)),
        "min_abs": (falling, dict(mode="min", factor=0.5, patience=2, threshold=0.03, threshold_mode="abs", cooldown=0, min_lr=0.0)),
        "min_cooldown": (falling, dict(mode="min", factor=0.3, patience=2, threshold=1e-4, threshold_mode="rel", cooldown=5, min_lr=0.0)),
        "min_floor": (falling, dict(mode="min", factor=0.1, patience=1, threshold=0.02, threshold_mode="rel", cooldown=1, min_lr=0.0005)),
        "max_rel": (rising, dict(mode="max", factor=0.5, patience=3, threshold=0.01, threshold_mode="rel", cooldown=2, min_lr=0.0)),
        "max_abs": (rising, dict(mode="max", factor=0.7, patience=0, threshold=0.02, threshold_mode="abs", cooldown=0, min_lr=0.0)),
        "default": (falling, dict(mode="min", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel", cooldown=0, min_lr=0.0)),
    }
    for name, (metrics, options) in table.items():
        optimizer = fresh_optimizer()
        schedule, lr = S.ReduceLROnPlateau(optimizer, eps=1e-8, **options), [[] for _ in BASE]
        for value in metrics:
            schedule.step(value)
            for g, group in enumerate(optimizer.param_groups):
                lr[g].append(float(group["lr"]))
        assert lr[0][-1] < BASE[0], name
        cases.append({"name": name, "options": {**options, "eps": 1e-8}, "metrics": "rising" if metrics is rising else "falling", "lr": lr})
    about = (
        "ReduceLROnPlateau: metrics[t] is reported for t = 0 .. 99 and lr[g][t] is the rate of group g right after that report. The group starts at "
        "base_lr[g]; a change of no more than eps is not made."
    )
    jsonfile.write("optim", "plateau", {"about": about, "base_lr": list(BASE), "metrics": {"falling": falling, "rising": rising}, "cases": cases})


def main():
    plain()
    warmed_up()
    plateau()


if __name__ == "__main__":
    main()
