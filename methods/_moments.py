"""Central moments over stochastic passes, one sample in memory at a time; OODMC's features."""

import math

import torch
from torch import Tensor

CHUNK = {"cpu": 1 << 16, "cuda": 1 << 24}
"""Values that are added at a time: what is made of them fits a cache."""


class Moments:
    """Mean and central moments of samples (C, …) of one shape, streamed.

    Kept are sums of the powers of each value's distance from the first sample, in float64: where
    samples hardly differ, nothing cancels.
    """

    def __init__(self, order: int = 4) -> None:
        self.order = order
        self.count = 0
        self._first = torch.empty(0)
        self._sums = torch.empty(0)  # (order, C, pixels) float64

    def add(self, sample: Tensor) -> None:
        """Takes a sample (C, …) in."""
        sample = sample.flatten(1).contiguous()
        if not self.count:
            self._first = sample.clone()
            self._sums = sample.new_zeros((self.order, *sample.shape), dtype=torch.float64)
        self.count += 1
        values, first = sample.reshape(-1), self._first.view(-1)
        sums = self._sums.view(self.order, -1)
        step = CHUNK.get(sample.device.type, 1 << 20)
        for begin in range(0, values.numel(), step):
            part = slice(begin, begin + step)
            distance = values[part].double() - first[part]
            power = distance.clone()
            for number in range(self.order):
                sums[number, part] += power
                power *= distance

    def mean(self, pixels: slice = slice(None)) -> Tensor:
        """The mean over samples of some pixels, (C, p) float64."""
        return self._first[:, pixels] + self._sums[0][:, pixels] / self.count

    def central(self, number: int, pixels: slice = slice(None)) -> Tensor:
        """The mean of (value - mean)^number over samples of some pixels, (C, p) float64."""
        powers = [sums[:, pixels] / self.count for sums in self._sums[:number]]
        shift = -powers[0]
        found = shift**number  # of the power 0 of the distance, whose mean is 1
        for k in range(1, number + 1):
            found += math.comb(number, k) * powers[k - 1] * shift ** (number - k)
        return found

    def features(self, weight: float = 0.5, pixels: slice = slice(None)) -> Tensor:
        """OODMC's features of some pixels, (1 + C order, p) float64.

        They are 2 ((1 - weight) H, weight mean, weight M_2, …, weight M_order), with H = sum of m
        ln m over the mean's classes: minus its entropy. A class of mean 0 adds nothing to H; the
        released code has NaN there.

        Source: the released code of OODMC, a fork of meta-ood.
        """
        mean = self.mean(pixels)
        moments = [mean, *(self.central(number, pixels) for number in range(2, self.order + 1))]
        negative_entropy = torch.xlogy(mean, mean).sum(dim=0, keepdim=True)
        return 2 * torch.cat(
            [(1 - weight) * negative_entropy, *(weight * moment for moment in moments)]
        )
