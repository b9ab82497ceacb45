"""The hyperparameters of a training run as one validated object."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from nitido.architectures.discriminator import DiscriminatorConfig
from nitido.base.validation import FieldRole, StrictModel
from nitido.evaluation.objectives import Objective
from nitido.perception import PerceptualOptions
from nitido.training.losses import ADVERSARIAL, PERCEPTUAL, check_loss_name

Precision = Literal["auto", "float32", "bfloat16", "float16"]

Compile = Literal["auto", "kernels"] | bool


MOST_STEPS = 10**9
MOST_PIXELS = 1 << 24
"""Maximum number of low-resolution pixels per step; upscaled four times in float32 they take 3 GB."""


class AdversarialOptions(StrictModel):
    """Training of the discriminator; used only if `loss` has the term `adversarial`."""

    kind: Literal["vanilla", "hinge", "relativistic"] = Field(
        default="vanilla", description="the loss: SRGAN's, Geometric GAN's, or the relativistic average of ESRGAN"
    )
    learning_rate: float | None = Field(
        default=None, gt=0, le=10, description="the discriminator's, with the same schedule; default: the network's"
    )
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    collapse: float = Field(
        default=6.0,
        gt=0,
        description="the run ends when its PSNR on training patches falls this many dB below its start",
    )


class Hyperparameters(StrictModel):
    """The hyperparameters of one run.

    A run's length is either `steps` or `epochs`; an epoch has as many patches as cover the area of all training images.
    """

    loss: Annotated[dict[str, Annotated[float, Field(gt=0)]], FieldRole.DEFINES_VARIANT] = Field(
        {"l1": 1.0}, description="weighted sum of loss terms; bare names have weight 1"
    )
    perceptual: Annotated[PerceptualOptions, FieldRole.DEFINES_VARIANT] = PerceptualOptions()
    adversarial: Annotated[AdversarialOptions, FieldRole.DEFINES_VARIANT] = AdversarialOptions()
    optimizer: Annotated[Literal["adam", "adamw", "muon", "sgd"], FieldRole.DEFINES_VARIANT] = "adam"
    learning_rate: Annotated[float, FieldRole.SWEPT] = Field(1e-3, gt=0, le=10, description="peak learning rate")
    weight_decay: float = Field(0.0, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd and muon; Adam has betas 0.9, 0.999")
    schedule: Literal["constant", "cosine", "step"] = Field(
        "cosine", description="cosine: decays to zero at the end; step: divided by 10 after each quarter of the run"
    )
    warmup: int = Field(0, ge=0, le=MOST_STEPS, description="steps of linear warm-up")
    steps: int | None = Field(None, gt=0, le=MOST_STEPS)
    epochs: float | None = Field(None, gt=0, le=1e6)
    batch: int = Field(16, gt=0, le=MOST_PIXELS, description="patches per step")
    patch: int = Field(48, ge=4, le=4096, description="side of a patch in low-resolution pixels")
    augment: bool = Field(True, description="flips and rotations")
    augment_colours: bool = Field(
        False, description="permute the color channels of each patch randomly, for small training sets"
    )
    precision: Precision = Field(
        "auto", description="number format of the training steps; evaluation is always float32"
    )
    compile: Compile = Field(
        "auto",
        description="code of the training steps; true: torch.compile; `kernels`: nitido's kernels, for bfloat16 on "
        "CPUs with AMX or AVX512-BF16; false: neither; auto: the fastest in a benchmark, if the run is long enough",
    )
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the averaged weights per step; 0: no averaging")
    gradient_clip: float = Field(0.0, ge=0, description="maximum gradient norm; 0: no clipping")
    validate_every: int = Field(
        500, gt=0, le=MOST_STEPS, description="steps between validations; also between checkpoints"
    )
    validation_crop: int | None = Field(
        None,
        ge=64,
        le=1 << 16,
        description="side in HR pixels of the center crop used for validation; default: the whole image",
    )
    log_every: int = Field(50, gt=0, le=MOST_STEPS, description="steps between logged scalars")
    seed: Annotated[int, FieldRole.SWEPT] = Field(0, ge=0, le=2**31 - 1)

    @field_validator("loss", mode="before")
    @classmethod
    def _loss_by_name(cls, value: Any) -> Any:
        names = [value] if isinstance(value, str) else value
        return dict.fromkeys(names, 1.0) if isinstance(names, list | tuple) else value

    @field_validator("loss")
    @classmethod
    def _known_losses(cls, value: dict[str, float]) -> dict[str, float]:
        if not value:
            raise ValueError("at least one loss term is needed")
        if set(value) == {ADVERSARIAL}:
            raise ValueError("an adversarial term alone ignores the input: add l1, l2 or perceptual")
        for name in value:
            check_loss_name(name)
        return value

    @property
    def objective(self) -> Objective:
        """What the run optimizes, and is selected and ranked by: fidelity (PSNR) or perception."""
        return "perception" if {ADVERSARIAL, PERCEPTUAL} & set(self.loss) else "fidelity"

    @property
    def is_adversarial(self) -> bool:
        """Whether a discriminator is trained together with the network."""
        return ADVERSARIAL in self.loss

    @model_validator(mode="after")
    def _no_adversarial_float16(self) -> Self:
        if self.is_adversarial and self.precision == "float16":
            raise ValueError("an adversarial loss does not support float16: use precision bfloat16, float32 or auto")
        return self

    @model_validator(mode="after")
    def _bounded_step(self) -> Self:
        pixels = self.batch * self.patch**2
        if pixels > MOST_PIXELS:
            raise ValueError(
                f"batch {self.batch} × patch {self.patch}²: {pixels:,} low-resolution pixels per step, "
                f"but the maximum is {MOST_PIXELS:,}"
            )
        return self

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("specify the length of a run as either steps or epochs")
        return self
