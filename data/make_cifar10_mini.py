#!/usr/bin/env python3
"""Makes data/cifar10_mini/ out of the full CIFAR-10 in its binary form.

    data/make_cifar10_mini.py SOURCE_DIR OUTPUT_DIR [--train 5000] [--test 1000]

Takes the first images of each class, equally many of each, from data_batch_1.bin, data_batch_2.bin, ... and from
test_batch.bin, in their order, and writes them as data_batch_1.bin and test_batch.bin of the same format, with
batches.meta.txt. If SOURCE_DIR has a lossy_records.txt (lines "FILE INDEX LABEL": records that are not exact copies of the
originals), the records named there are left out. Standard library only.
"""

import argparse
import pathlib
import sys

RECORD = 3073
CLASSES = 10


def lossy_records(source):
    """The (file name, record index) pairs to leave out."""
    listed = set()
    path = source / "lossy_records.txt"
    if not path.exists():
        return listed
    for line in path.read_text().splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        listed.add((words[0], int(words[1])))
    return listed


def choose(source, names, wanted, skip):
    """The first `wanted` / CLASSES records of each class from these files."""
    each = wanted // CLASSES
    counts = [0] * CLASSES
    chosen = []
    for name in names:
        data = (source / name).read_bytes()
        if len(data) % RECORD:
            sys.exit(f"{source / name}: not whole records of {RECORD} bytes")
        for index in range(len(data) // RECORD):
            record = data[index * RECORD:(index + 1) * RECORD]
            label = record[0]
            if label >= CLASSES:
                sys.exit(f"{source / name}: label {label} in record {index}")
            if counts[label] < each and (name, index) not in skip:
                counts[label] += 1
                chosen.append(record)
    if counts != [each] * CLASSES:
        sys.exit(f"{source}: not enough images of each class ({counts}, wanted {each})")
    return b"".join(chosen)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--train", type=int, default=5000, help="training images, a multiple of 10")
    parser.add_argument("--test", type=int, default=1000, help="test images, a multiple of 10")
    options = parser.parse_args()
    if options.train % CLASSES or options.test % CLASSES:
        parser.error("--train and --test must be multiples of 10")
    skip = lossy_records(options.source)
    options.output.mkdir(parents=True, exist_ok=True)
    batches = [f"data_batch_{i}.bin" for i in range(1, 6)]
    train = choose(options.source, batches, options.train, skip)
    test = choose(options.source, ["test_batch.bin"], options.test, skip)
    (options.output / "data_batch_1.bin").write_bytes(train)
    (options.output / "test_batch.bin").write_bytes(test)
    (options.output / "batches.meta.txt").write_bytes((options.source / "batches.meta.txt").read_bytes())
    print(f"{len(train) // RECORD} training and {len(test) // RECORD} test images in {options.output}")


if __name__ == "__main__":
    main()
