"""A reader and a writer for the safetensors format, small enough to check by eye.

Layout: 8 bytes little-endian length of the header, the header (JSON, padded with spaces to a multiple of 8), the raw
little-endian data. Tensors of 8-byte elements come first, so that everything stays aligned.
"""
import json
import struct

import numpy as np

DTYPES = {"F64": np.float64, "F32": np.float32, "I64": np.int64, "I32": np.int32, "U8": np.uint8}
NAMES = {np.dtype(v): k for k, v in DTYPES.items()}


def write(path, tensors, metadata):
    """tensors: name -> numpy array; metadata: str -> str."""
    order = sorted(tensors, key=lambda n: -tensors[n].dtype.itemsize)  # stable: insertion order within one size
    header, offset, blobs = {"__metadata__": metadata}, 0, []
    for name in order:
        array = np.ascontiguousarray(tensors[name]).reshape(tensors[name].shape)
        blob = array.astype(array.dtype.newbyteorder("<")).tobytes()
        header[name] = {"dtype": NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [offset, offset + len(blob)]}
        offset += len(blob)
        blobs.append(blob)
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)))
        f.write(text)
        for blob in blobs:
            f.write(blob)


def read(path):
    """Returns (tensors, metadata); raises ValueError when sizes, holes or overlaps do not fit the format."""
    raw = open(path, "rb").read()
    (length,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + length])
    metadata, data, end, tensors = header.pop("__metadata__", {}), raw[8 + length :], 0, {}
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        dtype, (begin, stop) = np.dtype(DTYPES[entry["dtype"]]), entry["data_offsets"]
        size = int(np.prod(entry["shape"], dtype=np.int64)) * dtype.itemsize
        if begin != end or stop - begin != size:
            raise ValueError(f"{path}: {name} has range [{begin}, {stop}) where [{end}, {end + size}) is expected")
        tensors[name] = np.frombuffer(data[begin:stop], dtype).reshape(entry["shape"])
        end = stop
    if end != len(data):
        raise ValueError(f"{path}: {len(data) - end} bytes left over")
    return tensors, metadata
