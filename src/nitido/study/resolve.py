"""Resolve a study file with a profile and `--set`, and check everything before anything runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from nitido.architectures import get_architecture
from nitido.base.errors import nearest, unknown_name
from nitido.base.validation import FieldRole, fields_with
from nitido.study import unused_options
from nitido.study.report import BICUBIC, GROUND_TRUTH
from nitido.study.settings import parse_settings
from nitido.study.spec import Override, Profile, Study, StudyError, StudyFile, Variant, merge, study_settings
from nitido.training.hyperparameters import Hyperparameters


def resolve(study: StudyFile, profile: str, settings: Sequence[str] = ()) -> Study:
    """Apply a profile and `KEY=VALUE` settings, and check every word and value before anything runs."""
    return resolve_with_notes(study, profile, settings)[0]


def resolve_with_notes(study: StudyFile, profile: str, settings: Sequence[str] = ()) -> tuple[Study, list[str]]:
    """Like `resolve`, and also return a note for each setting that does not reach every variant."""
    if profile not in study.profiles:
        unknown = unknown_name("profile", profile, study.profiles)
        raise StudyError(str(unknown).replace(":", f" of study {study.study!r}:", 1))
    chosen = study.profiles[profile]
    variants = [_variant(entry, study.architecture) for entry in study.variants]
    unused_options.check_file(study, profile, variants)
    swept_keys = fields_with(FieldRole.SWEPT, Hyperparameters)
    hyperparameters = [name for name in Hyperparameters.model_fields if name not in swept_keys]
    changes = parse_settings(settings, [*study_settings(), *hyperparameters])
    values: dict[str, Any] = {
        "study": study.study,
        "profile": profile,
        "scale": study.scale,
        "baseline": study.baseline,
        "metrics": study.metrics,
        "data": chosen.data.model_dump() | changes.pop("data", {}),
        "learning_rates": chosen.learning_rates,
        "seeds": chosen.seeds,
        "resources": study.resources,
    }
    wanted = changes.pop("variants", chosen.variants)
    swept = "learning_rates" in changes
    baseline_is_set = "baseline" in changes
    values |= {key: changes.pop(key) for key in study_settings() if key in changes}
    values["hyperparameters"] = merge(chosen.hyperparameters, changes)
    variants = _budgeted(variants, chosen, changes, keep_rates=not swept)
    kept = _narrow(variants, [wanted] if isinstance(wanted, str) else wanted) if wanted else variants
    values["variants"] = kept
    values["baseline"], notes = _baseline(values["baseline"], baseline_is_set, variants, kept)
    resolved = Study.parse(values, f"study {study.study!r}, profile {profile!r}")
    return resolved, [*notes, *unused_options.check_settings(changes, values["hyperparameters"], kept)]


def _baseline(name: Any, is_set: bool, variants: Sequence[Variant], kept: Sequence[Variant]) -> tuple[Any, list[str]]:
    """Return the baseline among the kept variants, and a note if it is not `name`."""
    names = [variant.name for variant in kept]
    if name in names:
        return name, []
    if is_set or name not in [variant.name for variant in variants]:
        guess = nearest(str(name), names)
        hint = f": did you mean {guess!r}?" if guess else ""
        raise StudyError(f"the baseline {name!r} is not among the variants: {', '.join(names)}{hint}")
    return names[0], [f"the baseline is {names[0]!r}: the study's own, {name!r}, is not among the variants"]


def _budgeted(
    variants: Sequence[Variant], profile: Profile, settings: Mapping[str, Any], keep_rates: bool
) -> list[Variant]:
    """Return the variants under a profile; `settings` override the budget that a variant states itself.

    Without `keep_rates`, the study's learning rates override those of variants too.
    """
    names = [variant.name for variant in variants]
    for name in profile.overrides:
        if name not in names:
            raise unknown_name("variant in overrides", name, names, StudyError)
    set_by_user = {*settings, *(("steps", "epochs") if {"steps", "epochs"} & set(settings) else ())}
    own_always = fields_with(FieldRole.DEFINES_VARIANT, Hyperparameters)
    budgeted = []
    for variant in variants:
        override = profile.overrides.get(variant.name, Override())
        own = merge(variant.hyperparameters, override.hyperparameters)
        changed = {
            "config": {**profile.config, **variant.config, **override.config},
            "hyperparameters": {k: v for k, v in own.items() if k in own_always or k not in set_by_user},
            "learning_rates": (override.learning_rates or variant.learning_rates) if keep_rates else None,
        }
        budgeted.append(variant.model_copy(update=changed))
    return budgeted


def _variant(entry: str | dict[str, Any], architecture: str) -> Variant:
    values: dict[str, Any] = {"name": entry} if isinstance(entry, str) else dict(entry)
    values.setdefault("architecture", architecture)
    values.setdefault("variant", values.get("name"))
    variant = Variant.parse(values, f"variant {values.get('name')!r}")
    for other in (BICUBIC, GROUND_TRUTH):  # studies that began with such a name are still read
        if variant.name.lower() == other.lower():
            raise StudyError(f"{variant.name!r} would look like {other}, which is in every report: rename the variant")
    get_architecture(variant.architecture)
    return variant


def _narrow(variants: Sequence[Variant], wanted: Sequence[str]) -> list[Variant]:
    """Return the `wanted` variants in their order, each after those it starts from."""
    by_name = {variant.name: variant for variant in variants}
    for name in wanted:
        if name not in by_name:
            raise unknown_name("variant", name, by_name, StudyError)
    kept: dict[str, Variant] = {}
    for name in wanted:
        chain = [by_name[name]]
        while (source := chain[-1].source_variant) in by_name and by_name[source] not in chain:
            chain.append(by_name[source])
        kept |= {variant.name: variant for variant in reversed(chain)}
    return list(kept.values())
