"""The one file a run is made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.training.config import ConfigError, read

SOUND = """
pipeline = "toy"
classes = ["ok", "no"]
seed = 1
train = "train.csv"
dev = "dev.csv"
test = "test.csv"
tokenizer = "tokenizer.json"
[cnn]
epochs = 1
[policy]
doubtful = "ok"
[policy.precision]
no = 0.8
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(text)
    return path


def test_a_sound_file_is_read_and_its_data_can_be_moved(tmp_path: Path) -> None:
    config = read(written(tmp_path, SOUND)).with_data(Path("elsewhere"))
    assert config.classes == ("ok", "no")
    assert config.cnn.epochs == 1
    assert config.train == Path("elsewhere/train.csv")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("seed = 1", "sede = 1", r"unknown settings \['sede'\]"),
        ("seed = 1", "", "missing .* 'seed'"),
        ("epochs = 1", "epoks = 1", r"\[cnn\] has unknown settings \['epoks'\]"),
        ('["ok", "no"]', '["ok"]', "classes needs two names or more"),
        ("no = 0.8", "on = 0.8", r"\[policy.precision\] must name \['no'\]"),
        ('doubtful = "ok"', 'doubtful = "hm"', "doubtful must be one of"),
        ('tokenizer = "tokenizer.json"', "", "give wheel .* or tokenizer"),
        ("[cnn]", "[transformer]\nepochs = 1\n[cnn]", r"\[transformer\] needs wheel"),
        ("seed = 1", "seed = ", "Invalid value"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in SOUND
    with pytest.raises(ConfigError, match=complaint) as raised:
        read(written(tmp_path, SOUND.replace(old, new)))
    assert "run.toml" in str(raised.value)


def test_the_projects_own_file_is_sound() -> None:
    config = read(Path("ml/training/moderation.toml"))
    assert config.pipeline == "moderation"
    assert config.transformer is not None
