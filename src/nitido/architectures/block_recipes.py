"""The branches of the built-in residual blocks: one registered function each."""

from dataclasses import replace

from torch import Tensor, nn

from nitido.architectures.attention import ChannelAttention
from nitido.architectures.blocks import ResidualBlock, register_block
from nitido.architectures.convolutions import BlockSettings, chain
from nitido.architectures.dense import dense_branch
from nitido.architectures.layers import same_convolution

DENSE_LAYERS = 4
"""Number of convolutions of a dense block before the fusion, as in ESRGAN."""

RRDB_BLOCKS = 3
"""Number of dense blocks in a residual in residual dense block."""

RRDB_RESIDUAL_SCALE = 0.2
"""Factor of the branch of each of these dense blocks."""


def plain(settings: BlockSettings) -> nn.Module:
    """Return EDSR's branch (Lim et al., CVPRW 2017), or SRResNet's if normalized: two 3×3 convolutions."""
    width = settings.width
    return chain(settings, {"first": same_convolution(width, width, 3), "second": same_convolution(width, width, 3)})


def batch(settings: BlockSettings) -> nn.Module:
    """Return SRResNet's branch (Ledig et al., CVPR 2017): `plain` with batch normalization in any case."""
    return plain(replace(settings, normalization="batch"))


def edsr(settings: BlockSettings) -> nn.Module:
    """Return EDSR's branch (Lim et al., CVPRW 2017): `plain` without normalization in any case."""
    return plain(replace(settings, normalization="none"))


def bottleneck(settings: BlockSettings) -> nn.Module:
    """Return a 3×3 convolution between 1×1 convolutions to half the width and back (He et al., CVPR 2016).

    He et al. reduce the width to a quarter, starting from four times the width of restoration networks.
    """
    width, narrow = settings.width, max(1, settings.width // 2)
    convolutions = {
        "reduce": same_convolution(width, narrow, 1),
        "middle": same_convolution(narrow, narrow, 3),
        "expand": same_convolution(narrow, width, 1),
    }
    return chain(settings, convolutions)


def separable(settings: BlockSettings) -> nn.Module:
    """Return two depthwise 3×3 convolutions, each followed by a 1×1 convolution (MobileNets, Howard et al., 2017).

    As in MobileNets, normalization and activation are applied between all of them.
    """
    width = settings.width
    convolutions = {
        "first_depthwise": same_convolution(width, width, 3, groups=width),
        "first_pointwise": same_convolution(width, width, 1),
        "second_depthwise": same_convolution(width, width, 3, groups=width),
        "second_pointwise": same_convolution(width, width, 1),
    }
    return chain(settings, convolutions)


def channel_attention(settings: BlockSettings) -> nn.Module:
    """Return RCAN's branch (Zhang et al., ECCV 2018): `plain` followed by channel attention."""
    branch = nn.Sequential()
    branch.add_module("convolutions", plain(settings))
    branch.add_module("attention", ChannelAttention(settings.width, settings.activation))
    return branch


def dense(settings: BlockSettings) -> nn.Module:
    """Return RDN's branch (Zhang et al., CVPR 2018): four dense 3×3 convolutions of half the width and a 1×1 fusion."""
    return dense_branch(settings, DENSE_LAYERS, growth=max(1, settings.width // 2), fusion_kernel_size=1)


class ResidualInResidual(nn.Module):
    """The difference of the output and the input of consecutive residual blocks: blocks(x) - x, of the same shape."""

    def __init__(self, *blocks: ResidualBlock) -> None:
        """Store `blocks`."""
        super().__init__()
        self.blocks = nn.Sequential(*blocks)

    def forward(self, features: Tensor) -> Tensor:
        """Return what the blocks add to `features`."""
        through: Tensor = self.blocks(features)
        return through - features


def rrdb(settings: BlockSettings) -> nn.Module:
    """Return ESRGAN's residual in residual dense block (Wang et al., ECCVW 2018): three dense blocks with a skip.

    The paper adds β times the output of the three blocks, x + β blocks(x). The output includes the input features,
    which therefore grow by 1 + β per block: 1.2^23 = 66 at its depth. This implementation only scales what the three
    blocks add, x + s (blocks(x) - x). For s = β / (1 + β) it is the paper's block without that factor.
    """

    def block() -> ResidualBlock:
        branch = dense_branch(settings, DENSE_LAYERS, growth=max(1, settings.width // 2), fusion_kernel_size=3)
        return ResidualBlock(branch, RRDB_RESIDUAL_SCALE)

    return ResidualInResidual(*(block() for _ in range(RRDB_BLOCKS)))


register_block("plain", plain, reach=2)
register_block("batch", batch, reach=2)
register_block("edsr", edsr, reach=2)
register_block("bottleneck", bottleneck, reach=1)
register_block("separable", separable, reach=2)
register_block("channel_attention", channel_attention, reach=None)
register_block("dense", dense, reach=DENSE_LAYERS)
register_block("rrdb", rrdb, reach=RRDB_BLOCKS * (DENSE_LAYERS + 1))
