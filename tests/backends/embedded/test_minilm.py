"""The embedding weights in llama.cpp's format: read back by the format's own library."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mistral_nb.backends.embedded.minilm import CONTROL_TOKENS, convert, quantize_q8_0
from mistral_nb.errors import WeightsCorrupt

gguf = pytest.importorskip("gguf", reason="the library of the GGUF format is not installed")

TOKENS = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "##s", "\x85"]
WIDTH, INNER, POSITIONS, LAYERS = 64, 128, 16, 2


def bert() -> dict[str, "np.ndarray[Any, Any]"]:
    """Return the tensors of a very small BERT."""
    random = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(TOKENS), WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "embeddings.position_embeddings.weight": (POSITIONS, WIDTH),
        "embeddings.LayerNorm.weight": (WIDTH,),
        "embeddings.LayerNorm.bias": (WIDTH,),
    }
    for layer in range(LAYERS):
        start = f"encoder.layer.{layer}"
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= {f"{start}.{name}.weight": (WIDTH, WIDTH), f"{start}.{name}.bias": (WIDTH,)}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{start}.{name}.weight": (WIDTH,), f"{start}.{name}.bias": (WIDTH,)}
        shapes |= {f"{start}.intermediate.dense.weight": (INNER, WIDTH), f"{start}.intermediate.dense.bias": (INNER,)}
        shapes |= {f"{start}.output.dense.weight": (WIDTH, INNER), f"{start}.output.dense.bias": (WIDTH,)}
    return {name: random.normal(size=shape).astype("<f4") for name, shape in shapes.items()}


def safetensors(tensors: "dict[str, np.ndarray[Any, Any]]") -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, tensor in tensors.items():
        kind = {"f": "F32", "i": "I64"}[tensor.dtype.kind]
        end = len(data) + tensor.nbytes
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [len(data), end]}
        data += tensor.tobytes()
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def converted(folder: Path, tensors: "dict[str, np.ndarray[Any, Any]]", tokens: list[str] = TOKENS) -> Path:
    (folder / "weights").write_bytes(safetensors(tensors))
    (folder / "vocab").write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    convert(folder / "weights", folder / "vocab", folder / "out.gguf")
    return folder / "out.gguf"


def test_every_tensor_comes_back_within_the_precision_of_q8_0(tmp_path: Path) -> None:
    tensors = bert()

    found = {tensor.name: tensor for tensor in gguf.GGUFReader(converted(tmp_path, tensors)).tensors}

    assert len(found) == len(tensors)
    up = gguf.dequantize(found["blk.1.ffn_up.weight"].data, found["blk.1.ffn_up.weight"].tensor_type)
    assert np.abs(up - tensors["encoder.layer.1.intermediate.dense.weight"]).max() < 0.02
    assert np.array_equal(found["position_embd.weight"].data, tensors["embeddings.position_embeddings.weight"])


def test_the_facts_that_llama_cpp_needs_are_there(tmp_path: Path) -> None:
    fields = gguf.GGUFReader(converted(tmp_path, bert())).fields

    assert fields["general.architecture"].contents() == "bert"
    assert fields["bert.context_length"].contents() == POSITIONS
    assert fields["bert.feed_forward_length"].contents() == INNER
    assert fields["bert.block_count"].contents() == LAYERS
    assert fields["bert.pooling_type"].contents() == gguf.PoolingType.MEAN


def test_word_pieces_are_marked_as_llama_cpp_marks_them(tmp_path: Path) -> None:
    fields = gguf.GGUFReader(converted(tmp_path, bert())).fields

    assert fields["tokenizer.ggml.tokens"].contents()[3:] == ["[CLS]", "[SEP]", "[MASK]", "▁the", "s", "▁\x85"]
    assert fields["tokenizer.ggml.token_type"].contents() == [3, 5, 3, 3, 3, 3, 1, 1, 1]
    assert fields["tokenizer.ggml.bos_token_id"].contents() == TOKENS.index(CONTROL_TOKENS["bos"])


def test_names_that_begin_with_bert_and_indices_among_the_tensors_change_nothing(tmp_path: Path) -> None:
    plain = converted(tmp_path, bert()).read_bytes()
    renamed = {f"bert.{name}": tensor for name, tensor in bert().items()}
    renamed["embeddings.position_ids"] = np.arange(POSITIONS, dtype="<i8")

    assert converted(tmp_path, renamed).read_bytes() == plain


@given(arrays.arrays("<f4", (3, 64), elements=st.integers(-(2**20), 2**20).map(lambda number: number / 1024)))
def test_q8_0_is_that_of_the_formats_own_library(values: "np.ndarray[Any, Any]") -> None:
    expected = gguf.quantize(values, gguf.GGMLQuantizationType.Q8_0)

    assert quantize_q8_0(values) == expected.tobytes()


@pytest.mark.parametrize(
    "raw", [b"", b"abc", struct.pack("<Q", 3) + b"abc", struct.pack("<Q", 2) + b"[]", struct.pack("<Q", 10**9)]
)
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, raw: bytes) -> None:
    weights, vocabulary = tmp_path / "weights", tmp_path / "vocab"
    weights.write_bytes(raw)
    vocabulary.write_text("\n".join(TOKENS))

    with pytest.raises(WeightsCorrupt, match="can't be read as a safetensors file"):
        convert(weights, vocabulary, tmp_path / "out.gguf")


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    tensors = bert()
    del tensors["encoder.layer.1.output.dense.bias"]

    with pytest.raises(WeightsCorrupt, match=r"lacks encoder\.layer\.1\.output\.dense\.bias"):
        converted(tmp_path, tensors)


def test_a_model_without_layers_is_refused(tmp_path: Path) -> None:
    tensors = {name: tensor for name, tensor in bert().items() if name.startswith("embeddings")}

    with pytest.raises(WeightsCorrupt, match="lacks its layers"):
        converted(tmp_path, tensors)


def test_a_vocabulary_without_berts_tokens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsCorrupt, match="vocabulary"):
        converted(tmp_path, bert(), ["the", "##s"])
