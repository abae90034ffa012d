"""Writes the seed inputs of the fuzz targets: make_corpus.py FOLDER. Standard library only; nothing is copied."""
import collections
import io
import json
import os
import pickle
import struct
import sys
import zipfile

PROTO, STOP = b"\x80\x02", b"."
MAGIC = 0x1950A86A20F9469CFC6C


def text(value):
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def name(module, symbol):
    return f"c{module}\n{symbol}\n".encode()


def storage(kind="FloatStorage", key="0", numel=16, view=b""):
    return b"(" + text("storage") + name("torch", kind) + text(key) + text("cpu") + b"K" + bytes([numel]) + view + b"tQ"


def tensor(source, sizes=b"K\x02K\x04\x86", strides=b"K\x04K\x01\x86"):
    hooks = name("collections", "OrderedDict") + b")R"
    return name("torch._utils", "_rebuild_tensor_v2") + b"(" + source + b"K\x00" + sizes + strides + b"\x89" + hooks + b"tR"


def module(symbol, parameters=b"", buffers=b"", children=b"", rest=b""):
    state = b"}(" + text("_parameters") + b"}(" + parameters + b"u" + text("_buffers") + b"}(" + buffers + b"u"
    state += text("_modules") + b"}(" + children + b"u" + rest + b"u"
    return symbol + b")\x81" + state + b"b"


def model():
    conv = module(name("torch.nn.modules.conv", "Conv2d"), text("weight") + tensor(storage()))
    norm = module(name("torch.nn.modules.batchnorm", "BatchNorm2d"), text("weight") + tensor(storage("HalfStorage", "0", 8)),
                  rest=text("eps") + b"G" + struct.pack(">d", 1e-3))
    row = module(name("models.common", "Conv"), children=text("conv") + conv + text("bn") + norm,
                 rest=text("i") + b"K\x00" + text("f") + b"J" + struct.pack("<i", -1) + text("np") + b"K\x08")
    rows = module(name("torch.nn.modules.container", "Sequential"), children=text("0") + row)
    rest = text("yaml") + b"}(" + text("nc") + b"K\x02u" + text("names") + b"](" + text("a") + text("b") + b"e"
    return module(name("models.yolo", "Model"), children=text("model") + rows, rest=rest)


def pickles():
    yield "plain2", pickle.dumps({"a": [1, 2.5, None, True, "x", (1, 2)], 3: -70000, "big": 1 << 80}, 2)
    yield "plain4", pickle.dumps({"a": {1, 2}, "b": b"bytes", "c": frozenset([1])}, 4)
    yield "ordered", pickle.dumps(collections.OrderedDict(a=1, b=[2]), 2)
    yield "state_dict", PROTO + b"}(" + text("w") + tensor(storage()) + text("v") + tensor(storage("LongStorage", "0", 8)) + b"u" + STOP
    yield "model", PROTO + b"}(" + text("epoch") + b"J\xff\xff\xff\xff" + text("model") + model() + text("ema") + b"Nu" + STOP
    yield "bare", PROTO + model() + STOP
    yield "ours", PROTO + b"}(" + text("format") + text("mtyolo/1") + text("model") + b"}(" + text("w") + tensor(storage()) + b"u" \
        + text("names") + b"](" + text("a") + b"e" + text("optimizer") + b"}(" + text("state.0.m") + tensor(storage()) + b"uu" + STOP


def legacy(body, key="0", numel=16):
    header = pickle.dumps(1001, 2)
    header += pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}, 2)
    return header + body + pickle.dumps([key], 2) + struct.pack("<q", numel) + bytes(4 * numel)


def zips():
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as z:
            z.writestr("m/data.pkl", b"content " * 20)
            z.writestr("m/version", b"3\n")
            z.writestr("m/data/0", b"")
        yield f"method{method}", out.getvalue()


def safetensors():
    for count in (0, 1, 3):
        header, at = {"__metadata__": {"format": "mtyolo/1"}}, 0
        for i in range(count):
            header[f"t{i}"] = {"dtype": "F32", "shape": [2, i], "data_offsets": [at, at + 8 * i]}
            at += 8 * i
        raw = json.dumps(header).encode()
        yield f"tensors{count}", struct.pack("<Q", len(raw)) + raw + bytes(at)


def write(folder, target, items):
    path = os.path.join(folder, target)
    os.makedirs(path, exist_ok=True)
    for file, content in items:
        with open(os.path.join(path, file), "wb") as f:
            f.write(content)


def main():
    folder = sys.argv[1]
    everything = list(pickles())
    write(folder, "pickle", everything)
    write(folder, "checkpoint", everything)
    state_dict = dict(everything)["state_dict"].replace(text("v") + tensor(storage("LongStorage", "0", 8)), b"")
    write(folder, "legacy", [("state_dict", legacy(state_dict))])
    write(folder, "zip", zips())
    write(folder, "safetensors", safetensors())


if __name__ == "__main__":
    main()
