"""Small images of several domains: the class is where a bar stands, the domain the colours of bar and darker ground."""

import torch

from sslrun.data.images import ImageSet

DOMAINS = ("dusk", "noon", "fog", "night")
_COLOURS = torch.tensor(  # ground and bar, RGB
    [
        [[90, 40, 60], [200, 150, 90]],
        [[60, 90, 20], [200, 220, 240]],
        [[150, 150, 150], [230, 225, 235]],
        [[10, 10, 40], [120, 130, 250]],
    ]
)


def bars(per_cell: int, domains: tuple[int, ...], seed: int, classes: int = 4, side: int = 12) -> ImageSet:
    """`per_cell` images of each class in each of `domains`, in random order, with noise."""
    generator = torch.Generator().manual_seed(seed)
    domains_N = torch.tensor(domains).repeat_interleave(classes * per_cell)
    labels_N = torch.arange(classes).repeat_interleave(per_cell).repeat(len(domains))
    width = side // classes
    bar_NHW = (torch.arange(side) // width == labels_N[:, None])[:, None, :].expand(-1, side, -1)
    ground_N3, bar_N3 = _COLOURS[domains_N].unbind(1)
    images_NCHW = torch.where(bar_NHW[:, None], bar_N3[:, :, None, None], ground_N3[:, :, None, None]).float()
    images_NCHW += 20 * torch.randn(images_NCHW.shape, generator=generator)
    order_N = torch.randperm(len(labels_N), generator=generator)
    return ImageSet(
        images_NCHW.round().clamp(0, 255).to(torch.uint8),
        labels_N,
        domains_N,
        tuple("abcdefgh"[:classes]),
        DOMAINS,
    ).subset(order_N)
