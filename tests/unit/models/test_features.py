from __future__ import annotations

import pytest
import torch

from vit_dementia.errors import ConfigError
from vit_dementia.models.features import intermediates


def test_parts_are_found_by_name_and_the_network_is_left_alone(small, images) -> None:
    model = small()
    found = intermediates(model, images, ["blocks.2", "patch_embed", "norm"])
    assert list(found) == ["blocks.2", "patch_embed", "norm"]
    torch.testing.assert_close(found["norm"], model.norm(found["blocks.2"]))
    torch.testing.assert_close(found["norm"], model.forward_features(images))
    assert not any(module._forward_hooks for module in model.modules())


def test_an_unknown_part_is_refused_with_the_nearest_named(small, images) -> None:
    with pytest.raises(ConfigError, match=r"'blocks\.9'; the nearest is 'blocks"):
        intermediates(small(), images, ["blocks.9"])
