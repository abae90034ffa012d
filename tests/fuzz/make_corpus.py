"""The seed inputs of the fuzz targets. Standard library only; nothing is copied.

make_corpus.py           writes tests/fuzz/corpus
make_corpus.py --check   says whether the folder holds what this script makes: exit 0 or 1
Texts that are easier to write than to make (corpus/yaml) and inputs found by fuzzing stay where they are.
"""
import collections
import io
import json
import pathlib
import pickle
import struct
import sys
import zipfile
import zlib

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"

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
    arguments = source + b"K\x00" + sizes + strides + b"\x89" + hooks
    return name("torch._utils", "_rebuild_tensor_v2") + b"(" + arguments + b"tR"


def module(symbol, parameters=b"", buffers=b"", children=b"", rest=b""):
    state = b"}(" + text("_parameters") + b"}(" + parameters + b"u" + text("_buffers") + b"}(" + buffers + b"u"
    state += text("_modules") + b"}(" + children + b"u" + rest + b"u"
    return symbol + b")\x81" + state + b"b"


def model():
    conv = module(name("torch.nn.modules.conv", "Conv2d"), text("weight") + tensor(storage()))
    norm = module(name("torch.nn.modules.batchnorm", "BatchNorm2d"),
                  text("weight") + tensor(storage("HalfStorage", "0", 8)), rest=text("eps") + b"G" + struct.pack(">d", 1e-3))
    row = module(name("models.common", "Conv"), children=text("conv") + conv + text("bn") + norm,
                 rest=text("i") + b"K\x00" + text("f") + b"J" + struct.pack("<i", -1) + text("np") + b"K\x08")
    rows = module(name("torch.nn.modules.container", "Sequential"), children=text("0") + row)
    rest = text("yaml") + b"}(" + text("nc") + b"K\x02u" + text("names") + b"](" + text("a") + text("b") + b"e"
    return module(name("models.yolo", "Model"), children=text("model") + rows, rest=rest)


def pickles():
    yield "plain2", pickle.dumps({"a": [1, 2.5, None, True, "x", (1, 2)], 3: -70000, "big": 1 << 80}, 2)
    yield "plain4", pickle.dumps({"a": {1, 2}, "b": b"bytes", "c": frozenset([1])}, 4)
    yield "ordered", pickle.dumps(collections.OrderedDict(a=1, b=[2]), 2)
    pairs = text("w") + tensor(storage()) + text("v") + tensor(storage("LongStorage", "0", 8))
    yield "state_dict", PROTO + b"}(" + pairs + b"u" + STOP
    pairs = text("epoch") + b"J\xff\xff\xff\xff" + text("model") + model() + text("ema") + b"N"
    yield "model", PROTO + b"}(" + pairs + b"u" + STOP
    yield "bare", PROTO + model() + STOP
    pairs = text("format") + text("mtyolo/1") + text("model") + b"}(" + text("w") + tensor(storage()) + b"u"
    pairs += text("names") + b"](" + text("a") + b"e"
    pairs += text("optimizer") + b"}(" + text("state.0.m") + tensor(storage()) + b"u"
    yield "ours", PROTO + b"}(" + pairs + b"u" + STOP


def legacy(body, key="0", numel=16):
    header = pickle.dumps(1001, 2)
    sizes = {"short": 2, "int": 4, "long": 4}
    header += pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}, 2)
    return header + body + pickle.dumps([key], 2) + struct.pack("<q", numel) + bytes(4 * numel)


def zips():
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as z:
            for entry, content in (("m/data.pkl", b"content " * 20), ("m/version", b"3\n"), ("m/data/0", b"")):
                z.writestr(zipfile.ZipInfo(entry, (1980, 1, 1, 0, 0, 0)), content, method)
        yield f"method{method}", out.getvalue()
        yield f"method{method}_commented", out.getvalue()[:-2] + b"\x04\x00PK\x05\x06"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        with z.open(zipfile.ZipInfo("m/data.pkl", (1980, 1, 1, 0, 0, 0)), "w", force_zip64=True) as entry:
            entry.write(b"zip64")
    yield "zip64", out.getvalue()


def safetensors():
    for count in (0, 1, 3):
        header, at = {"__metadata__": {"format": "mtyolo/1"}}, 0
        for i in range(count):
            header[f"t{i}"] = {"dtype": "F32", "shape": [2, i], "data_offsets": [at, at + 8 * i]}
            at += 8 * i
        raw = json.dumps(header).encode()
        yield f"tensors{count}", struct.pack("<Q", len(raw)) + raw + bytes(at)
    raw = b'{"a":{"dtype":"F16","shape":[],"data_offsets":[0,2]},"b":{"dtype":"BOOL","shape":[3],"data_offsets":[2,5]}}'
    yield "types", struct.pack("<Q", len(raw)) + raw + b"\x00\x3c\x00\x01\x01"


def segment(marker, body):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def exif(orientation, order="<"):
    tiff = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return tiff + struct.pack(order + "HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)


def bits(text):
    text += "1" * (-len(text) % 8)
    return bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8)).replace(b"\xff", b"\xff\x00")


# One code table for all: DC categories 0 ("0") and 3 ("10"); AC end of block ("0") and run 0, size 1 ("10").
LENGTHS = b"\x01\x01" + bytes(14)
TABLES = segment(0xC4, b"\x00" + LENGTHS + b"\x00\x03") + segment(0xC4, b"\x10" + LENGTHS + b"\x00\x01")
DC, AC = "10101", "1010"  # a difference of 5; one coefficient of 1, then the end of the block


def jpeg(components=1, side=8, before=b"", frame=0xC0, sampling=0x11, restart=0):
    out = b"\xff\xd8" + before + segment(0xDB, b"\x00" + bytes(range(1, 65)))
    ids = [bytes([i, sampling if i == 1 else 0x11, 0]) for i in range(1, components + 1)]
    out += segment(frame, struct.pack(">BHHB", 8, side, side, components) + b"".join(ids)) + TABLES
    if restart:
        out += segment(0xDD, struct.pack(">H", restart))
    heads = b"".join(bytes([i, 0]) for i in range(1, components + 1))
    if frame == 0xC2:
        out += segment(0xDA, bytes([components]) + heads + b"\x00\x00\x00") + bits(DC * components)
        for i in range(1, components + 1):
            out += segment(0xDA, bytes([1, i, 0]) + b"\x01\x3f\x00") + bits(AC)
        return out + b"\xff\xd9"
    out += segment(0xDA, bytes([components]) + heads + b"\x00\x3f\x00")
    blocks = (sampling >> 4) * (sampling & 15) + components - 1
    across = -(-side // (8 * (sampling >> 4)))
    if restart:
        unit = bits((DC + AC) * blocks)
        for i in range(across * across):
            out += unit + bytes([0xFF, 0xD0 + i % 8])
        return out[:-2] + b"\xff\xd9"
    return out + bits((DC + AC) * blocks * across * across) + b"\xff\xd9"


def jpegs():
    yield "grey", jpeg()
    yield "colour", jpeg(3)
    yield "colour_halved", jpeg(3, 16, sampling=0x22)
    yield "cmyk", jpeg(4, before=segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00\x00"))
    yield "ycck", jpeg(4, before=segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00\x02"))
    yield "turned", jpeg(1, before=segment(0xE1, b"Exif\x00\x00" + exif(6)))
    yield "mirrored", jpeg(3, before=segment(0xE1, b"Exif\x00\x00" + exif(5, ">")))
    yield "progressive", jpeg(1, frame=0xC2)
    yield "progressive_colour", jpeg(3, frame=0xC2)
    yield "restart", jpeg(1, 24, restart=1)
    yield "odd_size", jpeg(3, 13)
    yield "no_end", jpeg(1)[:-2]
    yield "cut", jpeg(3, 32)[:-6]
    yield "arithmetic", jpeg(1, frame=0xC9)
    yield "huge", jpeg().replace(b"\x08\x00\x08\x00\x08", b"\x08\xea\x60\xea\x60")
    yield "comment", jpeg(1, before=segment(0xFE, b"a comment") + b"\xff\xff")


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(depth, colour, width=5, height=3, before=b"", interlace=0, pixels=None):
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    stride = (width * channels * depth + 7) // 8
    rows = pixels or b"".join(bytes([y % 5]) + bytes((7 * x + y) % 4 for x in range(stride)) for y in range(height))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def pngs():
    palette = chunk(b"PLTE", bytes(range(12)))
    for depth, colour in ((1, 0), (8, 0), (16, 0), (8, 2), (16, 2), (8, 4), (8, 6), (16, 6)):
        yield f"kind{colour}_{depth}", png(depth, colour)
    for depth in (2, 4, 8):
        yield f"palette_{depth}", png(depth, 3, before=palette)
    yield "palette_alpha", png(2, 3, before=palette + chunk(b"tRNS", b"\x00\x80"))
    yield "grey_key", png(8, 0, before=chunk(b"tRNS", b"\x00\x07"))
    yield "turned", png(8, 2, before=chunk(b"eXIf", exif(8)))
    yield "interlaced", png(8, 2, 1, 1, interlace=1, pixels=b"\x00\x01\x02\x03")
    notes = chunk(b"tEXt", b"Title\x00x") + chunk(b"zTXt", b"a\x00\x00" + zlib.compress(b"text"))
    yield "texts", png(8, 0, before=notes + chunk(b"gAMA", b"\x00\x00\xb1\x8f"))
    yield "too_few_rows", png(8, 2, 5, 3)[:33] + chunk(b"IDAT", zlib.compress(bytes(16))) + chunk(b"IEND", b"")
    yield "no_data", png(8, 2)[:33] + chunk(b"IEND", b"")
    yield "cut", png(8, 6)[:60]
    yield "bad_checksum", png(8, 2)[:-1] + b"\x00"
    yield "huge", png(8, 0, 60000, 60000, pixels=b"\x00")


def bmp(depth=24, width=3, height=2, header=40, compression=0, extra=b""):
    rows = bytes(range(64))[:(width * depth + 31) // 32 * 4] * abs(height)
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, abs(height), 1, depth)
    else:
        info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, depth, compression, len(rows), 0, 0, 0, 0)
    at = 14 + len(info) + len(extra)
    return b"BM" + struct.pack("<IHHI", at + len(rows), 0, 0, at) + info + extra + rows


def bmps():
    for depth, colours in ((1, 2), (4, 16), (8, 256), (16, 0), (24, 0), (32, 0)):
        yield f"bits{depth}", bmp(depth, extra=bytes(4 * colours))
    yield "old_header", bmp(24, header=12)
    yield "from_the_top", bmp(24, height=-2)
    yield "masks", bmp(32, compression=3, extra=struct.pack("<III", 0xFF0000, 0xFF00, 0xFF))
    yield "compressed", bmp(8, compression=1, extra=bytes(1024))
    yield "cut", bmp(24)[:-1]


DATA_YAMLS = {
    "plain": "path: ../coco\ntrain: images/train\nval: images/val\nnc: 2\nnames: [cat, dog]\n",
    "map": "train: [a.txt, b.txt]\nval: b\ntest: c\nnames:\n  0: cat\n  1: dog\n",
    "heads": "names: [a, b, c, d, e]\nheads:\n  one: {classes: 0-2}\n  two: {classes: [d, 4], weight: 0.5}\n",
    "heads_ids": "nc: 12\nheads: {x: {classes: [0-9, 11]}, y: {classes: 10}}\n",
    "overlap": "names: [a, b]\nheads: {x: {classes: [0, 1]}, y: {classes: [1]}}\n",
    "hole": "names: [a, b, c]\nheads: {x: {classes: 0-1}}\n",
    "count": "nc: 3\nnames: [a, b]\n",
    "sparse": "names: {0: a, 2: c}\n",
    "download": "download: https://example.org/x.zip\ntrain: x\nval: y\nnames: [a]\n",
    "list": "- a\n- b\n",
    "empty": "",
    "entries": "names: [a, b, c]\nheads: {x: 0-1, y: c}\n"
               "train: [p, {images: q, heads: [y], classes: [c, 0]}, {json: r, images: s, heads: x}]\nval: p\n",
    "entry_twice": "names: [a, b]\nheads: {x: 0, y: 1}\ntrain: {images: q, heads: x}\nval: {images: q, heads: y}\n",
    "entry_head": "names: [a, b]\nheads: {xx: 0, y: 1}\ntrain: {images: q, heads: [xy]}\n",
    # Below the marker: the data file that heads name.
    "head_data": "heads: {x: {data: o.yaml, weight: 2}}\n%%\nnames: [p, q]\ntrain: t\nval: v\n",
    "head_data_mix": "names: [a, b]\ntrain: t\nheads: {x: 0-1, y: {data: o.yaml}}\n%%\nnc: 3\ntrain: u\n",
    "head_data_same": "heads: {x: {data: o}, y: {data: o}}\n%%\nnames: [p]\n",
    "head_data_both": "names: [a]\nheads: {x: {data: o, classes: 0}}\n%%\nnames: [p]\n",
    "head_data_own_heads": "heads: {x: {data: o}}\n%%\nnames: [p]\nheads: {x: {data: o}}\n",
    "head_data_overlap": "names: [a]\nheads: {x: 0-1, y: {data: o}}\n%%\nnames: [p]\n",
    "head_data_none": "train: t\nheads: {y: {data: o}}\n%%\nnames: [p]\n",
}

CFG_YAMLS = {
    "official": """nc: 2
depth_multiple: 0.5
width_multiple: 0.25
anchors:
  - [12,16, 19,36]
  - [36,75, 76,55]
backbone:
  [[-1, 1, Conv, [32, 3, 2]],
   [-1, 3, Bottleneck, [32]],
   [-1, 1, Conv, [64, 3, 2]],
   [-2, 1, MP, []],
   [[-1, -2], 1, Concat, [1]],
   [-1, 1, SPPCSPC, [32]],
   [-1, 1, nn.Upsample, [None, 2, 'nearest']]]
head:
  [[1, 1, RepConv, [32, 3, 1]],
   [5, 1, Conv, [64, 1, 1, None, 1, nn.LeakyReLU(0.1)]],
   [[7, 8], 1, IDetect, [nc, anchors]]]
""",
    "auxiliary": "nc: 1\nanchors: 3\nbackbone: [[-1, 1, ReOrg, []], [-1, 1, Conv, [8, 3, 1]]]\n"
                 "head: [[[1, 1], 1, IAuxDetect, [nc, anchors]]]\n",
    "compact": """nc: 3
anchors: p5
activation: nn.LeakyReLU(0.1)
rows:
  - Conv 8 3 2
  - a: ELAN 8 8 2 all 16
  - MP
  - b: Conv 16 3 2 @a
  - UP 8 a
  - SPP 16 5,9,13
  - Bottleneck 16 x2
  - c: Conv 16 1 1 @b
head:
  training:
    - IDetect @a,b,c
  deploy:
    - Detect @a,b,c
""",
    "shortcuts": """nc: 4
anchors: [[1,2]]
backbone: [[-1,1,Focus,[16,3]], [-1,2,BottleneckCSPA,[16]], [[-1,-2],1,Shortcut,[1]]]
head: [[[2],1,Detect,[nc,anchors]]]
""",
    "hard": "nc: 2\nanchors: 1\nsharing: {mode: hard, until: 0}\n"
            "backbone: [[-1, 1, Conv, [8, 3, 2]], [-1, 1, Conv, [8, 3, 1]], [[-1, 0], 1, Concat, [1]]]\n"
            "head: [[[2, 0], 1, IDetect, [nc, anchors]]]\n",
    "soft": "nc: 3\nanchors: [[1, 2]]\nrows: [Conv 8 3 2, Conv 16 3 1]\nhead: [Detect @-1]\n"
            "sharing: {mode: soft, couple: [0, 1], penalty: l2, strength: 1.0e-4, cross_stitch: [0, 1]}\n",
    "backwards": "nc: 2\nanchors: [[1, 2]]\nrows: [Conv 8 3 2, Conv 16 3 1]\nhead: [Detect @-1]\n"
                 "sharing: {mode: soft, couple: [1, 0]}\n",
    "forwards": "nc: 1\nanchors: 1\nbackbone: [[1, 1, Conv, [8]]]\nhead: []\n",
    "wide": "nc: 1\nanchors: 1\nwidth_multiple: 16\nbackbone: [[-1, 1000, Conv, [65536, 255, 1]]]\n"
            "head: [[[0],1,Detect,[nc,anchors]]]\n",
    "deep": "nc: 1\nanchors: [[" + "[" * 40 + "]" * 40 + "]]\nbackbone: []\nhead: []\n",
    "code": "nc: 1\nanchors: 1\nbackbone: [[-1, 1, Conv, [\"__import__('os')\"]]]\nhead: []\n",
}

PATH_LISTS = {
    "plain": b"./images/a.jpg\nimages/b.png\n/absolute/c.jpg\n",
    "windows": b"\xef\xbb\xbfimages\\a.jpg\r\n\r\nimages\\b.jpg\r\n",
    "same": b"a.jpg\na.jpg\n../x/a.jpg\n",
    "streams": b"rtsp://camera/1\n0\nhttps://a.b/c.jpg\n",
    "control": b"a\x00b.jpg\n\xff\xfe\n",
}


LABELS = {
    "boxes": b"0 0.5 0.5 0.25 0.25\n1 .1 1e-1 +0.2 5.e-2\n",
    "polygon": b"2 0.1 0.2 0.3 0.2 0.3 0.6\n0 0.5 0.5 1 1\n",
    "windows": b"\xef\xbb\xbf0 0.5 0.5 0.25 0.25\r\n\r\n1\t0 0 0 0\r",
    "over": b"0 1.00005 0.5 0.5 1\n0 0.99 0.99 0.5 0.5\n",
    "repeated": b"1 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.5 0.5\n",
    "columns": b"0 0.5 0.5 0.5\n",
    "words": b"cat 0.5 nan 0x1 0,5\n",
    "class": b"-1 0.5 0.5 0.5 0.5\n",
    "pixels": b"0 100 120 30 40\n",
    "utf16": b"\xff\xfe0\x00 \x00",
}


IMAGES = '"images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 50}, {"id": 7, "file_name": "b/c.png"}]'
CATEGORIES = '"categories": [{"id": 3, "name": "a", "supercategory": "x"}, {"id": 9, "name": "b"}]'
COCO = {
    "boxes": '[{"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 30.5, 4e1], "area": 70.5, "iscrowd": 0}]',
    "polygon": '[{"id": 1, "image_id": 7, "category_id": 9, "bbox": [0, 0, 9, 9], "segmentation": [[1,2,3,4,5,6]]}]',
    "crowd": '[{"id": 1, "image_id": 7, "category_id": 9, "bbox": [0, 0, 9, 9], "iscrowd": 1, '
             '"segmentation": {"counts": [1, 2, 3], "size": [50, 100]}}]',
    "outside": '[{"id": 1, "image_id": 1, "category_id": 3, "bbox": [-5, 40, 500, 50]}]',
    "short": '[{"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3]}, {"image_id": 99, "category_id": 3}]',
    "negative": '[{"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, -3, 4]}]',
    "texts": '[{"id": "1", "image_id": null, "category_id": true}]',
    "unknown": '[{"id": 1, "image_id": 1, "category_id": 4, "bbox": [1, 2, 3, 4]}]',
    "deep": "[" * 80,
}

XML_BOX = "<bndbox><xmin>10</xmin><ymin>5.0</ymin><xmax>30</xmax><ymax>25</ymax></bndbox>"
XMLS = {
    "plain": f"<object><name>cat</name><difficult>1</difficult>{XML_BOX}</object>",
    "size": f"<size><width>200</width><height>0</height></size><object>{XML_BOX}<name> dog </name></object>",
    "part": f"<object><name>cat</name><part><name>x</name>{XML_BOX}</part>{XML_BOX}</object>",
    "outside": "<object><name>cat</name>" + XML_BOX.replace("10", "-10").replace("30", "3e9") + "</object>",
    "swapped": "<object><name>cat</name>" + XML_BOX.replace("10", "90") + "</object>",
    "unknown": f"<object><name>cow</name>{XML_BOX}</object>",
    "escapes": f"<object><name>&#99;at</name><!-- x --><![CDATA[y]]>{XML_BOX}</object>",
    "empty": "",
    "deep": "<a>" * 70 + "</a>" * 70,
}


def cache_entry(path, *numbers):
    return struct.pack("<I", len(path)) + path + struct.pack("<Qqii", *numbers)


SCAN_CACHES = {
    "none": b"",
    "two": cache_entry(b"a.jpg", 1000, -5, 640, 480) + cache_entry(b"b/c.png", 1, 2, 10, 65535),
    "twice": cache_entry(b"a.jpg", 1000, 5, 640, 480) * 2,
    "small": cache_entry(b"a.jpg", 1000, 5, 9, 480),
    "cut": cache_entry(b"a.jpg", 1000, 5, 640, 480)[:-1],
    "long": b"\xff\xff\xff\xff",
}


def cached_images():
    """A 2 x 1 picture for the key of the target, one for another key, and one that claims more than it has."""
    for file, key, width in [("whole", "a\n1\n2\n3\n1", 2), ("other", "b\n1\n2\n3\n1", 2), ("wide", "a\n1\n2\n3\n1", 60000)]:
        body = b"mtyolo image 1\n" + struct.pack("<I", len(key)) + key.encode()
        body += struct.pack("<II", width, 1) + bytes(range(6))
        yield file, body + struct.pack("<I", zlib.crc32(body))


def with_cuts(items):
    """Every input, and its first two thirds."""
    for file, content in items:
        yield file, content
        yield file + "_cut", content[:len(content) * 2 // 3]


HYP_YAMLS = {
    "plain": "lr0: 0.01\nlrf: 0.1\nmomentum: 0.937\nloss_ota: 1\nanchor_t: 4.0\nmosaic: 1.0\n",
    "ours": "close_mosaic: 10\ncls_weights: [1, 0.5]\nhead_weights: {a: 1, 'b\"': 0.3}\nlr_groups: {model.0: 0.1}\n",
    "unknown": "weight_deca: 0.1\n",
    "not_built": "gridmask: 0.5\n",
    "range": "momentum: 1.5\n",
    "list": "- 1\n",
    "empty": "",
}


def texts(items):
    return ((file + ".yaml", content.encode()) for file, content in items.items())


def corpus():
    """Target -> {file: bytes}."""
    everything = list(pickles())
    state_dict = dict(everything)["state_dict"].replace(text("v") + tensor(storage("LongStorage", "0", 8)), b"")
    return {target: dict(items) for target, items in {
        "pickle": with_cuts(everything),
        "checkpoint": with_cuts(everything),
        "legacy": with_cuts([("state_dict", legacy(state_dict))]),
        "zip": with_cuts(zips()),
        "safetensors": with_cuts(safetensors()),
        "jpeg": jpegs(),
        "png": pngs(),
        "bmp": bmps(),
        "cached_image": with_cuts(cached_images()),
        "data_yaml": texts(DATA_YAMLS),
        "cfg_yaml": texts(CFG_YAMLS),
        "hyp_yaml": texts(HYP_YAMLS),
        "path_list": PATH_LISTS.items(),
        "label": LABELS.items(),
        "coco_json": with_cuts((file, f'{{{IMAGES}, "annotations": {a}, {CATEGORIES}}}'.encode())
                               for file, a in COCO.items()),
        "voc_xml": with_cuts((file, f"<annotation>{x}</annotation>".encode()) for file, x in XMLS.items()),
        "scan_cache": SCAN_CACHES.items(),
    }.items()}


def main():
    wrong = []
    for target, files in corpus().items():
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            path = folder / file
            if sys.argv[1:] != ["--check"]:
                path.write_bytes(content)
            elif not path.is_file() or path.read_bytes() != content:
                wrong.append(str(path))
    for path in wrong:
        print(f"{path} is not what make_corpus.py makes")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
