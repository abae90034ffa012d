"""Checks FOLDER/m.onnx with ONNX's own checker and compares ONNX Runtime with our values.

FOLDER holds images.bin (the input, f32) and one NAME.bin per output. Exit code 1 on a difference.
"""
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime


def main(folder):
    path = str(folder / "m.onnx")
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    image = session.get_inputs()[0]
    images = np.fromfile(folder / "images.bin", np.float32).reshape(image.shape)
    names = [output.name for output in session.get_outputs()]
    worst = 0.0
    for name, value in zip(names, session.run(names, {image.name: images})):
        ours = np.fromfile(folder / f"{name}.bin", np.float32).reshape(value.shape)
        worst = max(worst, float(np.max(np.abs(value - ours) / np.maximum(1, np.abs(ours)))))
    print(f"{' '.join(names)}: largest difference to ONNX Runtime {worst:.2e}")
    return 0 if worst < 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
