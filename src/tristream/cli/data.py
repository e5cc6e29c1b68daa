"""`tristream data`: what the layouts are, fetching them, making manifests and frames, checking and splitting them."""

from __future__ import annotations

import typer

from tristream.cli.data_download import download
from tristream.cli.data_equalise import equalise
from tristream.cli.data_frames import frames
from tristream.cli.data_index import index
from tristream.cli.data_layouts import layouts
from tristream.cli.data_split import split
from tristream.cli.data_verify import verify

data_app = typer.Typer(
    name="data", help="Fetch data sets, make manifests of them, check, split and equalise them.", no_args_is_help=True
)
data_app.command("layouts")(layouts)
data_app.command("download")(download)
data_app.command("index")(index)
data_app.command("verify")(verify)
data_app.command("split")(split)
data_app.command("frames")(frames)
data_app.command("equalise")(equalise)
