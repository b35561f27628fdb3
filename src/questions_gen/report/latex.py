r"""Text with LaTeX in it as HTML: formulas become MathML, all else is escaped.

The text is a model's and may be hostile. Nothing of it becomes HTML but the elements and attributes listed here, each
with a value that can't do more than space a formula. A formula that can't be drawn is shown as its escaped source.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from html import escape, unescape
from xml.etree.ElementTree import Element

LONGEST = 1000
"""Characters of a formula that is drawn; a longer one is no formula that fits on a page."""

# As pandoc reads `$`: no space inside of it, and no digit after it, so that "$5 and $6" is money.
FORMULA = re.compile(
    rf"""
      \$\$ (?P<dollars> (?: [^$\\] | \\. ){{1,{LONGEST}}}? ) \$\$
    | \\\[ (?P<brackets> (?: [^\\] | \\[^\]] ){{1,{LONGEST}}}? ) \\\]
    | \\\( (?P<parentheses> (?: [^\\] | \\[^)] ){{1,{LONGEST}}}? ) \\\)
    | (?<!\\) \$ (?=\S) (?P<dollar> (?: [^$\\\n] | \\. | \n(?!\s*\n) ){{1,{LONGEST}}}? ) (?<=\S) \$ (?!\d)
    """,
    re.DOTALL | re.VERBOSE,
)
INLINE = ("parentheses", "dollar")

MACROS = re.compile(r"\\(?:(?:re)?newcommand|DeclareMathOperator|def|let)(?![a-zA-Z])")
"""Definitions: a few letters of them can grow without end, and no problem needs them."""

ELEMENTS = frozenset(
    "math menclose mfrac mi mn mo mover mpadded mphantom mroot mrow mspace msqrt mstyle msub msubsup msup mtable mtd "
    "mtext mtr munder munderover".split()
)
WORD = re.compile(r"[a-zA-Z -]{0,40}")
LENGTH = r"[-+]?\d{0,2}(?:\.\d{1,4})?(?:em|ex|mu|pt|px|%)?|[a-z]{0,30}"
LENGTHS = re.compile(rf"(?:{LENGTH})(?: (?:{LENGTH})){{0,7}}")
"""Below 100 of a unit, for a longer space would push the page apart; or the name of a space."""
ATTRIBUTES = {
    **dict.fromkeys(("accent", "accentunder", "columnalign", "display", "displaystyle", "fence", "form"), WORD),
    **dict.fromkeys(
        ("largeop", "mathvariant", "movablelimits", "notation", "separator", "stretchy", "symmetric"), WORD
    ),
    **dict.fromkeys(("columnspacing", "depth", "height", "linethickness", "lspace", "maxsize", "minsize"), LENGTHS),
    **dict.fromkeys(("rowspacing", "rspace", "scriptlevel", "voffset", "width"), LENGTHS),
}
IGNORED = ("mathcolor", "xmlns")
"""Left out: HTML needs no namespace, and a colour may vanish on a dark page."""


class NotDrawable(Exception):
    pass


def html(text: str) -> str:
    r"""Safe HTML of a text: its formulas drawn, the rest escaped.

    >>> html("Is $x < 2$ <b>?")
    'Is <math><mrow><mi>x</mi><mo>&lt;</mo><mn>2</mn></mrow></math> &lt;b&gt;?'
    >>> html(r"$\href{javascript:alert(1)}{x}$")
    '<code>$\\href{javascript:alert(1)}{x}$</code>'
    """
    return "".join(_parts(text))


def _parts(text: str) -> Iterator[str]:
    end = 0
    for match in FORMULA.finditer(text):
        yield escape(text[end : match.start()])
        drawn = mathml(match[match.lastgroup], display=match.lastgroup not in INLINE)
        yield f"<code>{escape(match[0])}</code>" if drawn is None else drawn
        end = match.end()
    yield escape(text[end:])


@lru_cache(maxsize=4096)
def mathml(latex: str, *, display: bool = False) -> str | None:
    """The formula as a `<math>` element; None for LaTeX that is broken, unknown or not for drawing."""
    from latex2mathml.converter import convert_to_element

    if MACROS.search(latex):
        return None
    known = latex.replace("{aligned}", "{align*}")  # the library knows the one name alone
    try:
        return _serialised(convert_to_element(known, display="block" if display else "inline"))
    except Exception:  # the library has no common error, and meets broken input with any of Python's
        return None


def _serialised(element: Element) -> str:
    """`element` as HTML. Raises NotDrawable for what isn't listed above."""
    if element.tag not in ELEMENTS:
        raise NotDrawable(element.tag)
    attributes = "".join(_attribute(name, value) for name, value in sorted(element.items()))
    inside = _text(element.text) + "".join(_serialised(child) + _text(child.tail) for child in element)
    return f"<{element.tag}{attributes}>{inside}</{element.tag}>"


def _attribute(name: str, value: str) -> str:
    if name in IGNORED or (name, value) == ("display", "inline"):
        return ""
    if name not in ATTRIBUTES or not ATTRIBUTES[name].fullmatch(value):
        raise NotDrawable(f"{name}={value!r}")
    return f' {name}="{value}"'


def _text(text: str | None) -> str:
    """A symbol or word, which the library gives as HTML or as it stood; an unknown command is left as it stood."""
    if text is None:
        return ""
    if text.startswith("\\") or text in "{}&":
        raise NotDrawable(text)
    return escape(unescape(text))


def formula(latex: str) -> str:
    r"""Safe HTML of an answer, which is LaTeX without delimiters.

    >>> formula("3")
    '<math><mrow><mn>3</mn></mrow></math>'
    """
    drawn = mathml(latex)
    return f"<code>{escape(latex)}</code>" if drawn is None else drawn
