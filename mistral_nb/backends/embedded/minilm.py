"""The embedding model's GGUF file, made from the weights and the vocabulary that its maker publishes.

Keeps to itself: how a safetensors file is read, how GGUF is written, and how llama.cpp names the parts of a BERT.
Promises: the same two inputs give the same bytes on every machine, whatever is installed (so the result has a hash that can
be pinned); only numpy is needed.

The layout: version 3 of GGUF, little endian, tensors aligned to 32 bytes; matrices as q8_0 (blocks of 32 values, each with one
float16 scale), as llama.cpp's own converter does it. float16 matrices crash some builds of llama.cpp, so there are none.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mistral_nb.errors import WeightsCorrupt

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

AGAIN = "Download it again, in a terminal:\nmistral-nb download-model local-embed"

ALIGNMENT = 32
BLOCK = 32
F32, Q8_0 = 0, 8
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
NORMAL_TOKEN, CONTROL_TOKEN, UNUSED_TOKEN = 1, 3, 5
MEAN_POOLING = 1
CONTROL_TOKENS = {
    "bos": "[CLS]",
    "eos": "[SEP]",
    "unknown": "[UNK]",
    "seperator": "[SEP]",
    "padding": "[PAD]",
    "mask": "[MASK]",
}

# safetensors name -> GGUF name; of the whole, and of each layer.
EMBEDDING_NAMES = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.LayerNorm.weight": "token_embd_norm.weight",
    "embeddings.LayerNorm.bias": "token_embd_norm.bias",
}
LAYER_NAMES = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
# llama.cpp adds these two as they are, so they stay float32.
NEVER_QUANTIZED = {"token_types.weight", "position_embd.weight"}


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    kind: int
    data: bytes


def convert(weights: Path, vocabulary: Path, target: Path) -> None:
    """Write the GGUF file of all-MiniLM-L6-v2 (q8_0, 384 dimensions, mean pooling).

    Parameters
    ----------
    weights, vocabulary
        Its `model.safetensors` and `vocab.txt`.
    target
        The file to write; one that is there is replaced.

    Raises
    ------
    WeightsCorrupt
        The weights are not a safetensors file, or a tensor or token is missing.
    """
    # Not splitlines(): a vocabulary may hold characters that it takes for the end of a line.
    tokens = vocabulary.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    if not set(CONTROL_TOKENS.values()) <= set(tokens):
        raise WeightsCorrupt(
            f"{vocabulary} is not the vocabulary of all-MiniLM-L6-v2: it lacks BERT's own tokens.", AGAIN
        )
    tensors = list(_tensors(weights))
    by_name = {tensor.name: tensor for tensor in tensors}
    facts = _facts(
        tokens,
        context_length=by_name["position_embd.weight"].shape[0],
        embedding_length=by_name["token_embd.weight"].shape[1],
        feed_forward_length=by_name["blk.0.ffn_up.weight"].shape[0],
        block_count=sum(name.endswith("attn_q.weight") for name in by_name),
    )
    with target.open("wb") as file:
        _write_gguf(file, facts, tensors)


def _tensors(weights: Path) -> Iterator[_Tensor]:
    """Yield every tensor of the model in GGUF's names, quantized where it should be."""
    arrays = _read_safetensors(weights)
    names = dict(EMBEDDING_NAMES)
    layer = 0
    while f"encoder.layer.{layer}.attention.self.query.weight" in arrays:
        for theirs, ours in LAYER_NAMES.items():
            for part in ("weight", "bias"):
                names[f"encoder.layer.{layer}.{theirs}.{part}"] = f"blk.{layer}.{ours}.{part}"
        layer += 1
    missing = [name for name in names if name not in arrays]
    if missing or layer == 0:
        raise WeightsCorrupt(
            f"{weights} lacks {missing[0] if missing else 'its layers'}: it is not all-MiniLM-L6-v2.",
            AGAIN,
        )
    for theirs, ours in names.items():
        array = arrays[theirs]
        if array.ndim == 2 and array.shape[1] % BLOCK == 0 and ours not in NEVER_QUANTIZED:
            yield _Tensor(ours, array.shape, Q8_0, quantize_q8_0(array))
        else:
            yield _Tensor(ours, array.shape, F32, array.astype("<f4").tobytes())


def _read_safetensors(path: Path) -> "dict[str, Array]":
    """Return the tensors of a safetensors file by name (its format: a length, a JSON header, the data)."""
    import numpy as np

    raw = path.read_bytes()
    try:
        (length,) = struct.unpack_from("<Q", raw)
        header: dict[str, Any] = json.loads(raw[8 : 8 + length])
        data = memoryview(raw)[8 + length :]
        arrays = {}
        for name, entry in header.items():
            if name == "__metadata__" or entry["dtype"] not in {"F32", "F16"}:
                continue
            begin, end = entry["data_offsets"]
            dtype = {"F32": "<f4", "F16": "<f2"}[entry["dtype"]]
            arrays[name.removeprefix("bert.")] = np.frombuffer(data[begin:end], dtype=dtype).reshape(entry["shape"])
    except (struct.error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsCorrupt(
            f"{path} can't be read as a safetensors file: {error}.",
            AGAIN,
        ) from error
    return arrays


def quantize_q8_0(array: "Array") -> bytes:
    """Return rows as q8_0 blocks: for 32 values their scale (float16, the largest magnitude / 127) and 32 signed bytes.

    Every step is exact IEEE arithmetic on single elements, which is why the bytes are the same everywhere. Halves are rounded
    away from zero, as C's `roundf` does and numpy's `round` does not.
    """
    import numpy as np

    blocks = np.ascontiguousarray(array, dtype="<f4").reshape(-1, BLOCK)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    with np.errstate(divide="ignore"):
        inverse = np.where(scale == 0, np.float32(0), np.float32(1) / scale)
    scaled = blocks * inverse
    magnitude = np.abs(scaled)
    whole = np.floor(magnitude)
    rounded = np.sign(scaled) * (whole + np.floor(2 * (magnitude - whole)))
    quants = rounded.astype(np.int8).view(np.uint8)
    packed: Array = np.concatenate([scale.astype("<f2").view(np.uint8), quants], axis=1)
    return packed.tobytes()


def _facts(
    tokens: Sequence[str], *, context_length: int, embedding_length: int, feed_forward_length: int, block_count: int
) -> list[tuple[str, bytes]]:
    """Return the key-value part of the file, each value packed with its type in front."""
    facts = [
        ("general.architecture", _string("bert")),
        ("general.name", _string("all-MiniLM-L6-v2")),
        ("general.license", _string("apache-2.0")),
        ("bert.context_length", _uint32(context_length)),
        ("bert.embedding_length", _uint32(embedding_length)),
        ("bert.feed_forward_length", _uint32(feed_forward_length)),
        ("bert.block_count", _uint32(block_count)),
        ("bert.attention.head_count", _uint32(embedding_length // 32)),
        ("bert.attention.layer_norm_epsilon", struct.pack("<If", FLOAT32, 1e-12)),
        ("bert.attention.causal", _bool(value=False)),
        ("bert.pooling_type", _uint32(MEAN_POOLING)),
        ("tokenizer.ggml.model", _string("bert")),
        ("tokenizer.ggml.pre", _string("default")),
        ("tokenizer.ggml.tokens", _array(STRING, [_text(_as_word_start(token)) for token in tokens])),
        ("tokenizer.ggml.token_type", _array(INT32, [struct.pack("<i", _token_type(token)) for token in tokens])),
        ("tokenizer.ggml.token_type_count", _uint32(2)),
    ]
    facts += [
        (f"tokenizer.ggml.{role}_token_id", _uint32(tokens.index(token))) for role, token in CONTROL_TOKENS.items()
    ]
    return [
        *facts,
        ("tokenizer.ggml.add_bos_token", _bool(value=True)),
        ("tokenizer.ggml.add_eos_token", _bool(value=True)),
    ]


def _as_word_start(token: str) -> str:
    """Return a word piece as llama.cpp wants it: it marks where a word begins, BERT marks where it goes on."""
    if token in CONTROL_TOKENS.values():
        return token
    return token[2:] if token.startswith("##") else f"▁{token}"


def _token_type(token: str) -> int:
    if token in CONTROL_TOKENS.values():
        return CONTROL_TOKEN
    return UNUSED_TOKEN if token.startswith("[unused") else NORMAL_TOKEN


def _write_gguf(file: BinaryIO, facts: Sequence[tuple[str, bytes]], tensors: Sequence[_Tensor]) -> None:
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(facts))
    header += b"".join(_text(key) + value for key, value in facts)
    offset = 0
    for tensor in tensors:
        dimensions = tensor.shape[::-1]
        header += _text(tensor.name) + struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        header += struct.pack("<IQ", tensor.kind, offset)
        offset += len(_padded(tensor.data))
    file.write(_padded(header))
    for tensor in tensors:
        file.write(_padded(tensor.data))


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % ALIGNMENT)


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _string(value: str) -> bytes:
    return struct.pack("<I", STRING) + _text(value)


def _uint32(value: int) -> bytes:
    return struct.pack("<II", UINT32, value)


def _bool(*, value: bool) -> bytes:
    return struct.pack("<I?", BOOL, value)


def _array(kind: int, items: Sequence[bytes]) -> bytes:
    return struct.pack("<IIQ", ARRAY, kind, len(items)) + b"".join(items)
