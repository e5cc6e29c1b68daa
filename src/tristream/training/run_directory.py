"""The run directory: what a run was asked to do, on what data, on which machine, and what it logged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tristream.atomic import write_text
from tristream.environment import describe_environment
from tristream.errors import ConfigError
from tristream.training.config import TrainConfig

_WITHOUT_EFFECT = ("workers", "save_every_steps")
"""Keys that change nothing but speed and safety; a run may go on with others."""


class RunDirectory:
    """Paths of one run, and the files that let it be repeated and resumed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = path / "checkpoints" / "best.safetensors"
        self.last = path / "checkpoints" / "last.safetensors"
        self.state = path / "checkpoints" / "state.safetensors"
        self.embeddings = path / "embeddings"
        self.pictures = path / "training_pictures.csv"
        self._config, self._environment, self._log = (
            path / n for n in ("config.yaml", "environment.json", "log.jsonl")
        )

    def check(self, config: TrainConfig, resume: bool) -> None:
        """Raises ConfigError when there is a run and `resume` is not set, or the run there has another config."""
        if not self._config.is_file():
            return
        if not resume:
            raise ConfigError(f"{self.path}: holds a run already; go on with --resume or choose another folder")
        started = yaml.safe_load(self._config.read_text(encoding="utf-8"))
        wanted = config.model_dump(mode="json")
        keys = [k for k in wanted if k not in _WITHOUT_EFFECT and started.get(k) != wanted[k]]
        if keys:
            raise ConfigError(
                f"{self.path}: cannot resume with another config; {', '.join(keys)} differ from {self._config}"
            )

    def record(self, config: TrainConfig, data: dict[str, str], command: str) -> None:
        """Write config.yaml and environment.json, or make sure that a resumed run sees the data that it started with.

        data: a name and a digest for everything that the run reads. Raises ConfigError when a digest has changed.
        """
        if self._config.is_file():
            before = json.loads(self._environment.read_text(encoding="utf-8"))["data"]
            if changed := sorted(name for name in data.keys() | before.keys() if before.get(name) != data.get(name)):
                raise ConfigError(f"{self.path}: cannot resume; {', '.join(changed)} changed since the run started")
            return
        self.path.mkdir(parents=True, exist_ok=True)
        about = {"command": command, "data": data, **describe_environment()}
        write_text(self._environment, json.dumps(about, indent=1) + "\n")
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
        write_text(self._config, text)

    def log(self, entry: dict[str, Any]) -> None:
        """Append one line to log.jsonl; every entry has a `step`."""
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def cut_log(self, step: int) -> None:
        """Drop what a killed run logged after the state from which it goes on."""
        if self._log.is_file():
            lines = self._log.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
            write_text(self._log, "".join(line + "\n" for line in kept))
