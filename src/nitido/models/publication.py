"""What is measured and promised of a model when it is published in the zoo."""

from typing import Literal

from pydantic import AliasChoices, Field

from nitido.base.validation import StrictModel

Objective = Literal["fidelity", "perception"]
"""The same as `nitido.evaluation.objectives.Objective`, which this package does not import."""


class Publication(StrictModel):
    """The figures of a published model, of the very weights that ship, and the terms of those weights."""

    licence: str = Field(min_length=1, description="of the weights")
    objective: Objective = Field(
        validation_alias=AliasChoices("objective", "aim"),  # "aim" in model files of version 0.1
        description="what the training optimizes; models of different objectives are not ranked together",
    )
    protocol: str = Field(min_length=1, description="under which the metrics were measured")
    metrics: dict[int, dict[str, dict[str, float]]] = Field(
        description="scale -> dataset -> metric -> mean over its pictures, in float32"
    )
    bfloat16_cost_db: dict[int, float] = Field(
        description="scale -> how much lower PSNR-Y on Set5 is under bfloat16 autocast, in dB"
    )
