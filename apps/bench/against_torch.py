#!/usr/bin/python3
"""Tern against PyTorch on this machine, workload by workload.

    /usr/bin/python3 apps/bench/against_torch.py [--bench build/apps/bench] [--threads N] [--rounds R] [--only NAME ...]

Debian: apt-get install python3-torch libopenblas0-openmp. Every workload runs R times on each side, in turn, each time in a process of its own;
the ratio PyTorch time / Tern time is taken round by round, and the median is the figure to quote. PyTorch gets what serves it best: oneDNN, the
faster of its two memory formats for images, the OpenMP build of OpenBLAS. Close other programs first: both sides wait for their slowest thread.
`--peak` prints the largest resident size of both processes as well: of PyTorch less what importing it takes, of Tern less that of matmul_1024.
"""
import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time

NAMES = ("resnet20_train", "resnet20_qat", "resnet20_infer", "resnet20_infer_b1", "vit_tiny_train", "vit_tiny_infer",
         "vit_tiny_infer_b1", "mobilenetv2_train", "resnext29_train",
         "lm_train", "bitnet_lm_train", "lstm_train", "conv3x3_c16", "conv3x3_c32", "conv3x3_c64", "conv1x1", "grouped3x3_g4", "depthwise3x3",
         "depthwise3x3_s2", "matmul_1024", "linear_4096x1", "linear_4096x64", "attention")


# -- PyTorch's side: a function for each workload gives the step to time


def workloads():
    import torch
    from torch import nn
    from torch.nn import functional as F
    from torch.nn.utils import parametrize

    formats = (torch.contiguous_format, torch.channels_last)

    def conv(channels_in, channels_out, stride=1):
        return nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)

    class Basic(nn.Module):
        def __init__(self, channels_in, channels_out, stride):
            super().__init__()
            self.conv1, self.bn1 = conv(channels_in, channels_out, stride), nn.BatchNorm2d(channels_out)
            self.conv2, self.bn2 = conv(channels_out, channels_out), nn.BatchNorm2d(channels_out)
            self.stride, self.extra = stride, (channels_out - channels_in) // 2

        def forward(self, x):
            y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
            if self.extra:
                x = F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, self.extra, self.extra))
            return F.relu(y + x)

    def resnet20():
        layers, width = [conv(3, 16), nn.BatchNorm2d(16), nn.ReLU()], 16
        for stage in (16, 32, 64):
            for block in range(3):
                layers.append(Basic(width, stage, 2 if stage > width else 1))
                width = stage
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))

    def conv_bn(channels_in, channels_out, kernel=1, stride=1, groups=1):
        return nn.Sequential(nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False),
                             nn.BatchNorm2d(channels_out))

    class Grouped(nn.Module):
        """1 x 1, a grouped 3 x 3, 1 x 1, beside a shortcut."""

        def __init__(self, channels_in, width, channels_out, groups, stride, shortcut, activate):
            super().__init__()
            self.conv1, self.conv2 = conv_bn(channels_in, width), conv_bn(width, width, 3, stride, groups)
            self.conv3, self.activate, self.shortcut = conv_bn(width, channels_out), activate, None
            if shortcut:
                same = channels_in == channels_out and stride == 1
                self.shortcut = nn.Identity() if same else conv_bn(channels_in, channels_out, 1, stride)

        def forward(self, x):
            y = self.conv3(F.relu(self.conv2(F.relu(self.conv1(x)))))
            if self.shortcut is not None:
                y = y + self.shortcut(x)
            return F.relu(y) if self.activate else y

    def mobilenetv2():
        layers, width = [conv_bn(3, 32, 3), nn.ReLU()], 32
        for expansion, channels, blocks, first in ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                                   (6, 160, 3, 2), (6, 320, 1, 1)):
            for stride in [first] + [1] * (blocks - 1):
                wide = width * expansion
                layers.append(Grouped(width, wide, channels, wide, stride, stride == 1, False))
                width = channels
        return nn.Sequential(*layers, conv_bn(320, 1280), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 10))

    def resnext29():
        layers, channels = [conv_bn(3, 64), nn.ReLU()], 64
        for width in (128, 256, 512):
            for block in range(3):
                layers.append(Grouped(channels, width, 2 * width, 32, 2 if block == 0 and width > 128 else 1, True, True))
                channels = 2 * width
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 10))

    class Attention(nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.qkv, self.proj, self.heads = nn.Linear(width, 3 * width), nn.Linear(width, width), heads

        def forward(self, x):
            n, tokens, width = x.shape
            q, k, v = self.qkv(x).view(n, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            weights = torch.softmax((q @ k.transpose(2, 3)) / math.sqrt(width // self.heads), dim=3)
            return self.proj((weights @ v).transpose(1, 2).reshape(n, tokens, width))

    class Residual(nn.Module):
        def __init__(self, norm, inner):
            super().__init__()
            self.norm, self.inner = norm, inner

        def forward(self, x):
            return x + self.inner(self.norm(x))

    class Vit(nn.Module):
        def __init__(self, width=192, depth=12, heads=3, patch=4):
            super().__init__()
            self.patches = nn.Conv2d(3, width, patch, stride=patch)
            self.token = nn.Parameter(torch.zeros(1, 1, width))
            self.positions = nn.Parameter(0.02 * torch.randn(1, (32 // patch) ** 2 + 1, width))
            self.blocks = nn.Sequential(*(
                Residual(nn.LayerNorm(width), inner) for _ in range(depth) for inner in
                (Attention(width, heads), nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)))))
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

        def forward(self, x):
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), dim=1) + self.positions
            return self.head(self.norm(self.blocks(x))[:, 0])

    class RmsNorm(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(width))

        def forward(self, x):
            return x * (x.square().mean(dim=-1, keepdim=True) + 1e-6).rsqrt() * self.weight

    class BitLinear(nn.Linear):
        """BitNet b1.58: ternary weights, int8 tokens, straight-through gradients."""

        def forward(self, x):
            delta = self.weight.abs().mean().clamp(min=1e-5)
            w = self.weight + ((self.weight / delta).round().clamp(-1, 1) * delta - self.weight).detach()
            steps = 127 / x.abs().amax(dim=-1, keepdim=True).clamp(min=1e-5)
            return F.linear(x + ((x * steps).round().clamp(-128, 127) / steps - x).detach(), w)

    class Decoder(nn.Module):
        """Pre-norm blocks of rotary attention and SwiGLU; input and output embeddings are one."""

        def __init__(self, width=288, depth=6, heads=6, hidden=768, vocab=512, context=256, ternary=False):
            super().__init__()
            plain = lambda a, b: (BitLinear if ternary else nn.Linear)(a, b, bias=False)
            last = lambda a, b: nn.Sequential(RmsNorm(a), plain(a, b)) if ternary else plain(a, b)
            self.embedding, self.norm, self.heads = nn.Embedding(vocab, width), RmsNorm(width), heads
            self.blocks = nn.ModuleList(nn.ModuleDict(dict(
                norm1=RmsNorm(width), q=plain(width, width), k=plain(width, width), v=plain(width, width), o=last(width, width),
                norm2=RmsNorm(width), gate=plain(width, hidden), up=plain(width, hidden), down=last(hidden, width)))
                for _ in range(depth))
            half = width // heads // 2
            angles = torch.arange(context)[:, None] * 1e4 ** (-torch.arange(half) / half)
            self.cos, self.sin = angles.cos(), angles.sin()
            self.mask = torch.triu(torch.full((context, context), float("-inf")), diagonal=1)

        def turned(self, x):
            even, odd = x[..., ::2], x[..., 1::2]
            return torch.stack((even * self.cos - odd * self.sin, odd * self.cos + even * self.sin), dim=-1).flatten(3)

        def forward(self, tokens):
            x = self.embedding(tokens)
            n, length, width = x.shape
            for b in self.blocks:
                y = b["norm1"](x)
                q, k, v = (b[name](y).view(n, length, self.heads, -1).transpose(1, 2) for name in "qkv")
                scores = self.turned(q) @ self.turned(k).transpose(2, 3) / math.sqrt(width // self.heads)
                y = torch.softmax(scores + self.mask, dim=3) @ v
                x = x + b["o"](y.transpose(1, 2).reshape(n, length, width))
                y = b["norm2"](x)
                x = x + b["down"](F.silu(b["gate"](y)) * b["up"](y))
            return F.linear(self.norm(x), self.embedding.weight)

    class Straight(torch.autograd.Function):
        @staticmethod
        def forward(context, x, y):
            return y

        @staticmethod
        def backward(context, gradient):
            return gradient, None

    straight = Straight.apply

    class DeadZone(nn.Module):
        """CoDeQ with learned bits, 2 to 8; the range is the 0.99 quantile."""

        def __init__(self):
            super().__init__()
            self.logit_dz, self.logit_bit = nn.Parameter(torch.tensor(3.0)), nn.Parameter(torch.tensor(3.0))

        def forward(self, w):
            with torch.no_grad():
                magnitudes = w.abs().flatten()
                place = 0.99 * (magnitudes.numel() - 1)
                low = magnitudes.kthvalue(int(place) + 1).values
                high = magnitudes.kthvalue(min(int(place) + 2, magnitudes.numel())).values
                reach = torch.lerp(low, high, place - int(place))
            bits = 2 + 6 * self.logit_bit.tanh().abs()
            top = torch.exp2(straight(bits, bits.round()) - 1) - 1
            zone = 2 * reach * (1 - self.logit_dz.tanh().abs())
            step = (reach - zone / 2) / (top - 0.5) + 1e-8
            shift = (zone - step) / 2
            above = w.abs() - shift
            u = w.sign() * straight(above, above.relu()) / step
            code = straight(u, torch.minimum(torch.maximum(u.round(), -top), top))
            return step * code + shift * code.sign()

    def sgd(groups):
        return torch.optim.SGD(groups, lr=0.1, momentum=0.9, weight_decay=1e-4)

    def images(count):
        return torch.randn(count, 3, 32, 32), torch.randint(10, (count,))

    def training(model, optimizer, x, y):
        def step():
            optimizer.zero_grad()
            F.cross_entropy(model(x).flatten(0, -2), y.flatten()).backward()
            optimizer.step()
        return step

    def inference(model, x):
        model.eval()

        @torch.no_grad()
        def step():
            model(x)
        return step

    def resnet20_train(layout):
        x, y = images(128)
        model = resnet20().to(memory_format=layout)
        return training(model, sgd(model.parameters()), x.to(memory_format=layout), y)

    def resnet20_qat(layout):
        x, y = images(128)
        model = resnet20()
        for layer in [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]:
            parametrize.register_parametrization(layer, "weight", DeadZone())
        model = model.to(memory_format=layout)
        logits = [p for name, p in model.named_parameters() if "logit" in name]
        others = [p for name, p in model.named_parameters() if "logit" not in name]
        groups = [{"params": others}, {"params": logits, "lr": 1e-3, "weight_decay": 0.01}]
        return training(model, sgd(groups), x.to(memory_format=layout), y)

    def resnet20_infer(count):
        return lambda layout: inference(resnet20().to(memory_format=layout), images(count)[0].to(memory_format=layout))

    def grouped_train(network, batch):
        def make(layout):
            x, y = images(batch)
            model = network().to(memory_format=layout)
            return training(model, sgd(model.parameters()), x.to(memory_format=layout), y)
        return make

    def vit_train():
        model = Vit()
        return training(model, torch.optim.AdamW(model.parameters()), *images(64))

    def lm_train(ternary=False):
        model, tokens = Decoder(ternary=ternary), torch.randint(512, (16, 257))
        return training(model, torch.optim.AdamW(model.parameters()), tokens[:, :256], tokens[:, 1:].contiguous())

    class CharLstm(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.lstm, self.head = nn.Embedding(65, 128), nn.LSTM(128, 512, 2, batch_first=True), nn.Linear(512, 65)

        def forward(self, x):
            return self.head(self.lstm(self.embed(x))[0])

    def lstm_train():
        model, tokens = CharLstm(), torch.randint(65, (50, 51))
        return training(model, torch.optim.AdamW(model.parameters()), tokens[:, :50], tokens[:, 1:].contiguous())

    def one_conv(count, channels, side, kernel, channels_out, groups=1, stride=1):
        def make(layout):
            x, g = (torch.randn(count, c, s, s).to(memory_format=layout).requires_grad_()
                    for c, s in ((channels, side), (channels_out, side // stride)))
            w = torch.randn(channels_out, channels // groups, kernel, kernel).to(memory_format=layout).requires_grad_()
            return lambda: torch.autograd.grad(F.conv2d(x, w, padding=kernel // 2, stride=stride, groups=groups), (x, w), g.detach())
        return make

    def matmul():
        a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
        return lambda: torch.mm(a, b)

    def linear(tokens):
        return inference(nn.Linear(4096, 4096, bias=False), torch.randn(tokens, 4096))

    def attention():
        q, k, v, g = (torch.randn(16, 6, 256, 48) for _ in range(4))
        for x in (q, k, v):
            x.requires_grad_()
        return lambda: torch.autograd.grad(torch.softmax(q @ k.transpose(2, 3) / math.sqrt(48), 3) @ v, (q, k, v), g)

    either = lambda make: [lambda layout=layout: make(layout) for layout in formats]
    return {"resnet20_train": either(resnet20_train), "resnet20_qat": either(resnet20_qat), "resnet20_infer": either(resnet20_infer(128)),
            "resnet20_infer_b1": either(resnet20_infer(1)),
            "vit_tiny_train": [vit_train], "vit_tiny_infer": [lambda: inference(Vit(), images(64)[0])],
            "vit_tiny_infer_b1": [lambda: inference(Vit(), images(1)[0])], "lm_train": [lm_train],
            "bitnet_lm_train": [lambda: lm_train(ternary=True)], "lstm_train": [lstm_train],
            "mobilenetv2_train": either(grouped_train(mobilenetv2, 64)), "resnext29_train": either(grouped_train(resnext29, 32)),
            "conv3x3_c16": either(one_conv(128, 16, 32, 3, 16)), "conv3x3_c32": either(one_conv(128, 32, 16, 3, 32)),
            "conv3x3_c64": either(one_conv(128, 64, 8, 3, 64)), "conv1x1": either(one_conv(64, 64, 32, 1, 256)),
            "grouped3x3_g4": either(one_conv(32, 128, 32, 3, 128, 32)), "depthwise3x3": either(one_conv(64, 144, 32, 3, 144, 144)),
            "depthwise3x3_s2": either(one_conv(64, 144, 32, 3, 144, 144, 2)),
            "matmul_1024": [matmul], "linear_4096x1": [lambda: linear(1)], "linear_4096x64": [lambda: linear(64)], "attention": [attention]}


def time_torch(name, threads, reps):
    """Median milliseconds of a step, at the faster memory format."""
    import torch
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    idle, best = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, math.inf
    for make in workloads()[name]:
        step, times = make(), []
        for _ in range(reps + 2):
            start = time.perf_counter()
            step()
            times.append(1e3 * (time.perf_counter() - start))
        best = min(best, statistics.median(times[2:]))
    return {"ms": best, "peak": 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle)}


# -- both sides in turn


def run(command, environment=None):
    """The JSON object that a command prints, and its largest resident size in bytes."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    lines = [line for line in text.splitlines() if line.startswith("{")]
    if process.returncode != 0 or not lines:
        sys.exit(f"against_torch: {' '.join(command)} ended with {process.returncode}")
    return {**json.loads(lines[-1]), "rss": 1024 * usage.ru_maxrss}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", default="build/apps/bench")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--peak", action="store_true")
    parser.add_argument("--torch-side", choices=NAMES, help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.torch_side:
        print(json.dumps(time_torch(a.torch_side, a.threads, a.reps)))
        return
    environment = dict(os.environ)
    blas = "/usr/lib/x86_64-linux-gnu/openblas-openmp"
    if os.path.isdir(blas):
        environment["LD_LIBRARY_PATH"] = ":".join(filter(None, (blas, environment.get("LD_LIBRARY_PATH"))))
    else:
        print("against_torch: without libopenblas0-openmp PyTorch is slower than it could be", file=sys.stderr)
    tail = ["--threads", str(a.threads), "--reps", str(a.reps)]
    print(f"{'workload':18} {'Tern ms':>9} {'torch ms':>9} {'ratio':>6}  spread" + ("      Tern MB  torch MB" if a.peak else ""))
    for name in a.only:
        pairs = [(run([a.bench, "--only", name, "--json", *tail]),
                  run([sys.executable, os.path.abspath(__file__), "--torch-side", name, *tail], environment)) for _ in range(a.rounds)]
        ratios = sorted(theirs["ms"] / ours["ms"] for ours, theirs in pairs)
        ms = [statistics.median(side["ms"] for side in sides) for sides in zip(*pairs)]
        line = f"{name:18} {ms[0]:9.2f} {ms[1]:9.2f} {statistics.median(ratios):6.2f}  {ratios[0]:.2f}-{ratios[-1]:.2f}"
        if a.peak:
            idle = run([a.bench, "--only", "matmul_1024", "--json", "--reps", "1", "--threads", "1"])["rss"]
            line += f"    {(pairs[0][0]['rss'] - idle) / 1e6:9.0f} {pairs[0][1]['peak'] / 1e6:9.0f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
