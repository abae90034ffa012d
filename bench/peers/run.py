#!/usr/bin/env python3
"""Times mtyolo beside other CPU engines on the same network, on the same machine, in the same minutes.

  bench/peers/run.py --onnx yolov7.onnx --weights yolov7.pt              # every engine that can be had
  bench/peers/run.py --onnx yolov7.onnx --engines ort,openvino --threads 1,2
  bench/peers/run.py --onnx yolov7.onnx --own "./mtyolo bench model yolov7.pt --stdio"
  bench/peers/run.py --onnx yolov7.onnx --weights yolov7.pt --dtype bf16 # mtyolo and OpenVINO, both in bf16

Each engine is a process of its own that answers lines (conventions: `bench --stdio`):
  it prints {"ready": true} once it has loaded and run once; "run K" is answered by {"ms": [K numbers]};
  "quit" by {"rss_mib": peak}.
The engines are asked in turn, in an order that rotates from round to round, and sleep while another one works, so a
slow minute of the machine is shared by all. The table shows the median, the range, the ratio to the fastest, the time
from process start to the first result, and the peak of memory.

On first use a virtual environment is made in build/peers-venv with the packages of the engines asked for; --no-install
takes what the calling Python has. An engine that cannot be had is left out by name. Results: Markdown on stdout, and
bench/results/<date>-<model>.json with machine and command; --page docs/perf.md also puts the table between the markers
<!-- peers MODEL --> and <!-- end --> of that page.
"""
import argparse
import datetime
import importlib.util
import json
import os
import pathlib
import platform
import shlex
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = {
    "ort": ["onnxruntime"],
    "openvino": ["openvino"],
    "openvino-bf16": ["openvino"],
    "ncnn": ["ncnn", "pnnx"],
    "torch": ["torch", "onnx2torch"],
}
ALWAYS = ["numpy", "onnx"]
PIP_OPTIONS = {"pnnx": ["--no-deps"]}      # its program converts without torch
DEFAULT_ENGINES = "ort,openvino,ncnn"
SUFFIX, PLACE = "", "f32;"                 # of result files; what the heading says


# Engines. Each function loads the model and returns a call that runs it once on a fixed picture.

def random_picture(shape):
    import numpy
    return numpy.random.default_rng(7).random(shape, dtype=numpy.float32)


def input_of(path):
    """Name and shape of the one input that is not a weight."""
    import onnx
    graph = onnx.load(path, load_external_data=False).graph
    weights = {w.name for w in graph.initializer}
    inputs = [i for i in graph.input if i.name not in weights]
    if len(inputs) != 1:
        raise SystemExit(f"{path}: {len(inputs)} inputs, expected one")
    shape = [d.dim_value for d in inputs[0].type.tensor_type.shape.dim]
    if not all(shape):
        raise SystemExit(f"{path}: the input shape {shape} is not fixed; export without --dynamic")
    return inputs[0].name, shape


def load_ort(path, threads):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name, shape = input_of(path)
    feed = {name: random_picture(shape)}
    return lambda: session.run(None, feed)


def load_openvino(path, threads, precision="f32"):
    import openvino
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", {
        "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision})
    request = compiled.create_infer_request()
    picture = random_picture(input_of(path)[1])
    request.set_input_tensor(openvino.Tensor(picture, shared_memory=True))

    def once():
        request.infer()
        return picture        # keeps the shared memory alive
    return once


def ncnn_folder(path):
    return ROOT / "build" / "peers" / pathlib.Path(path).stem


def convert_for_ncnn(path):
    """pnnx writes its files beside the model it is given; they are kept until the model changes."""
    folder = ncnn_folder(path)
    copy, original = folder / "model.onnx", pathlib.Path(path).read_bytes()
    if (folder / "model.ncnn.bin").exists() and copy.read_bytes() == original:
        return
    folder.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(original)
    shape = "[" + ",".join(map(str, input_of(path)[1])) + "]"
    package = pathlib.Path(importlib.util.find_spec("pnnx").origin).parent     # its bin/pnnx would import torch
    subprocess.run([str(package / "pnnx"), "model.onnx", f"inputshape={shape}", "fp16=0"],
                   cwd=folder, check=True, stdout=sys.stderr)
    name_interp(folder / "model.ncnn.param")


def name_interp(param):
    """pnnx keeps ONNX's Resize by a name ncnn does not have: nearest neighbours, twice the size in every network here."""
    lines = []
    for line in param.read_text().splitlines():
        words = line.split()
        lines.append(" ".join(["Interp"] + words[1:] + ["0=1", "1=2.0", "2=2.0"]) if words[0] == "Resize" else line)
    param.write_text("\n".join(lines) + "\n")


def load_ncnn(path, threads):
    import ncnn
    folder = ncnn_folder(path)
    net = ncnn.Net()
    net.opt.num_threads = threads
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
        setattr(net.opt, option, False)
    if net.load_param(str(folder / "model.ncnn.param")) or net.load_model(str(folder / "model.ncnn.bin")):
        raise SystemExit("ncnn cannot load what pnnx wrote")
    picture = ncnn.Mat(random_picture(input_of(path)[1])[0]).clone()

    def once():
        run = net.create_extractor()
        run.input("in0", picture)
        code, out = run.extract("out0")
        if code:
            raise SystemExit("ncnn: no output out0")
        return out
    return once


def load_torch(path, threads):
    import onnx2torch
    import torch
    torch.set_num_threads(threads)
    model = onnx2torch.convert(path).eval()
    picture = torch.from_numpy(random_picture(input_of(path)[1]))

    def once():
        with torch.inference_mode():
            return model(picture)
    return once


LOADERS = {
    "ort": load_ort,
    "openvino": load_openvino,
    "openvino-bf16": lambda path, threads: load_openvino(path, threads, "bf16"),
    "ncnn": load_ncnn,
    "torch": load_torch,
}


def answer_lines(once):
    """The engine's side of the protocol."""
    reply = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)              # what a library prints must not look like an answer
    once()
    reply.write(json.dumps({"ready": True}) + "\n")
    for line in sys.stdin:
        words = line.split()
        if words[:1] == ["run"]:
            times = []
            for _ in range(int(words[1])):
                begin = time.perf_counter()
                once()
                times.append((time.perf_counter() - begin) * 1e3)
            reply.write(json.dumps({"ms": times}) + "\n")
        elif words[:1] == ["quit"]:
            break
    with open("/proc/self/status") as status:
        peak = next(int(s.split()[1]) for s in status if s.startswith("VmHWM"))
    reply.write(json.dumps({"rss_mib": round(peak / 1024, 1)}) + "\n")


class Engine:
    """The referee's side: one process that is asked lines and answers JSON."""

    def __init__(self, name, command, threads):
        self.name, self.ms, self.rss_mib = name, [], None
        begin = time.perf_counter()
        self.process = subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=dict(os.environ, OMP_NUM_THREADS=str(threads)))
        if not self.read().get("ready"):
            raise RuntimeError(f"{name}: the first answer is not ready")
        self.start_s = time.perf_counter() - begin

    def read(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"{self.name} ended with exit code {self.process.wait()}")

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.read()

    def measure(self, count):
        self.ask("run 1")      # wakes threads and caches after the others' turn
        self.ms += self.ask(f"run {count}")["ms"]

    def close(self):
        self.rss_mib = self.ask("quit").get("rss_mib")
        self.process.wait(timeout=60)

    def result(self):
        return {"name": self.name, "median_ms": statistics.median(self.ms), "min_ms": min(self.ms),
                "max_ms": max(self.ms), "samples": len(self.ms), "start_s": self.start_s, "rss_mib": self.rss_mib}


def prepare_python(engines, install):
    """The interpreter that has the packages; a missing engine is reported and dropped by the caller."""
    if not install:
        return sys.executable
    venv = ROOT / "build" / "peers-venv"
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    wanted = sorted(set(ALWAYS + [p for e in engines for p in PACKAGES[e]]))
    stamp = venv / ".packages"
    have = set(stamp.read_text().split()) if stamp.exists() else set()
    for package in wanted:
        if package in have:
            continue
        done = subprocess.run([str(python), "-m", "pip", "install", "-q", *PIP_OPTIONS.get(package, []), package], stdout=sys.stderr)
        if done.returncode == 0:
            have.add(package)
    stamp.write_text(" ".join(sorted(have)))
    return str(python)


def machine():
    with open("/proc/cpuinfo") as cpuinfo:
        model = next((s.split(":", 1)[1].strip() for s in cpuinfo if s.startswith("model name")), platform.machine())
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "system": platform.platform()}


def commands(args, python, threads):
    found = {}
    for name in args.engines:
        found[name] = [python, os.path.abspath(sys.argv[0]), "--serve", name, "--onnx", str(args.onnx), "--threads", str(threads)]
    if args.own:
        found["mtyolo"] = shlex.split(args.own) + ["--threads", str(threads)]
    return found


def run_threads(args, python, threads):
    engines = []
    for name, command in commands(args, python, threads).items():
        try:
            engines.append(Engine(name, command, threads))
        except (RuntimeError, OSError) as error:
            print(f"left out: {name}: {error}", file=sys.stderr)
    for engine in engines:
        engine.ask(f"run {args.warmup}")
    for round_number in range(args.rounds):
        turn = round_number % max(len(engines), 1)
        for engine in engines[turn:] + engines[:turn]:
            engine.measure(args.per_round)
    for engine in engines:
        engine.close()
    return sorted((e.result() for e in engines), key=lambda r: r["median_ms"])


def table(threads, results):
    lines = [f"\n{threads} thread{'s' if threads > 1 else ''}\n",
             "| engine | median ms | range ms | of the fastest | start s | peak MiB |", "|---|---:|---:|---:|---:|---:|"]
    for r in results:
        ratio = results[0]["median_ms"] / r["median_ms"]
        lines.append(f"| {r['name']} | {r['median_ms']:.1f} | {r['min_ms']:.1f}-{r['max_ms']:.1f} | {ratio:.2f} | "
                     f"{r['start_s']:.2f} | {r['rss_mib'] or 0:.0f} |")
    return "\n".join(lines)


def heading(args):
    m = machine()
    return f"{args.onnx.stem}, batch 1, {PLACE} {m['cpu']}, {m['cores']} cores"


def write_page(page, model, text):
    """Replaces what stands between the markers of the model; adds them at the end of a page that has none."""
    begin, end = f"<!-- peers {model} -->\n", "<!-- end -->"
    old = page.read_text() if page.exists() else ""
    if begin not in old:
        old += f"\n{begin}{end}\n"
    before, rest = old.split(begin, 1)
    page.write_text(before + begin + text + "\n" + end + rest.split(end, 1)[1])


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--onnx", type=lambda p: pathlib.Path(p).resolve(), required=True, help="fixed input shape")
    parser.add_argument("--weights", type=lambda p: pathlib.Path(p).resolve(), help="the same network for mtyolo")
    parser.add_argument("--own", default="", help="command of our engine; default ./mtyolo bench model WEIGHTS --stdio")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32", help="bf16: default engine openvino-bf16")
    parser.add_argument("--engines", help=f"of {', '.join(LOADERS)}; default {DEFAULT_ENGINES}")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--per-round", type=int, default=3)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--no-install", action="store_true", help="use the packages of this Python")
    parser.add_argument("--out", type=pathlib.Path, help="JSON file; default bench/results/<date>-<model>.json")
    parser.add_argument("--page", type=pathlib.Path, help="Markdown file to put the table into")
    parser.add_argument("--convert", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--serve", choices=LOADERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    bf16 = args.dtype == "bf16"
    if bf16:
        global SUFFIX, PLACE
        SUFFIX, PLACE = "-bf16", "bf16;"
    if args.engines is None:
        args.engines = "openvino-bf16" if bf16 else DEFAULT_ENGINES
    args.engines = [e for e in args.engines.split(",") if e]
    unknown = [e for e in args.engines if e not in LOADERS]
    if unknown:
        parser.error(f"unknown engine {unknown[0]}; there are {', '.join(LOADERS)}")
    if args.weights and not args.own:
        args.own = f"{ROOT / 'mtyolo'} bench model {shlex.quote(str(args.weights))} --stdio" + " --dtype bf16" * bf16
    return args


def main():
    args = parse_arguments()
    if args.convert:
        convert_for_ncnn(str(args.onnx))
        return 0
    if args.serve:
        answer_lines(LOADERS[args.serve](str(args.onnx), int(args.threads)))
        return 0
    if args.own:
        subprocess.run([str(ROOT / "mtyolo"), "build"], check=True)      # building is no part of a start
        for _ in range(3):      # none is keeping the packed weights and finding their sums right, once per network and build
            Engine("mtyolo", shlex.split(args.own) + ["--threads", "2"], 2).close()
    python = prepare_python(args.engines, not args.no_install)
    if "ncnn" in args.engines:      # converting is no part of a start either
        subprocess.run([python, __file__, "--convert", "--onnx", str(args.onnx)], stdout=sys.stderr)
    runs, tables = [], []
    print(heading(args))
    for threads in map(int, args.threads.split(",")):
        results = run_threads(args, python, threads)
        tables.append(table(threads, results))
        print(tables[-1], flush=True)
        runs.append({"threads": threads, "results": results})
    now = datetime.datetime.now(datetime.timezone.utc)
    out = args.out or ROOT / "bench" / "results" / f"{now:%Y-%m-%d}-{args.onnx.stem}{SUFFIX}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    command = ["bench/peers/" + os.path.basename(sys.argv[0])] + [os.path.basename(w) if os.path.isabs(w) else w for w in sys.argv[1:]]
    out.write_text(json.dumps({"schema_version": 1, "kind": "bench_peers", "date": f"{now:%Y-%m-%dT%H:%M:%SZ}",
                               "machine": machine(), "command": " ".join(map(shlex.quote, command)),
                               "model": args.onnx.name, "runs": runs}, indent=1) + "\n")
    if args.page:
        write_page(args.page, args.onnx.stem + SUFFIX, f"{heading(args)}; {now:%Y-%m-%d}\n" + "\n".join(tables))
    print(f"\nwritten: {out}", file=sys.stderr)
    return 0 if all(r["results"] for r in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
