"""Makes a safetensors file of weights that timm has as a pickle only, such as those of legacy_xception.

usage: python tools/convert_pickled.py NAME OUT.safetensors      NAME: of a timm model

tristream itself opens no pickle. This script lets timm fetch and open one, where you trust its source; PyTorch then
loads tensors alone (`weights_only`), so that a file that holds more is refused.
"""

from __future__ import annotations

import sys
from pathlib import Path

import timm
from safetensors.torch import save_file

from tristream.atomic import replaced


def main() -> None:
    """Fetch and convert."""
    if len(sys.argv) != 3 or not timm.is_model(sys.argv[1]) or not sys.argv[2].endswith(".safetensors"):
        sys.exit(__doc__)
    model = timm.create_model(sys.argv[1], pretrained=True)
    with replaced(Path(sys.argv[2])) as part:
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, part)


if __name__ == "__main__":
    main()
