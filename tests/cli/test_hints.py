"""The commonest mistakes of new users, and the answer that each gets."""

from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("args", "answer"),
    [
        ("train srgan --out x", "srgan is a study, not an architecture: nitido study run srgan"),
        ("model show edsr", "the zoo has edsr-x2, edsr-x4"),
        ("train srcnn --out x --set lr=0.01", "did you mean 'learning_rate'? (all keys: nitido train --keys)"),
        ("train srcnn --out x --set bs=8", "did you mean 'batch'?"),
        ("train srcnn --out x --set batch_size=8", "did you mean 'batch'?"),
        ("train srcnn --out x --set seeds=1", "did you mean 'seed'?"),
        ("train srcnn --out x --set epoch=1", "did you mean 'epochs'?"),
        ("train srcnn --out x --set learning_rate=0,001", "a decimal point is meant? 0.001"),
        ("study show srcnn --set lr=1", "did you mean 'learning_rates'?"),
        ("study show srcnn --set seed=1", "did you mean 'seeds'?"),
        ("study show srcnn --set variant=prelu", "did you mean 'variants'?"),
        ("study show srcnn --set val=samples", "did you mean 'data.validation'?"),
        ("study show srcnn --set scale=x2", "scale: input should be a valid integer, got 'x2'"),
        ("study show srcnn --profile dem", "unknown profile 'dem' of study 'srcnn': did you mean 'demo'?"),
        ("study show SRCNN", "did you mean 'srcnn'?"),
        ("study show begun --profile classic", "was begun with profile 'demo'"),
        ("study run begun --profile classic", "was begun with profile 'demo'"),
        ("evaluate begun --data samples --scale 2", "it is a study's, none of whose runs has finished"),
        ("study run escaping.yaml", "cannot name a directory"),
    ],
)
def test_a_mistake_gets_its_answer(call, tmp_path: Path, args: str, answer: str) -> None:
    from nitido.study.spec import dump, load_study_file, resolve

    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "study.yaml").write_text(dump(resolve(load_study_file("srcnn"), "demo")))
    (tmp_path / "escaping.yaml").write_text(
        "{study: ../x, question: q, architecture: srcnn, scale: 2, baseline: debug, variants: [debug],"
        " profiles: {demo: {data: {}, learning_rates: 1e-3, hyperparameters: {steps: 1}}}}"
    )
    done = call(*args.split())
    assert done.code == 1
    assert answer in done.error_line
    assert len(done.error_line) < 400
    assert not (tmp_path / "x").exists()


def test_the_keys_are_listed(call) -> None:
    done = call("train", "--keys")
    assert done.code == 0
    assert "learning_rate" in done.out
    assert "adversarial.discriminator.width" in done.out
