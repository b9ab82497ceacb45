"""What a network costs: counted on shapes, and measured on this machine."""

from nitido.evaluation.cost.counts import Counts, count
from nitido.evaluation.cost.latency import agreed_ratio, latency, time_rounds
from nitido.evaluation.cost.memory import peak_memory

__all__ = ["Counts", "agreed_ratio", "count", "latency", "peak_memory", "time_rounds"]
