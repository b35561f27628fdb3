"""From a sampled text to its parts: thinking, the problem's statement, the answer.

A completion is: optional thinking, then the statement, then a final line `Answer: \\boxed{…}`, in Chinese
`答案：\\boxed{…}` (absent for a proof). Every function takes time linear in the text, whatever the text.
"""

import re

from questions_gen.schema import Completion, FinishReason

OPEN, _CLOSE = "<think>", "</think>"
_BRACE = re.compile(r"\\boxed\s{0,8}\{|\\.|[{}]", re.DOTALL)
_ANSWER_LINE = re.compile(
    r"^[ \t]{0,8}(?:#{1,6}[ \t]{0,8})?(?:\*\*|__|\\textbf\{)?"
    r"(?:(?:Final )?Answer|(?:最终)?答案)(?:\*\*|__)?[ \t]{0,8}[:：](?:\*\*|__|\})?",
    re.MULTILINE | re.IGNORECASE,
)
_EDGE = re.compile(r"[\s$.。*]|\\[()\[\]]")
"""What may stand around the box: delimiters of mathematics, stars, a full stop."""
_RULE = re.compile(r"\n[ \t]{0,8}(?:-{3,}|\*{3,})\Z")
"""Markdown's line above an answer."""
_PLACEHOLDER = re.compile(r"(?:\s|\.|…|\\[lc]?dots)*")
"""Nothing, or the dots of the prompt itself, which are no answer."""


def split_thinking(text: str) -> tuple[str | None, str]:
    """Split at the last `</think>`; thinking that never ends leaves an empty rest; None when there is no thinking."""
    before, close, rest = text.rpartition(_CLOSE)
    if close:
        return before.replace(OPEN, "", 1).strip(), rest.strip()
    if text.lstrip().startswith(OPEN):
        return text.replace(OPEN, "", 1).strip(), ""
    return None, text.strip()


def boxed(text: str) -> str | None:
    r"""The content of the `\boxed{…}` that closes last, braces balanced; None when there is none.

    >>> boxed(r"so \boxed{\frac{1}{2}} it is")
    '\\frac{1}{2}'
    """
    span = _last_box(text)
    return None if span is None else text[span[1] : span[2]].strip()


def split_answer(text: str) -> tuple[str, str | None]:
    r"""Take the final line `Answer: \boxed{…}` or `答案：\boxed{…}` off: (statement, answer) or (text, None)."""
    text = text.strip()
    start = None
    for match in _ANSWER_LINE.finditer(text):
        start = match
    if start is None:
        return text, None
    line = text[start.end() :]
    span = _last_box(line)
    if span is None or _EDGE.sub("", line[: span[0]]) or _EDGE.sub("", line[span[2] + 1 :]):
        return text, None
    answer = line[span[1] : span[2]].strip()
    if _PLACEHOLDER.fullmatch(answer):
        return text, None
    return _RULE.sub("", text[: start.start()].rstrip()).rstrip(), answer


def parse_completion(
    *, id: str, prompt_id: str, text: str, finish_reason: FinishReason, tokens: int, seed: int
) -> Completion:
    """Split a sampled text into a Completion; a text without the parts has an empty statement or no answer."""
    thinking, rest = split_thinking(text)
    statement, answer = split_answer(rest)
    return Completion(
        id=id,
        prompt_id=prompt_id,
        text=text,
        thinking=thinking,
        statement=statement,
        answer=answer,
        finish_reason=finish_reason,
        tokens=tokens,
        seed=seed,
    )


def _last_box(text: str) -> tuple[int, int, int] | None:
    r"""(start of `\boxed`, start and end of its content) of the balanced box that closes last, in one pass."""
    found = None
    open_braces: list[tuple[int, int] | None] = []
    for match in _BRACE.finditer(text):
        token = match.group()
        if token.startswith("\\boxed"):
            open_braces.append((match.start(), match.end()))
        elif token == "{":
            open_braces.append(None)
        elif token == "}" and open_braces:
            box = open_braces.pop()
            if box is not None:
                found = (box[0], box[1], match.start())
    return found
