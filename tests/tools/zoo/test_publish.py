"""From a run directory to weights and a card, on the real test sets."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nitido.architectures import SuperResolutionNetwork
from nitido.data import DATASETS, DataError, prepare, resolve
from nitido.evaluation.scoring import NetworkUpscaler, evaluate
from nitido.models import load_model_file
from nitido.models.find import find_model
from nitido.models.zoo import ZooError
from nitido.models.zoo.listing import as_json, as_lines, published
from nitido.study.execute import execute
from nitido.study.plan import single_run
from nitido.study.run_directory import RunDirectory, Status
from tests.architectures.recipes import debug
from tests.forked import ForkServer
from tools.zoo.measurements import InBfloat16
from tools.zoo.publish import publish

SETTINGS = (
    "steps=4",
    "batch=2",
    "patch=12",
    "validate_every=2",
    "activation=gelu",
    "loss.l1=1",
    "loss.l2=0.5",
    "seed=3",
)
COMMAND = "from tools.zoo.publish import main; main()"
DATA = ("data.train=samples[:1]", "data.validation=samples[:1]", "data.test=samples/test[:1]")


def train(folder: Path, *settings: str) -> None:
    given = {setting.partition("=")[0] for setting in settings}
    usual = [setting for setting in (*SETTINGS, *DATA) if setting.partition("=")[0] not in given]
    run = single_run("srcnn", "debug", [*usual, *settings])
    assert execute(run, folder, lambda steps: lambda done, validation: None).state == "finished"


@pytest.fixture(scope="module")
def environment(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NITIDO_DATA", str(shared / "data"))
        patch.setenv("NITIDO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def run_directory(environment: None, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    train(folder, f"data.train={shared / 'data' / 'photos49'}[:2],t91[:3]")
    return folder


@pytest.fixture(scope="module")
def weights(fork_server: ForkServer, run_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo")
    words = (run_directory, "tiny-x2", "--licence", "CC0-1.0", "--into", folder)
    done = fork_server.python(COMMAND, *words, cwd=folder, environment=dict(os.environ))
    assert done.code == 0, done
    assert done.out.startswith(f"{folder / 'tiny-x2.safetensors'}: ")
    return folder / "tiny-x2.safetensors"


def test_the_weights_are_those_of_the_run(run_directory: Path, weights: Path) -> None:
    ours, theirs = load_model_file(weights).network.state_dict(), find_model(run_directory).network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_the_figures_are_those_of_the_protocol(weights: Path, environment: None) -> None:
    network, descriptor = load_model_file(weights)
    facts = published(descriptor)
    set5 = prepare(resolve("set5"), [2])
    scores = [score.metrics for score in evaluate(NetworkUpscaler(network), set5, 2)]
    assert facts.metrics[2].keys() == {"set5", "set14", "bsd100"}
    for name in ("psnr_y", "ssim_y", "psnr_rgb"):
        assert facts.metrics[2]["set5"][name] == pytest.approx(sum(score[name] for score in scores) / 5, abs=1e-6)
    # four steps from a start at bicubic: near the published figures of bicubic, in other words
    for dataset, bicubic in {"set5": 33.66, "set14": 30.24, "bsd100": 29.56}.items():
        assert facts.metrics[2][dataset]["psnr_y"] == pytest.approx(bicubic, abs=0.3)
    assert descriptor.metrics == facts.metrics[2]
    assert (descriptor.name, facts.licence, facts.objective) == ("tiny-x2", "CC0-1.0", "fidelity")


def test_the_cost_of_bfloat16_is_the_difference_of_two_figures(weights: Path, environment: None) -> None:
    network, descriptor = load_model_file(weights)
    set5 = prepare(resolve("set5"), [2])

    def psnr(upscale: NetworkUpscaler) -> float:
        return sum(score.metrics["psnr_y"] for score in evaluate(upscale, set5, 2, ["psnr_y"])) / 5

    cost = psnr(NetworkUpscaler(network)) - psnr(NetworkUpscaler(InBfloat16(network)))
    assert published(descriptor).bfloat16_cost_db[2] == pytest.approx(cost, abs=1e-6)
    assert cost != 0
    assert cost == pytest.approx(0, abs=0.1)


def noisy() -> SuperResolutionNetwork:
    network = debug("srcnn").build().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def test_bfloat16_is_really_used() -> None:
    network = noisy()
    lr = torch.rand(1, 3, 12, 12)
    with torch.inference_mode():
        wide, narrow = network(lr), InBfloat16(network)(lr)
    assert narrow.dtype == torch.float32
    assert 1e-5 < float((wide - narrow).abs().max()) < 0.1


def test_the_descriptor_records_the_training_without_folders(run_directory: Path, weights: Path, shared: Path) -> None:
    training = load_model_file(weights).descriptor.training
    assert training["data"]["train"] == ["./photos49[:2]", "t91[:3]"]
    assert (training["steps"], training["hyperparameters"]["seed"]) == (4, 3)
    status = RunDirectory(run_directory).read_status()
    assert status is not None
    assert training["seconds"] == status.seconds
    machine = json.loads((run_directory / "environment.json").read_text())
    assert training["machine"]["processor"] == machine["processor"]
    text = weights.with_suffix(".md").read_text() + load_model_file(weights).descriptor.model_dump_json()
    assert str(shared) not in text
    assert str(run_directory.parent) not in text


def test_the_card(weights: Path) -> None:
    card = weights.with_suffix(".md").read_text(encoding="utf-8")
    facts = published(load_model_file(weights).descriptor)
    assert card.startswith("# tiny-x2\n\nSRCNN for ×2, 243 parameters, works on RGB.")
    for dataset, means in facts.metrics[2].items():
        assert f"| ×2 | {dataset} | {means['psnr_y']:.2f} | {means['ssim_y']:.4f} | {means['psnr_rgb']:.2f} |" in card
    assert f"PSNR-Y on set5 is {facts.bfloat16_cost_db[2]:.4f} dB lower at ×2" in card
    assert "- Trained on: ./photos49[:2], 2 images. Terms: stated per image\n" in card
    assert "- Trained on: t91[:3] (T91 (Yang et al., 2010)), 3 images. Terms: none stated (academic)\n" in card
    assert f"- Validated on: samples[:1] ({DATASETS['samples'].title}), 1 image. Terms: free" in card
    assert "loss {l1 1, l2 0.5}" in card
    assert "adversarial" not in card
    assert "4 steps" in card
    assert "seed 3" in card
    assert "--set activation=gelu" in card
    assert "--set 'data.train=./photos49[:2],t91[:3]'" in card
    assert "## Licence of the weights\n\nCC0-1.0.\n" in card
    tiger = (
        "https://commons.wikimedia.org/wiki/File%3A08-2011._Panthera_tigris_tigris_-_Texas_Park_-_Lanzarote_-TP04.jpg"
    )
    assert f"- 001.png: [08-2011. Panthera tigris tigris - Texas Park - Lanzarote -TP04](<{tiger}>)\n" in card
    assert "The page of each image names its author and license." in card
    assert "003.png" not in card
    assert "- camera.png, CC0 (Lav Varshney)\n" in card


def test_the_list_shows_it(weights: Path) -> None:
    descriptor = load_model_file(weights).descriptor
    [entry] = as_json([descriptor])
    assert (entry["name"], entry["architecture"], entry["scales"], entry["parameters"]) == (
        "tiny-x2",
        "srcnn",
        [2],
        243,
    )
    assert json.loads(json.dumps(entry))["metrics"]["2"]["set14"]["psnr_y"] == descriptor.metrics["set14"]["psnr_y"]
    [line] = as_lines([descriptor])
    assert line[:5] == ["tiny-x2", "srcnn", "fidelity", "×2", "243"]


def test_given_commands_are_taken_as_they_are(run_directory: Path, tmp_path: Path) -> None:
    commands = ["nitido train srcnn --out first", "nitido train srcnn --set pretrained=first --out second"]
    published_at = publish(run_directory, "two-steps", "CC0-1.0", commands, tmp_path)
    assert "```\n" + "\n".join(commands) + "\n```" in published_at.with_suffix(".md").read_text()
    assert load_model_file(published_at).descriptor.training["commands"] == commands


def test_a_model_of_several_scales_is_measured_at_each(environment: None, tmp_path: Path) -> None:
    run = single_run("vdsr", "debug", [*DATA, "scales=2,2,3", "steps=2", "batch=2", "patch=12", "validate_every=2"])
    assert execute(run, tmp_path / "run", lambda steps: lambda done, validation: None).state == "finished"
    weights = publish(tmp_path / "run", "vdsr", "CC0-1.0", (), tmp_path / "zoo")
    network, descriptor = load_model_file(weights, 3)
    facts = published(descriptor)
    assert list(facts.metrics) == list(facts.bfloat16_cost_db) == [2, 3]
    scores = [s.metrics["psnr_y"] for s in evaluate(NetworkUpscaler(network), prepare(resolve("set5"), [3]), 3)]
    assert facts.metrics[3]["set5"]["psnr_y"] == pytest.approx(sum(scores) / 5, abs=1e-6)
    assert descriptor.metrics["set5"]["psnr_y"] == facts.metrics[2]["set5"]["psnr_y"]
    assert descriptor.metrics["set5"]["x3/psnr_y"] == facts.metrics[3]["set5"]["psnr_y"]
    card = weights.with_suffix(".md").read_text(encoding="utf-8")
    assert "VDSR for ×2, ×3, " in card
    assert "--set scales=2,2,3 " in card
    assert [line[3] for line in as_lines([descriptor])] == ["×2", "×3"]


@pytest.mark.parametrize("name", ["bicubic", "Tiny", "a/b", "x2.safetensors", "", "tiny_x2", "-x"])
def test_names_that_could_be_something_else(run_directory: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ZooError, match="lower-case words joined by hyphens"):
        publish(run_directory, name, "CC0-1.0", (), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_model_that_has_seen_a_test_image_is_refused(environment: None, tmp_path: Path, split: str) -> None:
    train(tmp_path / "run", f"data.{split}=bsd100[7:8]")
    with pytest.raises(DataError, match="is also in bsd100"):
        publish(tmp_path / "run", "cheat-x2", "CC0-1.0", (), tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()


def test_a_run_that_has_not_finished_is_refused(environment: None, fork_server: ForkServer, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="holds no run"):
        publish(tmp_path, "tiny-x2", "CC0-1.0", (), tmp_path / "zoo")
    train(tmp_path / "run")
    RunDirectory(tmp_path / "run").write_status(Status("interrupted", reason="Ctrl-C"))
    with pytest.raises(ZooError, match="has not finished: interrupted Ctrl-C"):
        publish(tmp_path / "run", "tiny-x2", "CC0-1.0", (), tmp_path / "zoo")
    done = fork_server.python(COMMAND, tmp_path / "run", "tiny-x2", "--licence", "CC0-1.0", cwd=tmp_path)
    assert done.code == 1
    assert done.err.splitlines() == [f"nitido: {tmp_path / 'run'}: the run has not finished: interrupted Ctrl-C"]
