#!/usr/bin/python3
"""Makes every reference file again: /usr/bin/python3 tests/golden/gen/make_all.py [ops] [optim] [traces] [data] [names] [codeq] [quant] [images] [consumer]

Needs Debian's python3-torch, python3-numpy and, for images, python3-pil (written with torch 1.13, numpy 1.24, Pillow 9.4). Without arguments everything is
made; afterwards verify.py reads all files back. Values may move in the last digits with another torch or CPU.
"""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = {
    "ops": ["ops_elementwise.py", "ops_reduce.py", "ops_shape.py", "ops_matmul_conv.py", "ops_norm_attention.py", "ops_multihead.py", "ops_recurrent.py", "ops_images.py", "ops_layers.py", "ops_loss.py",
            "ops_edges.py", "ops_more.py"],
    "optim": ["optimizer_traces.py", "schedule_traces.py"],
    "traces": ["model_traces.py", "codeq_traces.py"],
    "data": ["data_resize.py"],
    "names": ["torch_names.py"],
    "codeq": [os.path.join("codeq", "codeq_golden.py")],
    "quant": ["affine_golden.py"],
    "images": ["images.py"],
    "consumer": ["consumer_models.py"],
}


def main():
    unknown = [a for a in sys.argv[1:] if a not in PARTS]
    if unknown:
        sys.exit(f"unknown part {unknown[0]}; the parts are {', '.join(PARTS)}")
    for part in sys.argv[1:] or PARTS:
        for script in PARTS[part]:
            subprocess.run([sys.executable, os.path.join(HERE, script)], check=True)
    subprocess.run([sys.executable, os.path.join(HERE, "verify.py")], check=True)


if __name__ == "__main__":
    main()
