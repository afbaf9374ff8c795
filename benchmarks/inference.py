"""Images per second of `harness run` beside the bare forward pass of the same network.

    python benchmarks/inference.py                                        # SegFormer-B2, CPU or GPU
    python benchmarks/inference.py --network segformer-b5 --network deeplabv3plus-r101 --images 32
    python benchmarks/inference.py --device cuda --precision bfloat16 --compile

The run is all of it: PNG files are decoded, pass through network and score, maps are written, read
again and counted, and the run is saved. The peer is the same module, in the same precision, on one
tensor that is already on the device, with nothing around it. Weights are random, which changes no
time. Both are measured in this process, after one image of warming up: half of the bare passes, the
run, the other half. The second ratio, on the CPU, is that of the processor's seconds, which other
programs and a machine that slows down disturb less than those on the wall.
"""

import argparse
import contextlib
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image

from harness.data import load_frames
from harness.method import load_method
from harness.run import run
from methods._network import network_class
from methods._posthoc import PostHoc

LABEL = (700, 760, 900, 1010)  # the labelled block: top, bottom, left, right


def main() -> None:
    """Measures the networks that were asked for and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--network", action="append", dest="networks", metavar="NAME")
    parser.add_argument("--method", action="append", dest="methods", metavar="NAME")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--compile", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="inference-") as scratch:
        folder = Path(scratch)
        draw_data(folder / "data", asked.images, asked.height, asked.width)
        print("| network | methods | bare, images/s | harness run | ratio | processor | memory |")
        print("|---|---|---:|---:|---:|---:|---:|")
        for name in asked.networks or ["segformer-b2"]:
            measured(name, asked.methods or ["msp"], folder, asked)


def measured(network: str, names: Sequence[str], folder: Path, asked: argparse.Namespace) -> None:
    """Prints the row of one network."""
    weights = folder / f"{network}.safetensors"
    random_weights(network, weights)
    options = {"network": network, "weights": str(weights), "device": asked.device}
    options |= {"precision": asked.precision, "compile": str(asked.compile)}
    methods = [(name, load_method(name, **options)) for name in names]
    first = methods[0][1]
    assert isinstance(first, PostHoc)
    frames = load_frames("custom", root=folder / "data")
    frames.fingerprint()  # read once per data set and remembered: no part of scoring
    first.predict(frames[0].image)  # loads, and compiles
    on_gpu = first._device.type == "cuda"
    without, around = Seconds(), Seconds()
    before = asked.images // 2
    for number in range(asked.rounds):
        without += bare(first, frames[0].image, before)
        began = Seconds.now()
        run(methods, frames, out=folder / f"runs-{network}-{number}")
        around += Seconds.now() - began
        without += bare(first, frames[0].image, asked.images - before)
    images = asked.images * asked.rounds
    memory = (
        torch.cuda.max_memory_allocated() / 2**20
        if on_gpu
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    )
    processor = "" if on_gpu else f"{without.processor / around.processor:.2f}"
    print(
        f"| {network} | {', '.join(names)} | {images / without.wall:.3f} "
        f"| {images / around.wall:.3f} | {without.wall / around.wall:.2f} | {processor} "
        f"| {memory:,.0f} MB |",
        flush=True,
    )


@dataclass(frozen=True)
class Seconds:
    """On the wall, and of all threads of this process."""

    wall: float = 0.0
    processor: float = 0.0

    @classmethod
    def now(cls) -> "Seconds":
        """Those since some moment in the past."""
        return cls(time.perf_counter(), time.process_time())

    def __add__(self, other: "Seconds") -> "Seconds":
        return Seconds(self.wall + other.wall, self.processor + other.processor)

    def __sub__(self, other: "Seconds") -> "Seconds":
        return Seconds(self.wall - other.wall, self.processor - other.processor)


@torch.inference_mode()
def bare(method: PostHoc, image: np.ndarray, times: int) -> Seconds:
    """Those of `times` forward passes on a tensor that lies on the device."""
    network, device = method._loaded, method._device
    batch = network.preprocess(image).to(device)
    if device.type == "cuda":
        batch = batch.contiguous(memory_format=torch.channels_last)
    dtype = getattr(torch, method.precision)
    mode = (
        torch.autocast(device.type, dtype)
        if dtype != torch.float32
        else torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        if device.type == "cuda"
        else contextlib.nullcontext()
    )
    with mode:
        network(batch)
        wait(device)
        began = Seconds.now()
        for _ in range(times):
            network(batch)
        wait(device)
    return Seconds.now() - began


def wait(device: torch.device) -> None:
    """Waits until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def random_weights(network: str, path: Path) -> None:
    """Writes weights as a fresh module draws them."""
    torch.manual_seed(0)
    state = network_class(network)().state_dict()
    safetensors.torch.save_file({name: value.contiguous() for name, value in state.items()}, path)


def draw_data(folder: Path, images: int, height: int, width: int) -> None:
    """A data set `custom` of smooth noise, which packs like a photograph, with a labelled block."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    label = np.zeros((height, width), np.uint8)
    top, bottom, left, right = (side * height // 1024 for side in LABEL)
    label[top:bottom, left:right] = 1
    rng = np.random.default_rng(1)
    for number in range(images):
        small = rng.integers(0, 255, (height // 8, width // 8, 3), np.uint8)
        image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
        noisy = np.asarray(image).astype(np.int16) + rng.integers(-6, 7, (height, width, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(
            folder / f"images/{number:04}.png"
        )
        Image.fromarray(label).save(folder / f"labels/{number:04}.png")


if __name__ == "__main__":
    main()
