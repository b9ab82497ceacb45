"""The published figures of a model in the zoo."""

from typing import Literal

from pydantic import AliasChoices, Field

from nitido.base.validation import StrictModel

Objective = Literal["fidelity", "perception"]
"""The same type as `nitido.evaluation.objectives.Objective`, which this package may not import."""


class Publication(StrictModel):
    """Figures of a published model, measured with the weights that ship, and the licence of these weights."""

    licence: str = Field(min_length=1, description="licence of the weights")
    objective: Objective = Field(
        validation_alias=AliasChoices("objective", "aim"),  # "aim" in model files of version 0.1
        description="what the training optimizes; models of different objectives are not ranked together",
    )
    protocol: str = Field(min_length=1, description="protocol of the metrics")
    metrics: dict[int, dict[str, dict[str, float]]] = Field(
        description="scale -> dataset -> metric -> mean over its images, in float32"
    )
    bfloat16_cost_db: dict[int, float] = Field(
        description="scale -> loss of PSNR-Y on Set5 under bfloat16 autocast, in dB"
    )
