"""Square roots of features, which bring rare large features closer to the others.

Pooled activations are skewed: most are near 0, a few are large. After a square root, the classes
are closer to Gaussians of one covariance, which linear heads and Mahalanobis distances assume
(Tukey's ladder of powers, as in Yang et al., "Free Lunch for Few-shot Learning: Distribution
Calibration", ICLR 2021; for histograms Arandjelović and Zisserman, "Three things everyone should
know to improve object retrieval", CVPR 2012).
"""

from torch import Tensor, nn

ROOT = "+root"
"""What follows the name of a backbone whose features are square roots."""


class Rooted(nn.Module):
    """A backbone whose features are the square roots of those that it has alone.

    Args:
        module: float [B, 3, H, W] to features [B, D].
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> Tensor:
        return signed_root(self.module(images))


def signed_root(features: Tensor) -> Tensor:
    """sign(x) sqrt(|x|), of any shape."""
    return features.sign() * features.abs().sqrt()
