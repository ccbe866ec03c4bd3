import numpy as np
import pytest

from softswitch.speech.builtin import linear as module
from softswitch.speech.builtin.linear import exact, linear, model
from tests.speech.needs import need_module


@pytest.fixture
def weights():
    return np.random.default_rng(1).standard_normal((64, 48)).astype(np.float32)


def rows(count, width=64, seed=2):
    return np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)


def off(product, right):
    """Return the root of the mean square error, against that of what is right."""
    return float(np.sqrt(np.square(product - right).mean() / np.square(right).mean()))


@pytest.mark.parametrize("count", [1, 7, 100])
def test_products_are_nearly_right(weights, count):
    need_module("onnxruntime")
    given = rows(count)
    assert off(linear(weights)(given), given @ weights) < 0.02


def test_a_small_row_beside_a_large_one_keeps_its_precision(weights):
    need_module("onnxruntime")
    given = rows(4) * np.array([[1e-3], [1.0], [1e3], [1.0]], np.float32)
    product = linear(weights)(given)
    for row in range(4):
        assert off(product[row], given[row] @ weights) < 0.02


def test_large_columns_that_are_known_leave_bits_to_the_others(weights):
    need_module("onnxruntime")
    sizes = np.ones(64, np.float32)
    sizes[:2] = 100.0
    given = rows(20) * sizes
    weights[:2] /= 100.0
    right = given @ weights
    assert off(linear(weights, sizes)(given), right) < 0.25 * off(linear(weights)(given), right)


def test_rows_of_zeros_are_zeros(weights):
    need_module("onnxruntime")
    assert not linear(weights)(np.zeros((3, 64), np.float32)).any()


def test_without_the_runtime_products_are_exact(weights, monkeypatch):
    monkeypatch.setattr(module, "_runtime", lambda: None)
    given = rows(5)
    assert np.array_equal(linear(weights, np.ones(64, np.float32))(given), given @ weights)
    assert np.array_equal(exact(weights)(given), given @ weights)


def test_the_model_is_small(weights):
    assert len(model(weights)) < 64 * 48 + 48 * 4 + 300
