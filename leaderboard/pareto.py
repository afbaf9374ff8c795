"""Which methods no other beats in both speed and quality."""

from collections.abc import Sequence


def pareto(cost: Sequence[float], quality: Sequence[float]) -> list[int]:
    """Indices of the points that no other point beats, by rising cost.

    A point is beaten by one that costs no more and is no worse, and better in one of the two.

    >>> pareto([10, 20, 30, 20], [0.5, 0.8, 0.7, 0.8])
    [0, 1, 3]
    """
    best = float("-inf")
    found: list[int] = []
    for i in sorted(range(len(cost)), key=lambda i: (cost[i], -quality[i], i)):
        equal = bool(found) and (cost[found[-1]], quality[found[-1]]) == (cost[i], quality[i])
        if quality[i] > best or equal:
            found.append(i)
            best = quality[i]
    return found
