"""How a run begins: from a model file or from a variant of its study, and how this is recorded."""

import hashlib
from pathlib import Path

import pytest
import torch

from nitido.architectures import SuperResolutionNetwork, build, resolve_config
from nitido.base import notes
from nitido.models import ModelDescriptor, ModelFileError, save_model
from nitido.study.plan import PlannedRun, single_run
from nitido.study.run_directory import RunDirectory, Status
from nitido.study.spec import StudyError
from nitido.study.start import begin_from, best_source

CONFIG = {"blocks": 4, "scale": 2}


def network(seed: int) -> SuperResolutionNetwork:
    torch.manual_seed(seed)
    return build("srresnet", resolve_config("srresnet", "debug", CONFIG))


def run(*settings: str):
    return single_run("srresnet", "debug", [*(f"{key}={value}" for key, value in CONFIG.items()), *settings])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "trained" / "model.safetensors"
    path.parent.mkdir()
    trained = network(7)
    save_model(path, trained, ModelDescriptor.of(trained, "srresnet", "teacher"))
    return path


def test_a_run_starts_from_a_run_directory_and_reports_it(model: Path, tmp_path: Path) -> None:
    net, directory = network(0), RunDirectory(tmp_path / "run")
    asked = run(f"pretrained={model.parent}", "freeze=first_half", "reinitialize=reconstruction")
    report = begin_from(net, asked, directory, None)
    assert report is not None
    taught = network(7).state_dict()
    fresh = network(0).state_dict()
    for name, value in net.state_dict().items():
        assert torch.equal(value, (fresh if name.startswith("reconstruction") else taught)[name]), name
    assert report.source == str(model.parent)
    assert report.sha256 == hashlib.sha256(model.read_bytes()).hexdigest()
    assert report.skipped == ("reconstruction.weight", "reconstruction.bias")
    assert {*report.loaded, *report.skipped} == set(fresh)
    assert set(report.frozen) == {name for name, p in net.named_parameters() if not p.requires_grad}
    directory.write_transfer(report)
    assert directory.read_transfer() == report


def test_weights_of_a_network_that_computes_something_else_are_loaded_with_a_note(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights have no activation and no bicubic image: names and shapes fit, but the start is not that network."""
    monkeypatch.setattr(notes, "_said", set())
    directory = RunDirectory(tmp_path / "run")
    begin_from(network(0), run(f"pretrained={model}"), directory, None)
    assert capsys.readouterr().err == ""
    begin_from(network(0), run(f"pretrained={model}", "residual=false"), directory, None)
    assert "has another configuration (residual: True there, False here)" in capsys.readouterr().err
    begin_from(network(0), run(f"pretrained={model}", "residual=false", "reinitialize=reconstruction"), directory, None)
    assert capsys.readouterr().err == "", "a part that is trained anew may follow another network"


def test_a_run_with_neither_leaves_nothing(tmp_path: Path) -> None:
    net, directory = network(0), RunDirectory(tmp_path / "run")
    assert begin_from(net, run(), directory, None) is None
    assert all(p.requires_grad for p in net.parameters())


def test_a_resumed_run_does_not_need_its_source(model: Path, tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    asked = run(f"pretrained={model}", "freeze=head")
    first = begin_from(network(0), asked, directory, None)
    assert first is not None
    directory.write_transfer(first)
    model.unlink()
    with pytest.raises(ModelFileError, match="no such model file"):
        begin_from(network(0), asked, directory, None)  # without a checkpoint there is nothing to resume from
    directory.last_checkpoint.parent.mkdir()
    directory.last_checkpoint.write_bytes(b"any")
    net = network(0)
    assert begin_from(net, asked, directory, None) == first
    assert not any(p.requires_grad for p in net.head.parameters())


def test_the_source_is_the_best_finished_run_with_the_same_seed(tmp_path: Path) -> None:
    def planned(variant: str, rate: float, seed: int, psnr: float | None, **more: object) -> PlannedRun:
        config = run(f"learning_rate={rate}", f"seed={seed}").model_copy(update={"variant": variant, **more})
        found = PlannedRun(config, Path(variant, str(rate), str(seed)))
        if psnr is not None:
            RunDirectory(tmp_path / found.directory).path.mkdir(parents=True)
            state = "finished" if psnr < 90 else "interrupted"
            RunDirectory(tmp_path / found.directory).write_status(Status(state, validation={"psnr_y": psnr}))
        return found

    later = planned("later", 1e-3, 0, None, pretrained="variant:plain")
    runs = [
        planned("plain", 1e-3, 0, 30.0),
        planned("plain", 2e-3, 0, 31.0),
        planned("plain", 3e-3, 0, 99.0),
        planned("plain", 2e-3, 1, 35.0),
        planned("other", 2e-3, 0, 40.0),
        later,
    ]
    assert best_source(later, runs, tmp_path) == tmp_path / "plain/0.002/0/model.safetensors"
    orphan = planned("orphan", 1e-3, 5, None, pretrained="variant:plain")
    with pytest.raises(StudyError, match="no run of plain, which it starts from, has finished"):
        best_source(orphan, [*runs, orphan], tmp_path)
