"""Whether a map says what the answer hangs on, measured on the network itself.

- Deletion and insertion: Petsiuk et al. 2018 (arXiv 1806.07421), Sec. 3.2: patches are
  covered (or shown) in the order of the map, and the probability of the class is
  followed. The null is random orders, not zero: any covering lowers a probability.
- Sensitivity-n: Ancona et al. 2018 (arXiv 1711.06104), Sec. 4: sums of the map over
  random sets of patches against what covering them costs.
- Stability: the map again under noise that nobody sees.
- Randomized weights: Adebayo et al. 2018 (arXiv 1810.03292), Sec. 3.2: a network that
  has learned nothing must give another map.

A scan of several slices is one scan: patches of all its slices compete, and what is
followed is the mean over them.

Shapes: r slices of a scan (or one slice, or one volume), c channels, g patches of the
grid, p patches that are read in all r, b ways of covering them, o orders, s steps.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import spearmanr
from torch import Tensor

from vit_dementia.models.initialization import initialize
from vit_dementia.models.vit import VisionTransformer

ORDERS = 19  # random ones: better than all of them by chance one time in twenty
STEPS = 8  # points of a curve between the whole picture and the covered one
SUBSETS = 32  # random sets of patches for sensitivity-n
SHARE = 0.2  # of the patches that are read, in each of these sets
NOISE = 0.01  # standard deviation of the noise for stability, of the picture's own
STABLE = 0.8  # least rank correlation of the map with the one under noise
DESTROYED = 0.5  # largest rank correlation with the map of a network without training
_AT_ONCE = 32

Map = Float[Tensor, "r g"]
Picture = Float[Tensor, "r c *space"]
Explain = Callable[[VisionTransformer, Picture], Map]


@dataclass(frozen=True)
class Faithfulness:
    """What was measured on one map.

    Attributes:
        deletion: mean probability while patches are covered, best first; lower is
            better.
        insertion: mean probability while patches are shown, best first; higher is
            better.
        random: insertion minus deletion of random orders, sorted.
        sensitivity: Pearson correlation of the map's sums with what covering costs;
            higher is better, in [-1, 1].
        stability: rank correlation with the map under noise, in [-1, 1].
        randomized: rank correlation with the map of the same network with fresh
            weights, in [-1, 1]; near 0 is better.
    """

    deletion: float
    insertion: float
    random: tuple[float, ...]
    sensitivity: float
    stability: float
    randomized: float

    @property
    def gain(self) -> float:
        """Insertion minus deletion; a random order has about 0."""
        return self.insertion - self.deletion

    @property
    def reasons(self) -> tuple[str, ...]:
        """Say why the map is not faithful here; nothing if it is."""
        better = sum(self.gain > one for one in self.random)
        faults = (
            (
                better < len(self.random),
                "covering patches in its order does no more than"
                f" {len(self.random) - better} of {len(self.random)} random orders",
            ),
            (
                self.stability < STABLE,
                f"noise that nobody sees changes it (rank correlation"
                f" {self.stability:.2f}; needs {STABLE})",
            ),
            (
                abs(self.randomized) > DESTROYED,
                "a network without training draws much the same map (rank correlation"
                f" {self.randomized:.2f}; at most {DESTROYED})",
            ),
        )
        return tuple(sentence for is_fault, sentence in faults if is_fault)

    @property
    def is_faithful(self) -> bool:
        """Say whether the map passed every check."""
        return not self.reasons


def measure(
    network: VisionTransformer,
    picture: Picture,
    label: int,
    explain: Explain,
    *,
    black: float,
    seed: int = 0,
) -> tuple[Map, Faithfulness]:
    """Return the map of one scan and how faithful it is.

    Args:
        network: in evaluation mode.
        picture: as the network reads it.
        label: the class that is explained.
        explain: makes the map of a scan for this class.
        black: what a covered patch holds, as the network reads it.
    """
    found = explain(network, picture).cpu()
    rng = np.random.default_rng(seed)
    asked = _Asked(network, picture, label, black)
    values = asked.of(found)
    order = np.argsort(-values, kind="stable")
    orders = [order, *(rng.permutation(len(order)) for _ in range(ORDERS))]
    deletion, insertion = asked.curves(np.stack(orders))
    gains = insertion - deletion
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(picture.shape, generator=generator).to(picture)
    shaken = explain(network, picture + NOISE * picture.std() * noise).cpu()
    untrained = explain(without_training(network, seed), picture).cpu()
    return found, Faithfulness(
        deletion=float(deletion[0]),
        insertion=float(insertion[0]),
        random=tuple(sorted(gains[1:].tolist())),
        sensitivity=asked.sensitivity(values, rng),
        stability=alike(values, asked.of(shaken)),
        randomized=alike(values, asked.of(untrained)),
    )


def without_training(network: VisionTransformer, seed: int = 0) -> VisionTransformer:
    """Return the same network with the weights that a training begins with."""
    fresh = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    device = next(fresh.parameters()).device
    initialize(fresh.cpu(), "google", generator)
    # A head of zeros, as training begins with, would explain nothing at all.
    head = fresh.head
    if isinstance(head, torch.nn.Linear):
        torch.nn.init.normal_(head.weight, std=0.02, generator=generator)
    return fresh.to(device).eval()


class _Asked:
    """One scan, covered in many ways, and what the network says of each."""

    def __init__(
        self, network: VisionTransformer, picture: Picture, label: int, black: float
    ) -> None:
        a = network.architecture
        self.network, self.picture, self.label = network, picture, label
        self.black, self.grid, self.patch = black, a.grid, a.token_size
        self.places = torch.tensor(
            range(a.num_patches) if a.visible is None else a.visible
        )

    def of(self, found: Map) -> Float[np.ndarray, " p"]:
        """Return the values of the patches that are read, slice by slice."""
        return found[:, self.places].flatten().double().numpy()

    @torch.no_grad()
    def logits(self, covered: Bool[np.ndarray, "b p"]) -> Float[Tensor, "b r k"]:
        """Return the logits of the scan with some of its patches covered."""
        rows, num_patches = len(self.picture), int(np.prod(self.grid))
        parts = []
        at_once = max(1, _AT_ONCE // rows)
        for start in range(0, len(covered), at_once):
            some = torch.from_numpy(covered[start : start + at_once])
            mask = torch.zeros(len(some), rows, num_patches, dtype=torch.bool)
            mask[:, :, self.places] = some.unflatten(1, (rows, -1))
            mask = mask.unflatten(2, self.grid)[:, :, None]
            for axis, side in enumerate(self.patch):
                mask = mask.repeat_interleave(side, dim=3 + axis)
            shown = self.picture.masked_fill(mask.to(self.picture.device), self.black)
            said = self.network(shown.flatten(0, 1)).float().cpu()
            parts.append(said.unflatten(0, (-1, rows)))
        return torch.cat(parts)

    def curves(
        self, orders: Int[np.ndarray, "o p"]
    ) -> tuple[Float[np.ndarray, " o"], Float[np.ndarray, " o"]]:
        """Return the mean probability while covering, and while showing, by order."""
        count = orders.shape[1]
        ranks = np.argsort(orders, axis=1)[:, None]  # place of each patch in the order
        ends = np.round(np.linspace(0, count, STEPS + 1)).astype(int)[None, :, None]
        first = ranks < ends  # o s v
        areas = []
        for covered in (first, ~first):
            said = self.logits(covered.reshape(-1, count)).double().softmax(dim=-1)
            curve = said[..., self.label].mean(dim=1).reshape(len(orders), -1).numpy()
            areas.append(np.trapezoid(curve, dx=1 / STEPS, axis=1))
        return areas[0], areas[1]

    def sensitivity(
        self, values: Float[np.ndarray, " p"], rng: np.random.Generator
    ) -> float:
        """Return how well sums of the map tell what covering patches costs."""
        count = len(values)
        size = max(1, round(SHARE * count))
        covered = np.zeros((SUBSETS + 1, count), dtype=bool)  # the last: none
        for row in covered[:-1]:
            row[rng.choice(count, size, replace=False)] = True
        said = self.logits(covered)[..., self.label].double().mean(dim=1).numpy()
        costs, sums = said[-1] - said[:-1], covered[:-1] @ values
        if np.ptp(costs) == 0 or np.ptp(sums) == 0:
            return 0.0
        return float(np.corrcoef(sums, costs)[0, 1])


def alike(one: Float[np.ndarray, " p"], other: Float[np.ndarray, " p"]) -> float:
    """Return the rank correlation of two maps; 0 where one is the same everywhere."""
    if one.min() == one.max() or other.min() == other.max():
        return 0.0
    return float(spearmanr(one, other).statistic)
