"""The training loop: it learns, repeats itself, and resumes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ml.moderation.models.cnn import Cnn, CnnConfig
from ml.training.fitting.loop import Fit, Rows, Schedule, logits

SCHEDULE = Schedule(epochs=12, batch=8, rate=1e-2, hide=0.1, snapshot_steps=5)
LABELS = [n % 2 for n in range(80)]
IDS = [[2, *np.random.default_rng(n).integers(6, 20, 5).tolist(), 4 + n % 2, 3] for n in range(80)]
ROWS = Rows(IDS, LABELS, np.ones(80, dtype=np.float32))


def model() -> Cnn:
    torch.manual_seed(3)
    return Cnn(CnnConfig(vocab=20, classes=2, width=8, filters=8))


def fitted(path: Path, rows: Rows = ROWS, schedule: Schedule = SCHEDULE) -> Cnn:
    found = model()
    Fit(found, rows, schedule, seed=5).run(path, "test")
    return found


def same(a: Cnn, b: Cnn) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_it_learns_what_decides_the_label(tmp_path: Path) -> None:
    found = logits(fitted(tmp_path / "a"), IDS).argmax(1)
    assert found.tolist() == LABELS


def test_one_seed_gives_one_model(tmp_path: Path) -> None:
    assert same(fitted(tmp_path / "a"), fitted(tmp_path / "b"))


def test_a_run_that_was_stopped_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    class Stopping(Fit):
        def step(self, batch: np.ndarray, done: float) -> float:
            if done > 0.6:
                raise StopError
            return super().step(batch, done)

    path = tmp_path / "stopped"
    try:
        Stopping(model(), ROWS, SCHEDULE, seed=5).run(path, "test")
        raise AssertionError("it was to be stopped")
    except StopError:
        pass
    assert same(fitted(path), fitted(tmp_path / "whole"))


def test_a_finished_run_is_not_made_again(tmp_path: Path) -> None:
    first = fitted(tmp_path / "a")
    assert same(first, fitted(tmp_path / "a", replace(ROWS, labels=[1 - y for y in LABELS])))


def test_a_student_follows_its_teacher_against_the_labels(tmp_path: Path) -> None:
    teacher = torch.tensor([[0.0, 4.0] if y == 0 else [4.0, 0.0] for y in LABELS])
    taught = replace(SCHEDULE, distil=1.0)
    found = logits(fitted(tmp_path / "a", replace(ROWS, teacher=teacher), taught), IDS).argmax(1)
    assert found.tolist() == [1 - y for y in LABELS]


def test_scores_keep_the_order_of_rows() -> None:
    untrained = model().eval()
    rows = [[2, 7, 3], [2, 8, 9, 10, 11, 3], [2, 3]]
    alone = torch.cat([logits(untrained, [row]) for row in rows])
    assert torch.allclose(logits(untrained, rows, batch=2), alone, atol=1e-6)
