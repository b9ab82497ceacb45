"""Metrics of upscaled images: fidelity, consistency with the input, perceptual similarity."""

from nitido.evaluation.metrics.color_shift import color_shift
from nitido.evaluation.metrics.consistency import lr_consistency
from nitido.evaluation.metrics.fidelity import psnr, psnr_rgb, psnr_y, ssim, ssim_y
from nitido.evaluation.metrics.ldr_flip import flip
from nitido.evaluation.metrics.learned import dists, lpips, perceptual_distance
from nitido.evaluation.metrics.metric_inputs import PEAK, MetricError, MetricNotAvailableError, luma, shave_border
from nitido.evaluation.metrics.multiscale import ms_ssim, ms_ssim_y
from nitido.evaluation.metrics.named_metrics import FIDELITY_METRICS, METRICS, Metric, MetricInput, metric
from nitido.evaluation.metrics.ssimulacra import ssimulacra2

__all__ = [
    "FIDELITY_METRICS",
    "METRICS",
    "PEAK",
    "Metric",
    "MetricError",
    "MetricInput",
    "MetricNotAvailableError",
    "color_shift",
    "dists",
    "flip",
    "lpips",
    "lr_consistency",
    "luma",
    "metric",
    "ms_ssim",
    "ms_ssim_y",
    "perceptual_distance",
    "psnr",
    "psnr_rgb",
    "psnr_y",
    "shave_border",
    "ssim",
    "ssim_y",
    "ssimulacra2",
]
