"""Parameter names of one library into those of another."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from vit_dementia.errors import CheckpointError
from vit_dementia.models.description import Architecture

SUFFIX = r"(\.weight|\.bias)?"
# The network of the paper as most libraries have it, and no more.
PLAIN: dict[str, object] = {
    "axes": 2,
    "activation": ("gelu", "gelu_tanh"),
    "pooling": "cls",
    "stem": "patch",
    "positions": ("learned", "sincos"),
    "position_prefix": True,
    "distilled": False,
    "num_registers": 0,
    "layer_scale": None,
    "qk_norm": False,
    "locality": False,
    "slice_attention": 0,
    "logits_tanh": False,
}


def renamed(state: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Rename whole names; ``{i}`` is any number; ``.weight`` and ``.bias`` stay.

    Names that are not in the table are left alone, so that they are reported later.

    >>> import torch
    >>> list(renamed({"layer_3.ln.bias": torch.ones(1)}, {"layer_{i}.ln": "{i}.norm"}))
    ['3.norm.bias']
    """
    patterns = [
        (re.compile(re.escape(old).replace(r"\{i\}", r"(\d+)") + SUFFIX), new)
        for old, new in names.items()
    ]
    out = {}
    for name, value in state.items():
        out[_renamed(name, patterns)] = value
    return out


def _renamed(name: str, patterns: list[tuple[re.Pattern[str], str]]) -> str:
    for pattern, new in patterns:
        if match := pattern.fullmatch(name):
            *numbers, suffix = match.groups()
            return new.format(i=numbers[0] if numbers else "") + (suffix or "")
    return name


def reversed_names(names: Mapping[str, str]) -> dict[str, str]:
    """Turn a table of names round; where several lead to one, the first counts.

    >>> reversed_names({"a": "x", "b": "x", "c": "y"})
    {'x': 'a', 'y': 'c'}
    """
    out: dict[str, str] = {}
    for old, new in names.items():
        out.setdefault(new, old)
    return out


def refuse_inexpressible(
    architecture: Architecture, layout: str, only: Mapping[str, object]
) -> None:
    """Refuse a network that a layout has no words for, naming each feature.

    Args:
        architecture: of the network to write.
        layout: its name, for the message.
        only: the one value (or a tuple of values) a field may have in this layout;
            ``axes`` is the number of axes of an image, and ``shape of images`` says
            whether they are ``square`` or ``oblong``.

    Raises:
        CheckpointError: if a field has another value.
    """
    sides = architecture.image_size
    shape = "square" if len(set(sides)) == 1 else "oblong"
    derived = {"axes": len(sides), "shape of images": shape}
    faults = []
    if architecture.visible is not None:
        faults.append(
            f"it reads {len(architecture.visible)} of {architecture.num_patches}"
            f" patches, {layout} knows only all (--all-tokens makes it read all, with"
            " other logits; train with --tokens all to keep them)"
        )
    for name, allowed in only.items():
        value = derived[name] if name in derived else getattr(architecture, name)
        values = allowed if isinstance(allowed, tuple) else (allowed,)
        if value not in values:
            needed = " or ".join(repr(v) for v in values)
            faults.append(f"{name} is {value!r}, {layout} knows only {needed}")
    if faults:
        raise CheckpointError(
            f"{layout}: cannot express this network: {'; '.join(faults)}; choose"
            " another format, such as native"
        )
