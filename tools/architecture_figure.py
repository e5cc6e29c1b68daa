"""Draws docs/figures/architecture.svg: the way from a picture to a verdict, text as text, for light and dark pages.

usage: python tools/architecture_figure.py [--check]      --check writes nothing and fails when it is out of date
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "architecture.svg"
WIDTH, HEIGHT = 1100, 472
"""px; all places below are too."""

STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; text-anchor: middle }
.name { font-weight: 600 } .left { text-anchor: start } .right { text-anchor: end }
.small { font-size: 11.5px; fill: #57606a }
.page { fill: #fff } .panel { fill: #f6f8fa; stroke: #d0d7de } .box { fill: #fff; stroke: #8c959f }
.arrow { fill: none; stroke: #57606a; stroke-width: 1.5 } .head { fill: #57606a } .aside { stroke-dasharray: 4 3 }
.spatial { fill: #ddf4ff; stroke: #54aeff } .frequency { fill: #fff1e5; stroke: #fb8f44 }
.semantic { fill: #dafbe1; stroke: #4ac26b }
.full.spatial { fill: #54aeff } .full.frequency { fill: #fb8f44 } .full.semantic { fill: #4ac26b }
.sky { fill: #b6e3ff } .sun { fill: #eac54f } .hill { fill: #6fdd8b }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .small { fill: #9198a1 } .page { fill: #0d1117 } .panel { fill: #151b23; stroke: #3d444d }
.box { fill: #0d1117; stroke: #656c76 } .arrow { stroke: #9198a1 } .head { fill: #9198a1 }
.spatial { fill: #0c2d6b; stroke: #388bfd } .frequency { fill: #4d2412; stroke: #db6d28 }
.semantic { fill: #0f3d20; stroke: #2ea043 }
.full.spatial { fill: #388bfd } .full.frequency { fill: #db6d28 } .full.semantic { fill: #2ea043 }
.sky { fill: #388bfd } .sun { fill: #d29922 } .hill { fill: #2ea043 }
}
"""
"""The figure has a ground of its own, so that it can be read where the page is of the other kind."""

LANE_TOP = {"spatial": 24, "frequency": 122, "semantic": 220}
LANE_HEIGHT = 88
TRACES = {
    "spatial": "pixel artefacts, blending boundaries",
    "frequency": "spectral fingerprints",
    "semantic": "what a picture shows",
}
BACKBONES = {"spatial": "EfficientNet", "frequency": "ResNet-18", "semantic": "ViT-Tiny/16"}
FEATURES = {"spatial": 128, "frequency": 64, "semantic": 384}
WEIGHTS = {"spatial": 34, "frequency": 16, "semantic": 24}
"""Lengths of the bars that stand for the stream weights of one picture."""
AFTER = {
    "calibration": ("probability at even odds,", "thresholds for stated error rates"),
    "domain check": ("are the tokens like those", "of the training pictures?"),
    "stability": ("do re-encoded, rescaled", "copies get the same verdict?"),
}


class Drawing:
    """An SVG that grows shape by shape."""

    def __init__(self, title: str, description: str) -> None:
        attributes = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img"}
        self.root = ElementTree.Element("svg", {**attributes, "width": str(WIDTH), "height": str(HEIGHT)})
        for tag, text in (("title", title), ("desc", description), ("style", STYLE)):
            self.add(tag).text = text

    def add(self, tag: str, **attributes: float | str) -> ElementTree.Element:
        """A shape; `style` becomes its class, an underscore in a name a hyphen."""
        named = {"class" if key == "style" else key.replace("_", "-"): str(value) for key, value in attributes.items()}
        return ElementTree.SubElement(self.root, tag, named)

    def text(self, x: float, y: float, words: str, style: str = "") -> None:
        """Words whose base line is at y, around x or, in the style `left`, from x on."""
        self.add("text", x=x, y=y, **({"style": style} if style else {})).text = words

    def rectangle(self, x: float, y: float, width: float, height: float, style: str, radius: float = 6) -> None:
        """With round corners."""
        self.add("rect", x=x, y=y, width=width, height=height, rx=radius, style=style)

    def box(self, x: float, y: float, width: float, height: float, lines: tuple[str, ...], style: str = "box") -> None:
        """A rectangle around lines of text, the first one strong."""
        self.rectangle(x, y, width, height, style)
        first = y + height / 2 + 4.5 - 8 * (len(lines) - 1)
        for number, words in enumerate(lines):
            self.text(x + width / 2, first + 16 * number, words, "small" if number else "name")

    def arrow(self, *points: tuple[float, float], style: str = "arrow") -> None:
        """A line through points, along one axis from each to the next, with a head at the last."""
        (x0, y0), (x, y) = points[-2:]
        along, across = ((x > x0) - (x < x0), (y > y0) - (y < y0))
        ends = [*points[:-1], (x - 6 * along, y - 6 * across)]
        self.add("path", d="M" + "L".join(f"{a:g} {b:g}" for a, b in ends), style=style)
        back = (x - 8 * along, y - 8 * across)
        corners = [(x, y), *((back[0] + 4 * s * across, back[1] + 4 * s * along) for s in (1, -1))]
        self.add("path", d="M" + "L".join(f"{a:g} {b:g}" for a, b in corners) + "Z", style="head")

    def __str__(self) -> str:
        ElementTree.indent(self.root, "")
        return ElementTree.tostring(self.root, encoding="unicode") + "\n"


def draw() -> str:
    """The figure as SVG text."""
    drawing = Drawing(
        "From a picture to a verdict",
        "A 256 px crop goes through three streams: spatial, frequency (rfft2, a learnable mask times radial band "
        "weights, irfft2, backbone) and semantic. Each is projected to a token; attention across the tokens gives "
        "stream weights and a logit. Calibration, domain check and stability make it a verdict.",
    )
    drawing.rectangle(0, 0, WIDTH, HEIGHT, "page", 12)
    for stream in LANE_TOP:
        _lane(drawing, stream)
    _picture(drawing)
    _fusion(drawing)
    _verdict(drawing)
    return str(drawing)


def _middle(stream: str) -> float:
    return LANE_TOP[stream] + 57


def _picture(drawing: Drawing) -> None:
    middle = _middle("frequency")
    drawing.rectangle(20, middle - 36, 84, 72, "sky box", 4)
    drawing.add("circle", cx=82, cy=middle - 18, r=9, style="sun")
    drawing.add(
        "path", d=f"M22 {middle + 34}L50 {middle - 12}L70 {middle + 14}L82 {middle}L102 {middle + 34}Z", style="hill"
    )
    drawing.text(62, middle + 54, "picture", "name")
    drawing.arrow((104, middle), (126, middle))
    drawing.box(126, middle - 32, 92, 64, ("crop", "256 px,", "RGB in [0, 1]"))
    for stream, first in {"spatial": 564, "semantic": 564, "frequency": 264}.items():  # x of the first box
        drawing.arrow((218, middle), (234, middle), (234, _middle(stream)), (first, _middle(stream)))


def _lane(drawing: Drawing, stream: str) -> None:
    top, middle = LANE_TOP[stream], _middle(stream)
    drawing.rectangle(252, top, 520, LANE_HEIGHT, stream, 8)
    drawing.text(266, top + 20, f"{stream} stream", "name left")
    drawing.text(760, top + 20, TRACES[stream], "small right")
    if stream == "frequency":
        drawing.box(264, middle - 20, 50, 40, ("rfft2",))
        drawing.arrow((314, middle), (328, middle))
        _mask(drawing, 328, middle)
        drawing.arrow((486, middle), (500, middle))
        drawing.box(500, middle - 20, 50, 40, ("irfft2",))
        drawing.arrow((550, middle), (564, middle))
    drawing.box(564, middle - 20, 102, 40, (BACKBONES[stream],))
    drawing.arrow((666, middle), (680, middle))
    drawing.box(680, middle - 20, 80, 40, ("project", f"{FEATURES[stream]} → D"))


def _mask(drawing: Drawing, x: float, middle: float) -> None:
    """The learnable mask, with the four radial bands of a half spectrum."""
    drawing.rectangle(x, middle - 24, 158, 48, "box")
    for radius, opacity in ((18, 0.25), (13.5, 0.45), (9, 0.7), (4.5, 1)):
        arc = f"M{x + 12} {middle - radius}A{radius} {radius} 0 0 1 {x + 12} {middle + radius}Z"
        drawing.add("path", d=arc, style="full frequency", fill_opacity=opacity)
    drawing.text(x + 37, middle - 3, "learnable mask", "name left")
    drawing.text(x + 37, middle + 13, "× 4 band weights", "small left")


def _fusion(drawing: Drawing) -> None:
    drawing.rectangle(788, 24, 292, 284, "panel", 8)
    drawing.text(802, 44, "MLAF fusion", "name left")
    for stream in LANE_TOP:
        middle = _middle(stream)
        drawing.arrow((760, middle), (806, middle))
        drawing.rectangle(806, middle - 13, 26, 26, f"full {stream}", 5)
        drawing.arrow((832, middle), (882, middle))
        drawing.rectangle(998, middle - 6, WEIGHTS[stream], 12, f"full {stream}", 2)
        drawing.arrow((972, middle), (994, middle))
    drawing.text(819, 304, "tokens", "small")
    drawing.text(857, _middle("spatial") - 7, "+ type", "small")
    drawing.box(882, 60, 90, 234, ("attention", "across the", "tokens"))
    drawing.text(982, 44, "stream mask: who takes part", "small")
    drawing.arrow((927, 49), (927, 60), style="arrow aside")
    drawing.text(1028, 126, "stream weights", "small")
    drawing.text(1028, 142, "by one softmax", "small")


def _verdict(drawing: Drawing) -> None:
    top, middle = 372, 412
    drawing.arrow((1028, 308), (1028, top))
    drawing.text(1018, 344, "weighted sum", "small right")
    drawing.box(976, top, 104, 80, ("logit", "one per crop,", "averaged"))
    x = 976.0
    for name, lines in AFTER.items():
        drawing.arrow((x, middle), (x - 22, middle))
        drawing.box(x - 22 - 198, top, 198, 80, (name, *lines))
        x -= 22 + 198
    drawing.arrow((819, 308), (819, 340), (627, 340), (627, top), style="arrow aside")
    drawing.arrow((x, middle), (x - 22, middle))
    drawing.rectangle(20, top, x - 42, 80, "panel", 8)
    drawing.text(34, top + 22, "verdict", "name left")
    for place, words in enumerate(("likely_fake", "unsure", "likely_real")):
        drawing.box(27 + 88 * place, top + 34, 84, 32, (words,))


def main() -> None:
    """Write the figure, or compare it."""
    text = draw()
    if "--check" not in sys.argv:
        FIGURE.write_text(text, encoding="utf-8")
    elif not FIGURE.is_file() or FIGURE.read_text(encoding="utf-8") != text:
        sys.exit(f"{FIGURE.name}: out of date; run python tools/architecture_figure.py")
    sys.exit(0)


if __name__ == "__main__":
    main()
