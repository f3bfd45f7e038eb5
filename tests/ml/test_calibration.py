"""The batch budget of a device, found by timing; the clock here is the tier's own."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from ml import calibration
from ml.pipeline import Features, Item, Prediction
from ml.registry import Artifacts
from ml.serving import token_budget
from ml.serving.token_budget import End, Limits, Point, Sweep, calibrate, knee, measure
from tests.ml.toys import Scripted, Toy, good

COST = 32
ENDLESS = Limits(seconds=math.inf)


class Device:
    """Runs batches on a clock of its own. takes: the seconds of a call of so many items."""

    def __init__(self, takes: Callable[[int], float], memory: int = 10**9) -> None:
        self.takes = takes
        self.memory = memory
        self.now = 0.0
        self.calls: list[int] = []

    def clock(self) -> float:
        return self.now

    def __call__(self, items: int) -> None:
        self.calls.append(items)
        if items * COST > self.memory:
            raise RuntimeError("CUDA out of memory")
        self.now += self.takes(items)


def saturating(items: int) -> float:
    """Up to 128 items (4,096 tokens) a call takes as long as one, then twice as long for twice."""
    return 0.01 * max(1, items / 128)


def tokens(sweep: Sweep) -> list[int]:
    return [point.tokens for point in sweep.points]


def test_the_budget_is_where_a_device_is_saturated() -> None:
    device = Device(saturating)
    sweep = measure(device, COST, ENDLESS, device.clock)
    assert sweep.end is End.LARGEST
    assert tokens(sweep) == [2**n for n in range(5, 16)]
    assert sweep.points[0].rate == pytest.approx(COST / 0.01)
    assert sweep.budget(default=512) == 4_096


def test_sizes_go_up_to_so_many_items_and_tokens() -> None:
    assert max(token_budget.budgets(1)) == token_budget.MOST_ITEMS
    assert max(token_budget.budgets(256)) == token_budget.MOST_TOKENS
    assert min(token_budget.budgets(33)) == 64
    assert list(token_budget.budgets(token_budget.MOST_TOKENS + 1)) == []


def test_memory_that_runs_out_ends_the_calibration_with_what_fits() -> None:
    device = Device(saturating, memory=2_048)
    sweep = measure(device, COST, ENDLESS, device.clock)
    assert sweep.end is End.MEMORY
    assert tokens(sweep)[-1] == sweep.budget(default=8_192) == 2_048
    assert device.calls[-1] == 128  # tried once, not again


def test_one_slow_call_in_each_size_does_not_move_the_budget() -> None:
    quiet, noisy = Device(saturating), Device(saturating)

    def with_spikes(items: int) -> float:
        return saturating(items) * (7 if len(noisy.calls) % 4 == 3 else 1)

    noisy.takes = with_spikes
    expected = measure(quiet, COST, ENDLESS, quiet.clock)
    found = measure(noisy, COST, ENDLESS, noisy.clock)
    assert noisy.now > quiet.now
    rates = [point.rate for point in expected.points]
    assert [point.rate for point in found.points] == pytest.approx(rates)
    assert found.budget(default=512) == 4_096


def test_the_first_call_of_a_size_does_not_count() -> None:
    device = Device(saturating)
    seen: set[int] = set()

    def compiles_first(items: int) -> float:
        first = items not in seen
        seen.add(items)
        return saturating(items) + first

    device.takes = compiles_first
    points = measure(device, COST, ENDLESS, device.clock).points
    assert points[0].rate == pytest.approx(COST / 0.01)


def test_no_call_is_begun_that_would_not_end_in_time() -> None:
    device = Device(lambda items: 0.001 * items)
    sweep = measure(device, COST, Limits(seconds=0.1), device.clock)
    assert sweep.end is End.TIME
    assert tokens(sweep) == [32, 64, 128, 256, 512]
    assert device.calls[-3:] == [8, 16, 16]  # after 60 ms; a third of 16 ms would end at 108
    assert device.now == pytest.approx(0.092)


def test_a_time_limit_that_ends_below_the_default_says_nothing_of_the_default() -> None:
    points = [Point(32, 1, 1.0), Point(64, 2, 2.0)]
    assert Sweep(points, End.TIME).budget(default=128) is None
    assert Sweep(points, End.TIME).budget(default=64) == 64
    assert Sweep(points, End.MEMORY).budget(default=128) == 64
    assert Sweep([], End.MEMORY).budget(default=128) is None


def test_a_budget_whose_calls_take_much_of_the_tiers_time_limit_is_left_out() -> None:
    device = Device(lambda items: 0.001 * items**0.9)
    sweep = measure(device, COST, Limits(seconds=math.inf, call_s=0.05), device.clock)
    assert sweep.end is End.SLOW
    assert tokens(sweep)[-1] == sweep.budget(default=8_192) == 2_048
    assert Limits.of(Toy.tiers[0]).call_s == pytest.approx(0.2)


def test_a_size_that_fails_otherwise_ends_the_calibration_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    device = Device(lambda items: saturating(items) if items < 100 else 1 // 0)
    sweep = measure(device, COST, ENDLESS, device.clock)
    assert sweep.end is End.ERROR
    assert tokens(sweep)[-1] == 2_048
    assert "a batch of 128 items failed in calibration: ZeroDivisionError" in caplog.text


def test_the_knee_is_the_smallest_of_nearly_the_best_throughput() -> None:
    rates = {32: 50.0, 64: 94.9, 128: 95.0, 256: 100.0, 512: 97.0}
    assert knee([Point(size, 1, rate) for size, rate in rates.items()]).tokens == 128
    assert knee([Point(32, 1, 5.0)]).tokens == 32


def test_a_tier_is_timed_on_its_pipelines_example_as_long_as_a_usual_text() -> None:
    device = Device(saturating)
    costs: set[int] = set()

    def script(batch: Sequence[Features]) -> Sequence[Prediction]:
        costs.update(member.cost for member in batch)
        device(len(batch))
        return good(batch)

    sweep = calibrate(Toy(), Scripted(script), "cpu", ENDLESS, device.clock)
    assert costs == {35}  # six times "hello", and five blanks
    assert [point.items for point in sweep.points][:3] == [1, 3, 7]


def test_an_example_that_does_not_grow_is_used_as_it_is() -> None:
    class Fixed(Toy):
        example = {"text": "seven c", "number": 7}  # noqa: RUF012

        def features(self, items: Sequence[Item]) -> Sequence[Features]:
            return super().features([Item({"text": i.input["text"][:7]}) for i in items])

    assert token_budget.long_example(Fixed()).cost == 7


def test_cuda_has_finished_before_and_after_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    cuda = SimpleNamespace(
        synchronize=lambda device: events.append(f"waits for {device}"),
        get_device_name=lambda device: f"the GPU at {device}",
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))

    def script(batch: Sequence[Features]) -> Sequence[Prediction]:
        events.append("runs")
        return good(batch)

    calibrate(Toy(), Scripted(script), "cuda:0", ENDLESS, Device(saturating).clock)
    assert events[:6] == ["waits for cuda:0", "runs", "waits for cuda:0"] * 2
    assert token_budget.device_name("cuda:0") == "the GPU at cuda:0"


def test_a_cpu_has_a_name() -> None:
    assert token_budget.device_name("cpu")


# The command


def test_the_table_names_each_size_its_share_and_the_knee() -> None:
    sweep = Sweep([Point(32, 1, 500.0), Point(2_048, 64, 1000.0)], End.MEMORY)
    lines = calibration.table(sweep).splitlines()
    assert lines[2:] == [
        "| 32 | 1 | 500 | 50.0% |",
        "| 2,048 | 64 | 1,000 | 100.0% |",
        "",
        "knee: 2,048 tokens; there was no memory for more",
    ]


def test_a_written_budget_is_known_from_then_on_beside_those_of_others(tmp_path: Path) -> None:
    path = tmp_path / "v1"
    path.mkdir()
    (path / "manifest.json").write_text(json.dumps({"version": "v1", "classes": ["é"]}))
    for device, tier, size in (("GPU 7", "a", 64), ("GPU 7", "b", 32), ("CPU 9", "a", 16)):
        calibration.write(Artifacts.open(path), device, tier, size)
    after = Artifacts.open(path)
    assert after.manifest["classes"] == ["é"]
    assert token_budget.known(after, "GPU 7", "a") == 64
    assert token_budget.known(after, "GPU 7", "b") == 32
    assert token_budget.known(after, "CPU 9", "a") == 16
    assert token_budget.known(after, "CPU 9", "c") is None
    assert [file.name for file in path.iterdir()] == ["manifest.json"]


def test_the_command_measures_a_pipeline_and_prints_the_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    calibration.main(["--pipeline", "ml.null:pipeline"])
    shown = capsys.readouterr().out
    assert shown.startswith("null builtin, tier null, ")
    assert "| batch tokens | items | tokens/s | of the best |" in shown
    assert "knee: " in shown


def test_the_command_has_nowhere_to_write_without_a_model_version() -> None:
    with pytest.raises(SystemExit, match="pipeline null has no model version to write to"):
        calibration.main(["--pipeline", "ml.null:pipeline", "--write"])
