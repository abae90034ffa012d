#!/usr/bin/env python3
"""What a second head on a shared trunk costs: the same network with one head and with two, in the same minutes.

  bench/peers/heads.py yolov7.pt                    # 0-9 | the rest
  bench/peers/heads.py yolov7.pt --first 40 --img-size 320 --threads 1,2

The file with two heads is made from WEIGHTS by `mtyolo import`; both run in turn as in run.py. The figure is the median
over rounds of the ratio of two neighbouring measurements, since a slow minute of the machine slows both. Results go to
bench/results/<date>-heads-<model>.json.
"""
import argparse
import datetime
import json
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile

import run
from run import ROOT

MTYOLO = str(ROOT / "mtyolo")


def two_heads(weights, first, folder):
    info = json.loads(subprocess.run([MTYOLO, "info", str(weights), "--json"], check=True, capture_output=True, text=True,
                                     cwd=ROOT).stdout)
    data, out = folder / "two.yaml", folder / "two.pt"
    data.write_text(f"names: {json.dumps(info['names'])}\n"
                    f"heads: {{a: {{classes: 0-{first - 1}}}, b: {{classes: {first}-{len(info['names']) - 1}}}}}\n")
    subprocess.run([MTYOLO, "import", str(weights), "--heads", str(data), "--out", str(out), "--quiet"], check=True,
                   stdout=subprocess.DEVNULL, cwd=ROOT)
    return out


def measure(args, files, threads):
    engines = [run.Engine(name, [MTYOLO, "bench", "model", str(file), "--img-size", str(args.img_size), "--stdio",
                                 "--threads", str(threads)], threads) for name, file in files]
    ratios = []
    for round_number in range(args.rounds):
        for engine in engines if round_number % 2 == 0 else engines[::-1]:
            engine.measure(args.per_round)
        one, two = (statistics.median(e.ms[-args.per_round:]) for e in engines)
        ratios.append(two / one)
    for engine in engines:
        engine.close()
    return {"threads": threads, "ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios),
            "results": [e.result() for e in engines]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=lambda p: pathlib.Path(p).resolve())
    parser.add_argument("--first", type=int, default=10, help="classes of the first head")
    parser.add_argument("--img-size", type=int, default=640)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--per-round", type=int, default=3)
    args = parser.parse_args()
    subprocess.run([MTYOLO, "build"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        files = [("one head", args.weights), ("two heads", two_heads(args.weights, args.first, pathlib.Path(folder)))]
        runs = [measure(args, files, int(t)) for t in args.threads.split(",")]
    for r in runs:
        one, two = (result["median_ms"] for result in r["results"])
        print(f"{r['threads']} threads: one head {one:.1f} ms, two heads {two:.1f} ms; ratio {r['ratio']:.3f} "
              f"({r['lowest']:.3f} to {r['highest']:.3f} in {args.rounds} rounds)")
    now = datetime.datetime.now(datetime.timezone.utc)
    out = ROOT / "bench" / "results" / f"{now:%Y-%m-%d}-heads-{args.weights.stem}.json"
    command = ["bench/peers/heads.py", args.weights.name] + sys.argv[2:]
    out.write_text(json.dumps({"schema_version": 1, "kind": "bench_heads", "date": f"{now:%Y-%m-%dT%H:%M:%SZ}",
                               "machine": run.machine(), "command": " ".join(map(shlex.quote, command)),
                               "runs": runs}, indent=1) + "\n")
    print(f"written: {out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
