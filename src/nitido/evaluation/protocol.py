"""The one protocol, stamped into every row.

Y of BT.601 studio range (MATLAB `rgb2ycbcr`, float, not rounded) of the output quantised to uint8; a border of `scale`
pixels is shaved; PSNR per picture, then the mean over pictures; SSIM with an 11×11 Gaussian window, σ 1.5, 'valid'.
A grey picture is its own Y without studio scaling. A network that works on Y alone is scored on its own Y output,
rounded to uint8. The low-resolution input is MATLAB's bicubic of the uint8 picture cropped to a multiple of the scale.
"""

PROTOCOL = "bt601-y/uint8/shave=scale/matlab-bicubic/1"
"""Changes whenever a number under this protocol could change. Rows of different protocols never rank together."""
