r"""A model's text as LaTeX that compiles, whatever it holds: it can end no document, read no file and define nothing.

Formulas are rewritten command by command: what isn't listed here, or stands where TeX would stop at it, makes the
formula one that is shown verbatim. Prose is escaped. The result is ASCII and needs amsmath and amssymb alone.
"""

import re
import unicodedata
from typing import NoReturn

from questions_gen.report.latex import FORMULA, INLINE
from questions_gen.rewards.latex import parses, read

MAX_DEPTH = 30
MAX_COLUMNS = 10
"""MaxMatrixCols of amsmath."""

SYMBOLS = frozenset(
    # letters
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi varpi rho varrho "
    "sigma varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega "
    "ell hbar imath jmath Re Im aleph wp partial nabla infty emptyset varnothing angle measuredangle triangle square "
    "Box diamond Diamond star prime surd circ bullet top bot "
    # operators
    "sum prod coprod int iint iiint oint bigcup bigcap bigoplus bigotimes bigvee bigwedge lim limsup liminf max min "
    "sup inf gcd det deg dim ker arg exp log ln lg sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh coth Pr "
    "pm mp times div cdot ast setminus cup cap vee wedge lor land oplus otimes bmod "
    # relations and arrows
    "le leq ge geq ne neq equiv sim simeq approx cong propto mid nmid parallel nparallel perp in notin ni subset "
    "supset subseteq supseteq subsetneq supsetneq ll gg leqslant geqslant doteq models vdash to gets rightarrow "
    "leftarrow leftrightarrow Rightarrow Leftarrow Leftrightarrow longrightarrow Longrightarrow implies impliedby iff "
    "mapsto longmapsto uparrow downarrow hookrightarrow forall exists nexists neg lnot therefore because "
    # dots, brackets and spaces
    "ldots cdots dots vdots ddots dotsc dotsb langle rangle lfloor rfloor lceil rceil lbrace rbrace lvert rvert lVert "
    "rVert vert Vert backslash quad qquad colon displaystyle textstyle".split()
) | frozenset(" ,;:!{}|%#&$_")
ARGUMENTS = {
    **dict.fromkeys("frac dfrac tfrac cfrac binom dbinom tbinom overset underset stackrel".split(), 2),
    **dict.fromkeys(
        "overline underline hat bar vec tilde dot ddot widehat widetilde overrightarrow overleftarrow overbrace "
        "underbrace mathbb mathrm mathbf mathcal mathfrak mathit mathsf mathtt boldsymbol boxed pmod "
        "phantom sqrt operatorname".split(),
        1,
    ),
}
TEXT = frozenset("text textrm textit textbf textnormal mbox".split())
SIZES = frozenset(f"{size}{side}" for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "r", "m"))
DELIMITERS = frozenset("()[]|./<>") | frozenset(
    rf"\{name}"
    for name in "{ } | langle rangle lfloor rfloor lceil rceil lbrace rbrace lvert rvert lVert rVert vert Vert".split()
)
LIMITED = frozenset(r"\sum \prod \coprod \int \iint \oint \bigcup \bigcap \lim \max \min \sup \inf".split())
"""What \\limits may follow."""
COLUMNS = {
    "cases": 2,
    **dict.fromkeys("matrix pmatrix bmatrix vmatrix Vmatrix Bmatrix".split(), MAX_COLUMNS),
    **dict.fromkeys("aligned gathered".split(), MAX_COLUMNS),
    "array": 0,
}
UNICODE = {
    "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "×": r"\times ", "÷": r"\div ", "·": r"\cdot ", "−": "-", "±": r"\pm ",
    "°": r"^{\circ}", "√": r"\surd ", "∞": r"\infty ", "π": r"\pi ", "∈": r"\in ", "∉": r"\notin ", "→": r"\to ",
    "⇒": r"\Rightarrow ", "∠": r"\angle ", "△": r"\triangle ", "∑": r"\sum ", "∏": r"\prod ", "∫": r"\int ",
    "ℕ": r"\mathbb{N}", "ℤ": r"\mathbb{Z}", "ℚ": r"\mathbb{Q}", "ℝ": r"\mathbb{R}", "ℂ": r"\mathbb{C}",
    "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "θ": r"\theta ", "λ": r"\lambda ", "⋅": r"\cdot ",
}  # fmt: skip
"""Mathematics in a problem's text that isn't ASCII, in math mode."""
PROSE = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "‘": "`", "’": "'", "“": "``", "”": "''", "–": "--", "—": "---", "…": r"\ldots{}",
    "\u00a0": "~", "\t": " ",
}  # fmt: skip
ACCENTS = {
    "\u0300": r"\`", "\u0301": r"\'", "\u0302": r"\^", "\u0303": r"\~", "\u0308": r'\"', "\u030a": r"\r",
    "\u030c": r"\v", "\u0327": r"\c",
}  # fmt: skip

_CHINESE = re.compile(r"\[U\+(30[0-3][0-9A-F]|FF[0-6][0-9A-F]|[4-9][0-9A-F]{3})\]")
"""Ideographs of the basic plane, CJK punctuation and full-width forms, as `_character` numbers them."""
_TOKEN = re.compile(r"\\[a-zA-Z]+\*?|\\.|\s+|.", re.DOTALL)


class _Refused(Exception):
    """TeX would stop at this formula, or do something else than set it."""


def latex(text: str) -> str:
    r"""The text with its formulas, as LaTeX.

    >>> latex(r"Is $x_1 \le 5$ & $\input{passwd}$?")
    'Is $x_{1}\\le 5$ \\& \\texttt{\\$\\textbackslash{}input\\{passwd\\}\\$}?'
    """
    parts, end = [], 0
    for match in FORMULA.finditer(text):
        parts.append(prose(text[end : match.start()]))
        parts.append(_formula(match[match.lastgroup], match[0], display=match.lastgroup not in INLINE))
        end = match.end()
    return "".join([*parts, prose(text[end:])])


def answer(text: str) -> str:
    """An answer, which is LaTeX without its delimiters."""
    return _formula(text, text, display=False)


def _formula(body: str, source: str, *, display: bool) -> str:
    rewritten = formula(body)
    if rewritten is None:
        return verbatim(source)
    return rf"\[{rewritten}\]" if display else f"${rewritten}$"


def formula(body: str) -> str | None:
    """The formula, rewritten so that it compiles in math mode; None for one that doesn't, or isn't known to."""
    if not body.strip() or re.search(r"\n\s*\n", body) or not parses(read(f"${body}$")):
        return None
    try:
        return _Formula(body).rewritten()
    except _Refused:
        return None


def verbatim(source: str) -> str:
    """The source in typewriter, to be broken anywhere."""
    return rf"\texttt{{{prose(' '.join(source.split()))}}}"


def prose(text: str, newline: str = "\n\n") -> str:
    """Text outside of mathematics; a line's end is a paragraph's, or `newline`."""
    lines = ("".join(map(_character, line)) for line in text.splitlines())
    ends = newline if text.endswith("\n") else ""
    return re.sub(r"\n{3,}", "\n\n", newline.join(lines)) + ends


def _character(character: str) -> str:
    if character in PROSE:
        return PROSE[character]
    if character in UNICODE:
        return rf"\ensuremath{{{UNICODE[character].strip()}}}"
    if character.isascii() and character.isprintable():
        return character
    base, *marks = unicodedata.normalize("NFD", character)
    if base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in ACCENTS:
        return f"{ACCENTS[marks[0]]}{{{base}}}"
    return f"[U+{ord(character):04X}]"


def with_chinese(source: str) -> str:
    """A document's source with Chinese characters instead of their numbers, for one that has fonts for them.

    >>> with_chinese(latex("求 $x$ 的值。"))
    '求 $x$ 的值。'
    """
    return _CHINESE.sub(lambda found: chr(int(found[1], 16)), source)


class _Formula:
    """One pass over the tokens of a formula that writes them anew, or raises _Refused."""

    def __init__(self, body: str):
        for character, replacement in UNICODE.items():
            body = body.replace(character, replacement)
        self._tokens = _TOKEN.findall(body)
        self._place = 0
        self._depth = 0

    def rewritten(self) -> str:
        out = self._list(())
        if self._peek() is not None:
            self._refuse()
        return out.strip()

    def _refuse(self) -> NoReturn:
        raise _Refused

    def _peek(self) -> str | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _next(self) -> str:
        token = self._peek()
        if token is None:
            self._refuse()
        self._place += 1
        return token

    def _skip_blanks(self) -> None:
        while (token := self._peek()) is not None and token.isspace():
            self._place += 1

    def _list(self, ends: tuple[str, ...], columns: int = 0) -> str:
        """Atoms with their scripts up to one of `ends`, which is left; `columns` above 0 allows & and \\\\."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._refuse()
        out, column = [], 1
        while True:
            self._skip_blanks()
            token = self._peek()
            if token is None or token in ends:
                self._depth -= 1
                return "".join(out)
            if token == "&" and columns:
                column += 1
                if column > columns:
                    self._refuse()
                out.append(self._next())
            elif token == r"\\" and columns:
                column = 1
                self._place += 1
                self._skip_blanks()
                out.append(r"\\{}")  # {}: a bracket that follows would be a length
            else:
                out.append(self._atom() + self._scripts())

    def _atom(self) -> str:
        token = self._next()
        if token == "{":
            return f"{{{self._group()}}}"
        if token in "^_'":  # an empty atom bears the script
            self._place -= 1
            return "{}"
        if not token.startswith("\\"):
            return self._plain(token)
        name = token[1:]
        if name == "left":
            return self._fence()
        if name == "begin":
            return self._environment()
        if name in SIZES:
            return f"{token}{self._delimiter()}"
        if name in TEXT:
            return rf"\text{{{self._raw()}}}"
        if name in ARGUMENTS:
            return self._command(token)
        if name not in SYMBOLS:
            self._refuse()
        limits = ""
        if self._peek() in (r"\limits", r"\nolimits"):
            if token not in LIMITED:
                self._refuse()
            limits = self._next()
        return f"{token}{limits} " if name.isalpha() else token

    def _plain(self, token: str) -> str:
        """A character that TeX sets as it stands."""
        if not token.isascii() or not token.isprintable() or token in "}#%$&\\":
            self._refuse()
        return token

    def _group(self) -> str:
        inner = self._list(("}",))
        if self._next() != "}":
            self._refuse()
        return inner

    def _scripts(self) -> str:
        out, above, below = "", False, False
        while True:
            self._skip_blanks()
            token = self._peek()
            if token == "'" and not above:
                while self._peek() == "'":
                    out += self._next()
                above = True
                if self._peek() == "^":
                    self._place += 1
                    out += f"^{{{self._argument()}}}"
            elif token == "^" and not above:
                above = True
                self._place += 1
                out += f"^{{{self._argument()}}}"
            elif token == "_" and not below:
                below = True
                self._place += 1
                out += f"_{{{self._argument()}}}"
            elif token is not None and token in "^_'":
                self._refuse()
            else:
                return out

    def _argument(self) -> str:
        """A group, a character or a symbol; without its braces."""
        self._skip_blanks()
        token = self._next()
        if token == "{":
            return self._group()
        if token.startswith("\\"):
            if token[1:] not in SYMBOLS:
                self._refuse()
            return f"{token} " if token[1:].isalpha() else token
        if token in "^_'":
            self._refuse()
        return self._plain(token)

    def _command(self, token: str) -> str:
        optional = ""
        if token == r"\sqrt":
            self._skip_blanks()
            if self._peek() == "[":
                self._place += 1
                optional = f"[{{{self._list((']',))}}}]"
                self._next()
        if token == r"\operatorname":
            return rf"\operatorname{{{self._letters()}}}"
        arguments = "".join(f"{{{self._argument()}}}" for _ in range(ARGUMENTS[token[1:]]))
        return f"{token}{optional}{arguments}"

    def _braced(self) -> str:
        """The text of a group that has no group in it."""
        self._skip_blanks()
        if self._next() != "{":
            self._refuse()
        parts = []
        while (token := self._next()) != "}":
            if token == "{":
                self._refuse()
            parts.append(token)
        return "".join(parts)

    def _raw(self) -> str:
        """A text inside of mathematics."""
        return prose(re.sub(r"\\([ ,;:!%#&$_{}])", r"\1", self._braced()), newline=" ")

    def _letters(self) -> str:
        name = self._braced()
        if not re.fullmatch(r"[A-Za-z ]{1,30}", name):
            self._refuse()
        return name

    def _delimiter(self) -> str:
        self._skip_blanks()
        token = self._next()
        if token not in DELIMITERS:
            self._refuse()
        return f"{token} " if token[1:].isalpha() else token

    def _fence(self) -> str:
        opening = self._delimiter()
        inner = self._list((r"\right",))
        self._next()
        return rf"\left{opening}{inner}\right{self._delimiter()}"

    def _environment(self) -> str:
        name = self._braced()
        if name not in COLUMNS:
            self._refuse()
        columns, layout = COLUMNS[name], ""
        if name == "array":
            layout = self._braced()
            if not re.fullmatch(r"[lcr|]{1,20}", layout):
                self._refuse()
            columns = len(layout.replace("|", ""))
            layout = f"{{{layout}}}"
        inner = self._list((r"\end",), columns=max(columns, 1))
        self._next()
        if self._braced() != name:
            self._refuse()
        return rf"\begin{{{name}}}{layout}{inner}\end{{{name}}}"
