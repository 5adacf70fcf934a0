"""Indexing, shape ops and embedding."""
import torch
import torch.nn.functional as F

from opcases import Family


def index():
    f = Family("index")
    for dim, shape, index_shape in ((0, [4, 3], [2, 3]), (1, [3, 5], [3, 4]), (-1, [2, 3, 4], [2, 2, 6]), (1, [2, 5, 3], [2, 7, 2])):
        tag = f"{len(shape)}d_{dim if dim >= 0 else 'last'}"
        size = shape[dim]
        case = "gather_" + tag
        f.add(case, "gather", lambda x, i, d=dim: x.gather(d, i), {"input": f.rand(case, "x", shape), "index": f.ints(case, "i", index_shape, size)},
              dim=dim)
    for dim, shape, source in ((0, [4, 3], [3, 3]), (1, [3, 5], [3, 4]), (-1, [2, 3, 4], [2, 3, 3])):
        tag = f"{len(shape)}d_{dim if dim >= 0 else 'last'}"
        case = "scatter_add_" + tag
        f.add(case, "scatter_add", lambda x, i, s, d=dim: x.scatter_add(d, i, s),
              {"input": f.rand(case, "x", shape), "index": f.ints(case, "i", source, shape[dim]), "src": f.rand(case, "s", source)}, dim=dim)
        # scatter needs distinct targets to have one answer: a rotation of the first entries along dim
        case = "scatter_" + tag
        order = torch.arange(source[dim]).reshape([-1 if i == dim % len(shape) else 1 for i in range(len(shape))])
        distinct = ((order + 2) % shape[dim]).expand(source).contiguous()
        f.add(case, "scatter", lambda x, i, s, d=dim: x.scatter(d, i, s),
              {"input": f.rand(case, "x", shape), "index": distinct, "src": f.rand(case, "s", source)}, dim=dim)
    f.add("scatter_add_repeated", "scatter_add", lambda x, i, s: x.scatter_add(0, i, s),
          {"input": f.rand("sar", "x", [3]), "index": torch.tensor([1, 1, 1, 0]), "src": f.rand("sar", "s", [4])}, dim=0)
    for dim, shape in ((0, [4, 3]), (1, [2, 5, 3]), (-1, [2, 3, 4])):
        case = f"index_select_{len(shape)}d_{dim if dim >= 0 else 'last'}"
        f.add(case, "index_select", lambda x, i, d=dim: x.index_select(d, i),
              {"input": f.rand(case, "x", shape), "index": f.ints(case, "i", [6], shape[dim])}, dim=dim, note="indices repeat")
    f.save()


def shape():
    f = Family("shape")
    for dim, shapes in ((0, [[2, 3], [1, 3], [4, 3]]), (1, [[2, 3], [2, 1]]), (-1, [[2, 2, 3], [2, 2, 1], [2, 2, 2]])):
        case = f"cat_{len(shapes)}_{dim if dim >= 0 else 'last'}"
        inputs = {f"tensors{i}": f.rand(case, f"x{i}", s) for i, s in enumerate(shapes)}
        f.add(case, "cat", lambda *xs, d=dim: torch.cat(xs, d), inputs, dim=dim)
    f.add("cat_channels", "cat", lambda *xs: torch.cat(xs, 1), {f"tensors{i}": f.rand("cc", f"x{i}", [2, c, 3, 3]) for i, c in enumerate((3, 5))}, dim=1)
    for dim in (0, 1, -1):
        case = f"stack_{dim if dim >= 0 else 'last'}"
        f.add(case, "stack", lambda *xs, d=dim: torch.stack(xs, d), {f"tensors{i}": f.rand(case, f"x{i}", [2, 3]) for i in range(3)}, dim=dim)
    f.add("split_even", "split", lambda x: list(x.split(2, 1)), {"input": f.rand("se", "x", [2, 5, 2])}, split_size=2, dim=1)
    f.add("split_sizes", "split", lambda x: list(x.split([1, 3, 2], 0)), {"input": f.rand("ss", "x", [6, 2])}, split_sizes=[1, 3, 2], dim=0)
    f.add("split_last", "split", lambda x: list(x.split(3, -1)), {"input": f.rand("sz", "x", [2, 9])}, split_size=3, dim=-1)

    pads = {"last": ([2, 3], [1, 2], 0.0), "two": ([1, 2, 3, 4], [1, 0, 2, 1], 0.0), "value": ([2, 3], [1, 1, 0, 2], 1.5),
            "negative": ([2, 5], [-1, -2], 0.0), "mixed": ([1, 2, 4, 5], [-1, 2, 1, -1], -0.5),
            "channels": ([1, 2, 2, 2], [0, 0, 0, 0, 1, 1], 0.0)}
    for tag, (sizes, pad, value) in pads.items():
        f.add("pad_" + tag, "pad", lambda x, p=pad, v=value: F.pad(x, p, value=v), {"input": f.rand("pad", tag, sizes)}, pad=pad, mode="constant",
              value=value, note="pairs (before, after) from the last dimension backwards")

    f.add("permute_3", "permute", lambda x: x.permute(2, 0, 1), {"input": f.rand("p3", "x", [2, 3, 4])}, dims=[2, 0, 1])
    f.add("permute_4", "permute", lambda x: x.permute(0, 2, 3, 1), {"input": f.rand("p4", "x", [2, 3, 2, 4])}, dims=[0, 2, 3, 1])
    f.add("transpose", "transpose", lambda x: x.transpose(-1, 0), {"input": f.rand("tr", "x", [2, 3, 4])}, dim0=-1, dim1=0)
    f.add("reshape", "reshape", lambda x: x.reshape(4, -1), {"input": f.rand("re", "x", [2, 3, 4])}, shape=[4, -1])
    f.add("transpose_reshape", "transpose_reshape", lambda x: x.transpose(0, 1).reshape(3, 8), {"input": f.rand("trr", "x", [2, 3, 4])}, dim0=0, dim1=1,
          shape=[3, 8])
    f.add("expand", "expand", lambda x: x.expand(2, 3, 4), {"input": f.rand("ex", "x", [3, 1])}, shape=[2, 3, 4])
    f.add("expand_keep", "expand", lambda x: x.expand(-1, 5, -1), {"input": f.rand("ek", "x", [2, 1, 3])}, shape=[-1, 5, -1])
    f.add("repeat", "repeat", lambda x: x.repeat(2, 1, 3), {"input": f.rand("rp", "x", [2, 3])}, repeats=[2, 1, 3])
    f.add("flip_1", "flip", lambda x: x.flip(1), {"input": f.rand("f1", "x", [2, 4])}, dims=[1])
    f.add("flip_2", "flip", lambda x: x.flip(0, -1), {"input": f.rand("f2", "x", [3, 2, 4])}, dims=[0, -1])
    f.add("roll_1", "roll", lambda x: x.roll(2, 1), {"input": f.rand("r1", "x", [2, 5])}, shifts=[2], dims=[1])
    f.add("roll_2", "roll", lambda x: x.roll((-1, 4), (0, 2)), {"input": f.rand("r2", "x", [3, 2, 3])}, shifts=[-1, 4], dims=[0, 2])
    f.add("roll_flat", "roll", lambda x: x.roll(3), {"input": f.rand("rf", "x", [2, 4])}, shifts=[3], dims=[], note="no dims: rolls the flattened input")
    f.add("slice", "slice", lambda x: x[:, 1:4], {"input": f.rand("sc", "x", [3, 5])}, dim=1, start=1, end=4, step=1)
    f.add("slice_step", "slice", lambda x: x[1:7:2], {"input": f.rand("st", "x", [8, 2])}, dim=0, start=1, end=7, step=2)
    f.add("select", "select", lambda x: x.select(1, -1), {"input": f.rand("sel", "x", [2, 3, 2])}, dim=1, index=-1)
    f.add("unsqueeze", "unsqueeze", lambda x: x.unsqueeze(-1), {"input": f.rand("us", "x", [2, 3])}, dim=-1)
    f.add("squeeze", "squeeze", lambda x: x.squeeze(1), {"input": f.rand("sq", "x", [2, 1, 3])}, dim=1)
    f.add("tril", "tril", lambda x: x.tril(-1), {"input": f.rand("tl", "x", [2, 4, 3])}, diagonal=-1)
    f.add("triu", "triu", lambda x: x.triu(1), {"input": f.rand("tu", "x", [3, 4])}, diagonal=1)
    f.save()


def embedding():
    f = Family("embedding")
    for tag, sizes in (("1d", [5]), ("2d", [2, 4]), ("scalar", [])):
        f.add("embedding_" + tag, "embedding", lambda i, w: F.embedding(i, w), {"input": f.ints(tag, "i", sizes, 6), "weight": f.rand(tag, "w", [6, 3])})
    repeated = torch.tensor([[1, 2, 1, 0], [4, 1, 2, 2]])
    f.add("embedding_repeated", "embedding", lambda i, w: F.embedding(i, w), {"input": repeated, "weight": f.rand("er", "w", [5, 4])})
    for padding_idx in (2, -1):
        f.add(f"embedding_padding_{'last' if padding_idx < 0 else padding_idx}", "embedding",
              lambda i, w, p=padding_idx: F.embedding(i, w, padding_idx=p), {"input": repeated, "weight": f.rand("ep", "w", [5, 4])},
              padding_idx=padding_idx, note="the row of padding_idx gets no gradient")
    f.save()


def main():
    index()
    shape()
    embedding()


if __name__ == "__main__":
    main()
