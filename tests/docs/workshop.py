"""What the commands of the documents find in their folder: as little of each thing as makes them work."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from tests.attacks.planted import planted_calibration
from tests.clips import scene, write_clip
from tests.data.leaky import leaky_manifest, noise_picture
from tests.data.miniatures import coco, diffusiondb, fakecoco, ffhq, forensynths, genimage, huggingface, put, sofake
from tests.data.server import Server
from tests.documents import ROOT
from tests.pictures import natural_noise, planted_manifest
from tristream.config import parse_yaml
from tristream.data.manifest import Manifest
from tristream.data.readers import READERS, recognise
from tristream.data.readers.ffpp import METHODS
from tristream.data.readers.layout import WebFile
from tristream.detectors import build_detector
from tristream.detectors.checkpoint import save_checkpoint
from tristream.evaluation.checkpoint import PictureSet, evaluate_checkpoint
from tristream.export.checkpoint import export_checkpoint
from tristream.images.preprocess import Preprocessing
from tristream.metadata import ModelMetadata

SIZE = 32
TINY = {
    "input_size": SIZE,
    "preprocessing": {"short_side": SIZE, "crop": SIZE},
    "epochs": 1,
    "batch_size": 6,
    "precision": "32-true",
    "accelerator": "cpu",
    "workers": 0,
    "ema_decay": 0,
    "optim": {"learning_rate": 3e-3},
}
"""Laid over every training config of the workshop."""
BACKBONES = {"spatial": "test_efficientnet", "frequency": "test_resnet", "semantic": "test_vit"}
"""timm's backbones for tests, of less than half a million weights each, in place of the streams' own."""
STREAMS = {
    "image_size": SIZE,
    "width": 32,
    "options": {stream: {"backbone": backbone, "weights": "none"} for stream, backbone in BACKBONES.items()},
}
SHIPPED = Path("src/tristream/weights/detector.safetensors")


def tiny(config: dict[str, Any]) -> dict[str, Any]:
    """The same training config with TINY, and with small random backbones in its detector."""
    small = {"multistream": STREAMS, "xception": {"backbone": BACKBONES["spatial"], "weights": "none"}}
    detector = config.get("detector", {})
    changed = {"detector": {**detector, **small.get(detector["name"], {})}} if detector else {}
    return {**config, **TINY, **changed}


def clone() -> None:
    """What a clone has: examples/, configs/ made tiny, and a tiny detector in the place of the shipped weights."""
    Path("examples").symlink_to(ROOT / "examples", target_is_directory=True)
    shutil.copytree(ROOT / "configs", "configs")
    for file in (*Path("configs").glob("*.yaml"), Path("configs/protocols/cpu.yaml")):
        file.write_text(yaml.safe_dump(tiny(parse_yaml(file.read_text(encoding="utf-8")))), encoding="utf-8")
    SHIPPED.parent.mkdir(parents=True)
    detector("shipped", SHIPPED)


def detector(name: str = "mine", file: Path | None = None) -> None:
    """NAME.safetensors: three tiny streams that have learnt nothing, turned so that bright pictures score higher."""
    torch.manual_seed(sum(name.encode()))
    metadata = ModelMetadata(
        name=name, detector="multistream", config=STREAMS, calibration=planted_calibration(),
        preprocessing=Preprocessing(short_side=SIZE, crop=SIZE),
    )  # fmt: skip
    made = build_detector("multistream", STREAMS, load_weights=False).eval()
    dark, bright = made(torch.tensor([0.3, 0.7])[:, None, None, None].expand(2, 3, SIZE, SIZE)).logits.tolist()
    if dark > bright:
        for parameter in made.fusion.classifier[-1].parameters():
            parameter.data.neg_()
    save_checkpoint(file or Path(f"{name}.safetensors"), made, metadata)


def picture_of(label: int, rng: np.random.Generator) -> Image.Image:
    """Noise of 64 px: the reals are dark, the fakes are bright."""
    return Image.fromarray(np.clip(natural_noise(rng) + (50 if label else -50), 0, 255).astype(np.uint8))


def photo() -> None:
    """photo.jpg."""
    noise_picture(np.random.default_rng(0), 96, 80).save("photo.jpg")


def album() -> None:
    """photos/, two JPEGs."""
    Path("photos/phone").mkdir(parents=True)
    for number in range(2):
        noise_picture(np.random.default_rng(number), 96, 80).save(f"photos/phone/{number}.jpg")


def photos() -> None:
    """photos/split.csv, with every split that a page names."""
    Path("photos").mkdir()
    _split(Path("photos/split.csv"))


def training_pictures() -> None:
    """pictures/split.csv and mine/split.csv."""
    for folder in ("pictures", "mine"):
        Path(folder).mkdir()
        _split(Path(folder, "split.csv"), train=40)


def _split(file: Path, train: int = 12) -> None:
    rng, rows = np.random.default_rng(0), []
    for split, count in {"train": train, "validation": 6, "reserved": 8, "test": 10}.items():
        for number in range(count):
            label = number % 2
            picture_of(label, rng).save(file.with_name(f"{split}-{number}.png"))
            rows.append({"path": f"{split}-{number}.png", "label": label, "source": "drawn", "split": split})
    pd.DataFrame(rows).to_csv(file, index=False)


def my_pictures() -> None:
    """my-pictures/{real,fake}/SOURCE/, 24 pictures of each source, not yet indexed."""
    rng = np.random.default_rng(0)
    for source in (
        "real/phone",
        "real/agency",
        "real/camera-y",
        "real/camera-z",
        "fake/generator-w",
        "fake/generator-x",
        "fake/generator-y",
        "fake/generator-z",
    ):
        folder = Path("my-pictures", source)
        folder.mkdir(parents=True)
        for number in range(24):
            picture_of(int(source.startswith("fake")), rng).save(folder / f"{number}.png")
    noise_picture(rng, 96, 80).save("my-pictures/photo.jpg")


def run_of_mine() -> None:
    """results/mine, of mine.safetensors."""
    evaluate_checkpoint(Path("mine.safetensors"), PictureSet(Path("photos/split.csv"), "test"), Path("results/mine"))


def runs() -> None:
    """results/theirs and results/others, of other detectors on the same pictures as results/mine."""
    for name in ("theirs", "others"):
        detector(name)
        evaluate_checkpoint(
            Path(f"{name}.safetensors"), PictureSet(Path("photos/split.csv"), "test"), Path("results", name)
        )


def protocols() -> None:
    """manifests/ of FaceForensics++ c23, Celeb-DF-v2 and GenImage, and two detectors for the matrix."""
    Path("manifests").mkdir()
    planted = planted_manifest(Path("manifests"), {"validation": 6, "test": 6})
    planted = Manifest(planted.table.assign(video=[f"{n // 3}" for n in range(12)]), planted.root)
    for name in ("ffpp-c23", "celebdf", "genimage"):
        planted.write(Path(f"manifests/{name}.parquet"))
    for name in ("sd14", "adm"):
        detector(name)


def leaky_photos() -> None:
    """photos/ with a folder for each source of each class, whose files tell the label, and their index.csv."""
    leaky_manifest(Path("photos"), sources=5, pictures=3)
    Path("photos/manifest.csv").rename("photos/index.csv")


def clips() -> None:
    """clip.mp4 and clips/, with a drawn face in some frames."""
    Path("clips").mkdir()
    for name in ("clip.mp4", "clips/a.mp4"):
        write_clip(Path(name), [scene(), scene((20, 100)), scene((200, 100))], g="1")


def faceforensics() -> None:
    """FaceForensics/ with videos of c23 and c40, two frames with a drawn face each, a pair in each split."""
    root, face, number = Path("FaceForensics"), scene((5, 5), size=(200, 180)), 0
    for split, pair in {"train": ("071", "054"), "val": ("720", "672"), "test": ("953", "974")}.items():
        put(root / f"splits/{split}.json", json.dumps([pair]).encode())
        videos = [f"original_sequences/youtube/{{}}/videos/{name}.mp4" for name in pair]
        videos += [f"manipulated_sequences/{method}/{{}}/videos/{'_'.join(names)}.mp4"
                   for method in METHODS for names in (pair, pair[::-1])]  # fmt: skip
        for video in videos:
            number += 1
            frames = [np.roll(face, (y, number), axis=(0, 1)).clip(number) - np.uint8(number) for y in (0, 5)]
            made = put(root / video.format("c23"), b"")
            write_clip(made, frames)
            put(root / video.format("c40"), made.read_bytes())


def genimage_folder() -> None:
    """GenImage/."""
    genimage(Path("GenImage"))


def data_sets_of_the_mix() -> None:
    """data/ with the data sets of configs/mixes/seed.yaml."""
    for made in (ffhq, coco, diffusiondb, genimage, forensynths):
        made(Path("data", made.__name__))


def data_sets_of_the_network(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the pages fetch, on a server of this machine: the Hub's data sets, and the archive of COCO."""
    away = Path("of-the-network")
    for repository, miniature in {
        "saberzl/So-Fake-OOD": sofake, "merkol/ffhq-256": huggingface, "nebula/FakeCOCO": fakecoco,
    }.items():  # fmt: skip
        root = miniature(away / repository).root
        server.hub(repository, {file.relative_to(root).as_posix(): file.read_bytes()
                                for file in sorted(root.rglob("*")) if file.is_file()})  # fmt: skip
    root = diffusiondb(away / "diffusiondb").root
    parts = {f"images/{part.name}.zip": zipped(part) for part in sorted((root / "images").iterdir())}
    server.hub("poloclub/diffusiondb", {**parts, "metadata.parquet": (root / "metadata.parquet").read_bytes()})
    root = forensynths(away / "CNN_synth_testset").root
    server.hub("sywang/CNNDetection", {"CNN_synth_testset.zip": zipped(root)})
    archive = zipped(coco(away / "coco").root / "val2017", "val2017/")
    server.files["/zips/val2017.zip"] = archive
    file = WebFile(f"{server.address}/zips/val2017.zip", len(archive), hashlib.sha256(archive).hexdigest())
    monkeypatch.setattr(READERS["coco"], "layout", replace(READERS["coco"].layout, files=(file,)))


def zipped(folder: Path, prefix: str = "") -> bytes:
    """A zip archive of the files below a folder."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(file, prefix + file.relative_to(folder).as_posix())
    return stream.getvalue()


def indexed() -> None:
    """my-pictures/index.csv."""
    recognise(Path("my-pictures")).manifest.write(Path("my-pictures/index.csv"))


def exported() -> None:
    """mine.int8.onnx, of mine.safetensors."""
    export_checkpoint(Path("mine.safetensors"), Path("mine.int8.onnx"), "int8", Path("photos/split.csv"), "train", 4)


def scores() -> None:
    """theirs.csv, of the pictures of the test split."""
    table = Manifest.read(Path("photos/split.csv")).table.query("split == 'test'")
    table.assign(score=np.linspace(0, 1, len(table)))[["path", "score"]].to_csv("theirs.csv", index=False)


def picture_in_memory() -> dict[str, object]:
    """A manifest, and a picture's pixels with its hash."""
    return {"manifest": Manifest.read(Path("photos/index.csv")), "sha256": hashlib.sha256(b"").hexdigest(),
            "pixels": np.zeros((140, 150, 3), np.uint8)}  # fmt: skip
