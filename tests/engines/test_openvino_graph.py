"""The minima of 4-bit weights are read as the file has them, and 8 bits hold them closely."""

from pathlib import Path

import numpy as np
import pytest

from publius.engines import openvino_graph
from publius.training.gguf_header import TensorPlace


def blocks_of(path: Path, n_bytes: int, n_blocks: int) -> None:
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (n_blocks, n_bytes), dtype=np.uint8)
    scales = rng.uniform(0.001, 0.1, (n_blocks, 2)).astype(np.float16)
    if n_bytes == 20:
        scales[:, 1] = -scales[:, 0] * rng.uniform(0, 15, n_blocks).astype(np.float16)
    blocks[:, 0:4] = scales.view(np.uint8)
    path.write_bytes(blocks.tobytes())


@pytest.mark.parametrize(
    ("kind", "n_bytes", "n_weights", "read"),
    [
        (3, 20, 32, openvino_graph._read_q4_1),
        (12, 144, 256, openvino_graph._read_q4_k),
    ],
)
def test_scales_and_minima_rebuild_the_weights(tmp_path: Path, kind: int, n_bytes: int, n_weights: int, read):
    gguf = pytest.importorskip("gguf")
    path = tmp_path / "w"
    n_rows, n_blocks = 3, 6
    blocks_of(path, n_bytes, n_blocks)
    place = TensorPlace(kind, (n_rows, n_weights * n_blocks // n_rows), 0)
    data = np.fromfile(path, dtype=np.uint8).reshape(n_rows, -1)
    expected = gguf.dequantize(data, gguf.GGMLQuantizationType(kind)).reshape(n_rows, -1, 32)
    scales, depths = read(path, place)
    # what is left of a weight above its minimum is a whole number of steps, 0 to 15
    stepped = scales > 0
    steps = (expected + depths[..., None])[stepped] / scales[stepped].astype(np.float32)[:, None]
    assert stepped.mean() > 0.9
    assert np.abs(steps - np.rint(steps)).max() < 0.02
    assert steps.min() > -0.02
    assert steps.max() < 15.02
