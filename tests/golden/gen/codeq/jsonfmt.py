"""Small JSON writer: floats with 9 significant digits, flat arrays on one line.

Library for codeq_golden.py; not run by itself.
"""
import math
import torch


def num(v):
    v = float(v)
    if math.isnan(v) or math.isinf(v):
        raise ValueError("non-finite value in golden data")
    if v == int(v) and abs(v) < 1e15:
        return ("-0.0" if math.copysign(1, v) < 0 and v == 0 else str(int(v)) + ".0")
    return "%.9g" % v


def enc(o, ind=0):
    p, q = "  " * (ind + 1), "  " * ind
    if isinstance(o, torch.Tensor):
        o = o.detach().reshape(-1).tolist() if o.dim() else o.item()
    if isinstance(o, bool):
        return "true" if o else "false"
    if o is None:
        return "null"
    if isinstance(o, int):
        return str(o)
    if isinstance(o, float):
        return num(o)
    if isinstance(o, str):
        return '"' + o.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(o, dict):
        if not o:
            return "{}"
        return "{\n" + ",\n".join(f'{p}"{k}": {enc(v, ind + 1)}' for k, v in o.items()) + "\n" + q + "}"
    if isinstance(o, (list, tuple)):
        if all(isinstance(v, (int, float, bool)) for v in o):
            return "[" + ", ".join(enc(v) for v in o) + "]"
        return "[\n" + ",\n".join(p + enc(v, ind + 1) for v in o) + "\n" + q + "]"
    raise TypeError(type(o))


def dump(path, obj):
    with open(path, "w") as f:
        f.write(enc(obj) + "\n")
