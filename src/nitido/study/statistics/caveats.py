"""What a reader must know before believing a table, in words."""

from collections.abc import Mapping

from nitido.study.statistics.scores import Pictures, Scores

FEW_PICTURES = 10
FEW_SEEDS = 3


def caveats(variants: Mapping[str, Scores], pictures: Pictures) -> tuple[str, ...]:
    """One sentence for each weakness of the evidence, the gravest first; none when there is nothing to say."""
    said = []
    alone = [name for name, scores in variants.items() if scores.seeds == 1]
    if alone:
        said.append(
            f"one seed ({_names(alone)}): seed noise unknown, no difference to these can be told from noise; "
            "their intervals are over pictures alone"
        )
    few = [name for name, scores in variants.items() if 1 < scores.seeds < FEW_SEEDS]
    if few:
        said.append(f"fewer than {FEW_SEEDS} seeds ({_names(few)}): only very large differences can be found")
    if pictures.repeated:
        said.append(
            f"{pictures.repeated} of {len(pictures.dataset)} test pictures have the same pixels as another: intervals, "
            "tests and rank intervals count them once, the means each time"
        )
    for dataset, number in zip(pictures.datasets, pictures.distinct, strict=True):
        if number == 1:
            said.append(f"{dataset} has one picture: no interval can be given for a mean with it")
        elif number < FEW_PICTURES:
            said.append(f"{dataset} has {number} pictures, fewer than {FEW_PICTURES}: other pictures may disagree")
    return tuple(said)


def _names(variants: list[str]) -> str:
    return ", ".join(variants)
