"""The commonest mistakes of new users, and the answer that each gets."""

from pathlib import Path

import pytest
from PIL import Image


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
        ("train srcnn --out x --set learning_rate=0,001", "use a decimal point: 0.001?"),
        ("study show srcnn --set lr=1", "did you mean 'learning_rates'?"),
        ("study show srcnn --set seed=1", "did you mean 'seeds'?"),
        ("study show srcnn --set variant=prelu", "did you mean 'variants'?"),
        ("study show srcnn --set val=samples", "did you mean 'data.validation'?"),
        ("study show srcnn --set scale=x2", "scale: input should be a valid integer, got 'x2'"),
        ("study show srcnn --profile dem", "unknown profile 'dem' of study 'srcnn': did you mean 'demo'?"),
        ("study show SRCNN", "did you mean 'srcnn'?"),
        ("study show begun --profile classic", "was started with profile 'demo'"),
        ("study run begun --profile classic", "was started with profile 'demo'"),
        ("evaluate begun --data samples --scale 2", "it is the directory of a study without finished runs"),
        ("study run escaping.yaml", "cannot name a directory"),
        ("train srcnn --out x --set scale=2x", "got '2x': did you mean 2?"),
        ("train srcnn --out x --set variant=prelu", "the variant is an option of its own: --variant prelu"),
        ("train srcnn --out x --set data.train=photo.jpg", "photo.jpg: a file, but a folder is required"),
        ("train srcnn --out x --variant preluu", "did you mean 'prelu'?"),
        ("train srcnn --out photo.jpg", "photo.jpg is there already and holds no run: choose another directory"),
        ("study run SRCNN", "did you mean 'srcnn'?"),
        ("study run edsr-x2", "did you mean 'edsr'?"),
        ("study run empty", "empty: no study's directory: it has no study.yaml"),
        ("study run runs", "it has no study.yaml; name one of runs/srcnn"),
        ("study run srcnn.yaml", "srcnn.yaml: no such file (the built-in study: srcnn)"),
        ("study run srcnn --out photo.jpg", "photo.jpg exists and contains no study: choose another --out"),
        ("study report srcnn", "srcnn: no such directory: did you mean runs/srcnn?"),
        ("study report nowhere", "nowhere: no such directory (nitido study run makes one)"),
        ("study report photo.jpg", "photo.jpg: a file, but a study directory is required"),
        ("study report empty", "empty: no study's directory: it has no study.yaml"),
        ("evaluate edsr-x2 --data samples --scale 4", "this model upscales by ×2, not by ×4; the zoo has edsr-x4"),
        ("evaluate srcnn-x2 --data samples --scale 4", "not by ×4; the zoo has edsr-x4, srgan-x4, srresnet-x4, vdsr"),
        ("evaluate edsr-x2 --data samples --scale 8", "not by ×8; no model of the zoo does"),
        ("evaluate edsr-x2 --data Set5 --scale 2", "did you mean 'set5'?"),
        ("evaluate edsr-x2 --data photo.jpg --scale 2", "photo.jpg: a file, but a folder is required"),
        ("evaluate edsr-x2 --data samples --scale 2 --metric PSNR", "did you mean 'psnr_y'?"),
        ("evaluate edsr-x2 --data samples --scale 2 --metric ssim", "did you mean 'ssim_y'?"),
        ("evaluate photo.jpg --data samples --scale 2", "photo.jpg: an image, not a model"),
        ("evaluate w.pth --data samples --scale 2", "import them with nitido model import w.pth"),
        ("evaluate w.onnx --data samples --scale 2", "only nitido upscale supports ONNX files"),
        ("evaluate Bicubic --data samples --scale 2", "accept 'bicubic' (in lower case)"),
        ("evaluate EDSR-x2 --data samples --scale 2", "did you mean 'edsr-x2'?"),
        ("evaluate runs/srcnn --data samples --scale 2", "it is the directory of a study without finished runs"),
        ("compare empty bicubic --scale 2 -o o.png", "empty: a folder, and one image is compared"),
        ("compare nowhere.png bicubic --scale 2 -o o.png", "nowhere.png: no such image"),
        ("compare photo.jpg photo.jpg --scale 2 -o o.png", "photo.jpg: an image, not a model"),
        ("compare photo.jpg bicubic --scale 2 -o empty", "empty: a folder, but a file is required"),
        ("data fetch Set5", "did you mean 'set5'?"),
        ("data check photo.jpg", "photo.jpg: a file, but a folder is required"),
        ("data check Set5", "the images of the dataset 'set5' belong in"),
        ("data prepare photo.jpg", "photo.jpg: a file, but a folder is required"),
        ("data list --json empty", "empty: a folder, but a file is required"),
        ("model show runs/srcnn", "it is the directory of a study without finished runs"),
        ("model show photo.jpg", "photo.jpg: an image, not a model"),
        ("model import empty -o x.safetensors", "empty: a folder, but a file of weights is required"),
        ("model import w.pth -o empty", "empty: a folder, but a file is required"),
        ("model export edsr-x2 -o o.pt", "the name of an ONNX file must end in .onnx"),
        ("upscale begun/run -o o", "a run directory without images: use it as --model begun/run"),
        ("upscale edsr-x2 -o o.png", "it is a model of the zoo: --model edsr-x2"),
        ("upscale empty -o photo.jpg", "photo.jpg: the output is a file; a folder is required"),
        ("upscale photo.jpg -o o.png --model photo.jpg", "photo.jpg: an image, not a model"),
        ("upscale photo.jpg -o o.png --model edsr", "the zoo has edsr-x2, edsr-x4"),
        ("upscale photo.jpg -o o.png --memory 512", "expected a size such as 512MB or 2GB"),
        ("upscale photo.jpg -o photo.jpg/o.png", "photo.jpg"),
    ],
)
def test_a_mistake_gets_its_answer(call, tmp_path: Path, args: str, answer: str) -> None:
    from nitido.study.resolve import resolve
    from nitido.study.spec import dump, load_study_file

    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "study.yaml").write_text(dump(resolve(load_study_file("srcnn"), "demo")))
    (tmp_path / "escaping.yaml").write_text(
        "{study: ../x, question: q, architecture: srcnn, scale: 2, baseline: debug, variants: [debug],"
        " profiles: {demo: {data: {}, learning_rates: 1e-3, hyperparameters: {steps: 1}}}}"
    )
    (tmp_path / "runs" / "srcnn").mkdir(parents=True)
    (tmp_path / "runs" / "srcnn" / "study.yaml").write_bytes((tmp_path / "begun" / "study.yaml").read_bytes())
    (tmp_path / "begun" / "run").mkdir()
    (tmp_path / "begun" / "run" / "config.yaml").touch()
    (tmp_path / "empty").mkdir()
    for name in ("w.pth", "w.onnx"):
        (tmp_path / name).touch()
    Image.new("RGB", (32, 24), "red").save(tmp_path / "photo.jpg")
    done = call(*args.split())
    assert done.code == 1
    assert not any(words in done.error_line for words in ("Is a directory", "Not a directory", "no such folder: "))
    assert answer in done.error_line
    assert len(done.error_line) < 400
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("args", "answer"),
    [
        ("trian srcnn", "No such command 'trian'. Did you mean 'train'?"),
        ("studdy list", "Did you mean 'study'?"),
        ("study lst", "Did you mean 'list'?"),
        ("study srcnn", "Did you mean nitido study run srcnn or nitido train srcnn?"),
        ("vdsr", "Did you mean nitido study run vdsr or nitido train vdsr?"),
        ("fetch set5", "Did you mean nitido data fetch?"),
        ("data download set5", "Did you mean nitido data fetch?"),
        ("export edsr-x2", "Did you mean nitido model export?"),
        ("help", "Did you mean nitido --help?"),
        ("train", "Missing argument 'architecture': The network family"),
        ("train srcnn", "Missing option '--out': The run directory"),
        ("train srcnn --out x --scale 3", "No such option: --scale: did you mean --set scale=3?"),
        ("train srcnn --out x --scale=3", "did you mean --set scale=3?"),
        ("train srcnn --out x --steps 9", "did you mean --set steps=9?"),
        ("train srcnn --out x --batch-size 9", "did you mean --set batch=9?"),
        ("train srcnn --out x --lr 0.1", "did you mean --set learning_rate=0.1?"),
        ("train srcnn --out x --seeds 1", "did you mean --set seed=1?"),
        ("train srcnn --out x --activation gelu", "did you mean --set activation=gelu?"),
        ("train srcnn --out x --data set5", "did you mean --set data.train=set5?"),
        ("train srcnn --out x steps=3", "did you mean --set steps=3?"),
        ("train srcnn --output x", "did you mean --out?"),
        ("train srcnn --ouput x", "did you mean --out?"),
        ("study show srcnn --seed 2", "did you mean --set seeds=2?"),
        ("study show srcnn --lr 2", "did you mean --set learning_rates=2?"),
        ("study run srcnn --ouput x", "did you mean --out?"),
        ("study run srcnn --set variants=a b", "several values are joined by commas: variants=a,b"),
        ("study run srcnn --set variants=a, b c", "several values are joined by commas: variants=a,b,c"),
        ("evaluate photo.jpg", "photo.jpg is an image, not a model: use nitido upscale to upscale images"),
        ("evaluate edsr-x2", "Missing option '--data': An image set"),
        ("evaluate edsr-x2 --data set5", "Missing option '--scale': The scale factor"),
        ("evaluate edsr-x2 --data set5 --scale x2", "'x2' is not a number: did you mean 2?"),
        ("evaluate edsr-x2 --data set5 --scale 2X", "'2X' is not a number: did you mean 2?"),
        ("evaluate edsr-x2 --data set5 --scale two", "got 'two'"),
        ("evaluate edsr-x2 --data set5 --scale 2 --metrics psnr_y", "did you mean --metric?"),
        ("upscale photo.jpg", "Missing option '-o' / '--output': The output image for one input, otherwise a folder"),
        ("upscale photo.jpg large.png", "Missing option '-o' / '--output'"),
        ("upscale photo.jpg --ouput o.png", "did you mean --output?"),
        ("upscale photo.jpg --out o.png", "did you mean --output?"),
        ("upscale photo.jpg -o o.png --scale 2x", "'2x' is not a number: did you mean 2?"),
        ("model export edsr-x2 --out o.onnx", "did you mean --output?"),
    ],
)
def test_misused_commands_and_options_get_a_suggestion(call, tmp_path: Path, args: str, answer: str) -> None:
    done = call(*args.split())
    assert done.code == 2
    assert answer in done.error_line
    assert done.error_line.endswith("--help)")
    assert not any(tmp_path.iterdir())


BICUBIC = "upscale a.png -o b.png --model bicubic --scale 2"


@pytest.mark.parametrize(
    ("args", "answer"),
    [
        (f"{BICUBIC} --self-ensemble", "--self-ensemble: bicubic is not a network: leave the option out"),
        (f"{BICUBIC} --memory 1GB", "--memory: bicubic is not a network: leave the option out"),
        (f"{BICUBIC} --precision float32", "--precision: bicubic is not a network: leave the option out"),
        (f"{BICUBIC} --precision auto", "--precision: bicubic is not a network: leave the option out"),
        (f"{BICUBIC} --backend torch", "--backend torch: bicubic is not a network: leave the option out"),
        (f"{BICUBIC} --background white", "--background white: no result is JPEG or BMP"),
        ("upscale a.jpg -o b.jpg --background white", "--background white: no image is transparent"),
        ("upscale a.jpg -o b.png --background white", "--background white: no result is JPEG or BMP"),
        ("evaluate bicubic --data samples --scale 2 --self-ensemble", "--self-ensemble: bicubic is not a network"),
    ],
)
def test_an_option_without_effect_is_refused(call, tmp_path: Path, args: str, answer: str) -> None:
    for name in ("a.png", "a.jpg"):
        Image.new("RGB", (32, 24), "red").save(tmp_path / name)
    done = call(*args.split())
    assert done.code == 1
    assert answer in done.error_line
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "a.jpg"}


def test_a_background_that_applies_to_some_of_a_folder_is_taken(call, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (32, 24), "red").save(tmp_path / "in" / "a.jpg")
    Image.new("RGBA", (32, 24), (0, 0, 0, 0)).save(tmp_path / "in" / "b.png")
    options = ["--model", "bicubic", "--scale", "2", "--format", "jpg", "--background", "white"]
    done = call("upscale", "in", "-o", "out", *options)
    assert done.code == 0
    with Image.open(tmp_path / "out" / "b.jpg") as made:
        assert min(low for low, _ in made.getextrema()) > 250


def test_the_keys_are_listed(call) -> None:
    done = call("train", "--keys")
    assert done.code == 0
    assert "learning_rate" in done.out
    assert "adversarial.discriminator.width" in done.out
