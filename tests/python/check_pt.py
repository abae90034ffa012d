"""Opens the .pt files mtyolo writes with PyTorch and compares every tensor with what `info --tensors` says of it.

    check_pt.py MTYOLO [WEIGHTS...]

Each WEIGHTS (default: four of the golden checkpoints) is imported and re-parameterised; both files must open with torch.load(weights_only=True), and bytes, shape
and type of every tensor must be those mtyolo lists. Exits 0, 1 on a difference, 77 where torch or the checkpoints are not there.
"""
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import torch
except ImportError:
    print("skipped: torch is not installed")
    sys.exit(77)


GOLDENS = ["yolov7-tiny/yolov7-tiny.pt", "nano/nano.pt", "w6-narrow/w6-narrow.pt", "bfloat16/model.pt"]


def mtyolo(*words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}: exit {done.returncode}: {done.stderr}")
    return done.stdout


def sha256(tensor):
    flat = tensor.detach().contiguous().reshape(-1)
    return hashlib.sha256(flat.view(torch.uint8).numpy().tobytes()).hexdigest()


def differences(listed, tensors):
    if [t["name"] for t in listed] != list(tensors):
        yield "the names or their order differ"
        return
    for entry in listed:
        tensor = tensors[entry["name"]]
        got = (str(tensor.dtype).removeprefix("torch."), list(tensor.shape), sha256(tensor))
        if got != (entry["dtype"], entry["shape"], entry["sha256"]):
            yield f"{entry['name']} is {got}, listed as {entry}"


def check(binary, path):
    loaded = torch.load(path, weights_only=True, map_location="cpu")
    listed = json.loads(mtyolo(binary, "info", path, "--tensors", "--json"))["tensors"]
    found = list(differences(listed, loaded["model"]))
    if loaded["format"] != "mtyolo/1":
        found.append(f"format is {loaded['format']}")
    if not isinstance(loaded["cfg"], dict) or not isinstance(loaded["names"], list):
        found.append("cfg or names are not plain")
    for line in found[:5]:
        print(f"{path}: {line}")
    print(f"{path.name}: {len(listed)} tensors, {len(found)} differences")
    return not found


def main():
    binary = sys.argv[1]
    goldens = pathlib.Path(os.environ.get("MTYOLO_SHARED", "../shared"), "goldens/checkpoint")
    sources = sys.argv[2:] or [goldens / name for name in GOLDENS if (goldens / name).exists()]
    if not sources:
        print("skipped: no golden checkpoints")
        sys.exit(77)
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for i, source in enumerate(sources):
            imported, deployed = pathlib.Path(folder, f"{i}.pt"), pathlib.Path(folder, f"{i}_deploy.pt")
            mtyolo(binary, "import", source, "--out", imported)
            mtyolo(binary, "reparam", imported, "--out", deployed, "--img-size", 128, "--tolerance", 0.01)
            good &= check(binary, imported)
            good &= check(binary, deployed)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
