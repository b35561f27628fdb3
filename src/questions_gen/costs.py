"""What a decoder costs to train and to sample from, before it runs: bytes and floating point operations, by formulas.

Each formula counts what the libraries allocate, and its docstring says where it comes from. What can't be counted (an
allocator's gaps, a card's share of its peak) is a constant that was measured, and says on what. docs/planning.md shows
how far the whole is from what was measured.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from questions_gen.errors import UserError

GIB = 2**30
CHUNK = 256
"""Tokens whose logits TRL's chunked loss holds at once (trl 1.14.2, sft_trainer.py, _CHUNKED_LM_HEAD_CHUNK_SIZE)."""
NF4_BYTES = 0.516
"""Bytes of a weight in nf4: half a byte, 8 bits of scale for each 64 weights and 32 for each 256 of these scales
(Dettmers et al. 2023, arXiv 2305.14314, section 3: 0.127 bits a weight with double quantisation)."""
OPTIMIZER_BYTES = {"adamw_torch": 8.0, "adamw_torch_fused": 8.0, "adamw_8bit": 2.03, "paged_adamw_8bit": 2.03}
"""Of AdamW's two moments, for each trained number: 32 bits each, or 8 with 32 for each 256 numbers (Dettmers et al.
2022, arXiv 2110.02861)."""


@dataclass(frozen=True)
class Shape:
    """A decoder of the llama or Qwen3 family, as its config.json tells."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool
    """Whether the output matrix is the embedding."""
    qk_norm: bool
    """Whether queries and keys are normalised (Qwen3)."""

    @property
    def queries(self) -> int:
        """Width of all heads' queries together."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """Width of all heads' keys, or values, together."""
        return self.kv_heads * self.head_dim

    @property
    def projections(self) -> dict[str, tuple[int, int]]:
        """Inputs and outputs of a layer's matrices, by the names that lora.targets has for them."""
        return {
            "q_proj": (self.hidden, self.queries),
            "k_proj": (self.hidden, self.keys),
            "v_proj": (self.hidden, self.keys),
            "o_proj": (self.queries, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }

    @property
    def matrices(self) -> int:
        """Weights of all layers' matrices: what nf4 packs."""
        return self.layers * sum(rows * columns for rows, columns in self.projections.values())

    @property
    def others(self) -> int:
        """Weights that stay in 16 bits under nf4: embedding, output matrix, norms."""
        embeddings = self.vocab * self.hidden * (1 if self.tied else 2)
        norms = self.layers * (2 * self.hidden + (2 * self.head_dim if self.qk_norm else 0)) + self.hidden
        return embeddings + norms

    @property
    def parameters(self) -> int:
        return self.matrices + self.others

    @property
    def multiplied(self) -> int:
        """Weights that a token is multiplied with, the output matrix included and the embedding not."""
        return self.matrices + self.vocab * self.hidden

    def adapter(self, r: int, targets: Iterable[str]) -> int:
        """Numbers of a LoRA adapter: r × (inputs + outputs) of each matrix (Hu et al. 2021, arXiv 2106.09685).

        Raises UserError for a matrix that the family lacks.
        """
        unknown = [name for name in targets if name not in self.projections]
        if unknown:
            raise UserError(f"lora.targets: {unknown[0]} can't be planned; there are {', '.join(self.projections)}")
        return self.layers * r * sum(sum(self.projections[name]) for name in targets)


def read_shape(config: Mapping[str, Any], where: str) -> Shape:
    """Raises UserError for a config.json of another family."""
    if config.get("model_type") not in ("llama", "qwen3"):
        raise UserError(f"{where}: model_type {config.get('model_type')!r} can't be planned; llama and qwen3 can")
    try:
        return Shape(
            layers=config["num_hidden_layers"],
            hidden=config["hidden_size"],
            intermediate=config["intermediate_size"],
            heads=config["num_attention_heads"],
            kv_heads=config["num_key_value_heads"],
            head_dim=config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"],
            vocab=config["vocab_size"],
            tied=config["tie_word_embeddings"],
            qk_norm=config["model_type"] == "qwen3",
        )
    except KeyError as error:
        raise UserError(f"{where}: it lacks {error}; take the model's own config.json") from None


def width(dtype: str) -> int:
    """Bytes of a number."""
    return {"float32": 4, "bfloat16": 2}[dtype]


def weights(shape: Shape, dtype: str, four_bit: bool) -> float:
    """Bytes of the base model: under nf4 the layers' matrices are packed, and the rest stays as it is."""
    if four_bit:
        return shape.matrices * NF4_BYTES + shape.others * width(dtype)
    return shape.parameters * width(dtype)


def largest_matrix(shape: Shape, dtype: str) -> int:
    """Bytes of the widest matrix unpacked: bitsandbytes unpacks one at a time to multiply with it."""
    return shape.hidden * shape.intermediate * width(dtype)


def trained(adapter: int, optimizer: str) -> dict[str, float]:
    """Bytes of an adapter at work: PEFT keeps it in float32 whatever the model's dtype (autocast_adapter_dtype)."""
    return {"adapter": 4.0 * adapter, "gradients": 4.0 * adapter, "optimizer": OPTIMIZER_BYTES[optimizer] * adapter}


def layer_activations(shape: Shape, dtype: str, r: int, padded: bool) -> float:
    """Bytes of a token that one layer keeps for its backward pass, with LoRA on all of its matrices.

    Read off the tensors that autograd saves (torch.autograd.graph.saved_tensors_hooks, transformers 5.17.0, peft
    0.21.2): a frozen matrix keeps nothing, LoRA keeps its input and r numbers. That leaves the input and the output
    of both norms (4 × hidden), gate, its activation, up and their product (4 × intermediate), queries and the
    attention's output, keys and values (repeated for each head where the batch is padded), and Qwen3's inputs of its
    norms of queries and keys. In 16 bits, norms also keep their input in float32, and two more roundings of it.
    """
    keys = shape.queries if padded else shape.keys
    kept = 4 * shape.intermediate + 4 * shape.hidden + 2 * shape.queries + 2 * keys + 7 * r
    normed = shape.queries + shape.keys if shape.qk_norm else 0
    if dtype == "float32":
        return 4.0 * (kept + normed)
    return 2.0 * (kept + 2 * shape.hidden + normed) + 4.0 * (2 * shape.hidden + normed)


CHUNK_COPIES = 7
"""Of a chunk's logits, in float32: logits, log-softmax, its exponential, their product, and in the backward pass the
softmax and two gradients (trl 1.14.2, sft_trainer.py, _chunk)."""


def chunked_logits(shape: Shape) -> float:
    """Bytes of TRL's chunked loss, whatever the number of tokens."""
    return float(CHUNK_COPIES * CHUNK * shape.vocab * 4)


HEAP_GAPS = 0.75
"""Bytes of freed memory that glibc keeps for each byte of all layers' activations, recomputed or not: most tensors are
below the 32 MB from which it always gives freed memory back (mallopt(3), M_MMAP_THRESHOLD). Measured on the cases of
docs/plan.json: 0.5 to 0.7 in sft, and 1.0 to 1.4 in grpo, whose rollouts leave more. With
MALLOC_MMAP_THRESHOLD_=1048576 it is nearly gone."""


POLICY_COPIES = 5
"""Of a completion's logits in an update of GRPO: logits, logits / temperature, and in the backward pass the gradients
of the log-sum-exp, of the chosen token's logit and of their sum (trl 1.14.2, utils.py, selective_log_softmax)."""
DPO_COPIES = 5
"""The same functions, for the chosen and the rejected answer at once (trl 1.14.2, dpo_trainer.py)."""


def full_logits(shape: Shape, tokens: int, dtype: str, copies: int) -> float:
    """Bytes of all logits of `tokens` at once."""
    return float(copies * tokens * shape.vocab * width(dtype))


def cache(shape: Shape, dtype: str, *, sequences: int, length: int) -> float:
    """Bytes of the keys and values of `sequences` of `length` tokens, twice.

    transformers' DynamicCache makes a longer tensor for each token, and the outgrown ones stay with the allocator: on
    an H100 it held 4.3 GiB that no tensor used after rollouts with a cache of 3.1 GiB.
    """
    return 2.0 * 2 * sequences * length * shape.keys * shape.layers * width(dtype)


def sampling_logits(shape: Shape, dtype: str, *, sequences: int) -> float:
    """Bytes of the last token's logits: in float32, sorted with their places (top_p), and as probabilities."""
    return sequences * shape.vocab * (width(dtype) + 4 * 4.0 + 8)


def prefill(shape: Shape, dtype: str, *, sequences: int, prompt: int) -> float:
    """Bytes of one layer at work on the prompts, nothing kept: input, norm, gate, up and product."""
    return float(sequences * prompt * (3 * shape.hidden + 3 * shape.intermediate) * width(dtype))


def training_flops(shape: Shape, tokens: int, recompute: bool) -> float:
    """2N a token forward and 2N backward, since frozen weights need no gradients of their own: 4N; with gradient
    checkpointing the forward pass is done twice: 6N (Kaplan et al. 2020, arXiv 2001.08361, table 1, has 2N a pass)."""
    return (6.0 if recompute else 4.0) * shape.multiplied * tokens


@dataclass(frozen=True)
class Device:
    """What a plan is made for. Rates are None where they aren't known: then no time is told."""

    name: str
    memory: float
    """Bytes."""
    flops: float | None
    """Dense 16-bit operations a second, at most."""
    bandwidth: float | None
    """Bytes a second of its memory, at most."""
    libraries: float
    """Bytes that are taken before a model is loaded."""
    gaps: float
    """Bytes of freed memory that isn't given back, for each byte of activations."""


TRAINING_SHARE = 0.25
"""Of a card's peak that training reaches. An H100 with Qwen3-14B and one row of 2,048 tokens a pass: 0.21 to 0.28 with
transformers, in nf4 and bfloat16, and 0.28 to 0.43 with unsloth. For other cards it is an assumption."""
READING_SHARE = 0.5
"""Of its memory's bandwidth that sampling reaches where nothing else holds it up: an assumption."""
LAYER_SECONDS = 0.0042
"""In which transformers' generate starts the kernels of one layer for one token from Python, whatever the batch: 16
sequences of Qwen3-14B in nf4 with an adapter, at 90 to 98 tokens a second, on an H100. vLLM replays them as a graph."""


def training_seconds(device: Device, flops: float) -> float | None:
    return None if device.flops is None else flops / (device.flops * TRAINING_SHARE)


def decoding_seconds(
    device: Device, shape: Shape, weight_bytes: float, *, steps: float, sequences: int, graphs: bool = False
) -> float | None:
    """Of `steps` steps, each a token of every sequence: the slowest of reading all weights once, of 2N a token, and,
    without `graphs`, of starting the kernels.

    (Pope et al. 2022, arXiv 2211.05102, section 2: sampling at small batches is bound by memory bandwidth.)
    """
    if device.flops is None or device.bandwidth is None:
        return None
    reading = weight_bytes / (device.bandwidth * READING_SHARE)
    computing = 2.0 * shape.multiplied * sequences / (device.flops * TRAINING_SHARE)
    starting = 0.0 if graphs else shape.layers * LAYER_SECONDS
    return steps * max(reading, computing, starting)
