"""The one protocol, stamped into every row.

Y of BT.601 studio range (MATLAB `rgb2ycbcr`, float, not rounded) of the output quantised to uint8; a border of `scale`
pixels is shaved; PSNR per picture, then the mean over pictures; SSIM with an 11×11 Gaussian window, σ 1.5, 'valid'.
A grey picture is its own Y without studio scaling. A network that works on Y alone is scored on its own Y output,
rounded to uint8. The low-resolution input is MATLAB's bicubic of the uint8 picture cropped to a multiple of the scale.

The PSNR of a picture counts with at most 100 dB (`PSNR_CAP`). Equal pictures have an infinite PSNR, and one of them,
such as a restored black picture, would make every mean infinite, so that neither a learning rate nor a step could be
chosen. Published means do not change: they are of pictures far below 100 dB.
"""

PROTOCOL = "bt601-y/uint8/shave=scale/matlab-bicubic/2"
"""Changes whenever a number under this protocol could change. Rows of different protocols never rank together.

Version 1 had no cap: its numbers are the same unless a picture was restored to more than 100 dB.
"""

PSNR_CAP = 100.0
"""The largest PSNR in dB that a picture counts with."""
