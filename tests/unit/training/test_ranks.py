from __future__ import annotations

import numpy as np
import pytest
import torch

from vit_dementia.errors import DataError
from vit_dementia.inference.compute import make_fabric
from vit_dementia.models import create_model
from vit_dementia.models.lora import add_lora
from vit_dementia.training.ranks import by_first, one_here_first, shared_out, summed


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"pooling": "mean"},
        {"pooling": "map"},
        {"registers": 2, "positions": "none"},
        {"stem": "shifted", "locality": True},
        {"layer_scale": 0.1, "qk_norm": True},
        {"lora": True},
        {"visible": (0, 3)},
    ],
    ids=str,
)
def test_all_that_learns_takes_part_in_every_step(shape) -> None:
    """Or processes would wait for one another's gradient of what does not."""
    shape = dict(shape)
    lora, visible = shape.pop("lora", False), shape.pop("visible", None)
    model = create_model(
        num_classes=2, image_size=(16, 16), patch_size=8, embed_dim=8, depth=2,
        num_heads=2, **shape,
    )  # fmt: skip
    model = model.seeing(visible)
    if lora:
        generator = torch.Generator().manual_seed(0)
        add_lora(model, rank=2, alpha=4.0, generator=generator)
    model(torch.randn(2, 1, 16, 16)).sum().backward()
    lacking = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ]
    assert lacking == []


def test_one_process_does_everything_itself() -> None:
    fabric = make_fabric("cpu", "fp32", strategy="auto")
    rows = np.array([4, 2])
    assert by_first(fabric, lambda: "done") == "done"
    assert one_here_first(fabric, lambda: "done") == "done"
    assert summed(fabric, torch.tensor(3.0)) == 3.0
    squares = shared_out(fabric, rows, lambda own: own[:, None] ** 2.0)
    assert squares.tolist() == [[16.0], [4.0]]

    def fail() -> str:
        raise DataError("not there")

    for ask in (by_first, one_here_first):
        with pytest.raises(DataError, match="not there"):
            ask(fabric, fail)
