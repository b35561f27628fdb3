# ruff: noqa: E501 (a pattern or a word list is easier to check as it stands)
"""The gate: is this one well-formed problem? 0 or 1, with every reason against it.

gate(completion) = 1 if reasons_against(completion) is empty, else 0. The rules look at the form of the text
(delimiters, grammar of function words, what is asked, what stands after the asking), never at a list of known
fakes. Copies and failed variations are told in novelty.py and variation.py, a missing answer where it was asked for in
combine.py, with reasons of the same list.

Sources: repetition after Gopher (Rae et al. 2021, appendix A1.1, https://arxiv.org/abs/2112.11446), as datatrove's
`gopher_repetition_filter`; the rest is ours, measured on OlympiadBench, OlymMATH, IMO, CHAMP and GSM8K
(`python -m benchmarks.rewards`).
"""

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Literal, get_args

from questions_gen.rewards import chinese, grammar, latex, sense, several
from questions_gen.rewards.core import undoubled
from questions_gen.rewards.latex import MATH
from questions_gen.rewards.text import Text
from questions_gen.schema import Completion

Reason = Literal[
    "empty",
    "cut_off",
    "too_long",
    "control_characters",
    "wrong_language",
    "markup",
    "unbalanced_latex",
    "repetition",
    "word_salad",
    "keyword_stuffing",
    "refusal",
    "dialogue",
    "not_a_question",
    "not_mathematical",
    "several_problems",
    "solution",
    "answer_given_away",
    "missing_choices",
    "missing_figure",
    "undefined_symbols",
    "contradiction",
    "trivial",
    "no_answer",
    "copy",
    "not_the_declared_variation",
]
REASONS: tuple[str, ...] = get_args(Reason)

MAX_CHARACTERS = 6_000
"""Longer than any problem of the reference corpora (4,415)."""
MIN_WORDS = 3

_HIDDEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffd\ue000-\uf8ff\ud800-\udfff]"
)
_MARKUP = re.compile(
    r"<\|[a-z_]+\|>|\[/?INST\]|</?(?:think|s|p|div|br|html|b|i|span|script|body|img|table)(?:\s+[a-z-]+\s*=[^<>]{0,80})?\s*/?>|```|^\s*#{1,6}\s|\bdef \w+\(|\bimport \w+$|^\s*[{\[]\s*\"|https?://|www\."
    r"|\[(?:insert|your|number|name|value|problem|topic|blank)[^\]]{0,40}\]|<(?:number|name|value|problem|topic|answer|insert)[^>]{0,30}>|\{(?:number|problem|topic|answer)\}|lorem ipsum|\bTODO\b|\bX{3,}\b",
    re.IGNORECASE | re.MULTILINE,
)
_BRACKETS = str.maketrans("（）［］", "()[]")
_REFUSAL = re.compile(
    r"\b(?:i(?:'m| am)? (?:sorry|afraid|unable)|i (?:can(?:no|')?t|cannot|could not|won't|will not|am not able)|as an? (?:ai|artificial|large|language)|my apologies|i apologi[sz]e|"
    r"(?:unable|not able) to (?:help|assist|provide|generate|create|fulfil)|i do(?:n't| not) have (?:the|enough|any|access)|cannot (?:assist|help|fulfil|comply|provide)|against my)\b",
    re.IGNORECASE,
)
_OPENER = re.compile(
    r"\A\W{0,6}(?:(?:sure|certainly|of course|absolutely|okay|ok|alright|great|hello|hi|hey|thanks?|thank you|no problem|yes|yeah)\b|here(?:'s| is| are| you go)\b|below (?:is|are)|"
    r"the following (?:is|are) (?:a|an|the|some|my)\b[^.\n]{0,60}(?:problem|question|exercise)|this is (?:a|an|the|my) [^.\n]{0,60}(?:problem|question|exercise)|"
    r"i(?:'d| would|'ll|'ve|'m) |let me |as (?:requested|you asked)|to (?:create|generate|write|design) (?:a|an|this)\\b)",
    re.IGNORECASE,
)
_CHAT = re.compile(
    r"\b(?:let me know|i hope (?:this|that|it)|hope this helps|feel free|happy to help|glad to|would you like (?:me|to see|another)|do you want me|if you (?:have|need) any|"
    r"any (?:other|further) questions|(?:can|could) you (?:please )?(?:help|explain|tell|give|provide|write|create|generate|make|show)|how can i (?:help|assist)|"
    r"i(?:'d| would) (?:like|love|be)|i(?:'m| am) (?:going|trying|looking|happy|glad|here|not sure|having|learning|a )|i (?:think|believe|guess|don't know|created)|here are (?:some|a few|the|\w+ (?:tips|steps|ways|examples|problems))|"
    r"you(?:'re| are) (?:right|welcome|correct)|(?:good|great|excellent|interesting) (?:question|problem|job|work|luck)|my (?:pleasure|question is)|"
    r"(?:here(?:'s| is) (?:a|an|the|my|your|another|one)\b)|this (?:problem|question|exercise) (?:is|was|tests?|requires?|involves?|can be|will|has|asks|explores|combines)|"
    r"(?:the|this) (?:above )?problem (?:is|was) (?:designed|challenging|difficult|hard|easy|suitable|intended|meant)|note to (?:the )?(?:reader|student)|dear )",
    re.IGNORECASE,
)
_SPEAKER = re.compile(
    r"^\W{0,4}(?:user|assistant|human|ai|bot|chatgpt|gpt|system|teacher|student|tutor|professor|q|a|me|you|person [ab12]|speaker \w|interviewer)\W{0,3}:",
    re.IGNORECASE | re.MULTILINE,
)
_PREAMBLE = re.compile(r"\w[^\n]*\n\s*\W{0,4}(?:the )?(?:problem|question)(?: statement)?\W{0,4}:", re.IGNORECASE)
_REQUEST = re.compile(
    r"(?:^|[.!?:]\s+|\n\s*|\bplease |\byou (?:to |please )?|\bhelp me |\bme to )(?:write|create|generate|design|make|compose|come up with|invent|propose|give me|provide|devise|formulate|produce|pose|develop|think of)\b(?: me| us)?(?: [\w-]+){0,6} (?:problems?|questions?|exercises?|puzzles?|variations?|stor(?:y|ies)|essays?|paragraphs?|poems?|lists? of|programs?|codes?|scripts?|examples?)\b",
    re.IGNORECASE | re.MULTILINE,
)
_HEADING = re.compile(
    r"^\W{0,4}(?:problem|question|exercise|task|puzzle|q|ex|variation|example)\s*(?:#|no\.?|number)?\s*(?:\d{1,3}|[ivx]{1,4}|one|two|three|a|b)?\s*\W{0,2}[.:)]",
    re.IGNORECASE | re.MULTILINE,
)
_NUMBERED = re.compile(r"^\s{0,4}\W{0,3}\d{1,2}\W{0,2}[.):]\s+", re.IGNORECASE | re.MULTILINE)
_BULLET = re.compile(r"^\s{0,4}[-*•]\s+", re.MULTILINE)

_SOLUTION_HEADING = re.compile(
    r"(?:^|\n|[.?!]\s+|\*\*)\W{0,4}(?:(?:detailed |full |model |complete |short |official )?(?:solution|sol|proof|answer key|reasoning|working|approach|strategy|method|analysis|step[- ]by[- ]step)\s*(?:\d|[a-z])?\W{0,3}[:.]|q\.?\s?e\.?\s?d\b|hints?\s*\d?\s*[:.])|\\blacksquare|\\qed\b|■",
    re.IGNORECASE,
)
_EXAMPLE = re.compile(r"(?:for (?:example|instance)|e\.g\.|such as)[^?]*?(?=\.\s|\?|\Z)[^?]{0,120}", re.IGNORECASE)
_STEP = re.compile(r"(?:^|\n)\W{0,4}(?:step|case)\s*\d", re.IGNORECASE)
_THEREFORE = re.compile(
    r"\b(?:thus|therefore|hence|consequently|accordingly|in conclusion)\b|\\therefore|∴", re.IGNORECASE
)
_SOLUTION_PHRASE = re.compile(
    r"\b(?:to (?:solve|find|prove|determine|answer|tackle|approach) (?:this|the (?:problem|question|equation|answer|value|solution|number))[^.?]{0,80}?(?:,|we|you|first|let)|we (?:first|then|next|can|could|need to|must|may|will|shall|now|get|obtain|see|find that|know|use|apply|conclude|deduce|note|observe|proceed|start|begin|have that|want to|substitute|simplify|solve|subtract|add|multiply|divide)\b|"
    r"you (?:can|could|need to|should|first|then|must|will) (?:use|solve|find|apply|start|first|see|get|substitute)|let's|this (?:gives|yields|implies|means|shows|simplifies|leads|equation)|which (?:gives|yields|implies|means that|simplifies)|it follows|substitut(?:e|ing) |plugging|rearranging|"
    r"(?:dividing|multiplying|subtracting|adding|squaring|expanding|factoring|simplifying|solving|differentiating|combining|using|applying|taking)(?: both| the| this| for| it| by| out| each| \w+'s)|(?:by|from|using) (?:the )?(?:am-gm|cauchy|jensen|pythag|vieta|fermat's|induction|quadratic formula|chain rule|power of a point|binomial theorem)|"
    r"both sides|as desired|as required|we are done|completes the proof|is (?:therefore|thus|hence)|(?:sum|total|number|cost|answer|result|value) is (?:therefore|thus|hence|then)|suppose (?:for contradiction|not)|without loss of generality|wlog|"
    r"for a total of|so (?:there are|there were|she|he|they|it|the|we)\b)",
    re.IGNORECASE,
)
_CONCLUDES = re.compile(
    r"(?:^|[.!?]\s+|\n\s*|\$\s+)(?:thus|therefore|hence|so|consequently|accordingly|then we|in conclusion|finally|since|because|first,|firstly|next,|second,|now,|notice|observe|clearly|obviously|similarly|by symmetry|\\therefore|∴)\b",
    re.IGNORECASE,
)
_IDENTITY = re.compile(
    r"(?<![\w.^/])(\d{1,9}(?:\.\d{1,6})?)\s*(\+|-|\*|×|\\times|\\cdot|/|÷)\s*(\d{1,9}(?:\.\d{1,6})?)\s*=\s*\$?(\d{1,12}(?:\.\d{1,6})?)(?![\d.]*[*/+^])"
)
_ANSWER = re.compile(
    r"\\boxed|\bthe (?:final |correct |right |required |desired |only )?answer (?:is|was|would be|will be|should be|equals|must be|=|:)(?! (?:an?|not|unique|expressed|in|of|given|to be|known|independent|the (?:same|form|sum))\b)|(?:^|\n|[.?!(\[]\s*|\*\*)\W{0,3}(?:final |correct |expected )?(?:answers?|ans|solution|result)\W{0,3}(?:[:=]|\bis\b)|"
    r"\banswer\s*[:=]|\b(?:which|that) (?:equals|comes to|turns out to be) \d|\(?\bspoiler|\bhint\s*:|correct (?:choice|option) is|\bit(?: i|')s (?:easy|clear) to see that|(?:which|and the answer|it) turns out to be",
    re.IGNORECASE,
)
_RESULT = re.compile(
    r"\bthe (?:final |correct |right |required |desired |only )?(?:solution|result) (?:is|was|would be|will be|should be|equals|must be|=|:)(?! (?:an?|not|unique|expressed|in|of|given|to be|known|independent|the (?:same|form|sum))\b)",
    re.IGNORECASE,
)
"""Before the asking it is a condition: `… so that the result is divisible by 7`."""
_CHOOSE = re.compile(
    r"\b(?:which (?:one )?of (?:the following|these (?:is|are|statements|options)|the (?:options|choices|statements|answers)(?: below| given)?)|(?:choose|select|pick|circle|mark) (?:the )?(?:correct|best|right|true|appropriate|most \w+)(?: \w+)? (?:answer|option|choice|one|statement|alternative)|(?:from|among) the (?:options|choices|alternatives)|"
    r"(?:options|choices) (?:below|given|are)|multiple[- ]choice|select one|select all|choose (?:from|one of) (?:the following|these))\b",
    re.IGNORECASE,
)
_CHOICE = re.compile(
    r"(?:^|[\s(\[,;$])(?:\(?(?:[A-Ea-e]|[ivx]{1,3}|[1-5]|I{1,3}|IV|V)[).:]|\\text(?:bf)?\s?\{\(?[A-E]\)?|\\item|[-*•]\s)",
    re.MULTILINE,
)
_PROOF = re.compile(
    r"\b(?:prove|show|disprove|demonstrate|verify|justify|establish|deduce|derive|explain)\b", re.IGNORECASE
)
_FIGURE = re.compile(
    r"\b(?:(?:figure|diagram|picture|image|graph|chart|table) (?:below|above|to the (?:right|left)|shown|provided|given)|(?:shown|given|depicted|pictured|illustrated|see|seen) (?:in|on) the (?:figure|diagram|picture|image|graph|chart|sketch)|(?:see|refer to|consider) the (?:figure|diagram|picture|image)|shown below|pictured below)\b",
    re.IGNORECASE,
)


Rules = Mapping[str, Callable[[Text], bool]]
"""Reason → whether a text gives it."""


def reasons_against(completion: Completion, rules: Rules) -> tuple[str, ...]:
    """Why the completion isn't one well-formed problem: reasons of REASONS in that order, empty if it is one.

    `rules` are those of the language that is asked for: RULES, or those of chinese_gate.py.
    """
    statement = completion.statement.strip()
    found = set()
    if completion.finish_reason == "length":
        found.add("cut_off")
    if not statement:
        found.add("empty")
    elif len(statement) > MAX_CHARACTERS:
        found.add("too_long")
    elif _HIDDEN.search(statement):
        found.add("control_characters")
    else:
        found |= judge_statement(Text(statement), rules)
    return tuple(reason for reason in REASONS if reason in found)


def judge_statement(text: Text, rules: Rules) -> set[str]:
    """The reasons that the text alone gives."""
    return {reason for reason, rule in rules.items() if rule(text)}


def asks_for_proof(text: Text) -> bool:
    """Whether what is asked for is an argument, which has no answer to box."""
    asked = [text.sentences[place] for place in text.asks]
    return any(_PROOF.search(sentence) or chinese.ASKS_FOR_PROOF.search(sentence) for sentence in asked)


def _empty(text: Text) -> bool:
    return len(text.tokens) < (2 if text.formulas else MIN_WORDS)


def _wrong_language(text: Text) -> bool:
    """Letters of other scripts, or function words of other languages where English ones are missing."""
    letters = [c for c in text.prose if c.isalpha()]
    foreign = sum(ord(c) > 0x24F and not 0x370 <= ord(c) <= 0x3FF and c not in "ℝℕℤℚℂ" for c in map(_plain, letters))
    if foreign >= 2 and foreign > 0.02 * len(letters):
        return True
    return grammar.other_language(text.words)


def _plain(letter: str) -> str:
    return unicodedata.normalize("NFKD", letter)[0]


def markup(text: Text) -> bool:
    """Tags, code, placeholders, addresses."""
    return bool(_MARKUP.search(text.statement))


def unbalanced(text: Text) -> bool:
    """A formula that doesn't parse, a command outside of every formula, a bracket that doesn't close."""
    return (
        not latex.parses(text.reading)
        or latex.broken_scripts(text.reading)
        or latex.stray_commands(text.reading)
        or not grammar.brackets_close(text.prose.translate(_BRACKETS))
    )


def _repetition(text: Text) -> bool:
    """The whole twice, a sentence twice, a word or phrase three times on end, or text that a compressor shrinks sixfold."""
    if undoubled(text.statement) != text.statement:
        return True
    sentences = Counter(
        " ".join(s.lower().split()) for s in text.statement.replace("?", ".").split(".") if len(s.split()) >= 4
    )
    if any(
        count >= 2 and len(sentence.split()) >= 10 or count >= 3 and len(sentence.split()) >= 6
        for sentence, count in sentences.items()
    ):
        return True
    formulas = iter(text.formulas)
    tokens = [next(formulas, "") if token == MATH else token.lower() for token in text.tokens]
    if any(_runs_on(tokens, size) for size in range(1, 14)):
        return True
    if re.search(r"([^\s\d.\-_=*|&\\])\1{7,}", text.statement):
        return True
    return shrinks(text)


def shrinks(text: Text) -> bool:
    """Whether a compressor shrinks the text sixfold, or most of its runs of five words stood before."""
    raw = text.statement.encode("utf-8", "surrogatepass")
    return len(raw) >= 300 and len(zlib.compress(raw, 6)) < 0.15 * len(raw) or _phrase_share(text.words) > 0.5


def _runs_on(tokens: list[str], size: int) -> bool:
    """Whether the same `size` tokens, a word among them, stand on end: 4 times for one token, twice from eight on."""
    times = 4 if size < 2 else 3 if size < 8 else 2
    same = 0
    for place in range(size, len(tokens)):
        same = same + 1 if tokens[place] == tokens[place - size] else 0
        if same >= size * (times - 1) and any(len(t) > 2 and t.isalpha() for t in tokens[place - size + 1 : place + 1]):
            return True
    return False


def _phrase_share(words: tuple[str, ...]) -> float:
    """Share of the words that stand in a run of five that stood before."""
    if len(words) < 25:
        return 0.0
    seen: set[tuple[str, ...]] = set()
    repeated = 0
    for place in range(len(words) - 4):
        phrase = words[place : place + 5]
        repeated += phrase in seen
        seen.add(phrase)
    return repeated / (len(words) - 4)


def _word_salad(text: Text) -> bool:
    return grammar.is_salad(text)


def _keyword_stuffing(text: Text) -> bool:
    return grammar.is_stuffed(text)


def _refusal(text: Text) -> bool:
    return bool(_REFUSAL.search(text.prose))


def _dialogue(text: Text) -> bool:
    return any(pattern.search(text.prose) for pattern in (_OPENER, _CHAT, _SPEAKER, _PREAMBLE))


def _not_a_question(text: Text) -> bool:
    return not text.asks or bool(_REQUEST.search(text.prose))


def _not_mathematical(text: Text) -> bool:
    return not sense.is_mathematical(text)


def _several(text: Text) -> bool:
    if len(_HEADING.findall(text.prose)) >= 2:
        return True
    return several.has_several_problems(text, _NUMBERED, _BULLET)


def _solution(text: Text) -> bool:
    """A heading of one, true arithmetic carried out, or several marks of reasoning; one is enough after the asking."""
    if _SOLUTION_HEADING.search(text.prose) or carries_out_arithmetic(_EXAMPLE.sub(" ", text.statement)):
        return True
    first = text.asks[0] if text.asks else -1
    before = "\n".join(text.sentences[: max(0, first)])
    after = "\n".join(text.sentences[first + 1 :])
    marks = len(_SOLUTION_PHRASE.findall(after)) + len(_CONCLUDES.findall(after)) + 2 * len(_STEP.findall(after))
    told = len(_SOLUTION_PHRASE.findall(before)) + len(_THEREFORE.findall(before))
    return marks >= 2 or told >= 4 or (marks >= 1 and sense.concludes(after.splitlines()[-1]))


def carries_out_arithmetic(statement: str) -> bool:
    """Whether two or more sums, products and the like are worked out."""
    return sum(map(_holds, _IDENTITY.findall(statement))) >= 2


def _holds(identity: tuple[str, str, str, str]) -> bool:
    """Whether `a op b = c` is true: worked arithmetic, which a problem has no reason to state."""
    left, operator, right, result = identity
    a, b, c = float(left), float(right), float(result)
    if operator == "+":
        return a + b == c
    if operator == "-":
        return a - b == c
    if operator in ("/", "÷"):
        return b != 0 and abs(a / b - c) < 1e-6
    return abs(a * b - c) < 1e-6


def _given_away(text: Text) -> bool:
    after = "\n".join(text.sentences[text.asks[-1] + 1 :]) if text.asks else text.prose
    told = _ANSWER.search(text.prose) or _RESULT.search(after) or "\\boxed" in text.statement
    return bool(told) or sense.states_what_it_asks(text)


def _missing_choices(text: Text) -> bool:
    asked = _CHOOSE.search(text.prose)
    if not asked:
        return False
    rest = text.prose[asked.start() :]
    return len(_CHOICE.findall(rest)) < 2 and not _names_choices(rest)


def _names_choices(rest: str) -> bool:
    """Whether a list follows a colon: `Which of the following: 2, 3 or 5, …`."""
    _, colon, rest = rest.partition(":")
    return bool(colon) and rest.count(",") + rest.count(" or ") >= 1


def _missing_figure(text: Text) -> bool:
    return bool(_FIGURE.search(text.prose)) and not re.search(r"\\begin\{(?:array|tabular)|\|.*\|.*\|", text.statement)


def _undefined(text: Text) -> bool:
    return sense.asks_for_nothing_known(text)


def _contradiction(text: Text) -> bool:
    return sense.contradicts_itself(text)


def _trivial(text: Text) -> bool:
    return sense.is_trivial(text)


def _cut_off(text: Text) -> bool:
    return grammar.ends_in_the_middle(text)


RULES: Rules = {
    "empty": _empty,
    "cut_off": _cut_off,
    "wrong_language": _wrong_language,
    "markup": markup,
    "unbalanced_latex": unbalanced,
    "repetition": _repetition,
    "word_salad": _word_salad,
    "keyword_stuffing": _keyword_stuffing,
    "refusal": _refusal,
    "dialogue": _dialogue,
    "not_a_question": _not_a_question,
    "not_mathematical": _not_mathematical,
    "several_problems": _several,
    "solution": _solution,
    "answer_given_away": _given_away,
    "missing_choices": _missing_choices,
    "missing_figure": _missing_figure,
    "undefined_symbols": _undefined,
    "contradiction": _contradiction,
    "trivial": _trivial,
}
