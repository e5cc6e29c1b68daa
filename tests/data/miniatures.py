"""Public layouts in miniature, with drawn pictures and placeholders for videos: exact in their names and tables."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tristream.data.readers.celebdf import OFFICIAL_LIST
from tristream.data.readers.ffpp import METHODS, OFFICIAL_SPLITS


@dataclass(frozen=True)
class Miniature:
    """A layout as it lies in a folder, and what is known of it."""

    root: Path
    real: int
    fake: int
    options: dict[str, Any] = field(default_factory=dict)
    victim: Path | None = None
    """a file without which the data set is incomplete; None where nothing says what is complete"""


def picture(seed: int, format: str = "PNG", size: tuple[int, int] = (20, 16)) -> bytes:
    """A picture of noise; equal seeds make equal bytes."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, format)
    return stream.getvalue()


def put(file: Path, data: bytes) -> Path:
    """Write a file and its folders."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


def put_pictures(root: Path, *paths: str) -> None:
    """Write a picture to each path; every one is another."""
    for number, path in enumerate(paths):
        put(root / path, picture(number, "JPEG" if path.endswith(("jpg", "JPEG")) else "PNG"))


def ffpp(root: Path) -> Miniature:
    """Four pairs in splits of its own."""
    for split, pairs in {
        "train": [["071", "054"], ["087", "081"]],
        "val": [["720", "672"]],
        "test": [["953", "974"]],
    }.items():
        put(root / f"splits/{split}.json", json.dumps(pairs).encode())
    return official_ffpp(root, root / "splits", "", "c23")


def official_ffpp(
    root: Path, splits: Path = OFFICIAL_SPLITS, prefix: str = "ffpp_", compression: str = "c40"
) -> Miniature:
    """All videos of the splits, as placeholders."""
    videos = 0
    for split in ("train", "val", "test"):
        for a, b in json.loads((splits / f"{prefix}{split}.json").read_text()):
            videos += 2
            for name in (a, b):
                put(root / f"original_sequences/youtube/{compression}/videos/{name}.mp4", name.encode())
            for method in METHODS:
                for name in (f"{a}_{b}", f"{b}_{a}"):
                    put(
                        root / f"manipulated_sequences/{method}/{compression}/videos/{name}.mp4",
                        f"{method} {name}".encode(),
                    )
    victim = root / f"manipulated_sequences/Face2Face/{compression}/videos/054_071.mp4"
    return Miniature(root, videos, 4 * videos, {"compression": compression}, victim)


def celebdf(root: Path) -> Miniature:
    """Five lines of the official list, as the data set's own."""
    lines = [line for line in OFFICIAL_LIST.read_text().splitlines() if "id1_" in line or "/0017" in line]
    put(root / "List_of_testing_videos.txt", "\n".join(lines).encode())
    real = sum(line.startswith("1") for line in lines)
    return replace(official_celebdf(root, lines), real=real, fake=len(lines) - real)


def official_celebdf(root: Path, lines: list[str] | None = None) -> Miniature:
    """The 518 videos of the test list and two others, as placeholders."""
    for line in lines or OFFICIAL_LIST.read_text().splitlines():
        put(root / line.split()[1], line.encode())
    put(root / "Celeb-real/id61_9999.mp4", b"not tested")
    put(root / "Celeb-synthesis/id61_id60_9999.mp4", b"not tested either")
    return Miniature(root, 178, 340, victim=root / "Celeb-synthesis/id1_id0_0007.mp4")


def forensynths(root: Path) -> Miniature:
    """The test set: 13 generators, four of them with two classes."""
    generators = ("biggan", "crn", "deepfake", "gaugan", "imle", "san", "seeingdark", "stargan", "whichfaceisreal")
    with_classes = ("progan", "stylegan", "stylegan2", "cyclegan")
    folders = [*generators, *(f"{name}/{kind}" for name in with_classes for kind in ("car", "cat"))]
    put_pictures(root, *(f"{folder}/{label}/00001.png" for folder in folders for label in ("0_real", "1_fake")))
    return Miniature(root, 17, 17, victim=root / "cyclegan/cat/1_fake/00001.png")


def genimage(root: Path) -> Miniature:
    """All eight generators; of some, the archive's folder lies inside, as the archives are unpacked."""
    folders = ["Midjourney", "ADM", "glide/imagenet_glide", "wukong", "VQDM/imagenet_ai_0419_vqdm", "BigGAN"]
    folders += [
        f"stable_diffusion_v_1_{n}/{name}" for n, name in ((4, "imagenet_ai_0419_sdv4"), (5, "imagenet_ai_0424_sdv5"))
    ]
    put_pictures(
        root,
        *(
            f"{folder}/{split}/nature/n01440764_{i}.JPEG"
            for i, folder in enumerate(folders)
            for split in ("train", "val")
        ),
        *(f"{folder}/{split}/ai/{i}_x.png" for i, folder in enumerate(folders) for split in ("train", "val")),
    )
    return Miniature(root, 16, 16, victim=root / "BigGAN/val/ai/5_x.png")


def diffusiondb(root: Path) -> Miniature:
    """Two parts of the 2M edition with six pictures, of which the NSFW filter takes one."""
    rows = []
    for part in (1, 2):
        listed = {}
        for number in range(3):
            name = f"0000000{part}-aaaa-4bbb-8ccc-00000000000{number}.png"
            put(root / f"images/part-{part:06d}/{name}", picture(10 * part + number))
            prompt = f"prompt {number % 2}"
            listed[name] = {"p": prompt, "se": 1, "c": 7.0, "st": 50, "sa": "k_lms"}
            user = "deleted_account" if (part, number) == (2, 2) else f"user{part}"
            rows.append({"image_name": name, "prompt": prompt, "part_id": part, "seed": 1, "user_name": user,
                         "image_nsfw": 2.0 if (part, number) == (1, 1) else 0.1, "prompt_nsfw": 0.2})  # fmt: skip
        put(root / f"images/part-{part:06d}/part-{part:06d}.json", json.dumps(listed).encode())
    rows.append({**rows[0], "image_name": "of-a-part-that-is-not-here.png", "part_id": 3})
    pq.write_table(pa.Table.from_pylist(rows), root / "metadata.parquet")
    return Miniature(root, 0, 5, victim=root / "images/part-000002/00000002-aaaa-4bbb-8ccc-000000000000.png")


def ffhq(root: Path) -> Miniature:
    """Twelve faces."""
    put_pictures(root, *(f"images1024x1024/00000/{number:05d}.png" for number in range(12)))
    return Miniature(root, 12, 0, {"expected": 12}, root / "images1024x1024/00000/00007.png")


def coco(root: Path) -> Miniature:
    """Three photographs, which the annotations list."""
    names = ["000000000139.jpg", "000000000285.jpg", "000000000632.jpg"]
    put_pictures(root, *(f"val2017/{name}" for name in names))
    annotations = {"images": [{"file_name": name, "id": int(name[:12])} for name in names], "annotations": []}
    put(root / "annotations/captions_val2017.json", json.dumps(annotations).encode())
    return Miniature(root, 3, 0, victim=root / "val2017/000000000285.jpg")


OLD_ORDER = ("full_synthetic", "real", "tampered")
NEW_ORDER = ("real", "tampered", "full_synthetic")
"""So-Fake-OOD's first and second edition."""


def table_of_pictures(rows: list[dict[str, Any]], classes: tuple[str, ...] = (), masks: bool = False) -> pa.Table:
    """As `datasets` writes tables: a struct per picture, and the features in the schema. Row "image": bytes."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    picture_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    arrays = {name: pa.array(values) for name, values in columns.items() if name != "image"}
    images = [{"bytes": value, "path": f"{number:012d}.png"} for number, value in enumerate(columns["image"])]
    arrays = {"image": pa.array(images, picture_type), **arrays}
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    if masks:
        arrays["mask"] = pa.array([{"bytes": picture(99), "path": "mask.png"}] * len(rows), picture_type)
        features["mask"] = {"_type": "Image"}
    if classes:
        features["label"] = {"names": list(classes), "_type": "ClassLabel"}
    table = pa.table(arrays)
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def sofake(root: Path, order: tuple[str, ...] = NEW_ORDER) -> Miniature:
    """Two shards of So-Fake-OOD: per class one picture each."""
    for shard in range(2):
        rows = [{"image": picture(10 * shard + index, "JPEG"), "label": order.index(kind),
                 "generator": None if kind == "real" else "GPT4o", "source": "reddit",
                 "filename": f"{kind}_{shard}.jpg"}
                for index, kind in enumerate(("real", "full_synthetic", "tampered"))]  # fmt: skip
        file = root / f"data/test-{shard:05d}-of-00002.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table_of_pictures(rows, order, masks=True), file)
    out = root.with_name(root.name + "-pictures")
    return Miniature(root, 2, 4, {"extract_to": out}, root / "data/test-00001-of-00002.parquet")


def save_to_disk(folder: Path, table: pa.Table, shards: int = 2) -> None:
    """As `Dataset.save_to_disk` writes it: Arrow streams, state.json and dataset_info.json."""
    folder.mkdir(parents=True, exist_ok=True)
    size = -(-len(table) // shards)
    for shard in range(shards):
        with pa.OSFile(str(folder / f"data-{shard:05d}-of-{shards:05d}.arrow"), "wb") as sink:
            part = table.slice(shard * size, size)
            with pa.ipc.new_stream(sink, part.schema) as writer:
                writer.write_table(part)
    files = [{"filename": f"data-{shard:05d}-of-{shards:05d}.arrow"} for shard in range(shards)]
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_split": None}))
    (folder / "dataset_info.json").write_text("{}")


def fakecoco(root: Path) -> Miniature:
    """Photographs and two generators' pictures of the captions of the same four."""
    for folder, name in enumerate(("real", "stable-diffusion-v1-5", "PixArt-XL-2-1024-MS")):
        rows = [{"image": picture(10 * folder + n), "image_id": 139 + n, "caption": "a cat"} for n in range(4)]
        save_to_disk(root / name, table_of_pictures(rows))
    put(root / "FLUX_aa", b"part of an archive")
    out = root.with_name(root.name + "-pictures")
    return Miniature(root, 4, 8, {"extract_to": out}, root / "real/data-00001-of-00002.arrow")


def huggingface(root: Path) -> Miniature:
    """A DatasetDict in Parquet whose class 0 is fake."""
    for split, seed in (("train", 1), ("test", 5)):
        rows = [{"image": picture(seed + n), "label": n % 2, "prompt": f"p{seed}"} for n in range(4)]
        file = root / f"data/{split}-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table_of_pictures(rows, ("Fake", "Real")), file)
    out = root.with_name(root.name + "-pictures")
    return Miniature(root, 4, 4, {"extract_to": out})


def folder(root: Path) -> Miniature:
    """The plainest."""
    put_pictures(root, "real/ffhq/a.png", "fake/flux/b.png", "fake/sdxl/c.png")
    return Miniature(root, 1, 2)


def csv(root: Path) -> Miniature:
    """A list in which 1 means real, as Celeb-DF's."""
    put_pictures(root, "a.png", "b.png", "c.png")
    listed = put(root / "list.csv", b"file,target,camera\na.png,1,x\nb.png,0,\nc.png,0,\n")
    options = {"path_column": "file", "label_column": "target", "real": ["1"], "fake": ["0"]}
    return Miniature(listed, 1, 2, options, root / "c.png")


def mix(root: Path) -> Miniature:
    """Faces, photographs, and half of a folder's fakes."""
    ffhq(root / "faces")
    coco(root / "photos")
    put_pictures(
        root / "mine",
        "real/x.png",
        *(f"fake/flux/{n}.png" for n in range(6)),
        *(f"fake/sdxl/{n}.jpg" for n in range(6)),
    )
    text = """
    sources:
      - {root: faces, layout: ffhq, options: {expected: 12}, cap: 5, split: train}
      - {root: photos, layout: coco, source: mscoco}
      - {root: mine, layout: folder, keep: {label: [1]}, cap: 2, cap_per: generator}
    """
    return Miniature(put(root / "mix.yaml", text.encode()), 8, 4, {}, root / "photos/val2017/000000000139.jpg")


MINIATURES: dict[str, Callable[[Path], Miniature]] = {
    "ffpp": ffpp,
    "celebdf": celebdf,
    "forensynths": forensynths,
    "genimage": genimage,
    "diffusiondb": diffusiondb,
    "ffhq": ffhq,
    "coco": coco,
    "sofake": sofake,
    "fakecoco": fakecoco,
    "huggingface": huggingface,
    "folder": folder,
    "csv": csv,
    "mix": mix,
}
