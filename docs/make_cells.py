#!/usr/bin/env python3
"""Draws docs/images/cells.png: a made-up blood smear, for the picture in the README.

  docs/make_cells.py [OUT.png]

Nothing is copied from a photograph: cells are wavy discs of made-up sizes and colours. Only the standard library is
used; equal bytes on every run.
"""
import math
import pathlib
import random
import struct
import sys
import zlib

WIDTH, HEIGHT = 640, 480
BACKGROUND = (203, 207, 197)
RED_RIM, RED_CENTRE = (182, 132, 130), (203, 172, 166)
CYTOPLASM, NUCLEUS = (191, 178, 198), (112, 92, 200)
PLATELET, GRANULES = (176, 160, 190), (132, 104, 178)

WHITE = [(168, 318, 74), (500, 128, 70)]                     # x, y, radius
RED_COUNT, PLATELET_COUNT = 22, 5


class Canvas:
    def __init__(self):
        self.pixels = [list(BACKGROUND) for _ in range(WIDTH * HEIGHT)]

    def blend(self, x, y, colour, opacity):
        p = self.pixels[y * WIDTH + x]
        for c in range(3):
            p[c] += (colour[c] - p[c]) * opacity

    def write(self, path, rng):
        rows = bytearray()
        grain = [[rng.gauss(0, 1.4) for _ in range(WIDTH // 2)] for _ in range(HEIGHT // 2)]
        for y in range(HEIGHT):
            rows.append(0)                                   # PNG filter: none
            for x in range(WIDTH):
                light = 1.02 - 0.10 * math.hypot(x / WIDTH - 0.5, y / HEIGHT - 0.45)
                noise = grain[y // 2][x // 2]                # two pixels wide, as a camera leaves it
                rows += bytes(max(0, min(255, round(v * light + noise))) & 0xfc for v in self.pixels[y * WIDTH + x])

        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(rows), 9)) +
                         chunk(b"IEND", b""))


class Blob:
    """A disc with a wavy outline, stretched along one direction."""

    def __init__(self, rng, x, y, radius, waviness, stretch=0.0):
        self.x, self.y, self.radius = x, y, radius
        self.waves = [(k, rng.uniform(0, waviness / k), rng.uniform(0, math.tau)) for k in (2, 3, 5)]
        self.stretch, self.angle = stretch, rng.uniform(0, math.pi)

    def depth(self, x, y):
        """0 in the middle, 1 on the outline."""
        dx, dy = x - self.x, y - self.y
        along = dx * math.cos(self.angle) + dy * math.sin(self.angle)
        across = dy * math.cos(self.angle) - dx * math.sin(self.angle)
        dx, dy = along / (1 + self.stretch), across * (1 + self.stretch)
        theta = math.atan2(dy, dx)
        outline = self.radius * (1 + sum(a * math.cos(k * theta + p) for k, a, p in self.waves))
        return math.hypot(dx, dy) / outline

    def covered(self):
        reach = int(self.radius * 1.5) + 3
        for y in range(max(0, int(self.y) - reach), min(HEIGHT, int(self.y) + reach)):
            for x in range(max(0, int(self.x) - reach), min(WIDTH, int(self.x) + reach)):
                d = self.depth(x, y)
                if d < 1.2:
                    yield x, y, d

    def edge(self, d, pixels):
        """1 inside, 0 outside, a soft step of `pixels` between."""
        return max(0.0, min(1.0, 0.5 - (d - 1) * self.radius / pixels))


def mix(a, b, t):
    return tuple(p + (q - p) * t for p, q in zip(a, b))


def draw_red(canvas, rng, x, y, radius):
    cell = Blob(rng, x, y, radius, 0.05, rng.uniform(0, 0.10))
    pallor, tint = rng.uniform(0.55, 1.0), rng.uniform(-6, 6)
    off_x, off_y = rng.uniform(-0.12, 0.12) * radius, rng.uniform(-0.12, 0.12) * radius
    for px, py, d in cell.covered():
        inner = cell.depth(px - off_x, py - off_y)
        pale = pallor / (1 + math.exp((inner - 0.42) * 13))  # the dent in the middle
        colour = mix(RED_RIM, RED_CENTRE, pale)
        rim = math.exp(-((d - 0.95) / 0.05) ** 2)
        colour = tuple(v + tint - 15 * rim for v in colour)
        canvas.blend(px, py, colour, 0.93 * cell.edge(d, 2.6))
    if rng.random() < 0.4:                                   # a glint of the lamp
        gx, gy = x + off_x + rng.uniform(-6, 6), y + off_y + rng.uniform(-6, 6)
        for px, py, d in Blob(rng, gx, gy, rng.uniform(2.5, 4), 0.3).covered():
            canvas.blend(px, py, (236, 228, 222), 0.8 * max(0.0, 1 - d))


def draw_white(canvas, rng, x, y, radius):
    cell = Blob(rng, x, y, radius, 0.05)
    for px, py, d in cell.covered():
        grain = rng.uniform(-7, 7)
        colour = tuple(v + grain for v in CYTOPLASM)
        canvas.blend(px, py, colour, 0.85 * cell.edge(d, 5))
    start, lobes = rng.uniform(0, math.tau), []
    for i in range(4):                                       # lobes along an arc, joined by bridges
        angle = start + i * 1.15
        lobes.append((x + math.cos(angle) * radius * 0.42, y + math.sin(angle) * radius * 0.42))
    parts = [Blob(rng, lx, ly, radius * rng.uniform(0.30, 0.37), 0.10, rng.uniform(0, 0.15)) for lx, ly in lobes]
    for (ax, ay), (bx, by) in zip(lobes, lobes[1:]):
        parts.append(Blob(rng, (ax + bx) / 2, (ay + by) / 2, radius * 0.20, 0.05))
    patches = [(rng.uniform(-1, 1) * radius, rng.uniform(-1, 1) * radius, rng.uniform(-16, 16)) for _ in range(24)]
    for part in parts:
        for px, py, d in part.covered():
            shade = sum(s * math.exp(-math.hypot(px - x - cx, py - y - cy) / 9) for cx, cy, s in patches)
            colour = tuple(v + shade + rng.uniform(-5, 5) for v in NUCLEUS)
            canvas.blend(px, py, colour, 0.95 * part.edge(d, 3.5))


def draw_platelet(canvas, rng, x, y, radius):
    body = Blob(rng, x, y, radius, 0.16, rng.uniform(0, 0.15))
    for px, py, d in body.covered():
        canvas.blend(px, py, PLATELET, 0.85 * body.edge(d, 3.5))
    core = Blob(rng, x, y, radius * 0.62, 0.25)
    for px, py, d in core.covered():
        colour = tuple(v + rng.uniform(-14, 14) for v in GRANULES)
        canvas.blend(px, py, colour, 0.9 * core.edge(d, 4))


def place(rng, count, radii, taken, gap, margin):
    """Discs at random places that keep `gap` times the sum of radii from all taken ones."""
    placed = []
    for _ in range(40000):
        if len(placed) == count:
            break
        radius = rng.uniform(*radii)
        x, y = rng.uniform(margin, WIDTH - margin), rng.uniform(margin, HEIGHT - margin)
        if all(math.hypot(x - tx, y - ty) > gap * (radius + tr) for tx, ty, tr in taken):
            placed.append((x, y, radius))
            taken.append((x, y, radius))
    return placed


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "images" / "cells.png")
    rng = random.Random(1)
    canvas = Canvas()
    taken = list(WHITE)
    platelets = place(rng, PLATELET_COUNT, (15, 19), taken, 1.2, 40)
    red = place(rng, RED_COUNT, (39, 47), taken, 0.97, 22)
    for cell in red:
        draw_red(canvas, rng, *cell)
    for cell in WHITE:
        draw_white(canvas, rng, *cell)
    for cell in platelets:
        draw_platelet(canvas, rng, *cell)
    out.parent.mkdir(parents=True, exist_ok=True)
    canvas.write(out, rng)
    return 0


if __name__ == "__main__":
    sys.exit(main())
