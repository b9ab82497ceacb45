"""Compute intervals, tests and ranks from the rows of a study; docs/statistics.md explains them."""

from nitido.study.statistics.analysis import StudyStatistics, VariantStatistics, analyze
from nitido.study.statistics.bootstrap import RankInterval, bootstrap_scores, rank_intervals
from nitido.study.statistics.difference import PairedDifference, paired_difference
from nitido.study.statistics.improvement import ProbabilityOfImprovement, probability_of_improvement
from nitido.study.statistics.interval import Component, Interval, component, student_interval, student_p_value
from nitido.study.statistics.multiplicity import holm
from nitido.study.statistics.ranks import shared_ranks
from nitido.study.statistics.scores import MeasuredImages, Scores, StatisticsError, StudyScores, gather
from nitido.study.statistics.signed_rank import wilcoxon_signed_rank

__all__ = [
    "Component",
    "Interval",
    "MeasuredImages",
    "PairedDifference",
    "ProbabilityOfImprovement",
    "RankInterval",
    "Scores",
    "StatisticsError",
    "StudyScores",
    "StudyStatistics",
    "VariantStatistics",
    "analyze",
    "bootstrap_scores",
    "component",
    "gather",
    "holm",
    "paired_difference",
    "probability_of_improvement",
    "rank_intervals",
    "shared_ranks",
    "student_interval",
    "student_p_value",
    "wilcoxon_signed_rank",
]
