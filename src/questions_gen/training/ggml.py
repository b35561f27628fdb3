"""ggml's own quantisation kernels, from the library that xllamacpp brings, and llama.cpp's choice of a type.

xllamacpp exports `ggml_quantize_chunk` but not llama.cpp's `llama_model_quantize`, so the choice stands here.
"""

import ctypes
import importlib.util
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from questions_gen.errors import UserError

Kind = Literal["f16", "q8_0", "q4_k_m"]

FALLBACK = {"Q4_K": "Q5_0", "Q6_K": "Q8_0"}
"""What takes the place of a type with blocks of 256 where the rows aren't a multiple of that."""

ROWS = 1024
"""That one thread quantises at a time; they don't depend on each other, so the bytes don't depend on this."""


def tensor_type(name: str, width: int, kind: Kind, layers: int, *, tied: bool) -> Any:
    """GGMLQuantizationType of the matrix `name` (as GGUF calls it), whose rows have `width` numbers.

    A width that no block of the type fits takes the next larger type with blocks of 32, or F16 if those don't fit.
    `tied`: the embedding gives the output too.
    """
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    chosen = _mixed(name, layers, tied=tied) if kind == "q4_k_m" else kind.upper()
    for form in (chosen, FALLBACK.get(chosen, "F16")):
        if width % GGML_QUANT_SIZES[GGMLQuantizationType[form]][0] == 0:
            return GGMLQuantizationType[form]
    return GGMLQuantizationType.F16


def _mixed(name: str, layers: int, *, tied: bool) -> str:
    """llama.cpp's mix Q4_K_M: more bits for what gives the output, and for attn_v and ffn_down in some layers.

    Source: `llama_tensor_get_type` in llama.cpp's src/llama-quant.cpp, without its cases for Falcon, for llama 70B
    and for mixtures of experts.
    """
    if name == ("token_embd.weight" if tied else "output.weight"):
        return "Q6_K"
    layer = re.fullmatch(r"blk\.(\d+)\.(?:attn_v|ffn_down)\.weight", name)
    return "Q6_K" if layer and _more_bits(int(layer[1]), layers) else "Q4_K"


def _more_bits(layer: int, layers: int) -> bool:
    """The first and last eighth, and every third between (`use_more_bits` in llama.cpp)."""
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


def quantize(values: np.ndarray, form: Any, threads: int) -> np.ndarray:
    """float32 `values` (rows × width) in the GGMLQuantizationType `form`: uint8 (rows × bytes of a row).

    Raises UserError where xllamacpp isn't installed.
    """
    from gguf import GGML_QUANT_SIZES

    block, size = GGML_QUANT_SIZES[form]
    rows, width = values.shape
    values = np.ascontiguousarray(values, np.float32)
    target = np.empty((rows, width // block * size), np.uint8)
    kernel = _kernel()

    def chunk(start: int) -> int:
        count = min(ROWS, rows - start)
        return kernel(form, values.ctypes.data, target.ctypes.data, start * width, count, width, None)

    with ThreadPoolExecutor(threads) as pool:
        written = sum(pool.map(chunk, range(0, rows, ROWS)))
    if written != target.nbytes:
        raise RuntimeError(f"ggml wrote {written} bytes of {target.nbytes} in {form.name}")
    return target


@cache
def _kernel() -> Callable[..., int]:
    """ggml_quantize_chunk(type, source, target, first number, rows, width, importance matrix) → bytes written."""
    package = importlib.util.find_spec("xllamacpp")
    if package is None or package.origin is None:
        raise UserError("xllamacpp isn't installed, whose ggml quantises; install the project's lock again")
    kernel = ctypes.CDLL(str(Path(package.origin).with_name("xllamacpp.abi3.so"))).ggml_quantize_chunk
    kernel.restype = ctypes.c_size_t
    kernel.argtypes = [ctypes.c_int, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    return kernel
