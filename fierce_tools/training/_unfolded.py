"""Convolutions as matrix products, so that those of many students become one batched product."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class UnfoldedConv2d(nn.Conv2d):
    """conv2d as [out, c·kh·kw] @ [c·kh·kw, B·H·W]: windows are copied out once, in memory as [c, B, H, W].

    Under vmap over weights a shared input is unfolded once and multiplied by all of them; grouped convolutions, which
    a vmap of conv2d becomes, are slow in some back ends. It takes kh·kw times the memory of its input.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Outputs [B, out, H', W'] of inputs [B, c, H, W]."""
        assert isinstance(self.padding, tuple)
        (down, across), (height, width), (dh, dw) = self.padding, self.kernel_size, self.dilation
        planes = x.transpose(0, 1)
        if down or across:
            planes = F.pad(planes, (across, across, down, down))
        windows = planes.unfold(2, dh * (height - 1) + 1, self.stride[0]).unfold(
            3, dw * (width - 1) + 1, self.stride[1]
        )[..., ::dh, ::dw]
        channels, count, high, wide = windows.shape[:4]
        columns = windows.permute(0, 4, 5, 1, 2, 3).reshape(channels * height * width, count * high * wide)
        made = self.weight.flatten(1) @ columns
        if self.bias is not None:
            made = made + self.bias[:, None]
        return made.view(-1, count, high, wide).transpose(0, 1)


def unfold_convolutions(model: nn.Module) -> int:
    """Make the convolutions of a model UnfoldedConv2d in place and return how many.

    Those in groups, or with a padding other than zeros of a given width, stay as they are.
    """
    found = [
        m for m in model.modules()
        if type(m) is nn.Conv2d and m.groups == 1 and m.padding_mode == "zeros" and isinstance(m.padding, tuple)
    ]  # fmt: skip
    for convolution in found:
        convolution.__class__ = UnfoldedConv2d
    return len(found)
