"""Encoder and CNN: what they compute must not depend on padding or on the batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ml.moderation.models.cnn import Cnn, CnnConfig
from ml.moderation.models.tensors import pad, predictions
from ml.moderation.models.transformer import Encoder, EncoderConfig

ROWS = [[2, 5, 3], [2, 9, 8, 7, 6, 5, 4, 3], [2, 11, 12, 13, 3]]


def encoder() -> nn.Module:
    torch.manual_seed(0)
    sizes = EncoderConfig(vocab=20, classes=3, width=16, layers=2, heads=4, hidden=32, positions=16)
    return Encoder(sizes).eval()


def cnn() -> nn.Module:
    torch.manual_seed(0)
    model = Cnn(CnnConfig(vocab=20, classes=3, width=8, filters=8)).eval()
    nn.init.ones_(model.bias)  # a window of padding alone would now win the maximum
    return model


@pytest.mark.parametrize("make", [encoder, cnn])
def test_a_texts_logits_do_not_depend_on_its_batch(make) -> None:  # type: ignore[no-untyped-def]
    model = make()
    with torch.inference_mode():
        together = model(*pad(ROWS))
        alone = torch.cat([model(*pad([row])) for row in ROWS])
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("make", [encoder, cnn])
def test_every_parameter_learns(make) -> None:  # type: ignore[no-untyped-def]
    model = make()
    model(*pad(ROWS)).square().sum().backward()
    still = [
        name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()
    ]
    assert still == []


def test_the_encoder_reads_the_order_of_words() -> None:
    model = encoder()
    with torch.inference_mode():
        assert not torch.allclose(model(*pad([[2, 5, 6, 3]])), model(*pad([[2, 6, 5, 3]])))


def test_predictions_are_probabilities_in_the_order_of_classes() -> None:
    (found,) = predictions(torch.tensor([[1.0, 1.0, 3.0]]).log(), (1.0, 0.0), ["a", "b", "c"])
    assert found.scores == pytest.approx({"a": 0.2, "b": 0.2, "c": 0.6})
