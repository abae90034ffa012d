"""Opens the .pt files mtyolo writes with PyTorch and compares every tensor with what `info --tensors` says of it.

    check_pt.py MTYOLO [WEIGHTS...]

Each WEIGHTS (default: four of the golden checkpoints, as far as they are there) is imported and re-parameterised; then a network is trained
for two epochs on three drawn pictures, once with one head and once with two. All files must open with torch.load(weights_only=True), and
bytes, shape and type of every tensor must be those mtyolo lists. Exported state dicts must hold these tensors in f32 under the same names.
Exits 0, 1 on a difference, 77 where torch is not there.
"""
import hashlib
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

try:
    import torch
except ImportError:
    print("skipped: torch is not installed")
    sys.exit(77)


KEYS = "format model ema optimizer epoch updates best_fitness results names heads anchors cfg hyp rng".split()
CFG = """nc: 2
anchors: [[12,12, 20,20, 28,28], [24,40, 40,24, 48,48]]
rows:
  - Conv 16 3 2
  - Conv 32 3 2
  - c3: Conv 32 3 2
  - c4: Conv 48 3 2
head:
  - IDetect @c3,c4
"""
HEADS = "heads:\n  a: {classes: [0]}\n  b: {classes: [1]}\n"
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


def without_prefix(listed, prefix):
    return [{**t, "name": t["name"].removeprefix(prefix)} for t in listed if t["name"].startswith(prefix)]


def report(path, count, found):
    for line in found[:5]:
        print(f"{path}: {line}")
    print(f"{path.name}: {count} tensors, {len(found)} differences")
    return not found


def check(binary, path):
    loaded = torch.load(path, weights_only=True, map_location="cpu")
    listed = json.loads(mtyolo(binary, "info", path, "--tensors", "--json"))["tensors"]
    plain = [t for t in listed if not t["name"].startswith(("ema.", "optimizer."))]
    found = list(differences(plain, loaded["model"]))
    for part in "ema", "optimizer":
        tensors = {k: v for k, v in (loaded[part] or {}).items() if k != "param_groups"}
        found += differences(without_prefix(listed, part + "."), tensors)
    if loaded["format"] != "mtyolo/1":
        found.append(f"format is {loaded['format']}")
    if list(loaded)[:len(KEYS)] != KEYS:
        found.append(f"the keys are {list(loaded)}")
    if not isinstance(loaded["cfg"], dict) or not isinstance(loaded["names"], list):
        found.append("cfg or names are not plain")
    return report(path, len(listed), found)


def check_export(binary, source, folder):
    """The exported dict against the file it was made from."""
    path = pathlib.Path(folder, source.stem + "_dict.pt")
    mtyolo(binary, "export", source, "--format", "pt", "--out", path)
    exported = torch.load(path, weights_only=True)
    loaded = torch.load(source, weights_only=True)
    expected = loaded["ema"] or loaded["model"]
    found = [] if list(exported) == list(expected) else ["the names or their order differ"]
    for name, tensor in expected.items() if not found else ():
        as_exported = tensor.float() if tensor.is_floating_point() else tensor
        if exported[name].dtype != as_exported.dtype or not torch.equal(exported[name], as_exported):
            found.append(f"{name} is {exported[name]}, expected {as_exported}")
    return report(path, len(exported), found)


def write_set(folder):
    """Three pictures of 64 pixels as uncompressed BMP files, a red box left and a blue one right."""
    for part in "images", "labels":
        pathlib.Path(folder, "set", part).mkdir(parents=True)
    for i in range(3):
        pixels = bytearray([90 + i]) * (64 * 64 * 3)
        for y in range(20, 44):
            pixels[(y * 64 + 4) * 3:(y * 64 + 28) * 3] = bytes([40, 50, 230]) * 24
            pixels[(y * 64 + 36) * 3:(y * 64 + 60) * 3] = bytes([230, 50, 40]) * 24
        header = b"BM" + struct.pack("<IIIIiiHHIIiiII", 54 + len(pixels), 0, 54, 40, 64, 64, 1, 24, 0, len(pixels), 0, 0, 0, 0)
        pathlib.Path(folder, f"set/images/{i}.bmp").write_bytes(header + pixels)
        pathlib.Path(folder, f"set/labels/{i}.txt").write_text("0 0.25 0.5 0.375 0.375\n1 0.75 0.5 0.375 0.375\n")
    pathlib.Path(folder, "tiny.yaml").write_text(CFG)


def check_run(binary, folder, name, heads):
    data = pathlib.Path(folder, f"{name}.yaml")
    data.write_text("train: set/images\nval: set/images\nnames: [red, blue]\n" + heads)
    mtyolo(binary, "train", data, "--cfg", f"{folder}/tiny.yaml", "--epochs", 2, "--batch-size", 2, "--nbs", 2, "--img-size", 64,
           "--workers", 0, "--threads", 1, "--noautoanchor", "--noplots", "--quiet", "--project", folder, "--name", name)
    weights = pathlib.Path(folder, name, "weights")
    good = check(binary, weights / "last.pt") & check(binary, weights / "best.pt")
    last, best = (torch.load(weights / f, weights_only=True) for f in ("last.pt", "best.pt"))
    found = []
    if last["epoch"] != 2 or not last["ema"] or not last["optimizer"]:
        found.append(f"last.pt: epoch {last['epoch']}, expected the next one, 2; or no averages or optimizer")
    if best["ema"] or best["optimizer"] or best["model"]["model.0.conv.weight"].dtype != torch.float16:
        found.append("best.pt is not the averages alone in f16")
    row = "heads.b.model.4.m.0.bias" if heads else "model.4.m.0.bias"
    if list(best["model"][row].shape) != [18 if heads else 21]:
        found.append(f"best.pt: {row} is {best['model'][row].shape}")
    good &= report(weights, 0, found)
    return good & check_export(binary, weights / "last.pt", folder) & check_export(binary, weights / "best.pt", folder)


def main():
    binary = sys.argv[1]
    goldens = pathlib.Path(os.environ.get("MTYOLO_SHARED", "../shared"), "goldens/checkpoint")
    sources = sys.argv[2:] or [goldens / name for name in GOLDENS if (goldens / name).exists()]
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for i, source in enumerate(sources):
            imported, deployed = pathlib.Path(folder, f"{i}.pt"), pathlib.Path(folder, f"{i}_deploy.pt")
            mtyolo(binary, "import", source, "--out", imported)
            mtyolo(binary, "reparam", imported, "--out", deployed, "--img-size", 128, "--tolerance", 0.01)
            good &= check(binary, imported)
            good &= check(binary, deployed)
            good &= check_export(binary, imported, folder)
        write_set(folder)
        good &= check_run(binary, folder, "one", "")
        good &= check_run(binary, folder, "two", HEADS)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
