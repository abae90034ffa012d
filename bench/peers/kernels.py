#!/usr/bin/env python3
"""Ratios to oneDNN: the convolutions of `mtyolo bench kernels`, forward and both gradients, beside PyTorch's mkldnn
on the same shapes, threads and minutes.

  bench/peers/kernels.py                                          # yolov7, yolov7-tiny, yolov7-w6; a long run
  bench/peers/kernels.py --shapes yolov7-tiny-640 --filter conv2d_forward --threads 2

Rounds alternate: mtyolo times every shape, then oneDNN does, and the medians over the rounds are compared; a ratio
below 1 means that mtyolo took less time. Forward: oneDNN has its weights reordered beforehand and maps in its own
layout, as ours are; ours includes bias and activation, oneDNN's the bias. Gradients: channels-last maps, one gradient
a call. The virtual environment is that of run.py. Results: Markdown on stdout and with --page docs/perf.md
in that page, JSON in bench/results/.
"""
import argparse
import datetime
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import run as peers

OPS = ("conv2d_forward", "conv2d_dgrad", "conv2d_wgrad")


def own_times(args):
    """One round of ours: the document of bench kernels."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "kernels.json"
        command = [str(peers.ROOT / "mtyolo"), "bench", "kernels", "--device", "cpu", "--filter", args.filter,
                   "--threads", str(args.threads), "--out", str(out), "--quiet"]
        if args.shapes:
            command += ["--shapes", args.shapes]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.loads(out.read_text())


def prepare(torch, op, s):
    """A call that runs the convolution of this shape once."""
    def draw(*sizes):
        return torch.rand(*sizes).sub_(0.5).contiguous(memory_format=torch.channels_last)

    x = draw(s["n"], s["c"], s["h"], s["w"])
    conv = torch.nn.Conv2d(s["c"], s["o"], s["k"], s["stride"], s["pad"], groups=s["groups"])
    conv = conv.to(memory_format=torch.channels_last).eval()
    if op == "conv2d_forward":
        from torch.utils import mkldnn
        packed, blocked = mkldnn.to_mkldnn(conv), x.to_mkldnn()
        return lambda: packed(blocked)
    with torch.no_grad():
        gy = torch.rand_like(conv(x))
    wanted = [op == "conv2d_dgrad", op == "conv2d_wgrad", False]
    two = lambda value: [value, value]
    return lambda: torch.ops.aten.convolution_backward(gy, x, conv.weight, None, two(s["stride"]), two(s["pad"]), two(1),
                                                       False, two(0), s["groups"], wanted)


def library_time(torch, entry, reps, min_time):
    with torch.no_grad():
        once, times = prepare(torch, entry["op"], entry["conv2d"]), []
        once()
        while len(times) < reps or sum(times) < min_time:
            begin = time.perf_counter()
            once()
            times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e3


def measure(args):
    import torch
    torch.set_num_threads(args.threads)
    ours, theirs, entries = {}, {}, {}
    for _ in range(args.rounds):
        document = own_times(args)
        for b in document["benchmarks"]:
            if b["op"] not in OPS:
                continue
            name = b["name"]
            entries[name] = b
            ours.setdefault(name, []).append(b["real_time"])
            theirs.setdefault(name, []).append(library_time(torch, b, 3, 0.05))
    if not entries:
        raise SystemExit(f"--filter {args.filter} leaves no convolution of {', '.join(OPS)}")
    rows = []
    for name, b in entries.items():
        own, library = statistics.median(ours[name]), statistics.median(theirs[name])
        rows.append({"name": name, "op": b["op"], "network": b["network"], "count": b["count"], "impl": b["impl"],
                     "mtyolo_ms": own, "onednn_ms": library, "ratio_to_onednn": own / library})
    return {"torch": torch.__version__, "context": document["context"], "benchmarks": rows}


def table(rows):
    lines = ["| network | op | shapes | geometric mean of the ratios | worst | all layers |", "|---|---|---:|---:|---:|---:|"]
    for key in dict.fromkeys((r["network"], r["op"]) for r in rows):
        mine = [r for r in rows if (r["network"], r["op"]) == key]
        ratios = [r["ratio_to_onednn"] for r in mine]
        total = [sum(r[of] * r["count"] for r in mine) for of in ("mtyolo_ms", "onednn_ms")]
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        lines.append(f"| {key[0]} | {key[1]} | {len(mine)} | {mean:.2f} | {max(ratios):.2f} | {total[0] / total[1]:.2f} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default="", help="NETWORK-SIZE,...; default: what bench kernels takes")
    parser.add_argument("--filter", default=",".join(OPS), help="parts of names, as bench kernels takes them")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-install", action="store_true", help="use the packages of this Python")
    parser.add_argument("--out", type=pathlib.Path, help="JSON file; default bench/results/<date>-kernels.json")
    parser.add_argument("--page", type=pathlib.Path, help="Markdown file whose part after <!-- peers onednn --> is replaced")
    args = parser.parse_args()
    python = peers.prepare_python(["torch"], not args.no_install)
    if python != sys.executable:
        return subprocess.run([python, __file__, *sys.argv[1:], "--no-install"]).returncode
    subprocess.run([str(peers.ROOT / "mtyolo"), "build"], check=True)
    result = measure(args)
    now = datetime.datetime.now(datetime.timezone.utc)
    out = args.out or peers.ROOT / "bench" / "results" / f"{now:%Y-%m-%d}-kernels.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"schema_version": 1, "kind": "bench_peers", "date": f"{now:%Y-%m-%dT%H:%M:%SZ}",
                               "machine": peers.machine(), "threads": args.threads, **result}, indent=1) + "\n")
    text = (f"PyTorch {result['torch']}, {args.threads} threads, f32, {peers.machine()['cpu']}, {now:%Y-%m-%d}\n\n"
            f"{table(result['benchmarks'])}")
    print(text)
    if args.page:
        peers.write_page(args.page, "onednn", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
