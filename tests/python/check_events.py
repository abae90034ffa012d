"""Reads the event file of tests/plots/write_events.cpp with TensorBoard's reader and compares every value.

    check_events.py WRITE_EVENTS

Exits 0, 1 on a difference, 77 where the package tensorboard is not there.
"""
import subprocess
import sys
import tempfile

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError:
    print("skipped: tensorboard is not installed")
    sys.exit(77)


def differences(events):
    tags = events.Tags()
    if sorted(tags["scalars"]) != ["metrics_a/mAP_0.5", "train/box_loss"]:
        yield f"scalars {tags['scalars']}"
        return
    for tag, expected in [("train/box_loss", [1, 1 / 2, 1 / 3]), ("metrics_a/mAP_0.5", [0, 0.25, 0.5])]:
        got = [(e.step, e.value) for e in events.Scalars(tag)]
        if len(got) != 3 or any(s != i or abs(v - expected[i]) > 1e-6 for i, (s, v) in enumerate(got)):
            yield f"{tag}: {got}, expected {expected}"
    image = events.Images("val_pred")[0]
    if (image.step, image.width, image.height, image.encoded_image_string[1:4]) != (2, 5, 3, b"PNG"):
        yield f"val_pred: {image}"
    for tag, limits, counts, total in [("classes", [0.5, 1.5, 2.5], [5, 0, 7], 14), ("weights", [0.5, 1], [2, 2], 1.75)]:
        h = events.Histograms(tag)[0].histogram_value
        if list(h.bucket_limit) != limits or list(h.bucket) != counts or h.sum != total or h.num != sum(counts):
            yield f"{tag}: {h}"


def main():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1], folder], check=True)
        events = EventAccumulator(folder)
        events.Reload()
        found = list(differences(events))
    for line in found:
        print(line)
    print(f"event file: {len(found)} differences")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
