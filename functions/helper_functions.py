"""``plot_loss_curves``, under the name that historical notebooks import."""

from vit_dementia.training.history import plot_loss_curves

__all__ = ["plot_loss_curves"]
