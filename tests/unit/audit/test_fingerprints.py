from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from vit_dementia.audit.fingerprints import fingerprints, middles


def likeness(one, other) -> float:
    prints = fingerprints(np.stack([one, other]))
    return float(prints.likeness(np.array([0]), np.array([1]))[0])


@pytest.fixture
def picture(slab_pictures) -> np.ndarray:
    return slab_pictures.thumbnails[10]


def turned(picture, degrees) -> np.ndarray:
    return ndimage.rotate(picture, degrees, reshape=False, order=1)


def stretched(picture) -> np.ndarray:
    shear = np.array([[1.1, 0.0], [0.05, 0.9]])
    middle = (np.array(picture.shape) - 1) / 2
    return ndimage.affine_transform(picture, shear, middle - shear @ middle, order=1)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p,
        lambda p: p[:, ::-1],
        lambda p: p[::-1],
        lambda p: (p * 0.8).astype(np.uint8),
        lambda p: np.roll(p, (3, -4), axis=(0, 1)),
        lambda p: turned(p, 9),
        lambda p: turned(p, -10)[:, ::-1],
        stretched,
    ],
)
def test_an_altered_image_stays_like_itself(picture, change) -> None:
    assert likeness(picture, change(picture)) > 0.88


def test_other_people_are_less_alike_than_the_next_slice(slab_pictures) -> None:
    table = slab_pictures.cohort.table
    who, height = table["participant_id"].to_numpy(), table["slice"].to_numpy(int)
    prints = fingerprints(slab_pictures.thumbnails)
    one, other = np.triu_indices(len(prints), 1)
    found = prints.likeness(one, other)
    same, apart = who[one] == who[other], abs(height[one] - height[other])
    assert found[~same].max() < found[same & (apart == 1)].min()


def test_likeness_is_the_correlation_at_the_best_turn(slab_pictures) -> None:
    prints = fingerprints(slab_pictures.thumbnails[:6])
    spectra = prints.of(np.arange(6))
    rings = np.fft.irfft(spectra, n=128, axis=2)
    for one, other in ((0, 1), (2, 5)):
        best = max(
            (rings[one] * np.roll(way, shift, axis=1)).sum()
            for way in (rings[other], rings[other][:, ::-1])
            for shift in range(128)
        )
        # A mirrored ring starts elsewhere; the best over all shifts is the same.
        found = prints.likeness(np.array([one]), np.array([other]))[0]
        assert found == pytest.approx(best, abs=1e-4)


def test_an_image_is_perfectly_like_itself(slab_pictures) -> None:
    prints = fingerprints(slab_pictures.thumbnails[:20])
    rows = np.arange(20)
    np.testing.assert_allclose(prints.likeness(rows, rows), 1, atol=5e-3)


def test_middles_are_the_moments_of_the_mask() -> None:
    rows, columns = np.mgrid[:96, :96]
    disc = ((rows - 40) ** 2 / 30**2 + (columns - 52) ** 2 / 20**2 <= 1) * np.uint8(200)
    center, shape = middles(disc[None])
    np.testing.assert_allclose(center[0], [52, 40], atol=0.2)
    np.testing.assert_allclose(shape[0], np.diag([10, 15]), atol=0.5)


@pytest.mark.parametrize("value", [0, 255])
def test_a_blank_image_is_like_nothing(picture, value) -> None:
    blank = np.full_like(picture, value)
    assert abs(likeness(blank, picture)) < 0.3
    assert abs(likeness(blank, blank)) < 0.01
