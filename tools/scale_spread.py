"""Do a full-size photograph and its smaller copies get like scores? Scores each at 1 x, 0.5 x and 0.25 x.

usage: python tools/scale_spread.py OUT.json FILE:SOURCE... [--checkpoint C.safetensors]

SOURCE names where the photograph comes from and its licence; it is kept in the record. Copies are made on decoded
pixels (bicubic, antialiased), once as they are and once through JPEG quality 80 4:2:0, as a messenger would send them.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import tristream
from tristream.environment import describe_environment
from tristream.images import perturb
from tristream.images.decode import decode

FACTORS = (1.0, 0.5, 0.25)
MESSENGER_QUALITY = 80


def spread(predictor: tristream.Predictor, path: Path, source: str) -> dict[str, Any]:
    """Logits and verdicts of one photograph and its copies."""
    pixels = decode(path).pixels
    copies = {f"{factor:g} x": perturb.rescale(pixels, factor) for factor in FACTORS}
    copies |= {
        f"{factor:g} x, JPEG {MESSENGER_QUALITY}": perturb.jpeg(copies[f"{factor:g} x"], MESSENGER_QUALITY)
        for factor in FACTORS[1:]
    }
    predictions = {name: predictor.predict(copy, stability=0) for name, copy in copies.items()}
    logits = [prediction.logit for prediction in predictions.values() if prediction.logit is not None]
    return {
        "file": path.name,
        "source": source,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "logits": {name: prediction.logit for name, prediction in predictions.items()},
        "verdicts": {name: prediction.verdict for name, prediction in predictions.items()},
        "logit_spread": max(logits) - min(logits),
    }


def main() -> None:
    """Read the arguments, score and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("photographs", nargs="+", metavar="FILE:SOURCE")
    parser.add_argument("--checkpoint", type=Path)
    arguments = parser.parse_args()
    predictor = tristream.load(arguments.checkpoint)
    rows = []
    for photograph in arguments.photographs:
        path, _, source = photograph.partition(":")
        rows.append(spread(predictor, Path(path), source))
    named = [f"{Path(p.partition(':')[0]).name}:{p.partition(':')[2]}" for p in arguments.photographs]
    command = shlex.join(["python", "tools/scale_spread.py", arguments.out.as_posix(), *named])
    record = {"command": command, "model": predictor.model_name, "n": len(rows), "rows": rows,
              "environment": describe_environment()}  # fmt: skip
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        print(f"{row['file']}: spread {row['logit_spread']:.2f}  {row['logits']}", file=sys.stderr)


if __name__ == "__main__":
    main()
