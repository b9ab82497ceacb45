"""What trains the runs of a study: processes of this machine, or of a cluster."""

from nitido.study.executors.base import Executor, ExecutorError, ProcessEnd

__all__ = ["Executor", "ExecutorError", "ProcessEnd"]
