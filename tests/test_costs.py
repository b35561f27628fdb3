"""The formulas against published and counted numbers."""

import pytest

from questions_gen import costs, files
from questions_gen.commands.plan import MODELS
from questions_gen.costs import Shape, read_shape
from questions_gen.errors import UserError

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def shape(name: str) -> Shape:
    return read_shape(files.read_json(MODELS / f"{name}.json"), name)


@pytest.mark.parametrize(
    ("name", "count"),
    [("qwen3-14b", 14_768_307_200), ("qwen3-0.6b", 596_049_920), ("smollm2-135m-instruct", 134_515_008)],
)
def test_as_many_weights_as_the_published_model_has(name: str, count: int) -> None:
    assert shape(name).parameters == count


def test_as_many_trained_numbers_as_peft_counts() -> None:
    assert shape("smollm2-135m-instruct").adapter(32, TARGETS) == 9_768_960


def test_nf4_packs_the_matrices_alone() -> None:
    model = shape("qwen3-14b")
    packed, whole = (costs.weights(model, "bfloat16", four_bit) for four_bit in (True, False))
    assert packed == pytest.approx(model.matrices * 0.516 + 2 * model.others)
    assert whole == 2 * model.parameters


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "gpt2"}, "can't be planned"),
        ({"model_type": "llama", "hidden_size": 8}, "lacks 'num_hidden_layers'"),
    ],
)
def test_another_config_is_refused(config: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_shape(config, "config.json")


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(UserError, match="lora.targets: lm_head"):
        shape("qwen3-0.6b").adapter(8, ["lm_head"])


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_a_layer_keeps_what_autograd_saves(family: str) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

    config = {
        "vocab_size": 64, "hidden_size": 96, "intermediate_size": 176, "num_hidden_layers": 3, "num_attention_heads": 6,
        "num_key_value_heads": 2, "head_dim": 16, "tie_word_embeddings": True,
    }  # fmt: skip
    kinds = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen3": (Qwen3Config, Qwen3ForCausalLM)}[family]
    lora = LoraConfig(r=4, target_modules=TARGETS)
    model = get_peft_model(kinds[1](kinds[0](**config)), lora)
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    saved = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage  # held, so that its address isn't given to another
        return tensor

    ids = torch.arange(4 * 32).reshape(4, 32) % 64
    mask = torch.ones_like(ids)
    mask[0, -8:] = 0
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model.base_model.model.model(input_ids=ids, attention_mask=mask)
    bytes_a_token = sum(storage.nbytes() for storage in saved.values()) / ids.numel()
    planned = 3 * costs.layer_activations(read_shape({**config, "model_type": family}, ""), "float32", 4, padded=True)
    assert planned == pytest.approx(bytes_a_token, rel=0.1)
