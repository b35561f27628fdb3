"""Random models of a few kilobytes in the two architectures that are exported, and random adapters for them."""

from pathlib import Path
from typing import Any

from questions_gen import files
from questions_gen.training.backend import ModelParams
from questions_gen.training.gguf_export import QWEN2_SPLIT
from tests.conftest import TEMPLATE

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SHAPE = {
    "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 1024, "tie_word_embeddings": False,
    "bos_token_id": None,
}  # fmt: skip
PARAMS = ModelParams(
    backend="transformers", dtype="float32", load_in_4bit=False, max_length=320, gradient_checkpointing=False,
    trust_remote_code=False, threads=1,
)  # fmt: skip


def tiny_tokenizer(architecture: str) -> Any:
    """Bytes and a few merges, cut as SmolLM2's tokenizer or as Qwen's."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    merges = [("t", "h"), ("th", "e"), ("o", "n"), ("Ġ", "a")]
    tokens = [*specials, *sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in merges)]
    backend = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges))
    cuts = {
        "llama": [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)],
        "qwen3": [
            pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ],
    }
    backend.pre_tokenizer = pre_tokenizers.Sequence(cuts[architecture])
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def write_base(
    folder: Path,
    architecture: str,
    tokenizer: Any | None = None,
    *,
    dtype: str = "float32",
    shard_size: str = "1GB",
    **shape: Any,
) -> Path:
    """A model whose embedding is a little longer than its vocabulary, as Qwen's is. No tokenizer: a tiny one."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

    config, model = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen3": (Qwen3Config, Qwen3ForCausalLM)}[architecture]
    tokenizer = tiny_tokenizer(architecture) if tokenizer is None else tokenizer
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    torch.manual_seed(1)
    weights = model(config(vocab_size=len(tokenizer) + 5, **{**SHAPE, **ends, **shape})).to(getattr(torch, dtype))
    weights.save_pretrained(folder, max_shard_size=shard_size)
    tokenizer.save_pretrained(folder)
    files.write_json(folder / "base.json", {"kind": "local"})
    return folder


def write_adapter(folder: Path, base: Path, *, seed: int = 2, **settings: Any) -> Path:
    """A LoRA adapter with random weights, large enough to change what the model says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    lora = LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": TARGETS, "task_type": "CAUSAL_LM", **settings})
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), lora)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    model.save_pretrained(folder)
    return folder
