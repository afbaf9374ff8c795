"""Random score: uniform noise, the floor that every method must leave behind."""

import hashlib
from dataclasses import dataclass

import numpy as np

from harness.method import Method
from harness.types import Image, Prediction


@dataclass
class RandomScore(Method):
    """Uniform noise in [0, 1) drawn from the seed and the image's bytes: the same every time."""

    paper = ""  # no paper: a control, AP is the positives' share and AUROC one half

    seed: int = 0

    def predict(self, image: Image) -> Prediction:
        digest = hashlib.sha256(f"{self.seed} ".encode() + image.tobytes()).digest()
        random = np.random.default_rng(int.from_bytes(digest, "little"))
        return Prediction(random.random(image.shape[:2], dtype=np.float32))
