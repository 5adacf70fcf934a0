"""Numbers without files: every weight, image and label of the reference runs comes from a formula.

For element i (row-major) of the tensor called NAME, with 64-bit wrapping arithmetic throughout:

    h     = splitmix64(fnv1a64(NAME) + i)
    u     = (h >> 11) * 2^-53                 in [0, 1)
    value = offset + (2u - 1) * scale         in double
    label = h mod classes

fnv1a64 hashes the UTF-8 bytes of NAME (offset basis 0xcbf29ce484222325, prime 0x100000001b3). splitmix64 is one
step of the generator of that name with the argument as its state:

    z = x + 0x9e3779b97f4a7c15
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb
    splitmix64(x) = z ^ (z >> 31)
"""
import numpy as np
import torch

MASK = (1 << 64) - 1


def fnv1a64(name):
    h = 0xCBF29CE484222325
    for byte in name.encode("utf-8"):
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def splitmix64(x):
    """One splitmix64 step of a numpy uint64 array (arithmetic on uint64 arrays wraps)."""
    z = x + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def hashes(name, count):
    return splitmix64(np.full(count, fnv1a64(name), np.uint64) + np.arange(count, dtype=np.uint64))


def _count(shape):
    return int(np.prod(shape, dtype=np.int64)) if len(shape) else 1


def uniform(name, shape, scale=1.0, offset=0.0):
    """float64 tensor of offset + (2u - 1) * scale."""
    u = (hashes(name, _count(shape)) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return torch.from_numpy(offset + (2.0 * u - 1.0) * scale).reshape(tuple(shape))


def between(name, shape, low, high):
    """float64 tensor in [low, high); a shorthand for the op cases, whose inputs are stored anyway."""
    return uniform(name, shape, (high - low) / 2.0, (high + low) / 2.0)


def integers(name, shape, bound):
    """int64 tensor of h mod bound."""
    h = hashes(name, _count(shape)) % np.uint64(bound)
    return torch.from_numpy(h.astype(np.int64)).reshape(tuple(shape))


def self_test():
    """Fixed points that any other implementation of the formula must hit as well."""
    assert fnv1a64("") == 0xCBF29CE484222325
    assert fnv1a64("a") == 0xAF63DC4C8601EC8C
    first = int(splitmix64(np.zeros(1, np.uint64))[0])
    assert first == 0xE220A8397B1DCDAF, hex(first)


self_test()
