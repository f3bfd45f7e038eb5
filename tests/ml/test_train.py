"""`python -m ml.train` and `python -m ml.evaluate` on a user's own CSV and labels."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ml import evaluate, train
from ml import reference as renew
from ml.drift.comparison import OK, compare
from ml.drift.reference import row
from ml.moderation.pipeline import Moderation, pipeline
from ml.pipeline import Item
from ml.registry import Artifacts
from ml.serving.cascade import Member
from ml.serving.runtime import Runtime
from ml.training.data.rows import Columns, read

CONFIG = """
pipeline = "spam"
classes = ["ham", "spam"]
seed = 1
train = "{folder}/train.csv"
dev = "{folder}/dev.csv"
test = "{folder}/test.csv"
tokenizer = "{tokenizer}"
licence = "MIT"
[columns]
text = "body"
label = "kind"
[vocabulary]
common = 0
seen = 1
[cnn]
epochs = 12
batch = 16
rate = 1e-2
[rules]
most = 50
seen = 2
prior = 5.0
[policy]
doubtful = "ham"
[policy.precision]
spam = 0.8
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spam")
    bodies = [("see you at lunch", "ham"), ("win free money now", "spam")]
    for name in ("train", "dev", "test"):
        rows = [f"{body} {n},{kind}" for n in range(40) for body, kind in bodies]
        (folder / f"{name}.csv").write_text("\n".join(["body,kind", *rows]) + "\n")
    tokenizer = pipeline.artifacts.file("tokenizer.json")
    config = CONFIG.format(folder=folder, tokenizer=tokenizer)
    config = config.replace("[columns]\n", '[columns]\nsource = ""\n')
    (folder / "run.toml").write_text(config)
    return folder


def command(folder: Path, version: str) -> list[str]:
    models, work = str(folder / "models"), str(folder / "work")
    run = str(folder / "run.toml")
    return ["train", run, "--models", models, "--work", work, "--version", version]


@pytest.fixture(scope="module")
def artifacts(folder: Path) -> Artifacts:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command(folder, "v1"))
        train.main()
    return Artifacts.open(folder / "models" / "spam" / "v1")


def test_the_version_it_writes_is_served_with_its_own_labels(artifacts: Artifacts) -> None:
    class Spam(Moderation):
        name = "spam"

    runtime = Runtime.load(Spam(artifacts), "cpu")
    runtime.warm_up()
    texts = ["win free money now", "see you at lunch"]
    outcomes = runtime.run(runtime.prepare([Item({"text": text}) for text in texts])).outcomes
    assert [o.output and o.output["label"] for o in outcomes] == ["spam", "ham"]
    assert [o.output and o.output["tier"] for o in outcomes] == ["cnn", "cnn"]


def test_the_manifest_vouches_for_every_file_and_says_how_it_was_made(
    artifacts: Artifacts,
) -> None:
    files = {path.name for path in artifacts.path.iterdir()} - {"manifest.json"}
    assert files == set(artifacts.manifest["files"])
    assert files >= {"cnn.safetensors", "rules.json", "tokenizer.json", "report.html"}
    assert all(artifacts.file(name) for name in files)
    assert artifacts.manifest["metrics"]["cnn"]["accuracy"] == 1.0
    assert set(artifacts.manifest["latency"]["cnn"]) >= {"ms_1", "items_s_32"}
    assert artifacts.manifest["training"]["config"]["seed"] == 1
    assert len(artifacts.manifest["data"]["train"]["sha256"]) == 64


def test_a_version_has_a_drift_reference_that_its_own_answers_do_not_drift_from(
    artifacts: Artifacts, folder: Path
) -> None:
    class Spam(Moderation):
        name = "spam"

    line = Spam(artifacts)
    reference = line.drift_reference()
    assert reference is not None
    assert reference.rows == 80
    assert set(reference.answers) == {"cnn", "rules"}
    assert sum(reference.answers["cnn"].classes.values()) == 80
    texts = read(folder / "dev.csv", Columns("body", "kind", "")).texts
    runtime = Runtime.load(line, "cpu")
    prepared = runtime.prepare([Item({"text": text}) for text in texts])
    outcomes = runtime.run(prepared).outcomes
    rows = []
    for item, member, outcome in zip(prepared.items, prepared.members, outcomes, strict=True):
        assert isinstance(member, Member)
        assert outcome.output
        rows.append(row(line.drift_features(item, member.features), outcome.output))
    assert {name: sorted(reference.features[name]) for name in reference.features} == {
        name: sorted(one[name] for one in rows) for name in reference.features
    }
    assert compare(reference, rows, min_samples=50).verdict == OK


def test_a_version_is_written_again_with_a_new_reference_and_nothing_else_changes(
    artifacts: Artifacts, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--pipeline", "spam", "--of", "v1", "--models", str(folder / "models")]
    command = ["reference", "--data", str(folder), "--version", "v1.1", *options]
    monkeypatch.setattr(sys, "argv", command)
    renew.main()
    again = Artifacts.open(folder / "models" / "spam" / "v1.1")
    assert again.manifest["files"] == artifacts.manifest["files"]
    assert all(again.file(name) for name in again.manifest["files"])
    changed = {"version", "created", "renews"}
    assert {k: v for k, v in again.manifest.items() if k not in changed} == {
        k: v for k, v in artifacts.manifest.items() if k not in changed
    }
    with pytest.raises(FileExistsError, match="versions never change"):
        renew.main()


@pytest.mark.usefixtures("artifacts")
def test_a_reference_is_of_the_rows_that_the_version_was_calibrated_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dev.csv").write_text("body,kind\nother words,ham\n")
    options = ["--pipeline", "spam", "--of", "v1", "--models", str(folder / "models")]
    command = ["reference", "--data", str(tmp_path), "--version", "v1.2", *options]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(ValueError, match=r"is not the file that v1 was calibrated on"):
        renew.main()


@pytest.mark.usefixtures("artifacts")
def test_a_version_never_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", command(folder, "v1"))
    with pytest.raises(FileExistsError, match="versions never change"):
        train.main()


def test_a_second_run_from_the_same_work_gives_the_same_weights(
    artifacts: Artifacts, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", command(folder, "v2"))
    train.main()
    again = Artifacts.open(folder / "models" / "spam" / "v2")
    name = "cnn.safetensors"
    assert again.manifest["files"][name] == artifacts.manifest["files"][name]


@pytest.mark.usefixtures("artifacts")
def test_a_version_is_measured_again_on_any_csv(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--pipeline", "spam", "--version", "v1", "--models", str(folder / "models")]
    columns = ["--text", "body", "--label", "kind", "--source", ""]
    files = ["--csv", str(folder / "test.csv"), "--json", str(folder / "found.json"), "--speed"]
    monkeypatch.setattr(sys, "argv", ["evaluate", *options, *columns, *files])
    evaluate.main()
    assert "| cnn | 1.0000 |" in capsys.readouterr().out
    found = json.loads((folder / "found.json").read_text())
    assert found["quality"]["cnn"]["rows"] == 80
    assert found["speed"]["rules"]["ms_1"] > 0
