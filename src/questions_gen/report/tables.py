"""The summary for the eye: a column a model, so that it fits on 80 characters."""

from questions_gen.report.summary import Number, Summary


def show_models(summary: Summary) -> None:
    """Print the models' numbers under their names in the summary; a dash is a number that there isn't."""
    from rich.console import Console
    from rich.table import Table

    models = summary["models"]
    table = Table(title="metrics/summary.json: models", title_justify="left")
    table.add_column("")
    for model in models:
        table.add_column(model, justify="right")
    for name in next(iter(models.values())):
        table.add_row(name, *(cell(numbers[name]) for numbers in models.values()))
    Console().print(table)


def cell(value: Number) -> str:
    """
    >>> cell(None), cell(0.5), cell(77.0), cell(3)
    ('–', '0.500', '77.0', '3')
    """
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.{1 if abs(value) >= 10 else 3}f}"
