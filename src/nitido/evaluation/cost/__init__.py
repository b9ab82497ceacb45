"""Costs of networks: counted from shapes, and measured on this machine."""

from nitido.evaluation.cost.counts import Counts, count
from nitido.evaluation.cost.latency import agreed_ratio, latency, time_rounds

__all__ = ["Counts", "agreed_ratio", "count", "latency", "time_rounds"]
