"""Moonshine base-en in numpy: speech of 16 kHz in, tokens and their probabilities out.

The weights are those of the package `moonshine-cpp` (MIT licence). The graph in their file computes float
weights from 8-bit ones anew for each token (90 ms a token); here that happens once. A decoder step also takes
several tokens at once, so that a text expected from before (a draft) is checked in one step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from softswitch.speech.builtin.linear import Linear, exact, linear
from softswitch.speech.builtin.ort_file import OrtModel

Array = NDArray[np.float32]

RATE = 16000
LAYERS, HEADS, HEAD, WIDTH = 8, 8, 52, 416
ROTARY = 32
"""Of the numbers of each head that turn with the position."""
BEGIN, END = 1, 2
"""Tokens."""
_EPSILON = np.float32(1e-5)
_SCALE = np.float32(HEAD**-0.5)
_NONE: Array = np.zeros(0, np.float32)


def _nothing(_rows: Array) -> Array:
    """Stand where an encoder's layer has no product."""
    return _NONE


@dataclass(slots=True)
class _Layer:
    """The weights of a layer; which are used depends on encoder or decoder."""

    norm1: Array
    qkv: Linear
    out: Linear
    norm2: Array
    up: Linear
    up_bias: Array
    down: Linear
    down_bias: Array
    cross_norm: Array
    """From here on only in a decoder."""
    cross_q: Linear
    cross_out: Linear


class _Weights:
    """Float weights by the names of the nodes that use them."""

    def __init__(self, model: OrtModel, prefix: str) -> None:
        self._model = model
        self._prefix = prefix

    def of(self, node: str, which: int = 1) -> Array:
        """Return the weights that a node multiplies with or adds."""
        name = self._model.inputs[self._prefix + node][which]
        return self.tensor(name)

    def small(self, node: str) -> tuple[NDArray[np.int8], np.float32, np.float32]:
        """Return the weights that a node picks from: 8-bit numbers, their factor and what is added."""
        stem = self._model.inputs[self._prefix + node][0].removesuffix("_add_tensor")
        tensors = self._model.tensors
        scale, zero = (
            np.float32(tensors[f"{stem}_{name}"].reshape(-1)[0]) for name in ("scale", "zero_point")
        )
        return np.array(tensors[f"{stem}_quantized"]), scale, zero

    def tensor(self, name: str) -> Array:
        tensors = self._model.tensors
        if name in tensors:
            return np.array(tensors[name], np.float32)  # A copy: a view would keep the whole file in memory.
        stem = name.removesuffix("_add_tensor")
        weights: Array = tensors[f"{stem}_quantized"].astype(np.float32)
        weights *= tensors[f"{stem}_scale"]
        weights += tensors[f"{stem}_zero_point"]
        return weights


def _norm(x: Array, weight: Array) -> Array:
    centred: Array = x - x.mean(-1, keepdims=True)
    variance = np.einsum("...i,...i->...", centred, centred)[..., None] / np.float32(x.shape[-1])
    centred *= weight
    centred /= np.sqrt(variance + _EPSILON)
    return centred


def _gelu(x: Array) -> Array:
    inner = x * x
    inner *= np.float32(0.044715)
    inner += np.float32(1.0)
    inner *= x
    inner *= np.float32(0.7978845608)
    np.tanh(inner, out=inner)
    inner += np.float32(1.0)
    inner *= x
    inner *= np.float32(0.5)
    return inner


def _softmax(scores: Array) -> Array:
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(-1, keepdims=True)
    return scores


class _Rotary:
    """Turns pairs of numbers by an angle that grows with the position."""

    def __init__(self, longest: int) -> None:
        frequency = 10000.0 ** (-np.arange(0, ROTARY, 2) / ROTARY)
        angle = np.arange(longest)[:, None] * frequency
        self._cos, self._sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)

    def turn(self, x: Array, positions: NDArray[np.intp]) -> None:
        """Turn ``(heads, n, HEAD)`` in place, each of the n by its position."""
        cos, sin = self._cos[positions], self._sin[positions]
        even, odd = x[..., 0:ROTARY:2], x[..., 1:ROTARY:2]
        turned = even * cos - odd * sin
        odd *= cos
        odd += even * sin
        even[...] = turned


def _heads(x: Array, lines: int = 1) -> Array:
    """Part ``(lines * positions, WIDTH)`` into ``(lines * heads, positions, HEAD)``."""
    parted = x.reshape(lines, -1, HEADS, HEAD).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(parted).reshape(lines * HEADS, -1, HEAD)


def _join(x: Array, lines: int = 1) -> Array:
    return x.reshape(lines, HEADS, -1, HEAD).transpose(0, 2, 1, 3).reshape(-1, WIDTH)


class Encoder:
    """Sound to states, some 41 a second."""

    def __init__(self, model: OrtModel, longest_s: float) -> None:
        """Compute the weights.

        Args:
            model: the file `encoder_model.ort`.
            longest_s: longest sound that will come, seconds.
        """
        weights = _Weights(model, "/")
        self._conv1 = np.ascontiguousarray(weights.of("conv1/Conv").reshape(WIDTH, 127).T)
        self._group_weight = weights.of("groupnorm/Mul").reshape(-1)
        self._group_bias = weights.of("groupnorm/Add").reshape(-1)
        # (out, in, taps) -> (taps * in, out)
        self._conv2 = linear(weights.of("conv2/Conv").transpose(2, 1, 0).reshape(7 * WIDTH, 2 * WIDTH))
        self._bias2 = weights.of("conv2/Conv", 2)
        self._conv3 = exact(weights.of("conv3/Conv").transpose(2, 1, 0).reshape(3 * 2 * WIDTH, WIDTH))
        self._bias3 = weights.of("conv3/Conv", 2)
        self._layers = [_encoder_layer(weights, f"layers.{index}/") for index in range(LAYERS)]
        self._norm = weights.of("layer_norm/Mul")
        self._rotary = _Rotary(int(longest_s * 42) + 8)

    def run(self, sound: Array) -> Array:
        """Return the states ``(n, WIDTH)`` of sound ``(samples,)``, -1 to 1."""
        x = np.tanh(np.lib.stride_tricks.sliding_window_view(sound, 127)[::64] @ self._conv1)
        x -= x.mean()
        x *= self._group_weight / np.sqrt(np.square(x).mean() + _EPSILON)
        x += self._group_bias
        x = _gelu(self._conv2(_windows(x, 7, 3)) + self._bias2)
        x = _gelu(self._conv3(_windows(x, 3, 2)) + self._bias3)
        positions = np.arange(len(x))
        for layer in self._layers:
            qkv = layer.qkv(_norm(x, layer.norm1))
            query, key, value = (_heads(part) for part in np.split(qkv, 3, axis=1))
            self._rotary.turn(query, positions)
            self._rotary.turn(key, positions)
            query *= _SCALE
            attention = _softmax(query @ key.transpose(0, 2, 1))
            x += layer.out(_join(attention @ value))
            inner = layer.up(_norm(x, layer.norm2))
            inner += layer.up_bias
            x += layer.down(_gelu(inner))
            x += layer.down_bias
        return _norm(x, self._norm)


def _windows(x: Array, taps: int, step: int) -> Array:
    """Return ``(n, taps * width)``: what each step of a convolution sees."""
    width = x.shape[1]
    count = (len(x) - taps) // step + 1
    stride = x.strides[0]
    view = np.lib.stride_tricks.as_strided(x, (count, taps * width), (stride * step, x.strides[1]))
    return np.ascontiguousarray(view)


def _encoder_layer(weights: _Weights, at: str) -> _Layer:
    attention = [weights.of(f"{at}self_attn/{name}_proj/MatMul") for name in "qkv"]
    norm1 = weights.of(f"{at}input_layernorm/Mul")
    norm2 = weights.of(f"{at}post_attention_layernorm/Mul")
    return _Layer(
        norm1=norm1,
        qkv=linear(np.concatenate(attention, axis=1), norm1),
        out=linear(weights.of(f"{at}self_attn/dense/MatMul")),
        norm2=norm2,
        up=linear(weights.of(f"{at}mlp/fc1/MatMul"), norm2),
        up_bias=weights.of(f"{at}mlp/fc1/Add", 0),
        down=linear(weights.of(f"{at}mlp/fc2/MatMul")),
        down_bias=weights.of(f"{at}mlp/fc2/Add", 0),
        cross_norm=_NONE,
        cross_q=_nothing,
        cross_out=_nothing,
    )


def _decoder_layer(weights: _Weights, at: str) -> _Layer:
    attention = [weights.of(f"{at}self_attn/{name}_proj/MatMul") for name in "qkv"]
    norm1 = weights.of(f"{at}input_layernorm/Mul")
    norm2 = weights.of(f"{at}final_layernorm/Mul")
    cross_norm = weights.of(f"{at}post_attention_layernorm/Mul")
    return _Layer(
        norm1=norm1,
        qkv=linear(np.concatenate(attention, axis=1), norm1),
        out=linear(weights.of(f"{at}self_attn/dense/MatMul")),
        norm2=norm2,
        up=linear(weights.of(f"{at}mlp/up_proj/MatMul"), norm2),
        up_bias=weights.of(f"{at}mlp/up_proj/Add", 0),
        down=linear(weights.of(f"{at}mlp/down_proj/MatMul")),
        down_bias=weights.of(f"{at}mlp/down_proj/Add", 0),
        cross_norm=cross_norm,
        cross_q=linear(weights.of(f"{at}encoder_attn/q_proj/MatMul"), cross_norm),
        cross_out=linear(weights.of(f"{at}encoder_attn/dense/MatMul")),
    )


class Decoder:
    """States to tokens."""

    def __init__(self, model: OrtModel, longest: int) -> None:
        """Compute the weights.

        Args:
            model: the file `decoder_model_merged.ort`.
            longest: tokens that an utterance may have.
        """
        weights = _Weights(model, "/model/decoder/")
        self._layers = [_decoder_layer(weights, f"layers.{index}/") for index in range(LAYERS)]
        cross = [
            weights.of(f"layers.{index}/encoder_attn/{name}_proj/MatMul")
            for index in range(LAYERS)
            for name in "kv"
        ]
        self._cross = linear(np.concatenate(cross, axis=1))
        self._norm = weights.of("norm/Mul")
        self._embedding = weights.small("embed_tokens/Gather")
        self._logits = linear(weights.of("embed_tokens/Gather", 0).T, self._norm)
        self._rotary = _Rotary(longest)
        self.longest = longest

    def begin(self, *views: Array, beams: int = 1, longest: int = 0) -> "Decoding":
        """Begin to decode.

        Args:
            views: states of the sound, ``(n, WIDTH)``. Of several versions of it, equally long, all have an
                equal say in each token: the logits are the means of the logarithms of their probabilities.
            beams: most texts that are followed at once.
            longest: tokens to make room for; 0: as many as an utterance may have.
        """
        count = len(views)
        projected = self._cross(np.concatenate(views))
        parts = projected.reshape(count, -1, LAYERS, 2, HEADS, HEAD).transpose(2, 3, 0, 4, 1, 5)
        parts = parts.reshape(LAYERS, 2, count * HEADS, -1, HEAD)
        return Decoding(
            np.ascontiguousarray(parts[:, 0].swapaxes(-1, -2)),
            np.ascontiguousarray(parts[:, 1]),
            views=count,
            beams=beams,
            longest=longest or self.longest,
        )

    def step(self, at: "Decoding", tokens: Sequence[int]) -> Array:
        """Return the logits ``(tokens, vocabulary)`` that follow each of `tokens`, which are appended."""
        count, past = len(tokens), at.length
        mask = None
        if count > 1:
            mask = np.triu(np.full((count, past + count), -np.inf, np.float32), past + 1)
        logits: Array = self._run(at, [tokens], np.arange(past, past + count), mask)[0]
        return logits

    def widen(self, at: "Decoding", tokens: Sequence[int], beams: Sequence[int]) -> Array:
        """Follow several texts: return the logits ``(texts, vocabulary)`` after one more token of each.

        Args:
            at: what was decoded before.
            tokens: the next token of each text.
            beams: which of the texts before each one continues.
        """
        at.follow(beams)
        logits: Array = self._run(at, [[token] for token in tokens], np.array([at.length]), None)[:, 0]
        return logits

    def branches(self, at: "Decoding", branches: Sequence[Sequence[int]]) -> list[Array]:
        """Return the logits of several continuations, ``(tokens, vocabulary)`` each; none is appended.

        All must fit into what is left of the utterance's tokens.
        """
        past = at.length
        tokens = [token for branch in branches for token in branch]
        positions = np.concatenate([np.arange(past, past + len(branch)) for branch in branches])
        mask = np.full((len(tokens), past + len(tokens)), -np.inf, np.float32)
        mask[:, :past] = 0.0
        begin = 0
        for branch in branches:
            end = begin + len(branch)
            inside = np.triu(np.full((len(branch), len(branch)), -np.inf, np.float32), 1)
            mask[begin:end, past + begin : past + end] = inside
            begin = end
        logits: Array = self._run(at, [tokens], positions, mask)[0]
        at.length = past
        ends = np.cumsum([len(branch) for branch in branches])
        return np.split(logits, ends[:-1])

    def _run(
        self,
        at: "Decoding",
        tokens: Sequence[Sequence[int]],
        positions: NDArray[np.intp],
        mask: Array | None,
    ) -> Array:
        """Return the logits ``(texts, tokens, vocabulary)`` that follow each of `tokens`, which are appended.

        Args:
            at: what was decoded before.
            tokens: what is appended to each text, equally many.
            positions: of each in its utterance.
            mask: ``(tokens, before + tokens)``, added to the attention; None: each sees all.
        """
        beams, count, past = len(tokens), len(tokens[0]), at.length
        lines = beams * at.views
        whole, scale, zero = self._embedding
        each = np.repeat(np.array(tokens, np.intp), at.views, axis=0).ravel()
        x: Array = whole[each].astype(np.float32) * scale + zero
        for index, layer in enumerate(self._layers):
            qkv = layer.qkv(_norm(x, layer.norm1))
            query, key, value = (_heads(part, lines) for part in np.split(qkv, 3, axis=1))
            self._rotary.turn(query, positions)
            self._rotary.turn(key, positions)
            query *= _SCALE
            keys, values = at.keys[index, : lines * HEADS], at.values[index, : lines * HEADS]
            keys[:, past : past + count] = key
            values[:, past : past + count] = value
            scores = query @ keys[:, : past + count].transpose(0, 2, 1)
            if mask is not None:
                scores += mask
            x += layer.out(_join(_softmax(scores) @ values[:, : past + count], lines))
            query = _beside(_heads(layer.cross_q(_norm(x, layer.cross_norm)), lines), beams)
            query *= _SCALE
            attention = _softmax(query @ at.cross_keys[index])
            x += layer.cross_out(_join(_below(attention @ at.cross_values[index], beams), lines))
            inner = layer.up(_norm(x, layer.norm2))
            inner += layer.up_bias
            hidden, gate = inner[:, : 4 * WIDTH], inner[:, 4 * WIDTH :]
            x += layer.down(hidden * gate / (1 + np.exp(-gate)))
            x += layer.down_bias
        at.length += count
        logits = self._logits(_norm(x, self._norm)).reshape(beams, at.views, count, -1)
        return logits[:, 0] if at.views == 1 else _mean(logits)


def _beside(x: Array, beams: int) -> Array:
    """Put the positions of texts that hear the same sound side by side.

    ``(beams * heads, n, HEAD)`` becomes ``(heads, beams * n, HEAD)``.
    """
    if beams == 1:
        return x
    parted = x.reshape(beams, -1, x.shape[1], HEAD).transpose(1, 0, 2, 3)
    return np.ascontiguousarray(parted).reshape(-1, beams * x.shape[1], HEAD)


def _below(x: Array, beams: int) -> Array:
    """Undo :func:`_beside`."""
    if beams == 1:
        return x
    parted = x.reshape(len(x), beams, -1, HEAD).transpose(1, 0, 2, 3)
    return np.ascontiguousarray(parted).reshape(beams * len(x), -1, HEAD)


def _mean(logits: Array) -> Array:
    """Return means over the views, ``(texts, tokens, vocabulary)``, of the logarithms of probabilities."""
    logits = logits - logits.max(-1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
    mean: Array = logits.mean(axis=1)
    return mean


class Decoding:
    """What has been decoded of one utterance: a text, or several that are followed at once."""

    def __init__(
        self, cross_keys: Array, cross_values: Array, *, views: int, beams: int, longest: int
    ) -> None:
        """Begin with nothing decoded.

        Args:
            cross_keys: of the sound, ``(LAYERS, views * HEADS, HEAD, states)``.
            cross_values: of the sound, ``(LAYERS, views * HEADS, states, HEAD)``.
            views: versions of the sound.
            beams: most texts.
            longest: tokens to make room for.
        """
        self.cross_keys, self.cross_values, self.views = cross_keys, cross_values, views
        self.keys = np.zeros((LAYERS, beams * views * HEADS, longest, HEAD), np.float32)
        self.values = np.zeros_like(self.keys)
        self.length = 0
        """Tokens of each text so far."""

    def follow(self, beams: Sequence[int]) -> None:
        """Go on with some of the texts, each as often as it is named."""
        if list(beams) == list(range(len(beams))):
            return
        size = self.views * HEADS
        for kept in (self.keys, self.values):
            lines = kept[:, :, : self.length].reshape(LAYERS, -1, size, self.length, HEAD)
            kept[:, : len(beams) * size, : self.length] = lines[:, list(beams)].reshape(
                LAYERS, -1, self.length, HEAD
            )
