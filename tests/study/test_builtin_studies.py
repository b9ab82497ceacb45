"""Every variant of every built-in study: it can be built, trained, and what is frozen in it stays as it was."""

import pytest
import torch
from torch import nn

from nitido.architectures import SuperResolutionNetwork, build, get_architecture
from nitido.study.plan import RunConfig, plan
from nitido.study.resolve import resolve
from nitido.study.spec import builtin_names, load_study_file
from nitido.training.freezing import freeze, freeze_batchnorm_statistics
from nitido.training.transfer import load_weights


def variants(profile: str) -> dict[str, RunConfig]:
    """One run of each variant of each built-in study, by `study.variant`."""
    runs = [run.config for name in builtin_names() for run in plan(resolve(load_study_file(name), profile))]
    return {f"{run.study}.{run.variant}": run for run in runs}


DEMO = variants("demo")
every_variant = pytest.mark.parametrize("name", DEMO)


def network(run: RunConfig) -> SuperResolutionNetwork:
    torch.manual_seed(0)
    return build(run.architecture, get_architecture(run.architecture).config_class.parse(run.config, run.variant))


def started(name: str) -> tuple[SuperResolutionNetwork, tuple[str, ...]]:
    """The network as its training begins, and the names of its frozen parameters."""
    run = DEMO[name]
    found = network(run)
    if run.source_variant is not None:
        source = network(DEMO[f"{run.study}.{run.source_variant}"])
        load_weights(found, source.state_dict(), run.reinitialize, "source")
    return found, freeze(found, run.freeze) if run.freeze is not None else ()


def test_all_six_studies_are_there() -> None:
    assert {"srcnn", "vdsr", "edsr", "rdn", "srresnet", "srgan"} <= set(builtin_names())


@every_variant
def test_forward_and_backward_at_odd_sizes(name: str) -> None:
    net, frozen = started(name)
    net.train()
    freeze_batchnorm_statistics(net)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    lr = torch.rand(2, net.channels, 9, 13)
    sr = net(lr)
    assert sr.shape == (2, net.channels, 9 * net.scale, 13 * net.scale)
    (sr - torch.rand_like(sr)).square().mean().backward()
    for key, parameter in net.named_parameters():
        if key in frozen:
            assert parameter.grad is None, key
        else:
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key
            assert parameter.grad.abs().max() > 0, key
    learning = [p for p in net.parameters() if p.requires_grad]
    torch.optim.SGD(learning, lr=1.0).step()
    frozen_modules = {key.rpartition(".")[0] for key in frozen}
    for key, value in net.state_dict().items():
        if key.rpartition(".")[0] in frozen_modules:
            assert torch.equal(value, before[key]), f"{key} is frozen, its statistics included"


@every_variant
def test_batch_norm_agrees_between_train_and_eval_on_a_constant_batch(name: str) -> None:
    net, _ = started(name)
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    lr = torch.rand(2, net.channels, 8, 8)
    net.train()
    with torch.no_grad():
        for _ in range(150):  # the running statistics reach those of the batch: 0.9^150 = 1e-7
            trained = net(lr)
        net.eval()
        evaluated = net(lr)
    # Running variances are unbiased, a batch's own is not: n / (n - 1) over n = 2·8·8 places.
    torch.testing.assert_close(evaluated, trained, rtol=0, atol=0.02)


@pytest.mark.parametrize("profile", ["classic", "paper"])
def test_the_larger_profiles_are_networks_too(profile: str) -> None:
    for name, run in variants(profile).items():
        with torch.device("meta"):
            net = network(run)
            sr = net(torch.rand(1, net.channels, 11, 7))
        assert sr.shape == (1, net.channels, 11 * net.scale, 7 * net.scale), name


def test_the_published_networks_are_what_the_paper_profiles_train() -> None:
    counts = {}
    for name, run in variants("paper").items():
        with torch.device("meta"):
            counts[name] = sum(parameter.numel() for parameter in network(run).parameters())
    assert counts["vdsr.relu"] == 665_921
    assert counts["edsr.plain"] == 1_369_859
    assert counts["rdn.relu"] == 22_123_395
    assert counts["srresnet.start"] == counts["srgan.srresnet"] == 1_550_659


def test_a_variant_differs_from_its_baseline_in_what_its_name_says() -> None:
    def difference(study: str, variant: str, base: str) -> dict[str, object]:
        one, other = DEMO[f"{study}.{variant}"].config, DEMO[f"{study}.{base}"].config
        return {key: value for key, value in one.items() if value != other[key]}

    for name in ("leaky_relu", "prelu", "elu", "gelu", "silu", "mish"):
        assert difference("vdsr", name, "relu") == difference("rdn", name, "relu") == {"activation": name}
    for name in ("batch", "bottleneck", "separable", "channel_attention"):
        assert difference("edsr", name, "plain") == {"block": name}
    assert difference("edsr", "residual_scale", "plain") == {"residual_scale": 0.1}
    assert difference("srresnet", "unchanged", "start") == {}
    for study in ("srresnet", "srgan"):
        for run in (r for n, r in DEMO.items() if n.startswith(f"{study}.") and r.pretrained):
            assert run.source_variant is not None


def test_only_srgan_has_variants_with_the_objective_perception() -> None:
    objectives = {name for name, run in DEMO.items() if run.hyperparameters.objective == "perception"}
    assert objectives == {"srgan.srgan", "srgan.srgan_dense"}
