"""Collects the cases of one family of ops and writes them as one safetensors file."""
import json
import os

import torch

import hashed
import safetensors_file

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
torch.set_default_dtype(torch.float64)


class Family:
    """One file of cases: `add` runs a PyTorch function and its autograd and keeps everything that went in and came out."""

    def __init__(self, name):
        self.name = name
        self.tensors = {}
        self.metadata = {}

    def rand(self, case, tag, shape, low=-2.0, high=2.0):
        return hashed.between(f"{self.name}/{case}/{tag}", shape, low, high)

    def ints(self, case, tag, shape, bound):
        return hashed.integers(f"{self.name}/{case}/{tag}", shape, bound)

    def add(self, case, op, fn, inputs, no_grad=(), backward=True, upstream=None, **attributes):
        """Runs fn(*inputs.values()) and records the case.

        inputs: argument name -> tensor, in the order of the op's arguments (None: argument absent, not numbered).
        fn returns a tensor, or a list of tensors (several outputs), or (either, {extra name: tensor}).
        no_grad: names of floating-point inputs without a gradient. backward=False: forward only. upstream: the gradient of every
        element of the outputs; by default random numbers in [-1, 1).
        """
        assert case not in self.metadata, case
        given = {k: v for k, v in inputs.items() if v is not None}
        leaves = {}
        for name, value in given.items():
            wanted = backward and value.is_floating_point() and name not in no_grad
            leaves[name] = value.detach().clone().requires_grad_(wanted)
        result = fn(*[leaves[k] if v is not None else None for k, v in inputs.items()])
        outputs, extras = result if isinstance(result, tuple) else (result, {})
        outputs = list(outputs) if isinstance(outputs, list) else [outputs]

        put = lambda tag, value: self._put(f"{case}/{tag}", value)
        for i, value in enumerate(given.values()):
            put(f"in{i}", value)
        for i, out in enumerate(outputs):
            put(f"out{i or ''}", out)
        for tag, value in extras.items():
            put(tag, value)
        if backward:
            grads = [self.rand(case, f"grad_out{i or ''}", out.shape, -1.0, 1.0) if upstream is None else torch.full_like(out, upstream)
                     for i, out in enumerate(outputs)]
            for i, grad in enumerate(grads):
                put(f"grad_out{i or ''}", grad)
            wanted = [(i, leaf) for i, leaf in enumerate(leaves.values()) if leaf.requires_grad]
            assert wanted, f"{self.name}/{case}: nothing to differentiate"
            found = torch.autograd.grad(outputs, [leaf for _, leaf in wanted], grads, allow_unused=True)
            for (i, leaf), grad in zip(wanted, found):
                put(f"grad{i}", torch.zeros_like(leaf) if grad is None else grad)
        self.metadata[case] = json.dumps({"op": op, "inputs": list(given), **attributes}, allow_nan=False)

    def _put(self, name, value):
        value = value.detach()
        if value.dtype == torch.bool:
            value = value.to(torch.uint8)
        self.tensors[name] = value.contiguous().numpy().copy()

    def save(self):
        path = os.path.join(GOLDEN, "ops", self.name + ".safetensors")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        safetensors_file.write(path, self.tensors, self.metadata)
        print(f"ops/{self.name}.safetensors: {len(self.metadata)} cases, {os.path.getsize(path) // 1024} KiB")
