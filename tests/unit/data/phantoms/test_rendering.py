from __future__ import annotations

import dataclasses
import io
import tarfile

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import label

from vit_dementia.data.phantoms.anatomy import HIPPOCAMPI
from vit_dementia.data.phantoms.atlas import radius
from vit_dementia.data.phantoms.grids import slice_axes, volume_axes
from vit_dementia.data.phantoms.head import load_head
from vit_dementia.data.phantoms.rendering import render, template_places

AXES = slice_axes(slices=8, whole_head=False)


def quiet(who):
    """The same person in a scanner without noise or coil."""
    silent = dataclasses.replace(who.bias, nodes=np.zeros_like(who.bias.nodes))
    return dataclasses.replace(who, noise=0.0, bias=silent)


def near_ventricles(place):
    x, y, z = np.moveaxis(place, -1, 0)
    return (np.abs(x) < 40) & (y > -60) & (y < 35) & (z > -5) & (z < 30)


def in_hippocampi(place):
    points = place.reshape(-1, 3)
    inside = np.minimum(*(radius(body, points) for body in HIPPOCAMPI)) < 1.1
    return inside.reshape(place.shape[:-1])


@pytest.fixture(scope="module")
def noiseless(draw, atlas):
    """Twelve people of each grade, their places in the template, noiseless scans."""
    few = slice_axes(slices=4, whole_head=False)
    people = [draw(number) for number in range(1, 73)]
    return [
        (who, template_places(who, few), render(quiet(who), atlas, few).intensity)
        for grade in range(4)
        for who in [p for p in people if p.grade == grade][:12]
    ]


@pytest.mark.parametrize("region", [near_ventricles, in_hippocampi])
def test_fluid_grows_with_the_grade_on_average(noiseless, region):
    of_grade = {grade: [] for grade in range(4)}
    for who, place, scan in noiseless:
        inside = region(place) & (scan > 0)
        is_dark = scan[inside] < who.contrast[:2].mean()  # between fluid and gray
        if inside.any():  # the slices of some pass the region by
            of_grade[who.grade].append(is_dark.mean())
    means = [np.mean(of_grade[grade]) for grade in range(4)]
    assert means == sorted(means)
    assert means[3] > means[0] + 0.03


def test_ventricles_stay_one_body_on_each_side(draw, atlas):
    """Displacement must not tear or fold: dark specks would show it."""
    who = next(w for w in map(draw, range(1, 60)) if w.grade == 3)
    who = dataclasses.replace(
        quiet(who),
        diseased=dataclasses.replace(
            who.diseased, sulci_mm=-9.0, lobes_mm=0.0, hippocampi=np.zeros(2)
        ),
        healthy=dataclasses.replace(who.healthy, hippocampi=np.zeros(2)),
    )
    scan = render(who, atlas, AXES).intensity
    region = near_ventricles(template_places(who, AXES))
    dark = region & (scan > 0) & (scan < who.contrast[:2].mean())
    labels, _ = label(dark, np.ones((3, 3, 3)))
    sizes = np.sort(np.bincount(labels.ravel())[1:])[::-1]
    assert sizes[:3].sum() > 0.9 * sizes.sum()


def test_mask_says_where_the_scan_differs_from_the_healthy_one(draw, atlas):
    who = quiet(next(w for w in map(draw, range(1, 60)) if w.grade == 2))
    before = dataclasses.replace(who, diseased=who.healthy)
    sick, well = (render(p, atlas, AXES) for p in (who, before))
    assert not well.changed.any()
    darker = well.intensity - sick.intensity
    assert sick.changed.mean() > 0.005
    assert darker[sick.changed].min() > 0
    assert darker[sick.changed].mean() > 10 * np.abs(darker[~sick.changed]).mean()


def test_slices_are_cuts_of_the_volume(draw, atlas):
    who = quiet(draw(2))
    x, y, z = volume_axes(whole_head=False)
    volume = render(who, atlas, (x, y, z))
    one = render(who, atlas, (x, y, z[40:41]))
    np.testing.assert_allclose(
        one.intensity[..., 0], volume.intensity[..., 40], atol=1e-4
    )


def test_left_is_left(draw, atlas):
    """A hippocampus lost on the left only changes tissue on the left only."""
    who = quiet(draw(1))
    one_sided = dataclasses.replace(
        who,
        grade=1,
        diseased=dataclasses.replace(
            who.healthy, hippocampi=who.healthy.hippocampi + np.array([0.4, 0.0])
        ),
    )
    changed = render(one_sided, atlas, AXES).changed
    x = AXES[0][np.nonzero(changed)[0]]
    assert len(x) > 5
    assert (x < 0).all()


def test_whole_head_has_bright_scalp_around_dark_skull_around_brain(draw, atlas):
    who = quiet(draw(1))
    axes = slice_axes(slices=8, whole_head=True)
    head = render(who, atlas, axes, load_head(atlas)).intensity
    brain = render(who, atlas, axes).intensity
    np.testing.assert_allclose(
        head[brain > 0.6 * who.contrast[2]],
        brain[brain > 0.6 * who.contrast[2]],
        atol=0.1,
    )
    row = head[:, 55, 5]  # from ear to ear through the middle of the brain
    tissue = np.flatnonzero(row > 0.05)
    first = row[tissue[0] : tissue[0] + 12] / who.contrast[2]
    assert first.max() > 0.7  # fat of the scalp
    assert first[first.argmax() :].min() < 0.25  # bone under it
    assert (head > 0.05).mean() > 1.2 * (brain > 0.05).mean()


def shape_of_histogram(image):
    """Gray values at five shares of the tissue, against the brightest."""
    full = np.percentile(image[image > 0], 99.5)
    tissue = image[image > 0.1 * full] / full
    return np.percentile(tissue, [5, 25, 50, 75, 95])


def real_slices(shared_data):
    archive = shared_data / "kaggle_alzheimer_4class" / "kaggle4_dev.tar.gz"
    with tarfile.open(archive) as tar:
        for count, member in enumerate(m for m in tar if m.isfile()):
            if count % 25 == 0:
                yield np.asarray(
                    Image.open(io.BytesIO(tar.extractfile(member).read())), float
                )


def real_heads(shared_data):
    for name in ("chris_t1", "IXI012-HH-1211_T1", "someones_anatomy"):
        path = shared_data / "mri_nifti_samples" / f"{name}.nii.gz"
        yield np.asarray(nib.load(path).get_fdata())


def test_histogram_of_brains_lies_within_the_range_of_real_ones(
    shared_data, draw, atlas
):
    real = np.stack([shape_of_histogram(s) for s in real_slices(shared_data)])
    low, high = real.min(axis=0), real.max(axis=0)
    ours = np.stack(
        [
            shape_of_histogram(render(draw(n), atlas, AXES).intensity)
            for n in range(1, 17)
        ]
    )
    assert ((ours >= low - 0.02) & (ours <= high + 0.02)).mean() > 0.95
    np.testing.assert_allclose(np.median(ours, 0), np.median(real, 0), atol=0.12)


@pytest.mark.slow
def test_histogram_of_heads_lies_within_the_range_of_real_ones(
    shared_data, draw, atlas
):
    real = np.stack([shape_of_histogram(s) for s in real_heads(shared_data)])
    axes = volume_axes(whole_head=True)
    head = render(draw(1), atlas, axes, load_head(atlas)).intensity
    ours = shape_of_histogram(head)
    assert (ours >= real.min(axis=0) - 0.1).all()
    assert (ours <= real.max(axis=0) + 0.1).all()
