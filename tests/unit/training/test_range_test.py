from __future__ import annotations

import numpy as np
import pytest

from vit_dementia.training.range_test import Curve, smoothed


def test_the_running_mean_is_pandas_own() -> None:
    import pandas as pd

    losses = np.random.default_rng(0).random(50)
    expected = pd.Series(losses).ewm(alpha=0.1, adjust=True).mean()
    np.testing.assert_allclose(smoothed(losses), expected)


def test_the_suggestion_is_a_tenth_of_the_rate_with_the_lowest_smoothed_loss() -> None:
    rates = np.geomspace(1e-6, 1.0, 61)
    losses = 2 + (np.log10(rates) + 2) ** 2 / 10  # a valley at 0.01
    curve = Curve(rates, losses)
    assert curve.suggestion == pytest.approx(rates[curve.smoothed.argmin()] / 10)
    assert 1e-3 <= curve.suggestion < 1e-2  # the running mean comes a little late
