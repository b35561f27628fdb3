# ruff: noqa: E501 (a pattern or a word list is easier to check as it stands)
"""The gate's rules for Chinese: the counterparts of those of gate.py that are made of English words.

What doesn't depend on the language (LaTeX, markup, worked arithmetic, compression) is gate.py's own. There is no rule
for sentences whose words are shuffled: it would need a model of the language. docs/chinese.md says what these rules were
measured on.
"""

import re
from collections import Counter

from questions_gen.problem import HAN, is_chinese
from questions_gen.rewards import chinese, gate, sense
from questions_gen.rewards.core import core, links_of, undoubled
from questions_gen.rewards.latex import MATH
from questions_gen.rewards.text import Text, asks, formula_symbols

LEAST_CHINESE = 0.7
"""Share of Chinese characters in the letters of the prose, names of points and functions left out."""
LEAST_FUNCTION_CHARACTERS = 0.1
"""Share of characters that join others, below which a text of 20 or more is a list of words."""

_LATIN_WORD = re.compile(r"[^\W\d_]{3,}")
_SHORT = frozenset("sin cos tan cot sec csc log max min gcd lcm mod lim exp det".split())
_KANA_HANGUL = re.compile(r"[\u3040-\u30ff\uac00-\ud7af]")
_PLACEHOLDER = re.compile(
    r"[【\[（(](?:在此|此处|请在此|请)?(?:处)?(?:插入|填入内容|填写内容)[^】\])）]{0,20}[】\])）]|[【\[](?:题目|答案|数字|姓名|名称|主题)[】\]]|待补充|此处省略"
)
_FUNCTION = re.compile(
    r"[的了是在有为与和及或且若则设求使对所以个其中之这那等于得从到把被将都也不能可每至过以上下分第各任存满足问多少几证计算]"
)
_ROW = re.compile(
    rf"(?:(?:{chinese.KEYWORDS.pattern})(?:定理|理论|问题)?[\s,，、;；和与及]+){{5}}(?:{chinese.KEYWORDS.pattern})"
)
_GRAND = re.compile(
    r"高难度|极具挑战|挑战性|深刻|巧妙|精妙|创新性|新颖|奥林匹克|奥赛|竞赛级|高阶|严谨|综合运用|思维含量|拓扑|流形|同调|猜想|引理|推论"
)
_REFUSAL = re.compile(
    r"抱歉|对不起|很遗憾|恕我|(?:我|暂时|目前)(?:无法|不能|没有办法)(?:提供|生成|完成|回答|帮助|满足|协助|创建|编写|访问|确定)|无法(?:为你|为您|提供|生成|协助|满足你|满足您)|作为(?:一个|一名|一位)?(?:AI|人工智能|语言模型|大模型|大语言模型|智能助手)|我(?:只)?是(?:一个|一名)?(?:AI|人工智能|语言模型|大模型)",
    re.IGNORECASE,
)
_OPENER = re.compile(
    r"\A\W{0,6}(?:好的|好[，,！!]|当然|可以[，,！!]|没问题|你好|您好|谢谢|感谢|让我|我来|我们来|嗯|是的|明白了?|收到|根据(?:你|您)的|为(?:你|您)|应(?:你|您)的|按照(?:你|您)的|这里(?:有|是)|(?:以下|下面|这|这里)(?:是|为)[^。\n]{0,30}(?:题目?|问题|练习|例题)[^。\n]{0,6}[：:。\n])"
)
_CHAT = re.compile(
    r"希望(?:对|这|能|可以|以上)|如果(?:你|您)(?:有|需要|还|想|愿意|觉得)|告诉我|随时|需要我|祝(?:你|您)|(?:你|您)(?:觉得|认为|可以试|要不要|需要)|欢迎(?:继续|来|提问)|很高兴|我(?:认为|觉得|可以为|可以帮|可以给|来为|来帮|为你|为您|会为|给你|给您)|"
    r"(?:这|此|该|本)(?:道|个)?题目?(?:综合)?(?:考查|考察|考验|需要|涉及|旨在|适合|难度|结合|要求学生|具有|的难度|主要|巧妙|融合|体现)|(?:考查|考察)了|帮我|谢谢|还有(?:什么|其他)问题|有(?:什么|任何)(?:问题|疑问|需要)"
)
_SPEAKER = re.compile(
    r"^\W{0,4}(?:用户|助手|系统|人类|机器人|小助手|user|assistant|human|ai)\W{0,3}[:：]", re.IGNORECASE | re.MULTILINE
)
_PREAMBLE = re.compile(r"\S[^\n]*\n\s*\W{0,4}(?:题目|问题)(?:描述)?\W{0,4}[:：]")
_REQUEST = re.compile(
    r"(?:请|帮我|给我|麻烦|你|^|[。！？\n])\s*(?:你)?(?:写|出|设计|生成|编写?|创作|提供|给出|列举|想)(?:出)?(?:一|几|两|三|五|十|\d+|若干|一些)(?:道|个|套|些|篇|段)?[^。，,\n]{0,24}?(?:题目|问题|试题|题|练习|故事|作文|文章|诗|程序|代码)"
)
_HEADING = re.compile(
    r"^\W{0,4}(?:第\s*[一二三四五六七八九十\d]{1,3}\s*[题道]|(?:题目?|问题|例题?|练习|变式|试题)\s*[一二三四五六七八九十\d]{1,3})(?![一-鿿])",
    re.MULTILINE,
)
_NUMBERED = re.compile(
    r"^\s{0,4}\W{0,3}(?:\d{1,2}\W{0,2}[.．、)）:：]|[一二三四五六七八九十]{1,2}[、.．])\s*", re.MULTILINE
)
_NEW_GIVEN = re.compile(r"\W{0,3}(?:设|已知|若|令|给定|在|一个|某|有一?|甲|求|证明|计算|从|把|将|试)")

_SOLUTION_HEADING = re.compile(
    r"(?:^|\n|[。？?]\s*)\W{0,4}(?:(?:参考|详细|标准|完整)?(?:解答|解析|解法|答案解析|详解|证法|解题(?:过程|思路|步骤)|思路(?:分析)?|分析|点评|推导过程|步骤)\s*[一二三\d]?\W{0,3}[:：】\n]|解\s*[一二三\d]?\s*[:：])|【(?:解|分析|证明|答)[^】]{0,4}】|证毕|得证|证明完毕|\\blacksquare|\\qed\b|■|□\s*\Z|∎"
)
_PROOF_HEADING = re.compile(r"\A\W{0,4}(?:证|证明)\s*[:：]")
_STEP = re.compile(r"(?:^|\n)\W{0,4}(?:第\s*[一二三四五\d]\s*步|步骤\s*[一二三四五\d]|情形\s*[一二三\d])")
_REASONS = re.compile(
    r"因此|所以|因为|故(?!事|障|乡|意|宫)|于是|从而|由此|由于|可得|得到|得出|易得|易知|易证|显然|不妨设|我们(?:可以|先|有|得|需要|知道|考虑|利用|将|发现)|首先|其次|然后|最后|综上|代入|化简得|解得|即得|可知|推出|得证|同理|两边(?:同|平方|取)|根据\S{0,12}(?:定理|不等式|公式)|由\S{0,12}(?:定理|不等式|公式|知|得)|利用\S{0,12}(?:定理|不等式|公式)|这(?:意味着|表明|说明)|即\s*⟦M⟧"
)
_CONCLUSION = re.compile(
    rf"(?:为|是|等于|得|有|=|共)\s*(?:{MATH}|-?\d[\d./]*)\s*(?:[个种条次位天元人本张只名组对岁倍度]|厘米|米|小时|分钟)?\s*[。．.！!]?\s*\Z"
)
_ANSWER = re.compile(
    r"\\boxed|(?:正确|最终|最后|所求)?(?:的)?(?:答案|解)(?:应该|应当|显然|就)?(?:是|为|等于|[:：=])(?!什么|多少|否|有序|整数的|用|保留|不)|(?:^|\n|[。？?！]\s*)\W{0,3}答\s*[:：，,]|提示\s*[:：]|(?:结果|答案|所求)(?:就)?(?:是|为|等于)\s*(?:⟦M⟧|\d)|正确(?:选项|答案)"
)
_ASKED_SYMBOL = re.compile(rf"求(?:出)?\s*({MATH})\s*(?:的(?:取?值|大小))?\s*[。．.？?]?\s*\Z")
_CHOOSE = re.compile(
    r"(?:下列|以下)(?:四个|各|哪个|哪些|哪一|几个|三个)?(?:选项|说法|命题|结论|哪个|哪些|哪一[个项]|叙述|判断)|从选项中|选出正确|单选|多选|选择题"
)
_CHOICE = re.compile(r"(?<![A-Za-z])[A-E]\s*[.、．:：)）]|[（(][A-E1-5][)）]|[①②③④]|\\item|\\text(?:bf)?\s?\{\(?[A-E]")
_FIGURE = re.compile(
    r"如(?:下|右|左|上)?图(?!形)|(?:下|右|左|上)图(?!形)|见图|图中(?=所|的?阴影|给|标)|图\s*\d|所示的?图|(?:如|下|右)表(?=所|中|给|[，,])|阴影部分"
)
_BOTH = re.compile(
    r"既是(?:奇数又是偶数|偶数又是奇数|质数又是合数|素数又是合数|合数又是质数|正数又是负数|有理数又是无理数|锐角又是钝角)|(?:四|五|六|4|5|6)条边的三角形|大于\s*\$?2\$?\s*的偶(?:质数|素数)|(?:长度|面积|周长|半径|边长)(?:为|是)\s*\$?-\d|最大的?(?:质数|素数|整数|自然数|正整数)(?=是|[。？?]|\s*\Z)"
)
_TRIANGLE_SIDES = re.compile(
    r"三角形\S{0,20}?(?:三边|边长)\D{0,12}?(\d+(?:\.\d+)?)\D{1,6}(\d+(?:\.\d+)?)\D{1,6}(\d+(?:\.\d+)?)"
)
_PROBABILITY = re.compile(r"概率(?:为|是|等于)\s*\$?\s*(\d+(?:\.\d+)?)(?![\d./%]*\s*(?:[/%^倍]|\\))")
_CASES = re.compile(r"或|若|如果|当|时|否则|情形")
_ARITHMETIC_WORDS = re.compile(
    r"请问|多少|等于|计算|结果|一共|求|问|是|的|值|加上?|减去?|乘以?|除以?|和|与|差|积|商|几|什么|得|简单|基础|题目?|解(?:下列)?方程|方程|解|一元一次"
)
_ONE_STEP = re.compile(r"^\s*\d{0,3}\s*[a-z]\s*(?:[+\-]\s*\d{1,3})?\s*=\s*-?\d{1,4}\s*$")
_PUNCTUATION = re.compile(r"[\s，。？?！!：:、,.（）()；;]")
_ENDS_WELL = re.compile(r"[。．.？?！!」”\"')）】\]…_＿$%°]\s*\Z")
_ENDS_OPEN = re.compile(
    r"[，,、；;：:（(=+\-*/<]\s*\Z|(?:的|和|与|及|或|且|则|若|设|使|使得|满足|对|在|为|是|把|从|其中|如果|那么|已知|求|证明)\s*\Z"
)
_LEAST_CHARACTERS = 4


def _empty(text: Text) -> bool:
    return not text.asks and len(text.tokens) < _LEAST_CHARACTERS


def _cut_off(text: Text) -> bool:
    prose = text.prose.rstrip()
    if not prose or prose.endswith(MATH) or _ENDS_WELL.search(prose):
        return False
    return bool(_ENDS_OPEN.search(prose)) or not asks(text.sentences[-1])


def _wrong_language(text: Text) -> bool:
    """Too few Chinese characters among the letters, or letters of the other scripts that mix with them."""
    chinese_letters = sum(map(is_chinese, text.prose))
    other = sum(
        len(word)
        for word in re.findall(rf"[^\W\d_{HAN}]+", text.prose.replace(MATH, " "))
        if _LATIN_WORD.fullmatch(word) and not word.isupper() and word.lower() not in _SHORT
    )
    if len(_KANA_HANGUL.findall(text.prose)) >= 2:
        return True
    return chinese_letters == 0 or chinese_letters < LEAST_CHINESE * (chinese_letters + other)


def _markup(text: Text) -> bool:
    return gate.markup(text) or bool(_PLACEHOLDER.search(text.statement))


def _repetition(text: Text) -> bool:
    """The whole twice, a sentence twice, a run of characters on end, or text that a compressor shrinks sixfold."""
    flat = "".join(text.statement.split())
    if undoubled(text.statement) != text.statement or len(flat) >= 8 and flat == flat[: len(flat) // 2] * 2:
        return True
    sentences = Counter(
        part for s in re.split(r"[。？?！!；;\n]", text.statement) if len(part := "".join(s.split())) >= 6
    )
    if any(count >= 3 or count == 2 and len(part) >= 12 for part, count in sentences.items()):
        return True
    return _runs_on(flat) or gate.shrinks(text)


def _runs_on(flat: str) -> bool:
    """Whether the same run with a Chinese character in it stands on end: 5 times, 4 from two characters on, 3 from four
    on, twice from ten on."""
    for size in range(1, 25):
        times = 5 if size < 2 else 4 if size < 4 else 3 if size < 10 else 2
        same = 0
        for place in range(size, len(flat)):
            same = same + 1 if flat[place] == flat[place - size] else 0
            if same >= size * (times - 1) and is_chinese(flat[place - size + 1 : place + 1]):
                return True
    return False


def _word_salad(text: Text) -> bool:
    """A list of words: hardly a character that joins others."""
    characters = [token for token in text.tokens if is_chinese(token)]
    joining = sum(bool(_FUNCTION.fullmatch(character)) for character in characters)
    return len(characters) >= 20 and joining < LEAST_FUNCTION_CHARACTERS * len(characters)


def _keyword_stuffing(text: Text) -> bool:
    """Six mathematical words in a row that nothing joins, or four grand ones."""
    return bool(_ROW.search(text.prose)) or len(set(_GRAND.findall(text.prose))) >= 4


def _refusal(text: Text) -> bool:
    return bool(_REFUSAL.search(text.prose))


def _dialogue(text: Text) -> bool:
    return any(pattern.search(text.prose) for pattern in (_OPENER, _CHAT, _SPEAKER, _PREAMBLE))


def _not_a_question(text: Text) -> bool:
    return not text.asks or bool(_REQUEST.search(text.prose))


def _not_mathematical(text: Text) -> bool:
    """No formula, no two mathematical words, and no two quantities with a question for a number."""
    own = Text(core(text.statement))
    asked = "".join(own.sentences[place] for place in own.asks)
    if own.formal and (own.keywords or len("".join(own.formulas)) >= 3 or chinese.ASKS.search(asked)):
        return False
    if text.quantities >= 2 and (chinese.HOW_MANY.search(asked) or own.keywords):
        return False
    return len(set(own.keywords)) < 2


def _several(text: Text) -> bool:
    """Headings or numbered items that each ask, or a second asking that has nothing to do with the first."""
    if len(_HEADING.findall(text.prose)) >= 2:
        return True
    first, *items = _NUMBERED.split(text.prose)
    if len(first.strip()) < 8 and sum(bool(Text(item).asks) for item in items) >= 2:
        return True
    return any(_starts_anew(text, text.asks[0], place) for place in text.asks[1:])


def _starts_anew(text: Text, first: int, second: int) -> bool:
    """Whether what stands between two askings, with the second, gives itself all that it asks about."""
    before, between = "".join(text.sentences[: first + 1]), text.sentences[first + 1 : second + 1]
    after = "".join(between)
    if len(after) < 12 or not _NEW_GIVEN.match(between[0]) or chinese.BACK.match(after.lstrip(" ，。")):
        return False
    used = before.count(MATH)
    own = list(text.formulas[used : used + after.count(MATH)])
    return not links_of(before, list(text.formulas[:used])) & links_of(after, own)


def _solution(text: Text) -> bool:
    """A heading of one, worked arithmetic, or several marks of reasoning; one is enough after the asking."""
    if _SOLUTION_HEADING.search(text.prose) or gate.carries_out_arithmetic(text.statement):
        return True
    first = text.asks[0] if text.asks else -1
    before, rest = "\n".join(text.sentences[: max(0, first)]), text.sentences[first + 1 :]
    if first >= 0 and any(_PROOF_HEADING.match(sentence) for sentence in rest):
        return True
    after = "\n".join(sentence for sentence in rest if not asks(sentence))
    marks = len(_REASONS.findall(after)) + 2 * len(_STEP.findall(after))
    return marks >= 2 or len(_REASONS.findall(before)) >= 4 or marks >= 1 and bool(_CONCLUSION.search(after))


def _given_away(text: Text) -> bool:
    """The answer named as such, or a symbol asked for whose number is given."""
    if _ANSWER.search(text.prose) or "\\boxed" in text.statement:
        return True
    asked = _asked_symbol(text)
    given = rf"\s*{re.escape(asked)}\s*=\s*-?\d+(?:\.\d+)?\s*" if asked else None
    return given is not None and any(re.fullmatch(given, formula) for formula in text.formulas)


def _asked_symbol(text: Text) -> str | None:
    """The one symbol that is asked for as such: `求 $x$。`"""
    found = _ASKED_SYMBOL.search(text.prose.rstrip())
    if not found or not text.formulas:
        return None
    asked = text.formulas[text.prose[: found.start(1)].count(MATH)].strip()
    return asked if len(asked) == 1 and asked.isalpha() else None


def _missing_choices(text: Text) -> bool:
    asked = _CHOOSE.search(text.prose)
    return bool(asked) and len(_CHOICE.findall(text.statement)) < 2


def _missing_figure(text: Text) -> bool:
    return bool(_FIGURE.search(text.prose)) and not re.search(r"\\begin\{(?:array|tabular)|\|.*\|.*\|", text.statement)


def _undefined(text: Text) -> bool:
    """Whether a symbol is asked for that stands nowhere else in the text."""
    asked = _asked_symbol(text)
    return asked is not None and [s for f in text.formulas for s in formula_symbols(f)].count(asked) < 2


def _contradiction(text: Text) -> bool:
    """Opposites at once, impossible triangles and probabilities, bounds that leave nothing."""
    plain = text.statement.replace("$", "")
    if _BOTH.search(plain) or any(float(value) > 1 for value in _PROBABILITY.findall(plain)):
        return True
    for match in _TRIANGLE_SIDES.finditer(plain):
        a, b, c = sorted(map(float, match.groups()))
        if a + b <= c:
            return True
    return not _CASES.search(text.prose) and sense.contradicts_itself(text)


def _trivial(text: Text) -> bool:
    """Bare arithmetic of at most three numbers, or a linear equation of one step, with no words of a setting."""
    text = Text(core(text.statement))
    if _PUNCTUATION.sub("", re.sub(r"[\d+*/×÷=\-−^a-z]", "", _ARITHMETIC_WORDS.sub("", text.prose.replace(MATH, "")))):
        return False
    if any(
        _ONE_STEP.match(formula)
        for formula in (*text.formulas, _PUNCTUATION.sub("", _ARITHMETIC_WORDS.sub("", text.prose)))
    ):
        return True
    symbols = [symbol for formula in text.formulas for symbol in formula_symbols(formula)]
    if symbols or re.search(r"\\(?!times|cdot|div)[a-z]+|[!^√]", text.statement):
        return False
    return len(re.findall(r"\d+(?:\.\d+)?", text.statement)) <= 3


RULES: gate.Rules = {
    "empty": _empty,
    "cut_off": _cut_off,
    "wrong_language": _wrong_language,
    "markup": _markup,
    "unbalanced_latex": gate.unbalanced,
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
