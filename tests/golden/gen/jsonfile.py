"""Writes JSON a person can read: objects indented, lists of numbers on one line, doubles with every digit they need."""
import json
import os

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def text(value, depth=0):
    inner, outer = "  " * (depth + 1), "  " * depth
    if isinstance(value, dict) and value:
        return "{\n" + ",\n".join(f"{inner}{json.dumps(k)}: {text(v, depth + 1)}" for k, v in value.items()) + "\n" + outer + "}"
    if isinstance(value, (list, tuple)) and any(isinstance(v, (dict, list, tuple)) for v in value):
        return "[\n" + ",\n".join(inner + text(v, depth + 1) for v in value) + "\n" + outer + "]"
    return json.dumps(value, allow_nan=False)


def write(folder, name, value):
    path = os.path.join(GOLDEN, folder, name + ".json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text(value) + "\n")
    print(f"{folder}/{name}.json: {os.path.getsize(path) // 1024} KiB")
