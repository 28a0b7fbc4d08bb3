"""Make openvino's graph of a GGUF model once, with its weights as they are in the file, and cache it.

openvino-genai builds a graph from a GGUF file, but a group of 4-bit weights with a scale and a minimum
(Q4_1, Q4_K) becomes steps above a *whole* number of steps: the minimum is rounded, by a quarter of a step
on average. On SmolLM2-135M Q4_1 that moves every matrix by 8 % of its norm, and the log-probabilities of
two options by 0.6 on average; the model prefers other words than the file does.

Here the saved graph is mended: the same weights on steps sixteen times finer, in 8 bits, so that the
minimum lies on a step to within 1/32 of the old one. With the 135M, prompts and decoding are as fast as
before. Weights take about one and a half times the memory, and a cached graph loads faster than a GGUF.

Paper: none.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from publius.errors import EngineError
from publius.training.digest import cache_dir, weights_hash
from publius.training.gguf_header import TensorPlace, read_gguf_tensors
from publius.training.whole_directory import appearing_whole, check_disk

F32 = npt.NDArray[np.float32]
F16 = npt.NDArray[np.float16]
U8 = npt.NDArray[np.uint8]

_Q4_1, _Q4_K = 3, 12
_GRAPH = "openvino_model.xml"
_FINER = 16  # 15 steps of 4 bits become 240 of 8 bits


def graph_directory(gguf: Path, *, genai: Any, openvino: Any) -> Path:
    """Return the directory with the graph of a GGUF file, making it if it is not in the cache.

    Raises:
        EngineError: openvino cannot read the file, or builds a graph that is not understood here.
        StoreError: There is no room in the cache.
    """
    key = weights_hash(gguf).removeprefix("sha256:")
    out = cache_dir() / "openvino-v1" / f"{key}-{genai.__version__}"
    if not (out / _GRAPH).exists():
        # the graph as openvino saves it and the mended one lie side by side for a moment
        check_disk(out.parent, n_bytes=4 * gguf.stat().st_size, purpose="openvino's copy of the weights")
        with TemporaryDirectory(dir=out.parent) as raw, appearing_whole(out) as made:
            _save_graph(gguf, Path(raw), genai=genai)
            graph = openvino.Core().read_model(Path(raw) / _GRAPH)
            _mend(graph, gguf, openvino=openvino)
            openvino.save_model(graph, made / _GRAPH, compress_to_fp16=False)
            del graph  # it maps the file in `raw`
    return out


def _save_graph(gguf: Path, directory: Path, *, genai: Any) -> None:
    """Let openvino-genai build the graph and write it beside the file, which therefore moves there."""
    here = directory / "model.gguf"
    try:
        here.symlink_to(gguf.resolve())
    except OSError:  # a file system without links
        shutil.copyfile(gguf, here)
    scheduler = genai.SchedulerConfig()
    scheduler.cache_size = 1
    try:
        genai.ContinuousBatchingPipeline(str(here), scheduler, "CPU", {"enable_save_ov_model": True})
    except RuntimeError as error:
        raise EngineError(
            f"openvino cannot read this model: {str(error).splitlines()[-1]}",
            where=gguf,
            todo="use the engine 'transformers' for it",
        ) from error


def _mend(graph: Any, gguf: Path, *, openvino: Any) -> None:
    """Give every weight with a rounded minimum its own back."""
    minima = dict(_minima(gguf))
    unused = set(minima)
    for subtract in graph.get_ops():
        found = _rounded_weights(subtract)
        if found is None:
            continue
        weights, zeros, multiply = found
        scales: F16 = multiply.input_value(1).get_node().get_data()
        rows = [row.tobytes() for row in scales.reshape(scales.shape[0], -1)]
        if minima.keys().isdisjoint(rows):
            continue  # Q4_0: its minimum is eight steps, which is whole
        unused.difference_update(rows)
        exact = np.stack([minima[row] for row in rows]).reshape(scales.shape)
        _replace_weights(openvino, weights, zeros, multiply, exact=exact, scales=scales)
    if unused:
        raise EngineError(
            f"openvino built a graph in which {len(unused)} rows of weights are not found",
            where=gguf,
            todo="use the engine 'transformers', or another version of openvino-genai",
        )


def _rounded_weights(subtract: Any) -> tuple[Any, Any, Any] | None:
    """Return the nodes (convert of weights, convert of minima, multiply) around a 4-bit subtraction."""
    if subtract.get_type_name() != "Subtract":
        return None
    weights, zeros = (subtract.input_value(i).get_node() for i in (0, 1))
    for convert in (weights, zeros):
        if convert.get_type_name() != "Convert":
            return None
        constant = convert.input_value(0).get_node()
        if constant.get_type_name() != "Constant" or constant.get_element_type().get_type_name() != "u4":
            return None
    [user] = subtract.output(0).get_target_inputs()
    return weights, zeros, user.get_node()


def _replace_weights(
    openvino: Any, weights: Any, zeros: Any, multiply: Any, *, exact: F32, scales: F16
) -> None:
    def put(node: Any, index: int, value: U8 | F16) -> None:
        node.input(index).replace_source_output(openvino.op.Constant(value).output(0))

    constant = weights.input_value(0).get_node()
    shape = tuple(constant.get_output_shape(0))
    put(weights, 0, _unpacked(constant.get_data(), n=int(np.prod(shape))).reshape(shape) * np.uint8(_FINER))
    put(zeros, 0, np.clip(np.rint(exact * _FINER), 0, 255).astype(np.uint8))
    put(multiply, 1, (scales.astype(np.float32) / _FINER).astype(np.float16))


def _unpacked(data: Any, *, n: int) -> U8:
    """Return 4-bit values as bytes; openvino packs two in a byte, the first one low.

    >>> _unpacked(np.array([0x21, 0x03], dtype=np.uint8), n=3)
    array([1, 2, 3], dtype=uint8)
    """
    packed = np.asarray(data).view(np.uint8).ravel()
    values = np.empty(packed.size * 2, dtype=np.uint8)
    values[0::2] = packed & 15
    values[1::2] = packed >> 4
    return values[:n]


def _minima(gguf: Path) -> Iterator[tuple[bytes, F32]]:
    """Yield for every row of 4-bit weights its scales, as openvino has them, and its minima in steps.

    Rows are known by their scales, whatever order a conversion puts them in. A group whose step is zero
    (25 of the 42 million in Qwen2.5-Coder-1.5B) becomes zeros.
    """
    for place in read_gguf_tensors(gguf).values():
        if place.kind not in (_Q4_1, _Q4_K):
            continue
        scales, minima = _read_q4_1(gguf, place) if place.kind == _Q4_1 else _read_q4_k(gguf, place)
        steps = scales.astype(np.float32)
        in_steps = np.divide(minima, steps, out=np.zeros_like(minima), where=steps != 0)
        for row, zero in zip(scales, in_steps, strict=True):
            yield row.tobytes(), zero


def _read_q4_1(gguf: Path, place: TensorPlace) -> tuple[F16, F32]:
    """Return the scales and the depths of the minima (positive is below zero) of 32 weights each."""
    blocks = _blocks(gguf, place, n_bytes=20, n_weights=32)
    n_rows = place.shape[0]
    scales = blocks[:, 0:2].copy().view(np.float16).reshape(n_rows, -1)
    minima = blocks[:, 2:4].copy().view(np.float16).astype(np.float32).reshape(n_rows, -1)
    return scales, -minima


def _read_q4_k(gguf: Path, place: TensorPlace) -> tuple[F16, F32]:
    """Return what `_read_q4_1` does; here a block has eight groups whose 6-bit factors are interleaved."""
    blocks = _blocks(gguf, place, n_bytes=144, n_weights=256)
    scale = blocks[:, 0:2].copy().view(np.float16).astype(np.float32)
    minimum = blocks[:, 2:4].copy().view(np.float16).astype(np.float32)
    low, middle, high = blocks[:, 4:8], blocks[:, 8:12], blocks[:, 12:16]
    of_scale = np.concatenate([low & 63, (high & 15) | (low >> 6 << 4)], axis=1)
    of_minimum = np.concatenate([middle & 63, (high >> 4) | (middle >> 6 << 4)], axis=1)
    n_rows = place.shape[0]
    scales = (scale * of_scale).astype(np.float16).reshape(n_rows, -1)
    return scales, (minimum * of_minimum).astype(np.float32).reshape(n_rows, -1)


def _blocks(gguf: Path, place: TensorPlace, *, n_bytes: int, n_weights: int) -> U8:
    n_blocks = int(np.prod(place.shape)) // n_weights
    return np.memmap(gguf, dtype=np.uint8, mode="r", offset=place.start, shape=(n_blocks, n_bytes))
