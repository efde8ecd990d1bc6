from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vit_dementia.training.mixing import cut_and_mixed, mix, mixed_up

TARGETS = torch.eye(4)[[0, 1, 2, 3, 0]]


def _images(num: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand((num, 1, 12, 10), generator=generator)


@given(st.floats(0, 1))
def test_mixup_is_the_formula_of_the_paper(share) -> None:
    images = _images()
    mixed, targets = mixed_up(images, TARGETS, share)
    for i in range(5):
        expected = share * images[i] + (1 - share) * images[i - 1]
        torch.testing.assert_close(mixed[i], expected)
        torch.testing.assert_close(
            targets[i], share * TARGETS[i] + (1 - share) * TARGETS[i - 1]
        )


@given(st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_cutmix_takes_each_pixel_from_one_slice_and_counts_them_in_the_label(
    share, seed
) -> None:
    images = _images()
    mixed, targets = cut_and_mixed(images, TARGETS, share, np.random.default_rng(seed))
    before = images.roll(1, dims=0)
    pasted = mixed != images
    assert torch.equal(mixed[pasted], before[pasted])
    covered = pasted[0].float().mean()
    assert covered <= 1 - share + 1e-6  # less what lies outside
    for i in range(5):
        torch.testing.assert_close(
            targets[i], (1 - covered) * TARGETS[i] + covered * TARGETS[i - 1]
        )
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(5))


def test_cutmix_pastes_a_rectangle_as_large_as_was_drawn_where_it_fits() -> None:
    rng = np.random.default_rng(0)
    images = torch.rand(2, 1, 200, 100)
    covered = [
        float(
            (cut_and_mixed(images, TARGETS[:2], 0.75, rng)[0] != images).float().mean()
        )
        for _ in range(200)
    ]
    assert max(covered) == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    ("settings", "ways"),
    [({}, {"none"}), ({"mixup": 0.8}, {"mixup"}), ({"cutmix": 1.0}, {"cutmix"}),
     ({"mixup": 0.8, "cutmix": 1.0}, {"mixup", "cutmix"})],
)  # fmt: skip
def test_the_strengths_say_in_which_ways_batches_are_mixed(settings, ways) -> None:
    images, found = _images(), set()
    for seed in range(40):
        mixed, _ = mix(images, TARGETS, np.random.default_rng(seed), **settings)
        kept = (mixed == images).flatten(1).float().mean().item()
        found.add("none" if kept == 1 else "mixup" if kept < 0.05 else "cutmix")
    found -= {"none"} if ways != {"none"} else set()  # a rectangle without a pixel
    assert found == ways


def test_a_batch_is_mixed_alike_whenever_it_comes() -> None:
    ways = [mix(_images(), TARGETS, np.random.default_rng(3), mixup=0.4) for _ in "ab"]
    torch.testing.assert_close(ways[0], ways[1], rtol=0, atol=0)
