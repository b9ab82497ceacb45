"""The protocol of the literature: how a model's output becomes a number that can be compared."""

from nitido.evaluation.metrics import MetricError, psnr, psnr_rgb, psnr_y, ssim, ssim_y
from nitido.evaluation.protocol import PROTOCOL

__all__ = ["PROTOCOL", "MetricError", "psnr", "psnr_rgb", "psnr_y", "ssim", "ssim_y"]
