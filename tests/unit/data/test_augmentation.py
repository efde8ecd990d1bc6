from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy import ndimage

from vit_dementia.config import AugmentConfig
from vit_dementia.data.augmentation import augment
from vit_dementia.data.draws import Draws, keys_for
from vit_dementia.data.movement import smooth_field

STILL = AugmentConfig(
    rotation_degrees=0.0, scale=0.0, shift=0.0, gamma=0.0, bias_field=0.0, noise=0.0
)


def _images(count: int = 4) -> torch.Tensor:
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.random((count, 1, 40, 24)), (0, 0, 3, 3))
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return torch.from_numpy(smooth.astype(np.float32))


def _draws(images: torch.Tensor, seed: int = 3) -> Draws:
    return Draws(keys_for(seed, places=range(len(images))))


def test_no_change_asked_for_is_no_change() -> None:
    images = _images()
    off = dataclasses.replace(AugmentConfig(), enabled=False)
    assert torch.equal(augment(images, off, _draws(images)), images)
    torch.testing.assert_close(
        augment(images, STILL, _draws(images)), images, rtol=0, atol=1e-5
    )


def test_the_same_draw_gives_the_same_change_and_values_stay_in_range() -> None:
    images = _images()
    everything = dataclasses.replace(AugmentConfig(), flip=0.5, erase=0.5)
    first = augment(images, everything, _draws(images))
    assert torch.equal(first, augment(images, everything, _draws(images)))
    assert first.shape == images.shape
    assert first.min() >= 0
    assert first.max() <= 1
    other = augment(images, everything, _draws(images, 4))
    assert not torch.equal(first, other)


def test_a_certain_flip_mirrors_left_and_right() -> None:
    images = _images()
    mirrored = augment(images, dataclasses.replace(STILL, flip=1.0), _draws(images))
    torch.testing.assert_close(mirrored, images.flip(-1), rtol=0, atol=1e-5)


def test_a_turn_keeps_shapes_on_a_rectangle_as_scipys_does() -> None:
    images = _images(1)
    config = dataclasses.replace(STILL, rotation_degrees=20.0)
    turned = augment(images, config, _draws(images))[0, 0].numpy()
    drawn = _draws(images).uniform(0.0, 1.0).item()
    angle = -20 + 40 * drawn
    expected = ndimage.rotate(images[0, 0].numpy(), angle, reshape=False, order=1)
    inner = np.s_[10:-10, 7:-7]
    assert np.abs(turned[inner] - expected[inner]).max() < 0.02


def test_erasing_blanks_one_rectangle_of_at_most_a_ninth() -> None:
    images = torch.ones(50, 1, 30, 30)
    erased = augment(images, dataclasses.replace(STILL, erase=1.0), _draws(images))
    for image in erased[:, 0]:
        rows, columns = np.nonzero(image.numpy() < 0.5)
        area = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert area == len(rows)
        assert area <= 11 * 11


@pytest.mark.parametrize(
    "name", ["gamma", "bias_field", "noise", "ghosting", "elastic"]
)
def test_each_strength_acts_and_more_of_it_acts_more(name) -> None:
    images = _images(8)
    changes = [
        (
            augment(images, dataclasses.replace(STILL, **{name: s}), _draws(images))
            - images
        )
        .abs()
        .mean()
        for s in (0.0, 0.03, 0.15)
    ]
    assert changes[0] < 1e-5 < changes[1] < changes[2]


def test_the_smooth_field_is_torchs_bicubic_interpolation() -> None:
    knots = torch.rand(3, 2, 4, 4, generator=torch.Generator().manual_seed(3))
    expected = torch.nn.functional.interpolate(
        knots, size=(40, 24), mode="bicubic", align_corners=True
    )
    torch.testing.assert_close(smooth_field(knots, 40, 24), expected)


def test_the_strongest_bend_folds_nothing_over() -> None:
    ramp = torch.linspace(0, 1, 60).expand(20, 1, 60, 60)  # brighter to the right
    config = dataclasses.replace(STILL, elastic=0.05)
    bent = augment(ramp.contiguous(), config, _draws(ramp))
    inner = bent[..., 10:-10, 10:-10]
    assert (inner.diff(dim=-1) > 0).all()
    shift = (inner - ramp[..., 10:-10, 10:-10]).abs().max()
    assert 0.01 < shift < 0.06


def test_a_ghost_takes_its_brightness_from_the_image() -> None:
    images = _images(8)
    ghosts = augment(images, dataclasses.replace(STILL, ghosting=0.3), _draws(images))
    torch.testing.assert_close(ghosts.mean((1, 2, 3)), images.mean((1, 2, 3)))
    down, across = images.roll(20, dims=-2), images.roll(12, dims=-1)
    for ghost, image, one, other in zip(ghosts, images, down, across, strict=True):
        fits = [
            (ghost - torch.lerp(image, copy, strength)).abs().max().item()
            for copy in (one, other)
            for strength in torch.linspace(0, 0.3, 301)
        ]
        assert min(fits) < 1e-3


def test_every_slice_of_a_batch_has_its_own_draw() -> None:
    images = _images(1).expand(6, -1, -1, -1)
    changed = augment(images, AugmentConfig(), _draws(images))
    assert len({image.sum().item() for image in changed}) == 6


def test_a_slice_is_changed_alike_in_every_batch() -> None:
    images = _images(5)
    everything = AugmentConfig(flip=0.5, elastic=0.03, ghosting=0.5, erase=0.5)
    keys = keys_for(0, 1, places=range(5))
    together = augment(images, everything, Draws(keys))
    for row in ([4], [2, 0]):
        alone = augment(images[row], everything, Draws(keys[row]))
        torch.testing.assert_close(alone, together[row], rtol=0, atol=1e-6)
