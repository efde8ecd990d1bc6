"""What preparations of slices and of volumes share: their file, and the last step.

A prepared scan is kept as 8-bit values; on the device these become the numbers that the
network was trained on. Shapes: ``b`` scans, ``c`` channels, ``space`` their sides.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from jaxtyping import Float, UInt8

from vit_dementia.errors import CheckpointError

if TYPE_CHECKING:
    from typing import Self

    from torch import Tensor
else:
    Tensor = Any  # torch is slow to import; the shape is still checked below it
    Self = Any  # the tests check methods one by one, where it has no meaning

FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A preparation whose results are stored in 8 bit, and which is stored itself.

    Attributes:
        kind: the value of "input" in ``preprocessing.json``; None: there is none.
        mean: mean over the training scans, on the scale [0, 1].
        std: standard deviation over the training scans, on the scale [0, 1].
    """

    kind: ClassVar[str | None] = None
    mean: float = 0.0
    std: float = 1.0

    def normalize(
        self, batch: UInt8[Tensor, "b c *space"]
    ) -> Float[Tensor, "b c *space"]:
        """Return what the network reads, for one batch of prepared scans."""
        return self.standardize(batch.float() / 255.0)

    def standardize(
        self, batch: Float[Tensor, "b c *space"]
    ) -> Float[Tensor, "b c *space"]:
        """Return values in [0, 1] as deviations from the mean, in units of ``std``."""
        return (batch - self.mean) / self.std

    def to_dict(self) -> dict[str, Any]:
        """Return what ``preprocessing.json`` holds.

        >>> Stored(mean=0.5).to_dict()
        {'format': 1, 'mean': 0.5, 'std': 1.0}
        """
        told = {**self._head(), **dataclasses.asdict(self)}
        if "prepared" in told:
            told["prepared"] = json.loads(told["prepared"] or "null")
        return told

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read back what ``to_dict`` gave.

        >>> Stored.from_dict(Stored(std=0.2).to_dict())
        Stored(mean=0.0, std=0.2)

        Raises:
            CheckpointError: if it is of another format or lacks a value.
        """
        own = {field.name for field in dataclasses.fields(cls)}
        names = own | cls._head().keys()
        if values.get("format") != FORMAT_VERSION or set(values) != names:
            raise CheckpointError(
                f"preprocessing.json: found format {values.get('format')!r} with "
                f"{sorted(values)}; needs format {FORMAT_VERSION} with {sorted(names)}"
            )
        told = {name: values[name] for name in own}
        if told.get("prepared") is not None:
            told["prepared"] = json.dumps(told["prepared"], sort_keys=True)
        lists = {name for name, value in told.items() if isinstance(value, list)}
        return cls(**told | {name: tuple(told[name]) for name in lists})

    @classmethod
    def _head(cls) -> dict[str, Any]:
        kind = {} if cls.kind is None else {"input": cls.kind}
        return {"format": FORMAT_VERSION, **kind}
