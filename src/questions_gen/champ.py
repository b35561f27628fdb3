"""The CHAMP document (Mao, Kim and Zhou, 2024; package champ-dataset) as rows, one a problem.

CHAMP marks its mathematics `@@x^2@@`: here it becomes `$x^2$`. Answers go into a box, which is mathematics
throughout, so that they lose the marks instead.
"""

from questions_gen.errors import UserError


def champ_rows(document: dict) -> list[dict]:
    """Rows {identifier, category, problem, answer, solution_steps, concepts, hints} in the document's order.

    A concept is given by its name, or by its statement where it has none. Raises UserError for a document
    of another shape.
    """
    try:
        concepts = {key: concept["name"] or _marked(concept) for key, concept in document["concepts"].items()}
        hints = {key: _marked(hint) for key, hint in document["hints"].items()}
        return [_row(problem, concepts, hints) for problem in document["problems"].values()]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"not a CHAMP document ({type(error).__name__}: {error})") from None


def _row(problem: dict, concepts: dict[str, str], hints: dict[str, str]) -> dict:
    return {
        "identifier": problem["identifier"],
        "category": problem["category"],
        "problem": _marked(problem),
        "answer": problem["_raw_answer"].replace("@@", ""),
        "solution_steps": [_marked(step) for step in problem["solution"]["steps"]],
        "concepts": [concepts[key] for key in problem["ch_list"] if key.startswith("C_")],
        "hints": [hints[key] for key in problem["ch_list"] if key.startswith("H_")],
    }


def _marked(item: dict) -> str:
    return item["_raw_text"].replace("@@", "$")
