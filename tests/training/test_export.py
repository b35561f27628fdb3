"""Merging, GGUF and the checks: against PEFT's own merge, ggml's own kernels and llama.cpp itself."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.training import export_checks as checks
from questions_gen.training import ggml
from questions_gen.training.backend import INDEX, base_files, load_tokenizer
from questions_gen.training.export import check_format, check_formats, copy_adapter, references_of, write_formats
from questions_gen.training.gguf_export import QWEN2_SPLIT, pre_tokenizer, write_gguf
from questions_gen.training.merge import merge, shard_names
from questions_gen.training.nf4 import write_nf4
from tests import fake_hub
from tests.fake_hub import FakeHub
from tests.qwen import qwen_tokenizer as qwen_tokenizer
from tests.training.tiny_models import PARAMS, write_adapter, write_base

hub = fake_hub.hub  # the fixture

FORMATS = ["safetensors", "safetensors-nf4", "gguf-f16", "gguf-q8_0", "gguf-q4_k_m"]
WEIGHTS = {
    "adapter": "adapter/adapter_model.safetensors",
    "safetensors": "merged/model.safetensors",
    "safetensors-nf4": "merged-nf4/model.safetensors",
    **{f"gguf-{kind}": f"gguf/model-{kind}.gguf" for kind in ("f16", "q8_0", "q4_k_m")},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, qwen_tokenizer) -> dict[str, Path]:
    """A llama with a tokenizer of some hundred tokens, and a Qwen3 with Qwen's own."""
    root = tmp_path_factory.mktemp("models")
    bases = {"llama": write_base(root / "llama", "llama"), "qwen3": write_base(root / "qwen3", "qwen3", qwen_tokenizer)}
    adapters = {f"{name}-adapter": write_adapter(root / f"{name}-adapter", base) for name, base in bases.items()}
    return bases | adapters


@pytest.fixture(scope="module")
def exported(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("exported")
    for name in ("llama", "qwen3"):
        write_formats(FORMATS, PARAMS, models[name], models[f"{name}-adapter"], root / name)
    return {name: root / name for name in ("llama", "qwen3")}


def tensors(folder: Path) -> dict:
    from safetensors.torch import load_file

    return {name: value for shard in shard_names(folder) for name, value in load_file(folder / shard).items()}


def merged_by_peft(base: Path, adapter: Path) -> dict:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    return PeftModel.from_pretrained(model, adapter).merge_and_unload().state_dict()


@pytest.mark.parametrize(
    ("architecture", "dtype", "shard_size", "reason"),
    [
        ("llama", "float32", "1GB", "float32 is rounded to float16"),
        ("qwen3", "bfloat16", "1GB", "bfloat16 stays bfloat16"),
        ("llama", "float16", "60KB", "a model in shards"),
    ],
)
def test_the_merge_is_pefts_rounded_once(tmp_path, architecture, dtype, shard_size, reason):
    import torch
    from transformers import AutoModelForCausalLM

    base = write_base(tmp_path / "base", architecture, dtype=dtype, shard_size=shard_size)
    adapter = write_adapter(tmp_path / "adapter", base)
    merge(base, adapter, tmp_path / "merged")
    kind = torch.bfloat16 if dtype == "bfloat16" else torch.float16
    ours, theirs = tensors(tmp_path / "merged"), merged_by_peft(base, adapter)
    assert ours.keys() == theirs.keys(), reason
    assert all(torch.equal(ours[name], theirs[name].to(kind)) for name in ours), reason
    changed = "model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(ours[changed].float(), tensors(base)[changed].float())
    assert shard_names(tmp_path / "merged") == shard_names(base)
    assert (len(shard_names(base)) > 1) == (tmp_path / "merged" / INDEX).exists() == (shard_size == "60KB")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert loaded.dtype == kind


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"use_rslora": True}, "use_rslora"),
        ({"bias": "all"}, "bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern"),
    ],
)
def test_an_adapter_that_isnt_plain_lora_is_refused(tmp_path, models, settings, named):
    adapter = write_adapter(tmp_path / "adapter", models["llama"], **settings)
    with pytest.raises(UserError, match=named):
        merge(models["llama"], adapter, tmp_path / "merged")


def other_base(tmp_path, adapter):
    from safetensors.torch import load_file, save_file

    weights = load_file(adapter / "adapter_model.safetensors")
    renamed = {name.replace("layers.1.", "layers.7."): value for name, value in weights.items()}
    save_file(renamed, adapter / "adapter_model.safetensors")


def other_shape(tmp_path, adapter):
    from safetensors.torch import load_file, save_file

    weights = load_file(adapter / "adapter_model.safetensors")
    weights = {name: value[:-1].contiguous() if "lora_B" in name else value for name, value in weights.items()}
    save_file(weights, adapter / "adapter_model.safetensors")


def diverged(tmp_path, adapter):
    from safetensors.torch import load_file, save_file

    weights = load_file(adapter / "adapter_model.safetensors")
    save_file({name: value * 1e6 for name, value in weights.items()}, adapter / "adapter_model.safetensors")


def cut_in_half(tmp_path, adapter):
    path = adapter / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def quantised(tmp_path, adapter):
    path = tmp_path / "base/config.json"
    files.write_json(path, {**files.read_json(path), "quantization_config": {"quant_method": "bitsandbytes"}})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (other_base, "layers.7.*base model lacks"),
        (other_shape, "in the base model"),
        (diverged, "isn't finite"),
        (cut_in_half, "not a whole safetensors file"),
        (quantised, "fetch.model"),
    ],
)
def test_what_cant_be_merged_is_a_clear_error(tmp_path, models, damage, message):
    shutil.copytree(models["llama"], tmp_path / "base")
    shutil.copytree(models["llama-adapter"], tmp_path / "adapter")
    damage(tmp_path, tmp_path / "adapter")
    with pytest.raises(UserError, match=message):
        merge(tmp_path / "base", tmp_path / "adapter", tmp_path / "merged")


def test_a_model_of_the_hub_is_merged_at_its_pinned_revision(tmp_path, models, exported, hub: FakeHub):
    content = {path.name: path.read_bytes() for path in models["llama"].iterdir() if path.name != "base.json"}
    pinned = hub.put("model", "owner/tiny", {**content, "pytorch_model.bin": b"unused"})
    hub.put("model", "owner/tiny", {"config.json": b"{}"})
    files.write_json(tmp_path / "base/base.json", {"kind": "hub", "repo_id": "owner/tiny", "revision": pinned})
    merge(base_files(tmp_path / "base"), models["llama-adapter"], tmp_path / "merged")
    assert files.digest(tmp_path / "merged") == files.digest(exported["llama"] / "merged")
    assert not [request for request in hub.requests if request.path.endswith(".bin")]


def test_a_hub_that_fails_is_a_clear_error(tmp_path, hub: FakeHub):
    files.write_json(tmp_path / "base/base.json", {"kind": "hub", "repo_id": "owner/tiny", "revision": "a" * 40})
    with pytest.raises(UserError, match="fetch.model.repo_id: the files of owner/tiny"):
        base_files(tmp_path / "base")


def test_the_exported_adapter_names_no_folder_of_ours(tmp_path, models):
    copy_adapter(models["llama"], models["llama-adapter"], tmp_path / "adapter")
    assert files.read_json(tmp_path / "adapter/adapter_config.json")["base_model_name_or_path"] is None
    pointer = {"kind": "hub", "repo_id": "owner/model", "revision": "a" * 40}
    files.write_json(tmp_path / "base/base.json", pointer)
    copy_adapter(tmp_path / "base", models["llama-adapter"], tmp_path / "again")
    config = files.read_json(tmp_path / "again/adapter_config.json")
    assert (config["base_model_name_or_path"], config["revision"]) == ("owner/model", "a" * 40)
    assert files.digest(tmp_path / "again/adapter_model.safetensors") == files.digest(
        models["llama-adapter"] / "adapter_model.safetensors"
    )


@pytest.mark.parametrize("kind", ["f16", "q8_0", "q4_k_m"])
@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_a_gguf_has_the_same_bytes_every_time(tmp_path, exported, architecture, kind):
    write_gguf(exported[architecture] / "merged", tmp_path / "again.gguf", kind, "questions-gen", threads=2)
    assert files.digest(tmp_path / "again.gguf") == files.digest(exported[architecture] / f"gguf/model-{kind}.gguf")


HARD = np.random.default_rng(0).normal(size=(64, 512)).astype(np.float32)
HARD[0] = 0
HARD[1] = np.arange(512) - 48  # quotients that end in a half, where the ways of rounding part
HARD[2] *= 1e-7


def test_q8_0_is_the_format_that_ggufs_own_code_writes():
    from gguf import GGMLQuantizationType
    from gguf.quants import quantize

    kind = GGMLQuantizationType.Q8_0
    assert np.array_equal(ggml.quantize(HARD, kind, 2), quantize(HARD, kind))


@pytest.mark.parametrize(("kind", "error"), [("Q8_0", 0.02), ("Q6_K", 0.1), ("Q5_0", 0.2), ("Q4_K", 0.35)])
def test_quantising_in_chunks_and_threads_keeps_the_numbers(monkeypatch, kind, error):
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    form = GGMLQuantizationType[kind]
    whole = ggml.quantize(HARD, form, 1)
    monkeypatch.setattr(ggml, "ROWS", 7)
    assert np.array_equal(ggml.quantize(HARD, form, 2), whole)
    values = dequantize(whole, form)
    assert not values[0].any()
    assert np.abs(values[3:] - HARD[3:]).max() <= error, "of numbers up to 4"


LAYERS = 28  # of Qwen3-0.6B
MORE = {0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 24, 25, 26, 27}
"""Its layers whose attn_v and ffn_down llama-quantize makes Q6_K."""


@pytest.mark.parametrize(
    ("name", "width", "kind", "tied", "form", "reason"),
    [
        ("token_embd.weight", 1024, "q4_k_m", True, "Q6_K", "it gives the output too"),
        ("token_embd.weight", 1024, "q4_k_m", False, "Q4_K", "the output is another matrix"),
        ("output.weight", 1024, "q4_k_m", False, "Q6_K", "the output"),
        ("output.weight", 576, "q4_k_m", False, "Q8_0", "no blocks of 256"),
        ("blk.3.attn_q.weight", 576, "q4_k_m", True, "Q5_0", "no blocks of 256"),
        ("blk.0.ffn_down.weight", 576, "q4_k_m", True, "Q8_0", "more bits, and no blocks of 256"),
        ("blk.3.attn_q.weight", 80, "q4_k_m", True, "F16", "no blocks of 32"),
        ("blk.3.attn_q.weight", 80, "q8_0", True, "F16", "no blocks of 32"),
        ("blk.3.attn_q.weight", 96, "q8_0", True, "Q8_0", "blocks of 32"),
        ("blk.3.attn_q.weight", 80, "f16", True, "F16", "no blocks at all"),
        *((f"blk.{n}.{part}.weight", 1024, "q4_k_m", True, "Q6_K" if n in MORE else "Q4_K", "use_more_bits")
          for n in range(LAYERS) for part in ("attn_v", "ffn_down")),
        *((f"blk.0.{part}.weight", 1024, "q4_k_m", True, "Q4_K", "as the rest")
          for part in ("attn_q", "attn_k", "attn_output", "ffn_gate", "ffn_up")),
    ],
)  # fmt: skip
def test_the_type_of_a_matrix_is_llama_cpps_choice(name, width, kind, tied, form, reason):
    assert ggml.tensor_type(name, width, kind, LAYERS, tied=tied).name == form, reason


def test_q4_k_m_mixes_its_types(exported):
    from gguf import GGUFReader

    found = {
        tensor.name: tensor.tensor_type.name
        for tensor in GGUFReader(exported["llama"] / WEIGHTS["gguf-q4_k_m"]).tensors
    }
    assert found["blk.0.ffn_down.weight"] == "Q4_K"
    assert found["blk.1.ffn_down.weight"] == "Q6_K"
    assert found["blk.0.attn_q.weight"] == "Q5_0"
    assert found["output.weight"] == "Q8_0"
    assert found["blk.0.attn_norm.weight"] == "F32"


def test_nf4_is_what_transformers_itself_would_write(tmp_path, exported):
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    settings = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype="float32"
    )
    merged = exported["qwen3"] / "merged"
    model = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float16, quantization_config=settings)
    model.save_pretrained(tmp_path / "theirs")
    ours, theirs = tensors(exported["qwen3"] / "merged-nf4"), tensors(tmp_path / "theirs")
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    config = [files.read_json(path / "config.json") for path in (exported["qwen3"] / "merged-nf4", tmp_path / "theirs")]
    assert config[0]["quantization_config"] == config[1]["quantization_config"]


def test_rows_that_nf4_cant_hold_on_a_cpu_are_refused(tmp_path):
    base = write_base(tmp_path / "base", "llama", intermediate_size=96)
    with pytest.raises(UserError, match="export.formats.*down_proj.*rows of 96"):
        write_nf4(base, tmp_path / "target", "float32")


def test_a_model_in_shards_is_exported_one_shard_at_a_time(tmp_path, monkeypatch):
    import safetensors

    base = write_base(tmp_path / "base", "llama", shard_size="100KB")
    adapter = write_adapter(tmp_path / "adapter", base)
    shards, opened, most = set(shard_names(base)), [], []
    real = safetensors.safe_open

    class Watched:
        """safe_open, noting which shards are open together."""

        def __init__(self, path, framework):
            self.name, self.handle = Path(path).name, real(path, framework)

        def __enter__(self):
            opened.append(self.name)
            most.append(len(shards.intersection(opened)))
            return self.handle.__enter__()

        def __exit__(self, *error):
            opened.remove(self.name)
            return self.handle.__exit__(*error)

    monkeypatch.setattr(safetensors, "safe_open", Watched)
    write_formats(FORMATS, PARAMS, base, adapter, tmp_path / "exported")
    monkeypatch.undo()
    assert len(shards) > 2
    assert (max(most), opened) == (1, [])
    for folder in ("merged", "merged-nf4"):
        assert set(shard_names(tmp_path / "exported" / folder)) == shards
    check_formats(FORMATS, PARAMS, base, adapter, tmp_path / "exported", smoke_tokens=8)


def test_a_gguf_holds_the_tokens_and_the_template(tmp_path):
    from gguf import GGUFReader

    base = write_base(tmp_path / "base", "qwen3")
    write_gguf(base, tmp_path / "model.gguf", "f16", "questions-gen")
    fields = GGUFReader(tmp_path / "model.gguf").fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    assert tokens[:3] == ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    assert tokens[-1].startswith("[PAD"), "the embedding is longer than the vocabulary"
    assert fields["tokenizer.ggml.pre"].contents() == "qwen2"
    assert fields["tokenizer.ggml.eos_token_id"].contents() == 2
    assert fields["tokenizer.chat_template"].contents() == (base / "chat_template.jinja").read_text()


DIGITS = {"type": "Digits", "individual_digits": True}
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
SPLIT = {"type": "Split", "pattern": {"Regex": QWEN2_SPLIT}, "behavior": "Isolated", "invert": False}


@pytest.mark.parametrize(
    ("parts", "name", "reason"),
    [
        ([DIGITS, BYTES], "smollm", "SmolLM2's"),
        ([SPLIT, {**BYTES, "use_regex": False}], "qwen2", "Qwen3's"),
        ([BYTES], "gpt-2", "byte level alone"),
        ([{**DIGITS, "individual_digits": False}, BYTES], None, "numbers whole"),
        ([{**SPLIT, "pattern": {"Regex": r"\p{N}{1,3}"}}, BYTES], None, "another expression"),
        ([{"type": "Metaspace"}], None, "sentencepiece"),
    ],
)
def test_a_pre_tokenizer_is_known_or_refused(parts, name, reason):
    description = {"type": "Sequence", "pretokenizers": parts}
    if name is None:
        with pytest.raises(UserError, match="pre-tokenizer"):
            pre_tokenizer(description)
    else:
        assert pre_tokenizer(description) == name, reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gemma3"}, "gemma3"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e6}}, "yarn"),
    ],
)
def test_a_model_that_gguf_cant_hold_rightly_is_refused(tmp_path, exported, change, message):
    shutil.copytree(exported["llama"] / "merged", tmp_path / "merged")
    files.write_json(tmp_path / "merged/config.json", {**files.read_json(tmp_path / "merged/config.json"), **change})
    with pytest.raises(UserError, match=f"export.formats.*{message}"):
        write_gguf(tmp_path / "merged", tmp_path / "model.gguf", "f16", "name")


def continuation(*rows: list[float]) -> checks.Continuation:
    logprobs = np.log(np.array(rows, np.float32))
    return checks.Continuation([1], logprobs.argmax(1).tolist(), logprobs)


@pytest.mark.parametrize(
    ("told", "agreement", "ties", "matches", "difference", "reason"),
    [
        ([{0: 0.7, 1: 0.2}, {1: 0.6, 2: 0.3}], 1.0, 0, 1, 0.0, "the same"),
        ([{0: 0.35, 1: 0.2}, {1: 0.6, 2: 0.3}], 1.0, 0, 1, 0.6931, "half as likely, and still the likeliest"),
        ([{0: 0.7, 1: 0.2}, {2: 0.6, 1: 0.3}], 0.5, 0, 0, 0.6931, "another choice"),
        ([{0: 0.7, 1: 0.2}, {2: 0.8, 0: 0.075}], 0.5, 0, 0, 2.0794, "the reference's choice isn't among the likeliest"),
        ([{0: 0.7, 1: 0.2}, {3: 0.6, 1: 0.594}], 0.5, 1, 0, 0.0101, "the other of two that are as likely"),
    ],
)
def test_compare(told, agreement, ties, matches, difference, reason):
    reference = continuation([0.7, 0.2, 0.1, 0.01], [0.1, 0.6, 0.3, 0.594])
    logs = [{token: float(np.log(p)) for token, p in position.items()} for position in told]
    numbers = checks.compare([reference], [logs], 0.02)
    assert (numbers["argmax_agreement"], numbers["greedy_matches"]) == (agreement, matches), reason
    assert numbers["largest_logprob_difference"] == pytest.approx(difference, abs=2e-4), reason
    assert (numbers["prompts"], numbers["positions"], numbers["ties"]) == (1, 2, ties)


DIFFERENCES = {
    "adapter": 1e-4, "safetensors": 0.002, "gguf-f16": 0.002, "gguf-q8_0": 0.02, "safetensors-nf4": 0.2,
    "gguf-q4_k_m": 0.2,
}  # fmt: skip
"""Nats. Random weights spread their log-probabilities little, so that the tolerances are smaller here; measured:
0.0000, 0.0002, 0.0007, 0.007, 0.086 and 0.042."""


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_every_format_says_what_the_adapter_on_its_base_says(models, exported, architecture):
    adapter = models[f"{architecture}-adapter"]
    found = check_formats(FORMATS, PARAMS, models[architecture], adapter, exported[architecture], smoke_tokens=8)
    assert list(found["formats"]) == ["adapter", *FORMATS]
    for name, numbers in found["formats"].items():
        assert numbers["positions"] == 3 * checks.TOKENS
        assert numbers["largest_logprob_difference"] <= DIFFERENCES[name], name
    assert found["chat_template_alike"] is True
    assert found["smoke"]["text"]
    assert found["smoke"]["finish_reason"] in ("length", "stop")


@pytest.fixture(scope="module")
def references(models) -> dict[str, list[checks.Continuation]]:
    """Of the adapter that was exported, and of another one."""
    base = models["llama"]
    adapters = {"same": models["llama-adapter"], "other": write_adapter(base.with_name("other"), base, seed=3)}
    return {name: references_of(PARAMS, base, adapter, load_tokenizer(base)) for name, adapter in adapters.items()}


@pytest.mark.parametrize("name", ["adapter", *FORMATS])
def test_an_export_of_another_adapter_fails(models, exported, references, name):
    with pytest.raises(UserError, match=f"{name} isn't the model that was trained"):
        check_format(name, references["other"], PARAMS, models["llama"], exported["llama"])


@pytest.mark.parametrize("name", ["adapter", *FORMATS])
def test_a_corrupted_export_fails(tmp_path, models, exported, references, name):
    shutil.copytree(exported["llama"], tmp_path / "exported")
    path = tmp_path / "exported" / WEIGHTS[name]
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
    told = "can't be loaded again" if name == "safetensors-nf4" else "isn't the model that was trained: .*at most"
    with pytest.raises(UserError, match=f"{name} {told}"):
        check_format(name, references["same"], PARAMS, models["llama"], tmp_path / "exported")


def test_a_choice_that_rounding_to_bfloat16_changes_is_a_tie():
    """Logits of two likely tokens close to one another, as the reference has them and rounded."""
    import torch

    logits = np.random.default_rng(0).normal(0, 1, (2000, 50)).astype(np.float32)
    logits[:, 0], logits[:, 1] = 24.0, 24.0 + np.random.default_rng(1).uniform(-0.2, 0.2, 2000)
    exact = torch.from_numpy(logits).log_softmax(-1).numpy()
    reference = checks.Continuation([1], exact.argmax(1).tolist(), exact)
    rounded = torch.from_numpy(logits).to(torch.bfloat16).float().log_softmax(-1)
    told = [{token: float(row[token]) for token in (0, 1)} for row in rounded]
    limit = checks.limit_of("safetensors", PARAMS.model_copy(update={"dtype": "bfloat16"}))
    numbers = checks.compare([reference], [told], limit.tie)
    assert 0.5 < numbers["argmax_agreement"] < 0.9
    assert numbers["argmax_agreement"] + numbers["ties"] / numbers["positions"] == pytest.approx(1)
    assert checks.judged("safetensors", numbers, limit)


def test_weights_that_arent_in_4_bits_are_refused(tmp_path, models, exported, references):
    shutil.copytree(exported["llama"] / "merged", tmp_path / "merged-nf4")
    with pytest.raises(UserError, match="safetensors-nf4 loads model.layers.*float32, not as nf4"):
        check_format("safetensors-nf4", references["same"], PARAMS, models["llama"], tmp_path)


@pytest.mark.parametrize(
    ("dtype", "difference", "agreement", "ties", "kept", "reason"),
    [
        ("float32", 0.05, 1.0, 0, True, "at both limits"),
        ("float32", 0.05, 0.9722, 2, True, "two choices that are as likely"),
        ("float32", 0.06, 1.0, 0, False, "too far"),
        ("float32", 0.01, 0.9861, 0, False, "one other choice"),
        ("float32", float("nan"), 1.0, 0, False, "not a number"),
        ("bfloat16", 0.06, 0.9028, 0, True, "bfloat16 rounds more"),
        ("bfloat16", 0.6, 0.9028, 0, False, "too far even for that"),
    ],
)
def test_a_file_beyond_its_limits_fails(dtype, difference, agreement, ties, kept, reason):
    numbers = {
        "largest_logprob_difference": difference, "argmax_agreement": agreement, "ties": ties, "positions": 72,
    }  # fmt: skip
    limit = checks.limit_of("gguf-f16", PARAMS.model_copy(update={"dtype": dtype}))
    if kept:
        assert checks.judged("gguf-f16", numbers, limit).items() >= numbers.items(), reason
    else:
        with pytest.raises(UserError, match="gguf-f16"):
            checks.judged("gguf-f16", numbers, limit)


@pytest.mark.parametrize(
    ("message", "text", "thinking"),
    [
        ({"content": "Find $x$."}, "Find $x$.", None),
        ({"content": "", "reasoning_content": "First"}, "", "First"),
        ({"content": " \n"}, None, None),
        ({"content": None}, None, None),
    ],
)
def test_an_empty_answer_fails_the_smoke_test(monkeypatch, message, text, thinking):
    answer = {"choices": [{"message": message, "finish_reason": "length"}]}
    monkeypatch.setattr(checks, "post", lambda url, body: json.loads(json.dumps(answer)))
    if text is None:
        with pytest.raises(UserError, match="wrote nothing"):
            checks.write_one_problem("http://127.0.0.1:1/v1", 8)
    else:
        told = {"text": text, "thinking": thinking, "finish_reason": "length"}
        assert checks.write_one_problem("http://127.0.0.1:1/v1", 8) == told
