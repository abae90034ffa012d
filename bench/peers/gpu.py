#!/usr/bin/env python3
"""run.py for a GPU: `mtyolo bench model --device N` beside PyTorch on the same device, eager and torch.compile.

  bench/peers/gpu.py --onnx yolov7.onnx --weights yolov7.pt --device 0 --dtype fp16

All other options are those of run.py. PyTorch runs the exported network (onnx2torch), channels-last, on a picture that
is on the GPU already; a run ends when the GPU has finished it, with the predictions left there, as with `bench model`.
Decoding is included, NMS is not. torch.compile runs in the mode max-autotune; its compilation is part of the start.
Needs a GPU, PyTorch for CUDA and a build of mtyolo for it.
"""
import os
import shlex
import sys

import run as peers

TYPES = {"fp32": "float32", "tf32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def load(path, compiled):
    import onnx2torch
    import torch
    number, dtype = os.environ["PEERS_DEVICE"], os.environ["PEERS_DTYPE"]
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = dtype == "tf32"
    torch.backends.cudnn.benchmark = True
    place = {"device": torch.device("cuda", int(number)), "dtype": getattr(torch, TYPES[dtype]),
             "memory_format": torch.channels_last}
    model = onnx2torch.convert(path).eval().to(**place)
    picture = torch.from_numpy(peers.random_picture(peers.input_of(path)[1])).to(**place)
    if compiled:
        model = torch.compile(model, mode="max-autotune")

    def once():
        with torch.inference_mode():
            model(picture)
        torch.cuda.synchronize(place["device"])
    return once


def take(words, flag, default):
    """Removes `flag VALUE` from the words."""
    if flag not in words[:-1]:
        return default
    at = words.index(flag)
    value = words[at + 1]
    del words[at:at + 2]
    return value


if __name__ == "__main__":
    peers.LOADERS = {"torch-eager": lambda path, _: load(path, False), "torch-compile": lambda path, _: load(path, True)}
    peers.PACKAGES = dict.fromkeys(peers.LOADERS, ["torch", "onnx2torch"])
    peers.DEFAULT_ENGINES = ",".join(peers.LOADERS)
    words = sys.argv[1:]
    if "--serve" not in words:
        device, dtype = take(words, "--device", "0"), take(words, "--dtype", "fp16")
        if dtype not in TYPES:
            sys.exit(f"--dtype is {dtype}, expected one of {', '.join(TYPES)}")
        os.environ.update(PEERS_DEVICE=device, PEERS_DTYPE=dtype)
        peers.SUFFIX, peers.PLACE = f"-gpu-{dtype}", f"{dtype}, GPU {device};"
        weights = words[words.index("--weights") + 1] if "--weights" in words[:-1] else None
        if weights and "--own" not in words:
            words += ["--own", shlex.join([str(peers.ROOT / "mtyolo"), "bench", "model", os.path.abspath(weights),
                                           "--stdio", "--device", device, "--dtype", dtype])]
        if "--threads" not in words:
            words += ["--threads", "1"]
        sys.argv[1:] = words
    sys.exit(peers.main())
