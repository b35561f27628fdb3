from questions_gen.report.summary import MODELS, summarise
from questions_gen.report.tables import show_models
from tests.report.sample_logs import sample_logs
from tests.report.sample_scores import sample_scores


def test_the_table_fits_a_terminal_and_names_every_number(capsys):
    summary = summarise(sample_logs(), sample_scores())
    show_models(summary)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for name in (*MODELS, *summary["models"]["base"]):
        assert any(name in line for line in lines), name
    (diversity,) = [line for line in lines if "set_diversity" in line]
    assert diversity.count("–") == 1  # nothing of base passed: not measured, and so no zero
