"""Loading: adapters are continued and never attached twice; a backend that isn't there says so."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.params import load_params
from questions_gen.training.backend import (
    LoraParams,
    ModelParams,
    base_location,
    check_fields,
    load_model,
    load_tokenizer,
    save_adapter,
)

from ..qwen import write_qwen

BASE = Path("models/base")


@pytest.fixture
def params(workspace: Path) -> dict:
    return load_params({"model": ModelParams, "lora": LoraParams})


def adapters(model) -> dict:
    return {name: p.requires_grad for name, p in model.named_parameters() if "lora_" in name}


def test_an_adapter_is_continued_and_not_attached_twice(params: dict) -> None:
    save_adapter(load_model(params["model"], BASE, lora=params["lora"], seed=1), Path("adapter"))
    new = load_model(params["model"], BASE, lora=params["lora"], seed=1)
    again = load_model(params["model"], BASE, adapter=Path("adapter"), lora=params["lora"], seed=1)
    frozen = load_model(params["model"], BASE, adapter=Path("adapter"))
    assert adapters(new) == adapters(again)
    assert set(adapters(again).values()) == {True}
    assert set(adapters(frozen).values()) == {False}
    assert list(again.peft_config) == ["default"]


def test_the_seed_decides_a_new_adapter(params: dict) -> None:
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        save_adapter(load_model(params["model"], BASE, lora=params["lora"], seed=seed), Path(name))
    assert files.digest(Path("one")) == files.digest(Path("same")) != files.digest(Path("other"))
    config = files.read_json(Path("one/adapter_config.json"))
    assert config["target_modules"] == sorted(params["lora"].targets)


def test_four_bits_train_on_a_cpu(params: dict) -> None:
    quantized = params["model"].model_copy(update={"load_in_4bit": True})
    model = load_model(quantized, BASE, lora=params["lora"], seed=1)
    weights = {type(p).__name__ for name, p in model.named_parameters() if name.endswith("base_layer.weight")}
    assert weights == {"Params4bit"}
    assert any(adapters(model).values())


@pytest.mark.parametrize("attention_bias", [False, True])
def test_qwen3_loads_with_and_without_attention_bias_and_runs_no_code_of_its_own(
    params: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attention_bias: bool
) -> None:
    """The seed asked for remote code here, and named the dtype twice."""
    import torch
    from transformers import AutoModelForCausalLM, Qwen3ForCausalLM

    asked: dict = {}
    load = AutoModelForCausalLM.from_pretrained
    monkeypatch.setattr(
        AutoModelForCausalLM, "from_pretrained", lambda name, **options: asked.update(options) or load(name, **options)
    )
    base = write_qwen(tmp_path / "base", attention_bias=attention_bias)
    half = params["model"].model_copy(update={"dtype": "bfloat16"})
    model = load_model(half, base, lora=params["lora"])
    assert (asked["dtype"], asked["trust_remote_code"]) == (torch.bfloat16, False)
    assert "torch_dtype" not in asked
    plain = model.get_base_model()
    assert isinstance(plain, Qwen3ForCausalLM)
    assert any("q_proj" in name and name.endswith("bias") for name, _ in plain.named_parameters()) == attention_bias
    tokens = torch.arange(12)[None]
    assert torch.isfinite(model(input_ids=tokens).logits).all()


@pytest.mark.parametrize("found", ["adamw_torch", None])
def test_a_field_that_was_changed_behind_our_back_is_named(found: str | None) -> None:
    arguments = SimpleNamespace(bf16=True, report_to=[], **({"optim": found} if found else {}))
    with pytest.raises(UserError, match=f"optim is {found!r}, wanted 'adamw_8bit'"):
        check_fields(arguments, {"bf16": True, "report_to": "none", "optim": "adamw_8bit"})


def test_a_pointer_to_the_hub_is_followed_at_its_revision(tmp_path: Path) -> None:
    files.write_json(tmp_path / "base.json", {"kind": "hub", "repo_id": "org/model", "revision": "a" * 40})
    assert base_location(tmp_path) == ("org/model", "a" * 40)


def test_a_tokenizer_without_padding_is_refused(params: dict) -> None:
    settings = files.read_json(BASE / "tokenizer_config.json")
    del settings["pad_token"]
    files.write_json(BASE / "tokenizer_config.json", settings)
    with pytest.raises(UserError, match="no padding token"):
        load_tokenizer(BASE)


def test_under_autocast_a_layers_input_is_not_widened_to_the_adapters_float32(params: dict) -> None:
    """PEFT casts it to the adapter's dtype, only for autocast to cast it back: seen as a tenth of the time on a GPU."""
    import torch

    narrow = params["model"].model_copy(update={"dtype": "bfloat16"})
    model = load_model(narrow, BASE, lora=params["lora"], seed=1)
    seen = []
    layer = model.base_model.model.model.layers[0].mlp.up_proj
    layer.lora_A["default"].register_forward_hook(
        lambda _, inputs, output: seen.append((inputs[0].dtype, output.dtype))
    )
    tokens = torch.tensor([[5, 6, 7]])
    with torch.autocast("cpu", torch.bfloat16):
        model(tokens)
    model(tokens)
    assert layer.lora_A["default"].weight.dtype == torch.float32
    assert seen == [(torch.bfloat16, torch.bfloat16), (torch.float32, torch.float32)]


def test_four_bits_leave_the_rest_in_its_own_dtype(params: dict) -> None:
    """PEFT's preparation would make the embedding, the head and the norms float32: twice the memory, and slower."""
    quantized = params["model"].model_copy(update={"load_in_4bit": True, "dtype": "bfloat16"})
    model = load_model(quantized, BASE, lora=params["lora"], seed=1)
    kinds = {str(p.dtype) for name, p in model.named_parameters() if "embed" in name or "norm" in name}
    assert kinds == {"torch.bfloat16"}
    assert all(not p.requires_grad for name, p in model.named_parameters() if "lora_" not in name)
