"""Inspection of networks: summary, costs, diagrams."""

from nitido.inspection.detailed_graph import draw_detailed_graph
from nitido.inspection.diagram import draw_diagram
from nitido.inspection.summary import count_macs, hd_lr_size, summarize

__all__ = ["count_macs", "draw_detailed_graph", "draw_diagram", "hd_lr_size", "summarize"]
