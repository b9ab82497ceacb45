"""The evaluation protocol, recorded in every row.

Y of BT.601 studio range (MATLAB `rgb2ycbcr`, float, not rounded) of the output quantized to uint8; a border of `scale`
pixels is shaved; PSNR per image, then the mean over images; SSIM with an 11×11 Gaussian window, σ 1.5, 'valid'.
A gray image is used as Y without studio scaling. A network for Y only is scored on its Y output, rounded to uint8.
The low-resolution input is MATLAB's bicubic of the uint8 image, cropped to a multiple of the scale.

The PSNR of an image is limited to 100 dB (`PSNR_CAP`). Equal images have an infinite PSNR; one of them, such as a
restored black image, would make every mean infinite, and neither learning rate nor step could be chosen. Published
means do not change, because their images are far below 100 dB.
"""

PROTOCOL = "bt601-y/uint8/shave=scale/matlab-bicubic/2"
"""Name and version of the protocol. Rows of different protocols are never ranked together.

Version 1 had no limit of PSNR; its values are equal unless an image exceeds 100 dB.
"""

PSNR_CAP = 100.0
"""Upper limit of the PSNR of an image in dB."""


def decibels(value: float, decimals: int = 2) -> str:
    """Return a PSNR as text, which says whether it is `PSNR_CAP`.

    >>> decibels(31.154), decibels(100.0)
    ('31.15', '≥ 100.00')
    """
    return f"{'≥ ' if value == PSNR_CAP else ''}{value:.{decimals}f}"
