"""Maps made of gradients, and by covering parts of the picture.

- Grad-CAM: Selvaraju et al. 2017 (arXiv 1610.02391), Eqs. 1 and 2, on the patch tokens
  that come into the last block (behind it, a class token alone is read).
- Integrated gradients: Sundararajan et al. 2017 (arXiv 1703.01365), by Captum.
- Occlusion: Zeiler & Fergus 2014 (arXiv 1311.2901), Sec. 4.2, by Captum.

Shapes: b images, c channels, n tokens, v patches that are read, d width of a token.
"""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vit_dementia.errors import ConfigError

STEPS = 64  # of the integral: its sum misses f(x) - f(baseline) by less than 1 %
_AT_ONCE = 32  # images in one pass of a method that needs many

Images = Float[Tensor, "b c *space"]


def grad_cam(
    tokens: Float[Tensor, "b n d"], gradients: Float[Tensor, "b n d"], num_prefix: int
) -> Float[Tensor, "b v"]:
    """Return each patch's token along the direction in which the logit rises.

    Args:
        tokens: that come into the last block.
        gradients: of the logit that is explained, with respect to them.
        num_prefix: tokens in front that are no patch.
    """
    direction = gradients[:, num_prefix:].mean(dim=1)  # Eq. 1
    return torch.einsum("bvd,bd->bv", tokens[:, num_prefix:], direction).relu()  # Eq. 2


def integrated_gradients(
    network: nn.Module, images: Images, labels: Int[Tensor, " b"], baseline: Images
) -> Images:
    """Return what each value of the images adds to the logit of its class.

    Complete: an image's values sum to the difference of its logit from the baseline's.
    """
    need_captum()
    from captum.attr import IntegratedGradients

    return IntegratedGradients(network).attribute(
        images,
        baselines=baseline,
        target=labels,
        n_steps=STEPS,
        internal_batch_size=_AT_ONCE,
    )


@torch.no_grad()
def occlusion(
    network: nn.Module,
    images: Images,
    labels: Int[Tensor, " b"],
    baseline: Images,
    window: tuple[int, ...],
) -> Images:
    """Return by how much the logit of its class falls where a window is covered.

    Args:
        baseline: what stands in the window.
        window: its sides; it moves by its own size, so that windows do not overlap.
    """
    need_captum()
    from captum.attr import Occlusion

    shape = (images.shape[1], *window)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*stride.*", category=UserWarning)
        return Occlusion(network).attribute(
            images,
            sliding_window_shapes=shape,
            strides=shape,
            baselines=baseline,
            target=labels,
            perturbations_per_eval=max(1, _AT_ONCE // len(images)),
        )


def need_captum() -> None:
    """Refuse to go on without Captum.

    Raises:
        ConfigError: if it is not installed.
    """
    from importlib.util import find_spec

    if find_spec("captum") is None:
        raise ConfigError(
            "method: integrated gradients and occlusion need Captum, which is not"
            " installed; install it (pip install 'vit-dementia[explain]') or choose"
            " another --method"
        )
