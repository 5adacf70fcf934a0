"""Reads the committed reference files back and checks that they are whole and consistent. Needs only numpy."""
import glob
import json
import os
import re

import numpy as np

import safetensors_file

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
TENSOR = re.compile(r"^(in|out|grad_out|grad)\d*$|^(indices|(after_)?running_(mean|var)|cos|sin|weights)$")
NON_FINITE = ("_special", "_nan", "_inf", "_mask")


def check_ops(path):
    tensors, metadata = safetensors_file.read(path)
    parts = {}
    for name, array in tensors.items():
        case, tag = name.rsplit("/", 1)
        if not TENSOR.match(tag):
            raise ValueError(f"{path}: tensor {name} has a name outside the layout")
        parts.setdefault(case, {})[tag] = array
    if set(parts) != set(metadata):
        raise ValueError(f"{path}: cases {sorted(set(parts) ^ set(metadata))} lack tensors or attributes")
    edges = os.path.basename(path) == "edges.safetensors"  # anything may come out there, or a refusal
    for case, text in metadata.items():
        attributes, found = json.loads(text), parts[case]
        if ("out" in found) == attributes.get("raises", False):
            raise ValueError(f"{path}: {case} has an output and is refused, or neither")
        if sum(t.startswith("in") and t != "indices" for t in found) != len(attributes["inputs"]):
            raise ValueError(f"{path}: {case} does not have one tensor an input")
        for tag, array in found.items():
            if tag.startswith("grad_out") and array.shape != found[tag[5:]].shape:
                raise ValueError(f"{path}: {case}/{tag} is not of the shape of its output")
            if re.match(r"^grad\d", tag) and array.shape != found["in" + tag[4:]].shape:
                raise ValueError(f"{path}: {case}/{tag} is not of the shape of its input")
            if not edges and not np.isfinite(array).all() and not any(s in case for s in NON_FINITE):
                raise ValueError(f"{path}: {case}/{tag} is not finite")
    return len(metadata)


def main():
    cases = sum(check_ops(path) for path in sorted(glob.glob(os.path.join(GOLDEN, "ops", "*.safetensors"))))
    documents = sorted(glob.glob(os.path.join(GOLDEN, "*", "*.json")))
    for path in documents:
        with open(path) as f:
            json.load(f, parse_constant=lambda c: (_ for _ in ()).throw(ValueError(f"{path}: {c} is not JSON")))
    print(f"verified {cases} op cases and {len(documents)} JSON files")


if __name__ == "__main__":
    main()
