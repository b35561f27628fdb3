# ruff: noqa: E501 (a text is easier to check as it stands)
"""The gate and the rewards on Chinese texts, written for this test in the style of competition problems."""

import json
import re
from pathlib import Path

import pytest

from questions_gen.answers import parse_completion
from questions_gen.history import History
from questions_gen.problem import _TOKEN, Index, features, is_chinese, normalise, similarity
from questions_gen.prompts import problem_messages
from questions_gen.rewards import chinese_gate, gate
from questions_gen.rewards.combine import Judge
from questions_gen.rewards.core import core
from questions_gen.rewards.difficulty import fit
from questions_gen.rewards.rigor import rigor
from questions_gen.rewards.text import Text
from questions_gen.rewards.variation import reasons_against as reasons_against_variation
from questions_gen.topics import classify_topic
from tests.rewards.judges import PARAMS, completion, prompt

GENUINE = {
    "primes": r"求所有质数 $p$，使得 $p^2+2$ 也是质数。",
    "maximum": r"已知正实数 $x,y$ 满足 $x+y=1$，求 $\frac{1}{x}+\frac{4}{y}$ 的最小值。",
    "incircle": r"在三角形 $ABC$ 中，$AB=13$，$BC=14$，$CA=15$，求三角形 $ABC$ 的内切圆半径。",
    "counting": r"从 1 到 100 的整数中，有多少个能被 3 整除但不能被 9 整除？",
    "extrema": r"设函数 $f(x)=x^3-3x+1$，求 $f(x)$ 在区间 $[-2,2]$ 上的最大值和最小值。",
    "urn": r"袋中有 5 个红球和 3 个白球，从中任取 2 个，求这两个球颜色不同的概率。",
    "nesbitt": r"证明：对任意正实数 $a,b,c$，有 $\frac{a}{b+c}+\frac{b}{c+a}+\frac{c}{a+b}\ge\frac{3}{2}$。",
    "infinitely many": r"证明：存在无穷多个形如 $4k+3$ 的质数。",
    "recurrence": r"已知数列 $\{a_n\}$ 满足 $a_1=1$，$a_{n+1}=2a_n+1$（$n\ge 1$），求 $a_{10}$。",
    "functional": r"求所有函数 $f:\mathbb{R}\to\mathbb{R}$，使得对任意实数 $x,y$，都有 $f(x+f(y))=f(x)+y$。",
    "tiling": r"能否用 $1\times 4$ 的长方形瓷砖不重叠地铺满一个 $6\times 6$ 的棋盘？请说明理由。",
    "parts": r"已知椭圆 $C:\frac{x^2}{4}+y^2=1$ 的右焦点为 $F$，过 $F$ 的直线 $l$ 交 $C$ 于 $A,B$ 两点。"
    r"（1）若 $l$ 的斜率为 1，求 $|AB|$；（2）求三角形 $OAB$ 面积的最大值。",
    "blank": r"若 $\log_2 x+\log_4 x=3$，则 $x=$____。",
    "word problem": r"甲、乙两人从相距 60 千米的两地同时出发相向而行，甲每小时走 7 千米，乙每小时走 5 千米，几小时后两人相遇？",
    "coloring": r"将正六边形的 6 个顶点各染成红、黄、蓝三种颜色之一，使得相邻顶点颜色不同，问共有多少种不同的染色方法？",
    "divisibility": r"设 $n$ 为正整数，证明 $n^5-n$ 能被 30 整除。",
    "integer equation": r"求方程 $x^2-y^2=2024$ 的正整数解的个数。",
    "choices": r"下列选项中，与 $\sqrt{8}$ 是同类二次根式的是（　　）A. $\sqrt{3}$　B. $\sqrt{2}$　C. $\sqrt{5}$　D. $\sqrt{6}$",
    "derangement": r"有 5 封不同的信和 5 个对应的信封，把信随机装入信封，每个信封装一封，求恰有 2 封信装对的概率。",
    "matrix": r"设 $A$ 为 $3$ 阶实矩阵，满足 $A^2=A$ 且 $\operatorname{tr}A=2$，求 $\det(A+I)$ 的值。",
    "integral": r"计算定积分 $\int_0^{\pi} x\sin x\,\mathrm{d}x$。",
    "game": r"桌上有 100 枚硬币，甲、乙轮流取，每次可取 1 至 5 枚，取到最后一枚者获胜。若甲先取，问谁有必胜策略？",
    "parameter": r"若关于 $x$ 的不等式 $x^2-ax+1\ge 0$ 对所有 $x>0$ 恒成立，求实数 $a$ 的取值范围。",
    "no formula": r"一个凸多边形的内角和是外角和的五倍，这个多边形有几条边？",
    "without a stop": r"已知 $a+b=5$，$ab=3$，求 $a^2+b^2$ 的值",
}

FAKES = [
    ("", "empty"),
    (r"求所有质数 $p$，使得", "cut_off"),
    (r"在三角形 $ABC$ 中，$AB=13$，$BC=14$，求", "cut_off"),
    ("Find all primes $p$ such that $p^2+2$ is prime.", "wrong_language"),
    (r"求所有 primes $p$ such that the number $p^2+2$ is also a prime number。", "wrong_language"),
    ("$n^2+1$ が素数となる整数 $n$ をすべて求めよ。", "wrong_language"),
    (r"### 题目" "\n" r"求所有质数 $p$，使得 $p^2+2$ 也是质数。", "markup"),
    (r"已知 $x+y=【插入数字】$，求 $xy$ 的最大值。", "markup"),
    (r"求 $\frac{1}{x 的最小值，其中 $x>0$。", "unbalanced_latex"),
    (r"已知 $x+y=1，求 $xy$ 的最大值。", "unbalanced_latex"),
    (r"求 $x^2+1$ 的最小值。求 $x^2+1$ 的最小值。", "repetition"),
    (r"求满足条件的整数的个数的个数的个数的个数的个数是多少？", "repetition"),
    (r"质数 合数 因数 倍数 数列 集合 函数 方程 三角形 圆 概率 排列 组合 极限 导数 $x$ 求 $x^2$ 最大值", "keyword_stuffing"),
    (r"求这道高难度、极具挑战、深刻而新颖的奥林匹克题：若 $x>1$，$x^2-3x$ 的最小值是多少？", "keyword_stuffing"),
    ("山水天空红绿鸟鱼风雪雨月星辰花草树木江河湖海，求 $x^2+x$ 最小？", "word_salad"),
    ("抱歉，我无法生成这样的题目。", "refusal"),
    ("作为一个人工智能语言模型，我不能确定 $x^2=4$ 的解是多少。", "refusal"),
    (r"好的，下面是一道题：求所有质数 $p$，使得 $p^2+2$ 也是质数。", "dialogue"),
    (r"求所有质数 $p$，使得 $p^2+2$ 也是质数。希望这道题对你有帮助！", "dialogue"),
    (r"当然可以！已知 $x+y=1$，求 $xy$ 的最大值。", "dialogue"),
    (r"用户：求 $x^2-2x$ 的最小值。" "\n" r"助手：配方即可。", "dialogue"),
    (r"求 $x^2-2x$ 的最小值。本题考查二次函数的最值。", "dialogue"),
    ("质数是恰有两个正因数的正整数。", "not_a_question"),
    ("请写一道关于数列的竞赛题。", "not_a_question"),
    ("你最喜欢的季节是什么？", "not_mathematical"),
    ("请写出这篇文章的中心思想是什么。", "not_mathematical"),
    ("第1题：求 $x^2-2x$ 的最小值。\n第2题：求 $\\sin 75^\\circ$ 的值。", "several_problems"),
    ("1. 求 $x^2-2x$ 的最小值。\n2. 求 $\\sin 75^\\circ$ 的值。", "several_problems"),
    ("题目一：求 $2^{10}$ 除以 7 的余数。\n题目二：证明 $\\sqrt{2}$ 是无理数。", "several_problems"),
    (r"求 $x^2-2x+5$ 的最小值。设三角形的周长 $p=12$，三边均为整数，问这样的三角形有几个？", "several_problems"),
    ("求所有质数 $p$，使得 $p^2+2$ 也是质数。\n解：当 $p=3$ 时成立。", "solution"),
    ("证明：$n^3-n$ 能被 6 整除。\n证明：$n^3-n=(n-1)n(n+1)$，是三个连续整数之积。", "solution"),
    (r"已知 $x+y=1$，求 $xy$ 的最大值。由均值不等式可得 $xy\le\frac14$，因此最大值为 $\frac14$。", "solution"),
    (r"已知 $x+y=6$，求 $x^2+y^2$ 的最小值。首先代入 $y=6-x$，然后化简得 $2x^2-12x+36$。", "solution"),
    (r"求 1 到 100 的和。$1+100=101$，$101\times 50=5050$。", "solution"),
    (r"求所有质数 $p$，使得 $p^2+2$ 也是质数。答案是 $p=3$。", "answer_given_away"),
    (r"求 $x^2-2x$ 的最小值。" "\n" r"答：$-1$", "answer_given_away"),
    (r"求 $x^2-2x$ 的最小值 $\boxed{-1}$。", "answer_given_away"),
    (r"设 $x=5$，求 $x$。", "answer_given_away"),
    (r"下列说法中，正确的是哪一项？设 $f(x)=x^2$。", "missing_choices"),
    (r"如图，$AB$ 是圆 $O$ 的直径，求 $\angle ACB$ 的大小。", "missing_figure"),
    (r"已知 $a+b=5$，求 $y$ 的值。", "undefined_symbols"),
    (r"三角形的三边长分别为 1、2、5，求它的面积。", "contradiction"),
    (r"求所有既是质数又是合数的正整数 $n$。", "contradiction"),
    (r"设实数 $x>5$ 且 $x<3$，求 $x^2$ 的最大值。", "contradiction"),
    ("计算：$1+1$ 等于多少？", "trivial"),
    ("解方程 $x+2=5$。", "trivial"),
    ("求所有质数\u200b $p$，使得 $p^2+2$ 也是质数。", "control_characters"),
]  # fmt: skip


def reasons(text: str) -> tuple[str, ...]:
    return gate.reasons_against(completion(text), chinese_gate.RULES)


@pytest.mark.parametrize("name", GENUINE)
def test_a_genuine_problem_passes(name):
    assert reasons(GENUINE[name]) == ()
    assert "wrong_language" in gate.reasons_against(completion(GENUINE[name]), gate.RULES), (
        "not where English is asked for"
    )


@pytest.mark.parametrize(("text", "reason"), FAKES)
def test_a_fake_is_refused_for_what_it_is(text, reason):
    assert reason in reasons(text)


def test_what_hit_the_limit_is_cut_off():
    assert gate.reasons_against(completion(GENUINE["primes"], finish_reason="length"), chinese_gate.RULES) == (
        "cut_off",
    )


PARAPHRASES = [
    ("primes", r"找出所有满足 $q^2+2$ 为质数的质数 $q$。"),
    ("incircle", r"三角形 $ABC$ 的三边为 $AB=13$，$BC=14$，$CA=15$，试求三角形 $ABC$ 的内切圆半径。"),
    ("counting", r"在 1 至 100 的整数中，能被 3 整除而不能被 9 整除的数有多少个？"),
    ("extrema", r"求函数 $f(x)=x^3-3x+1$ 在区间 $[-2,2]$ 上的最大值与最小值。"),
    ("urn", r"一个袋子里有 5 个红球、3 个白球，任意取出 2 个，求取出的两个球颜色不同的概率。"),
]


def test_a_paraphrase_is_nearer_than_any_other_problem():
    known = Index()
    known.add(GENUINE.values())
    values, places = known.nearest([text for _, text in PARAPHRASES])
    assert [list(GENUINE)[place] for place in places] == [name for name, _ in PARAPHRASES]
    rows = [features(text) for text in GENUINE.values()]
    unrelated = max(similarity(a, b) for place, a in enumerate(rows) for b in rows[:place])
    assert unrelated < 0.5 < min(values), "0.5 is where novelty begins to fall"


GAMING = Path(__file__).parent / "gaming"


def test_english_texts_keep_their_tokens():
    """History, known problems and the difficulty model depend on them: a text without Chinese is read as before."""
    former = re.compile(r"\\[a-zA-Z]+|[^\W\d_]+(?:'[a-z]+)?|\^ ?\d{1,2}(?!\d)|\d+(?:[.,]\d+)*|[=<>≤≥≠+*/^|!-]")
    rows = [json.loads(line) for path in sorted(GAMING.glob("*.jsonl")) for line in path.read_text().splitlines()]
    texts = [row["text"] for row in rows if not is_chinese(row["text"])]
    assert len(texts) > 200
    for text in texts:
        assert _TOKEN.findall(normalise(text)) == former.findall(normalise(text))


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        ("parameter_change", r"袋中有 7 个红球和 4 个白球，从中任取 2 个，求这两个球颜色不同的概率。", ()),
        ("parameter_change", GENUINE["urn"], ("copy",)),
        ("parameter_change", GENUINE["nesbitt"], ("not_the_declared_variation",)),
        ("context_change", r"用 5 个 0 和 3 个 1 随机排成一列，随机选出其中 2 位，它们数码不同的概率是多少？", ()),
        ("practical_application", r"某商店的仓库有 5 箱苹果和 3 箱糖果，店主随机取 2 箱，求两箱货物不同的概率。", ()),
        ("practical_application", r"求方程 $x^2=4$ 的解。", ("not_the_declared_variation",)),
    ],
)
def test_a_variation_of_the_urn_is_what_it_says(kind, text, told):
    assert tuple(reasons_against_variation(kind, text, GENUINE["urn"])) == told


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("primes", "number theory"),
        ("incircle", "geometry"),
        ("urn", "probability"),
        ("nesbitt", "inequalities"),
        ("integral", "calculus"),
        ("coloring", "combinatorics"),
        ("functional", "algebra"),
    ],
)
def test_topic(name, topic):
    assert classify_topic(GENUINE[name]) == topic


def test_padding_is_taken_out_and_rigor_is_told():
    plain = GENUINE["counting"]
    assert core(f"这道题非常深刻，需要拓扑学的洞察力。{plain}") == core(plain)
    whole = rigor(Text(core(GENUINE["recurrence"])))
    vague = rigor(Text(core(r"求 $k$ 等于 $m$ 的时候 $w$ 怎样？")))
    assert whole > 0.8 > 0.6 > vague


def test_a_completion_in_chinese_is_judged_where_chinese_is_asked_for():
    text = f"<think>先想一想。</think>{GENUINE['counting']}\n答案：$\\boxed{{22}}$。"
    done = parse_completion(id="c", prompt_id="p", text=text, finish_reason="stop", tokens=9, seed=0)
    assert (done.statement, done.answer) == (GENUINE["counting"], "22")
    asked = prompt(messages=problem_messages("number theory", language="zh"))
    told = {}
    for language in ("zh", "en"):
        (told[language],) = Judge(PARAMS, fit([]), History(9), Index(), language).judge([done], [asked])
    assert told["zh"].passed
    assert told["zh"].total > 0.5
    assert "wrong_language" in told["en"].reasons
    (bare,) = Judge(PARAMS, fit([]), History(9), Index(), "zh").judge([completion(GENUINE["counting"])], [asked])
    assert bare.reasons == ("no_answer",)
    (proof,) = Judge(PARAMS, fit([]), History(9), Index(), "zh").judge([completion(GENUINE["nesbitt"])], [asked])
    assert proof.passed, "a proof has no answer"
