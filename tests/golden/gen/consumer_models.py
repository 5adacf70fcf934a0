#!/usr/bin/python3
"""consumer/MODEL.safetensors: what PyTorch computes for the four models of tests/consumer, from values that golden.h there makes alike."""
import json
import math
import os
import struct

import torch
from torch import nn
import torch.nn.functional as F


# -- MobileNetV2, names of kuangliu/pytorch-cifar

class InvertedResidual(nn.Module):
    def __init__(self, inputs, outputs, expansion, stride):
        super().__init__()
        planes = inputs * expansion
        self.stride = stride
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride=stride, padding=1, groups=planes, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride == 1 and inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return y + self.shortcut(x) if self.stride == 1 else y


class MobileNetV2(nn.Module):
    STAGES = [(1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]

    def __init__(self, width=1.0, num_classes=10):
        super().__init__()

        def scaled(channels):
            rounded = max(8, int(channels * width + 4) // 8 * 8)
            return rounded + 8 if rounded < 0.9 * channels * width else rounded

        head = max(1280, scaled(1280))
        inputs = scaled(32)
        self.conv1 = nn.Conv2d(3, inputs, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        layers = []
        for expansion, outputs, blocks, stride in self.STAGES:
            for i in range(blocks):
                layers.append(InvertedResidual(inputs, scaled(outputs), expansion, stride if i == 0 else 1))
                inputs = scaled(outputs)
        self.layers = nn.Sequential(*layers)
        self.conv2 = nn.Conv2d(inputs, head, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(head)
        self.linear = nn.Linear(head, num_classes)

    def forward(self, x):
        y = self.layers(F.relu(self.bn1(self.conv1(x))))
        y = F.relu(self.bn2(self.conv2(y)))
        return self.linear(y.mean((2, 3)))


# -- ResNeXt-29, names of kuangliu/pytorch-cifar

class ResNeXtBlock(nn.Module):
    def __init__(self, inputs, width, cardinality, stride):
        super().__init__()
        outputs = 2 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, groups=cardinality, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False),
                                          nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.shortcut(x))


class ResNeXt29(nn.Module):
    def __init__(self, cardinality=32, bottleneck_width=4, num_classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        inputs, width = 64, cardinality * bottleneck_width
        for stage in range(3):
            blocks = []
            for i in range(3):
                blocks.append(ResNeXtBlock(inputs, width, cardinality, 2 if stage > 0 and i == 0 else 1))
                inputs = 2 * width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
            width *= 2
        self.linear = nn.Linear(inputs, num_classes)

    def forward(self, x):
        y = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(y.mean((2, 3)))


# -- U-Net, names of milesial/Pytorch-UNet

class DoubleConv(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(inputs, outputs))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, inputs // 2, 2, stride=2)
        self.conv = DoubleConv(inputs, outputs)

    def forward(self, x, skip):
        y = self.up(x)
        dh, dw = skip.size(2) - y.size(2), skip.size(3) - y.size(3)
        return self.conv(torch.cat([skip, F.pad(y, [dw // 2, dw - dw // 2, dh // 2, dh - dh // 2])], 1))


class OutConv(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x):
        return self.conv(x)


class UNet(nn.Module):
    def __init__(self, in_channels=3, num_classes=2, width=64, depth=4):
        super().__init__()
        self.depth = depth
        self.inc = DoubleConv(in_channels, width)
        for i in range(depth):
            setattr(self, f"down{i + 1}", Down(width << i, width << (i + 1)))
        for i in range(depth, 0, -1):
            setattr(self, f"up{depth - i + 1}", Up(width << i, width << (i - 1)))
        self.outc = OutConv(width, num_classes)

    def forward(self, x):
        levels = [self.inc(x)]
        for i in range(self.depth):
            levels.append(getattr(self, f"down{i + 1}")(levels[-1]))
        y = levels.pop()
        for i in range(self.depth):
            y = getattr(self, f"up{i + 1}")(y, levels.pop())
        return self.outc(y)


# -- a language model of characters, names of PyTorch's word_language_model

class CharLstm(nn.Module):
    def __init__(self, vocabulary, width=128, layers=2, dropout=0.0):
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(vocabulary, width)
        self.rnn = nn.LSTM(width, width, layers, batch_first=True, dropout=dropout)
        self.decoder = nn.Linear(width, vocabulary)

    def forward(self, tokens, state=None):
        y, state = self.rnn(self.drop(self.encoder(tokens)), state)
        return self.decoder(self.drop(y)), state


# -- values, as golden.h has them

def pattern(name, shape):
    seed = 7
    for c in name.encode():
        seed = (seed * 31 + c) % 65521
    x = (torch.arange(math.prod(shape)) * 48271 + seed) % 65537
    return (((x * x % 65537 * 31 + x * 7 + seed) % 65537).double() / 65537.0 - 0.5).reshape(shape)


def initial_value(name, shape):
    if name.endswith("num_batches_tracked"):
        return torch.full(shape, 3)
    v = pattern(name, shape)
    if len(shape) > 1:
        return v * (2 * math.sqrt(3.0 / (math.prod(shape) // shape[0])))
    if name.endswith("running_var"):
        return v * 0.5 + 1
    return v * 0.4 + 1 if name.endswith("weight") else v * 0.2


def image_input(*shape):
    return pattern("input", shape) * 4


def label_input(classes, *shape):
    i = torch.arange(math.prod(shape))
    return ((i * i + 3 * i) % 23 % classes).reshape(shape)


# -- golden files

def summary(x):
    flat = x.detach().double().flatten()
    places = [i * flat.numel() // 8 for i in range(8)]
    return torch.cat([flat.sum().reshape(1), flat.square().sum().reshape(1), flat[places]])


def save(path, tensors):
    header, data = {}, b""
    for name, x in tensors.items():
        x = x.detach().contiguous()
        kind, letter = {torch.float64: ("F64", "d"), torch.int64: ("I64", "q")}[x.dtype]
        raw = struct.pack(f"<{x.numel()}{letter}", *x.flatten().tolist())
        header[name] = {"dtype": kind, "shape": list(x.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def golden(path, model, x, labels, forward=None):
    forward = forward or model
    model.double()
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    model.load_state_dict({name: initial_value(name, tuple(shape)) for name, shape in shapes.items()})
    tensors = {f"shape.{name}": torch.tensor(list(shape), dtype=torch.int64) for name, shape in shapes.items()}
    model.eval()
    with torch.no_grad():
        tensors["output_eval"] = forward(x)
    model.train()
    if x.is_floating_point():
        x.requires_grad_()
    output = forward(x)
    loss = F.cross_entropy(output, labels)
    loss.backward()
    tensors["output"], tensors["loss"] = output, loss
    for name, parameter in model.named_parameters():
        tensors[f"grad.{name}"] = summary(parameter.grad)
    if x.is_floating_point():
        tensors["grad.input"] = summary(x.grad)
    for name, buffer in model.named_buffers():
        tensors[f"after.{name}"] = summary(buffer)
    save(path, tensors)
    print(path, len(tensors), "tensors, loss", loss.item())


def main():
    torch.set_num_threads(1)
    out = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "consumer")
    os.makedirs(out, exist_ok=True)
    golden(f"{out}/mobilenetv2.safetensors", MobileNetV2(width=0.25), image_input(4, 3, 32, 32), label_input(10, 4))
    golden(f"{out}/resnext29.safetensors", ResNeXt29(cardinality=4, bottleneck_width=4), image_input(4, 3, 16, 16),
           label_input(10, 4))
    golden(f"{out}/unet.safetensors", UNet(num_classes=3, width=8, depth=3), image_input(2, 3, 26, 22),
           label_input(3, 2, 26, 22))

    lm = CharLstm(vocabulary=40, width=24, layers=2)

    def in_two_parts(tokens):
        first, state = lm(tokens[:, :6])
        return torch.cat([first, lm(tokens[:, 6:], state)[0]], 1).flatten(0, 1)

    golden(f"{out}/char_lstm.safetensors", lm, label_input(40, 3, 14), label_input(40, 42), in_two_parts)


if __name__ == "__main__":
    main()
