"""Any weight file or folder, recognized by its content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from vit_dementia.errors import CheckpointError
from vit_dementia.files import read_json
from vit_dementia.models.weights import (
    google,
    historical,
    huggingface,
    meta,
    monai,
    native,
    timm,
    torchvision,
)
from vit_dementia.models.weights.containers import (
    SHARDED,
    WEIGHT_FILES,
    read_config,
    read_wrapped,
)
from vit_dementia.models.weights.foreign import refuse_foreign
from vit_dementia.models.weights.record import (
    RawFile,
    Weights,
    refuse_no_numbers,
    refuse_unfit,
)
from vit_dementia.models.weights.sources import fetched, is_name


class Layout(NamedTuple):
    """How the files of one library are known and turned into ours."""

    recognize: Callable[[set[str]], bool]
    convert: Callable[[RawFile], Weights]


LAYOUTS: dict[str, Layout] = {
    "torchvision": Layout(torchvision.recognize, torchvision.convert),
    "huggingface": Layout(huggingface.recognize, huggingface.convert),
    "historical": Layout(historical.recognize, historical.convert),
    "google": Layout(google.recognize, google.convert),
    "monai": Layout(monai.recognize, monai.convert),
    "meta": Layout(meta.recognize, meta.convert),
    "timm": Layout(timm.recognize, timm.convert),
}

# What a layout's arithmetic on shapes, and on the words beside them, ends in where
# neither is what that layout ever wrote.
_CONTRADICTION = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


def read_weights(
    source: str | Path,
    *,
    classes: Sequence[str] | None = None,
    num_heads: int | None = None,
    source_image_size: tuple[int, ...] | None = None,
) -> Weights:
    """Read a weight file or folder of any known layout; its content tells which.

    Args:
        source: a file, a model folder, a run folder with ``model`` in it, or a name
            such as ``hf-hub:OWNER/NAME`` (see ``sources``).
        classes: what the outputs stand for, where the file does not say.
        num_heads: where neither the file nor its width tells.
        source_image_size: that the file was trained on, where its positions form no
            square and the file does not say.

    Raises:
        CheckpointError: if the file is not what it should be, or nobody says what its
            outputs stand for; nothing is loaded.
    """
    weights = read_unnamed(
        source, num_heads=num_heads, source_image_size=source_image_size
    )
    if classes and weights.classes and tuple(classes) != weights.classes:
        raise CheckpointError(
            f"{source}: its outputs stand for {','.join(weights.classes)}; --classes"
            f" says {','.join(classes)}; needs one truth; leave --classes out"
        )
    return named(weights, classes, source)


def named(weights: Weights, classes: Sequence[str] | None, source: object) -> Weights:
    """Return weights whose outputs have names: their own, or else the given ones.

    Raises:
        CheckpointError: if there are none and guessing could swap labels, or if there
            is not one for each output.
    """
    width = weights.architecture.num_classes
    names = weights.classes or (tuple(classes) if classes else None)
    if names is not None and len(names) != width:
        raise CheckpointError(
            f"{source}: has {width} outputs, and {len(names)} classes are named; needs"
            " a name for each output"
        )
    silent = weights.layout in ("historical", "torchvision")
    if names is None and silent and width not in (0, 1000):
        beside = historical.classes_file(Path(str(source))).name
        raise CheckpointError(
            f"{source}: does not say which classes its {width} outputs stand for; needs"
            f" {beside} beside it, or --classes A,B,... in the order of training"
            " (alphabetical in the historical scripts)"
        )
    return replace(weights, classes=names)


def read_unnamed(
    source: str | Path,
    *,
    num_heads: int | None = None,
    source_image_size: tuple[int, ...] | None = None,
) -> Weights:
    """Read as ``read_weights`` does, but without asking what the outputs stand for.

    Raises:
        CheckpointError: if the file is not what it should be; nothing is loaded.
    """
    source = fetched(str(source)) if is_name(source) else Path(source)
    if not source.exists():
        raise CheckpointError(f"{source}: there is no such file or folder of weights")
    if (source / "model" / native.CONFIG).is_file():
        source /= "model"
    folder = source if source.is_dir() else source.parent
    config = read_config(folder / "config.json")
    processor = read_config(folder / "preprocessor_config.json")  # of transformers
    known = ("image_mean", "image_std")
    config |= {key: processor[key] for key in known if key in processor}
    if native.recognize(config) and (source.is_dir() or source.name == native.WEIGHTS):
        return native.read(folder)
    file = _weight_file(source) if source.is_dir() else source
    notes = _notes_beside(file)
    sides = notes.get("image_size")
    wrapper, tensors = read_wrapped(file)
    state = {timm.without_prefixes(name): value for name, value in tensors.items()}
    raw = RawFile(
        path=file,
        state=state,
        config=config,
        wrapper=wrapper,
        num_heads=num_heads or notes.get("num_heads"),
        image_size=source_image_size or (tuple(sides) if sides else None),
        classes=tuple(notes["classes"]) if notes else None,
    )
    weights = weights_in(raw)
    refuse_no_numbers(weights.state, file)
    return weights


def weights_in(raw: RawFile) -> Weights:
    """Return what stands on disk under our names, held to the network it describes.

    Raises:
        CheckpointError: if it is no network of ours, or not a whole one.
    """
    refuse_foreign(raw.state, raw.config, raw.path)
    try:
        weights = _layout_of(raw).convert(raw)
    except _CONTRADICTION as error:
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"{raw.path}: its weights, or what {raw.path.parent / 'config.json'} says"
            f" of them, describe no network ({cause}); nothing was loaded"
        ) from error
    refuse_unfit(weights.state, weights.architecture, raw.path)
    return weights


def _layout_of(raw: RawFile) -> Layout:
    names = set(raw.state)
    for layout in LAYOUTS.values():
        if layout.recognize(names):
            return layout
    raise CheckpointError(
        f"{raw.path}: is no Vision Transformer of a known layout (its first weights:"
        f" {', '.join(sorted(names)[:3])}); needs one of native, {', '.join(LAYOUTS)}"
    )


def _weight_file(folder: Path) -> Path:
    for name in WEIGHT_FILES:
        for file in (folder / name, folder / (name + SHARDED)):
            if file.is_file():
                return file
    raise CheckpointError(
        f"{folder}: holds no weights; needs {' or '.join(WEIGHT_FILES)} in it, or the"
        f" {SHARDED} of one in several files"
    )


def _notes_beside(file: Path) -> dict[str, Any]:
    """Read ``NAME.classes.json``: a bare list of classes, or an object with one."""
    path = historical.classes_file(file)
    if not path.is_file():
        return {}
    content = read_json(path, CheckpointError)
    if isinstance(content, list):
        content = {"classes": content}
    names = content.get("classes") if isinstance(content, dict) else None
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise CheckpointError(f"{path}: needs a list of class names")
    return content
