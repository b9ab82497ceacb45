"""Evaluation under the protocol of the literature: protocol, metrics, objectives, costs, rows."""

from nitido.evaluation.metrics import MetricError, psnr, psnr_rgb, psnr_y, ssim, ssim_y
from nitido.evaluation.protocol import PROTOCOL

__all__ = ["PROTOCOL", "MetricError", "psnr", "psnr_rgb", "psnr_y", "ssim", "ssim_y"]
