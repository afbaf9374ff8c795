"""Block contrast, the method of `example/`: five lines that need no network.

    python -m submissions.example_maps FOLDER

writes its maps of `synthroad` into FOLDER/scores, one .npy per frame.
"""

import sys
from pathlib import Path

import numpy as np

from harness.data import load_frames
from harness.types import Image, Score

BLOCK_PX = 32


def block_contrast(image: Image) -> Score:
    """The (H, W) mean difference of neighbouring pixels in blocks; BLOCK_PX divides H and W."""
    grey = image.mean(axis=2)
    contrast = np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    rows, columns = (n // BLOCK_PX for n in grey.shape)
    blocks = contrast.reshape(rows, BLOCK_PX, columns, BLOCK_PX).mean(axis=(1, 3))
    return np.kron(blocks, np.ones((BLOCK_PX, BLOCK_PX))).astype(np.float32)


def write_maps(folder: Path) -> None:
    """Writes a float32 .npy file for every frame of synthroad into `folder`/scores."""
    scores = folder / "scores"
    scores.mkdir(parents=True, exist_ok=True)
    for frame in load_frames("synthroad"):
        np.save(scores / f"{frame.id}.npy", block_contrast(frame.image))


if __name__ == "__main__":
    write_maps(Path(sys.argv[1]))
