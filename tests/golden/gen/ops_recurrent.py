"""Recurrent layers: one layer in one direction (ops), and nn.LSTM, nn.GRU and nn.RNN whole (run by tests/nn)."""
import math

import torch
from torch import nn

from opcases import Family


def layers():
    f = Family("recurrent")
    gates = {"lstm": 4, "gru": 3, "rnn": 1}

    def add(case, kind, steps, batch, inputs, hidden, bias=True, state=True, reverse=False, nonlinearity="tanh"):
        rows, scale = gates[kind] * hidden, 1 / math.sqrt(hidden)
        given = {"x": f.rand(case, "x", [steps, batch, inputs], -1.0, 1.0),
                 "weight_ih": f.rand(case, "weight_ih", [rows, inputs], -scale, scale),
                 "weight_hh": f.rand(case, "weight_hh", [rows, hidden], -scale, scale)}
        for name in ("bias_ih", "bias_hh"):
            given[name] = f.rand(case, name, [rows], -scale, scale) if bias else None
        given["h"] = f.rand(case, "h", [batch, hidden], -1.0, 1.0) if state else None
        if kind == "lstm":
            given["c"] = f.rand(case, "c", [batch, hidden], -1.0, 1.0) if state else None

        def run(x, w, u, b, d, h, c=None):
            h = torch.zeros(batch, hidden) if h is None else h
            c = torch.zeros(batch, hidden) if c is None else c
            parameters = [w, u, b, d] if bias else [w, u]
            x = x.flip(0) if reverse else x
            settings = (parameters, bias, 1, 0.0, False, False, False)
            if kind == "lstm":
                y, h, c = torch.lstm(x, (h[None], c[None]), *settings)
                states = [h[0], c[0]]
            else:
                function = {"gru": torch.gru, "rnn": torch.rnn_tanh if nonlinearity == "tanh" else torch.rnn_relu}[kind]
                y, h = function(x, h[None], *settings)
                states = [h[0]]
            return [y.flip(0) if reverse else y, *states]

        more = {"nonlinearity": nonlinearity} if kind == "rnn" else {}
        f.add(case, kind + "_layer", run, given, bias=bias, state=state, reverse=reverse, **more)

    for kind in gates:
        add(kind, kind, 4, 3, 5, 6)
        add(kind + "_reverse", kind, 4, 3, 5, 6, reverse=True)
        add(kind + "_plain", kind, 3, 2, 4, 5, bias=False, state=False)
        add(kind + "_one_step", kind, 1, 2, 4, 3)
        add(kind + "_wide", kind, 3, 2, 4, 40)
    add("rnn_relu", "rnn", 4, 3, 5, 6, nonlinearity="relu")
    f.save()


def modules():
    f = Family("recurrent_modules")

    def add(case, kind, steps, batch, inputs, hidden, state=True, **settings):
        module = getattr(nn, kind)(inputs, hidden, **settings)
        first = settings.get("batch_first", False)
        shape = [steps, inputs] if batch is None else [batch, steps, inputs] if first else [steps, batch, inputs]
        depth = settings.get("num_layers", 1) * (2 if settings.get("bidirectional") else 1)
        given = {"x": f.rand(case, "x", shape, -1.0, 1.0)}
        states = [depth, hidden] if batch is None else [depth, batch, hidden]
        for name in (("h", "c") if kind == "LSTM" else ("h",)) if state else ():
            given[name] = f.rand(case, name, states, -1.0, 1.0)
        scale = 1 / math.sqrt(hidden)
        weights = {name: f.rand(case, name, p.shape, -scale, scale) for name, p in module.named_parameters()}
        names = [*given, *weights]

        def run(*values):
            by_name = dict(zip(names, values))
            before = tuple(by_name[name] for name in ("h", "c") if name in by_name)
            arguments = (by_name["x"],) + ((before if kind == "LSTM" else before[0],) if state else ())
            module._flat_weights = [by_name[n] for n in module._flat_weights_names]  # what the module computes with
            y, after = module(*arguments)
            return [y, *(after if kind == "LSTM" else [after])]

        f.add(case, kind, run, {**given, **weights}, input_size=inputs, hidden_size=hidden, state=state, **settings)

    for kind in ("LSTM", "GRU", "RNN"):
        low = kind.lower()
        add(low, kind, 4, 3, 5, 4)
        add(low + "_two_layers", kind, 4, 3, 5, 4, num_layers=2)
        add(low + "_both_directions", kind, 4, 3, 5, 4, bidirectional=True)
        add(low + "_three_layers_both_directions", kind, 3, 2, 5, 3, num_layers=3, bidirectional=True, batch_first=True)
        add(low + "_no_bias_no_state", kind, 4, 3, 5, 4, bias=False, state=False)
        add(low + "_batch_first", kind, 4, 3, 5, 4, batch_first=True, num_layers=2)
        add(low + "_no_batch", kind, 4, None, 5, 4, num_layers=2)
    add("rnn_relu", "RNN", 4, 3, 5, 4, nonlinearity="relu", num_layers=2)
    f.save()


def main():
    layers()
    modules()


if __name__ == "__main__":
    main()
