"""Whether a map says what the answer hangs on, measured on the network itself.

- Deletion and insertion: Petsiuk et al. 2018 (arXiv 1806.07421), Sec. 3.2: patches are
  covered (or shown) in the order of the map, and the probability of the class is
  followed. The null is random orders, not zero: any covering lowers a probability.
- Sensitivity-n: Ancona et al. 2018 (arXiv 1711.06104), Sec. 4: sums of the map over
  random sets of patches against what covering them costs.
- Stability: the map again under noise that nobody sees.
- Randomized weights: Adebayo et al. 2018 (arXiv 1810.03292), Sec. 3.2: a network that
  has learned nothing must give another map.

Shapes: b pictures made of one, c channels, g patches of the grid, o orders, s steps.
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

Map = Float[Tensor, " g"]
Picture = Float[Tensor, "1 c *space"]
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
    """Return the map of one picture and how faithful it is.

    Args:
        network: in evaluation mode.
        picture: as the network reads it.
        label: the class that is explained.
        explain: makes the map of a picture for this class.
        black: what a covered patch holds, as the network reads it.
    """
    found = explain(network, picture).cpu()
    rng = np.random.default_rng(seed)
    asked = _Asked(network, picture, label, black)
    order = torch.argsort(found[asked.places], descending=True).numpy()
    count = len(asked.places)
    orders = [order, *(rng.permutation(count) for _ in range(ORDERS))]
    deletion, insertion = asked.curves(np.stack(orders))
    gains = insertion - deletion
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(picture.shape, generator=generator).to(picture)
    shaken = explain(network, picture + NOISE * picture.std() * noise).cpu()
    return found, Faithfulness(
        deletion=float(deletion[0]),
        insertion=float(insertion[0]),
        random=tuple(sorted(gains[1:].tolist())),
        sensitivity=asked.sensitivity(found[asked.places].numpy(), rng),
        stability=_alike(found[asked.places], shaken[asked.places]),
        randomized=_alike(
            found[asked.places],
            explain(without_training(network, seed), picture).cpu()[asked.places],
        ),
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
    """One picture, covered in many ways, and what the network says of each.

    Attributes:
        places: the patches that the network reads.
    """

    def __init__(
        self, network: VisionTransformer, picture: Picture, label: int, black: float
    ) -> None:
        a = network.architecture
        self.network, self.picture, self.label = network, picture, label
        self.black, self.grid, self.patch = black, a.grid, a.token_size
        self.places = torch.tensor(
            range(a.num_patches) if a.visible is None else a.visible
        )

    @torch.no_grad()
    def logits(self, covered: Bool[np.ndarray, "b v"]) -> Float[Tensor, "b k"]:
        """Return the logits of the picture with some of its patches covered."""
        parts = []
        for start in range(0, len(covered), _AT_ONCE):
            some = torch.from_numpy(covered[start : start + _AT_ONCE])
            mask = torch.zeros(len(some), int(np.prod(self.grid)), dtype=torch.bool)
            mask[:, self.places] = some
            mask = mask.unflatten(1, self.grid)[:, None]
            for axis, side in enumerate(self.patch):
                mask = mask.repeat_interleave(side, dim=2 + axis)
            shown = self.picture.masked_fill(mask.to(self.picture.device), self.black)
            parts.append(self.network(shown).float().cpu())
        return torch.cat(parts)

    def curves(
        self, orders: Int[np.ndarray, "o v"]
    ) -> tuple[Float[np.ndarray, " o"], Float[np.ndarray, " o"]]:
        """Return the mean probability while covering, and while showing, by order."""
        count = orders.shape[1]
        ranks = np.argsort(orders, axis=1)[:, None]  # place of each patch in the order
        ends = np.round(np.linspace(0, count, STEPS + 1)).astype(int)[None, :, None]
        first = ranks < ends  # o s v
        areas = []
        for covered in (first, ~first):
            said = self.logits(covered.reshape(-1, count)).softmax(dim=1)
            curve = said[:, self.label].reshape(len(orders), -1).double().numpy()
            areas.append(np.trapezoid(curve, dx=1 / STEPS, axis=1))
        return areas[0], areas[1]

    def sensitivity(
        self, values: Float[np.ndarray, " v"], rng: np.random.Generator
    ) -> float:
        """Return how well sums of the map tell what covering patches costs."""
        count = len(values)
        size = max(1, round(SHARE * count))
        covered = np.zeros((SUBSETS + 1, count), dtype=bool)  # the last: none
        for row in covered[:-1]:
            row[rng.choice(count, size, replace=False)] = True
        said = self.logits(covered)[:, self.label].double().numpy()
        costs, sums = said[-1] - said[:-1], covered[:-1] @ values.astype(float)
        if np.ptp(costs) == 0 or np.ptp(sums) == 0:
            return 0.0
        return float(np.corrcoef(sums, costs)[0, 1])


def _alike(one: Map, other: Map) -> float:
    """Return the rank correlation of two maps; 0 where one is the same everywhere."""
    if one.min() == one.max() or other.min() == other.max():
        return 0.0
    return float(spearmanr(one.numpy(), other.numpy()).statistic)
