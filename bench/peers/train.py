#!/usr/bin/env python3
"""Times a training step of mtyolo beside PyTorch's: the same network, in the same minutes.

  bench/peers/train.py --weights yolov7.pt --img-size 640 --batch-size 4 --threads 2 [--dtype bf16]

The network for PyTorch is built here from the model description inside WEIGHTS (a file written by `mtyolo import`, which
torch.load opens with weights_only=True), with its weights: channels-last, SGD with Nesterov momentum, and as loss a
binary cross-entropy over the objectness of every cell, the part of the detection loss that touches every cell. Ours is
the whole step: matching, detection loss, SGD and the averaged weights. With --dtype bf16 ours keeps maps in bf16, and
PyTorch runs twice: under torch.autocast, and with weights in bf16 too. All run in turn as in run.py, whose table and
virtual environment are used; results go to bench/results/<date>-train-<model>.json.
"""
import argparse
import datetime
import json
import pathlib
import shlex
import subprocess
import sys

import run
from run import ROOT


def build_network(cfg, torch):
    nn = torch.nn

    class Conv(nn.Module):
        def __init__(self, i, o, k=1, s=1, act=None):
            super().__init__()
            self.conv = nn.Conv2d(i, o, k, s, k // 2, bias=False)
            self.bn = nn.BatchNorm2d(o, eps=1e-3, momentum=0.03)
            self.act = act or nn.SiLU(inplace=True)

        def forward(self, x):
            return self.act(self.bn(self.conv(x)))

    class RepConv(nn.Module):
        def __init__(self, i, o):
            super().__init__()
            self.dense, self.point = Conv(i, o, 3, 1, nn.Identity()), Conv(i, o, 1, 1, nn.Identity())
            self.same = nn.BatchNorm2d(i, eps=1e-3, momentum=0.03) if i == o else None
            self.act = nn.SiLU(inplace=True)

        def forward(self, x):
            y = self.dense(x) + self.point(x)
            return self.act(y if self.same is None else y + self.same(x))

    class Sppcspc(nn.Module):
        def __init__(self, i, o):
            super().__init__()
            self.cv1, self.cv2, self.cv3, self.cv4 = Conv(i, o), Conv(i, o), Conv(o, o, 3), Conv(o, o)
            self.pools = nn.ModuleList(nn.MaxPool2d(k, 1, k // 2) for k in (5, 9, 13))
            self.cv5, self.cv6, self.cv7 = Conv(4 * o, o), Conv(o, o, 3), Conv(2 * o, o)

        def forward(self, x):
            a = self.cv4(self.cv3(self.cv1(x)))
            a = self.cv6(self.cv5(torch.cat([a] + [p(a) for p in self.pools], 1)))
            return self.cv7(torch.cat([a, self.cv2(x)], 1))

    class Head(nn.Module):
        def __init__(self, inputs, outputs):
            super().__init__()
            self.conv = nn.ModuleList(nn.Conv2d(i, outputs, 1) for i in inputs)
            self.add = nn.ParameterList(torch.randn(1, i, 1, 1) * 0.02 for i in inputs)
            self.mul = nn.ParameterList(torch.randn(1, outputs, 1, 1) * 0.02 + 1 for _ in inputs)

        def forward(self, maps):
            return [m * c(x + a) for x, c, a, m in zip(maps, self.conv, self.add, self.mul)]

    class Network(nn.Module):
        """Rows [from, repeats, module, arguments]; -1 is the row before."""

        def __init__(self):
            super().__init__()
            channels, rows, sources = [3], [], []
            outputs = 3 * (cfg["nc"] + 5)
            for index, (source, _, name, words) in enumerate(cfg["backbone"] + cfg["head"]):
                source = [source] if isinstance(source, int) else source
                source = [index + s if s < 0 else s for s in source]
                widths = [channels[s + 1] for s in source]
                row, width = self.make(name, widths, words, outputs)
                rows.append(row)
                sources.append(source)
                channels.append(width)
            self.rows, self.sources = nn.ModuleList(rows), sources
            self.needed = {s for source in sources for s in source}

        @staticmethod
        def make(name, widths, words, outputs):
            i = widths[0]
            if name == "Conv":
                act = nn.LeakyReLU(0.1, inplace=True) if "nn.LeakyReLU(0.1)" in words else None
                return Conv(i, words[0], words[1], words[2], act), words[0]
            if name == "RepConv":
                return RepConv(i, words[0]), words[0]
            if name == "SPPCSPC":
                return Sppcspc(i, words[0]), words[0]
            if name == "MP":
                return nn.MaxPool2d(2, 2), i
            if name == "SP":
                return nn.MaxPool2d(words[0], 1, words[0] // 2), i
            if name == "nn.Upsample":
                return nn.Upsample(scale_factor=2, mode="nearest"), i
            if name == "Concat":
                return None, sum(widths)
            if name == "IDetect":
                return Head(widths, outputs), outputs
            raise SystemExit(f"no PyTorch form of {name} here")

        def forward(self, x):
            values = {-1: x}
            for index, (row, source) in enumerate(zip(self.rows, self.sources)):
                inputs = [values[s] for s in source]
                if row is None:
                    y = torch.cat(inputs, 1)
                else:
                    y = row(inputs if isinstance(row, Head) else inputs[0])
                values[index] = y
                for s in set(source):
                    if max(i for i, other in enumerate(self.sources) if s in other) == index:
                        del values[s]
            return y

    return Network()


def load_step(path, size, batch, threads, variant):
    """variant: fp32, autocast (weights f32, convolutions bf16) or bf16 (weights too)"""
    import torch
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = build_network(torch.load(path, weights_only=True)["cfg"], torch)
    dtype = torch.bfloat16 if variant == "bf16" else torch.float32
    network = network.to(dtype=dtype, memory_format=torch.channels_last).train()
    images = torch.rand(batch, 3, size, size).to(dtype=dtype, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.937, nesterov=True, weight_decay=5e-4)
    bce = torch.nn.BCEWithLogitsLoss()

    def once():
        optimizer.zero_grad(set_to_none=True)
        loss = 0
        with torch.autocast("cpu", torch.bfloat16, enabled=variant == "autocast"):
            maps = network(images)
        for raw in maps:
            n, _, h, w = raw.shape
            objectness = raw.view(n, 3, -1, h, w)[:, :, 4].float()
            loss = loss + bce(objectness, torch.zeros_like(objectness))
        loss.backward()
        optimizer.step()
    return once


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=lambda p: pathlib.Path(p).resolve(), required=True)
    parser.add_argument("--img-size", type=int, default=640)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--per-round", type=int, default=1)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--python", default="", help="an interpreter that has torch; default: one made in build/")
    parser.add_argument("--serve", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    args = parse_arguments()
    if args.serve:
        run.answer_lines(load_step(str(args.weights), args.img_size, args.batch_size, args.threads, args.serve))
        return 0
    subprocess.run([str(ROOT / "mtyolo"), "build"], check=True)
    python = args.python or run.prepare_python(["torch"], True)
    shape = ["--img-size", str(args.img_size), "--batch-size", str(args.batch_size), "--threads", str(args.threads)]
    peers = {"torch": "fp32"} if args.dtype == "fp32" else {"torch-autocast": "autocast", "torch-bf16": "bf16"}
    own = [str(ROOT / "mtyolo"), "bench", "train", str(args.weights), "--stdio", "--dtype", args.dtype]
    engines = [run.Engine("mtyolo", own + shape, args.threads)]
    for name, variant in peers.items():
        command = [python, __file__, "--serve", variant, "--weights", str(args.weights)]
        engines.append(run.Engine(name, command + shape, args.threads))
    for engine in engines:
        engine.ask(f"run {args.warmup}")
    for turn in range(args.rounds):
        for engine in engines if turn % 2 == 0 else reversed(engines):
            engine.ms += engine.ask(f"run {args.per_round}")["ms"]
    for engine in engines:
        engine.close()
    results = sorted((e.result() for e in engines), key=lambda r: r["median_ms"])
    print(f"{args.weights.stem}, {args.img_size}, batch {args.batch_size}, one training step, {args.dtype}")
    print(run.table(args.threads, results))
    own, peer = engines[0].result(), next(r for r in results if r["name"] != "mtyolo")
    print(f"\nmtyolo: {own['median_ms'] / peer['median_ms']:.3f} of the time of {peer['name']}, "
          f"{own['rss_mib'] / peer['rss_mib']:.3f} of its memory")
    now = datetime.datetime.now(datetime.timezone.utc)
    suffix = "" if args.dtype == "fp32" else "-bf16"
    out = ROOT / "bench" / "results" / f"{now:%Y-%m-%d}-train-{args.weights.stem}{suffix}.json"
    command = ["bench/peers/train.py", "--weights", args.weights.name, "--dtype", args.dtype] + shape
    out.write_text(json.dumps({"schema_version": 1, "kind": "bench_peers", "date": f"{now:%Y-%m-%dT%H:%M:%SZ}",
                               "machine": run.machine(), "command": " ".join(map(shlex.quote, command)),
                               "model": args.weights.name, "runs": [{"threads": args.threads, "results": results}]},
                              indent=1) + "\n")
    print(f"written: {out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
