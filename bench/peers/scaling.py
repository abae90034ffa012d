#!/usr/bin/env python3
"""What a second thread gains, beside what it gains a plain loop of multiply-adds in the same minutes.

  bench/peers/scaling.py model yolov7.pt
  bench/peers/scaling.py train yolov7-tiny.pt --img-size 320 --batch-size 4 --rounds 5

Two processes of `mtyolo bench SUBJECT --stdio`, with 1 and with N threads, run in turn; in every round each also times
the loop (ops/blocked/ceiling.h), which needs no memory and cannot wait for another thread. From each round: scaling =
time with 1 thread / time with N, the same of the loop, and the ratio of the two; the medians over the rounds are shown
and written as JSON. A machine whose cores slow each other down lowers both and leaves the ratio.
"""
import argparse
import datetime
import json
import pathlib
import statistics
import subprocess
import sys

import run as peers


def measure(args):
    command = [str(peers.ROOT / "mtyolo"), "bench", args.subject, args.weights, "--stdio", "--img-size",
               str(args.img_size), "--batch-size", str(args.batch_size), "--dtype", args.dtype]
    engines = [peers.Engine(f"{n} threads", command + ["--threads", str(n)], n) for n in (1, args.threads)]
    rounds = []
    for index in range(args.rounds + 1):      # the first one warms up
        times = {}
        for engine in engines if index % 2 == 0 else reversed(engines):
            loop = engine.ask("ceiling 4")["ms"]
            engine.ask("run 1")      # caches and clock after the other's turn
            times[engine] = (statistics.median(engine.ask(f"run {args.per_round}")["ms"]),
                             statistics.median(loop + engine.ask("ceiling 4")["ms"]))
        (one, one_loop), (many, many_loop) = (times[e] for e in engines)
        rounds.append({"ms_1": one, "ms_n": many, "scaling": one / many, "ceiling_scaling": one_loop / many_loop,
                       "ratio": (one / many) / (one_loop / many_loop)})
    for engine in engines:
        engine.close()
    return rounds[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subject", choices=("model", "train"))
    parser.add_argument("weights", help="WEIGHTS or CFG, as bench takes them")
    parser.add_argument("--img-size", type=int, default=640)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--dtype", default="fp32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--per-round", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, help="JSON file; default bench/results/<date>-scaling-<subject>-<model>.json")
    args = parser.parse_args()
    subprocess.run([str(peers.ROOT / "mtyolo"), "build"], check=True)
    rounds = measure(args)
    middle = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
    now, model = datetime.datetime.now(datetime.timezone.utc), pathlib.Path(args.weights).stem
    out = args.out or peers.ROOT / "bench" / "results" / f"{now:%Y-%m-%d}-scaling-{args.subject}-{model}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"schema_version": 1, "kind": "bench_scaling", "date": f"{now:%Y-%m-%dT%H:%M:%SZ}",
                               "machine": peers.machine(), "subject": args.subject, "model": model,
                               "img_size": args.img_size, "batch_size": args.batch_size, "dtype": args.dtype,
                               "threads": args.threads, **middle, "rounds": rounds}, indent=1) + "\n")
    print(f"{args.subject} {model}, {args.img_size}, batch {args.batch_size}, {args.dtype}: {middle['ms_1']:.1f} ms on 1 "
          f"thread, {middle['ms_n']:.1f} on {args.threads}; scaling {middle['scaling']:.3f}, of multiply-adds "
          f"{middle['ceiling_scaling']:.3f}, ratio {middle['ratio']:.3f} ({min(r['ratio'] for r in rounds):.3f} to "
          f"{max(r['ratio'] for r in rounds):.3f} in {len(rounds)} rounds)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
