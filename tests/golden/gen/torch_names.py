"""Checks that docs/torch_names.md has a row for every public name of torch.nn and torch.nn.functional, and no other."""
import inspect
import os
import re
import sys

import torch.nn
import torch.nn.functional

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "docs", "torch_names.md")
HELPERS = {"assert_int_or_pair", "boolean_dispatch", "handle_torch_function", "has_torch_function", "has_torch_function_unary",
           "has_torch_function_variadic", "Callable", "List", "Optional", "Tuple", "Union"}


def layers():
    return {n for n, v in vars(torch.nn).items() if inspect.isclass(v) and (issubclass(v, torch.nn.Module) or n.endswith("Parameter"))}


def functions():
    return {n for n, v in vars(torch.nn.functional).items() if callable(v) and not inspect.isclass(v) and not n.startswith("_")} - HELPERS


def main():
    with open(PAGE) as f:
        sections = dict(s.split("\n", 1) for s in f.read().split("\n## ")[1:])
    wrong = []
    for title, names in (("torch.nn", layers()), ("torch.nn.functional", functions())):
        rows = set(re.findall(r"^\| (\w+) \|", sections[title], re.M))
        wrong += [f"{title}.{n} has no row" for n in sorted(names - rows)] + [f"{title} has no {n}" for n in sorted(rows - names)]
    if wrong:
        sys.exit("docs/torch_names.md: " + "; ".join(wrong))
    print("docs/torch_names.md has a row for every name")


if __name__ == "__main__":
    main()
