"""Post-processing of scores, against the numbers that FlowEneDet's own code gives."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from methods._smoothing import DILATION, at_boundaries, boundaries, boundary_suppressed, smoothed

ROWS, COLUMNS = torch.arange(40.0)[:, None], torch.arange(56.0)[None]
CLASSES = (torch.arange(40)[:, None] // 13) * 3 + torch.arange(56)[None] // 17
SCORE = torch.sin(0.045 * ROWS * COLUMNS + 0.3 * COLUMNS)
PROBES = ((0, 0), (12, 16), (13, 17), (20, 30), (39, 55))
NEAR = pytest.approx  # the reference's input was computed in float32, in another order


def probed(score: torch.Tensor) -> list[float]:
    return [score[probe].item() for probe in PROBES]


def test_the_boundary_has_as_many_pixels_as_the_reference() -> None:
    assert boundaries(CLASSES).sum() == 540


def test_a_boundary_is_a_dilation_that_is_not_the_erosion() -> None:
    classes = torch.from_numpy(np.random.default_rng(0).integers(0, 4, (13, 17)))
    cross = ndimage.generate_binary_structure(2, 1)
    dilated = ndimage.grey_dilation(classes.numpy(), footprint=cross, mode="reflect")
    eroded = ndimage.grey_erosion(classes.numpy(), size=(3, 3), mode="reflect")
    assert np.array_equal(boundaries(classes).numpy(), dilated != eroded)


def test_boundary_suppression_gives_the_numbers_of_the_reference() -> None:
    found = boundary_suppressed(SCORE, CLASSES)
    assert found.mean().item() == NEAR(0.04412760, abs=1e-6)
    assert probed(found) == NEAR([0, 0.9978216, -0.3652051, -0.1220866, -0.0722786], abs=2e-5)


def test_suppression_and_smoothing_give_the_numbers_of_the_reference() -> None:
    found = at_boundaries(SCORE, CLASSES, "boundary_smooth")
    assert found.mean().item() == NEAR(0.04234219, abs=1e-6)
    assert probed(found) == NEAR(
        [0.1540374, 0.2053922, 0.0533838, -0.1352298, -0.0700893], abs=2e-5
    )


def test_where_all_pixels_have_one_class_nothing_is_suppressed() -> None:
    assert torch.equal(boundary_suppressed(SCORE, torch.zeros(40, 56)), SCORE)


def test_a_pixel_without_neighbours_off_the_boundary_is_kept() -> None:
    checkerboard = (torch.arange(8)[:, None] + torch.arange(8)[None]) % 2
    score = torch.rand(8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(boundary_suppressed(score, checkerboard), score)


def test_smoothing_keeps_a_constant() -> None:
    constant = torch.full((40, 50), 3.25)
    for dilation in (1, DILATION):
        assert torch.allclose(smoothed(constant, dilation=dilation), constant, atol=1e-6)


def test_smoothing_is_a_gaussian_of_scipy() -> None:
    score = np.random.default_rng(1).random((31, 43), dtype=np.float32)
    expected = ndimage.gaussian_filter(score.astype(float), 1.0, radius=3, mode="mirror")
    assert np.allclose(smoothed(torch.from_numpy(score)).numpy(), expected, atol=1e-6)


def test_small_maps_are_smoothed_too() -> None:
    score = torch.rand(7, 9, generator=torch.Generator().manual_seed(2))
    found = at_boundaries(score, torch.zeros(7, 9), "boundary_smooth")
    assert found.shape == score.shape
    assert found.isfinite().all()


def test_maps_too_small_to_be_mirrored_are_smoothed_too() -> None:
    score = torch.rand(2, 3, generator=torch.Generator().manual_seed(3))
    found = smoothed(score)
    assert found.shape == score.shape
    assert score.min() <= found.min() <= found.max() <= score.max()
