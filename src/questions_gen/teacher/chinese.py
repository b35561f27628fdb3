"""What the teacher is asked in Chinese: the same questions as in english.py, with examples of their own."""

from questions_gen.schema import VariationKind
from questions_gen.teacher.answers import Comparison, Evaluation, WrittenProblem
from questions_gen.teacher.english import Example

SYSTEM_EVALUATE = (
    "你评审数学竞赛题。先用一两句中文说明题目有什么错误、缺漏或不清楚之处，以及怎样改进；再按 1（差）到 5（优）打分："
    "rigor（条件完整、答案确定）、difficulty（需要多个想法）、innovation（有新意）、clarity（表述清楚）、"
    "educational_value（能让人学到东西）。"
)
ASK_EVALUATION = "评审：{statement}"

SYSTEM_COMPARE = (
    "你比较两道数学竞赛题。先用一两句中文说明两题的差别：条件是否完整、答案是否确定，需要几个想法，有没有新意；"
    "再说哪一道更好，first 或 second，不受先后顺序和长短的影响。"
)
ASK_COMPARISON = "第一题：{first}\n\n第二题：{second}"

SYSTEM_WRITE = (
    "你用中文编写数学竞赛题。每道题条件完整，最后说明要求什么，并有一个简短的答案；如果是证明题，答案为 null。"
    "只写题目，不写解答。"
)
ASK_IMPROVEMENT = "反馈：{feedback}\n\n改进：{statement}"
ASK_VARIATION: dict[VariationKind, str] = {
    "context_change": "改变背景（换一个数学情境，思路不变）：{statement}",
    "parameter_change": "改变参数（换用其他数值，结构不变）：{statement}",
    "practical_application": "实际应用（把同样的问题放到真实情境中）：{statement}",
}

EVALUATIONS: tuple[Example, ...] = (
    (
        ASK_EVALUATION.format(statement="有多少个数能被 3 整除？"),
        Evaluation(
            feedback="没有说明在哪些数中计数，因此没有答案。应当给出范围。",
            rigor=1,
            difficulty=1,
            innovation=1,
            clarity=2,
            educational_value=2,
        ),
    ),
    (
        ASK_EVALUATION.format(statement="有多少个正整数 $n$ 使得 $n^2 + 20$ 能被 $n + 4$ 整除？"),
        Evaluation(
            feedback="题目完整、清楚，但思路常见。可以再加一个条件，改求所有这样的 $n$ 之和。",
            rigor=5,
            difficulty=3,
            innovation=2,
            clarity=5,
            educational_value=4,
        ),
    ),
)
COMPARISONS: tuple[Example, ...] = (
    (
        ASK_COMPARISON.format(
            first="有多少个数能被 3 整除？", second="从 1 到 100 的整数中，有多少个能被 3 整除但不能被 9 整除？"
        ),
        Comparison(feedback="第一题没有说明在哪些数中计数；第二题条件完整。", better="second"),
    ),
    (
        ASK_COMPARISON.format(
            first="有多少个正整数 $n$ 使得 $n^2 + 20$ 能被 $n + 4$ 整除？",
            second="有多少个正整数 $n$ 使得 $4n$ 能被 $4$ 整除？",
        ),
        Comparison(feedback="第一题需要一个想法；第二题对所有整数都成立。", better="first"),
    ),
)
IMPROVEMENTS: tuple[Example, ...] = (
    (
        ASK_IMPROVEMENT.format(feedback="没有说明在哪些数中计数。", statement="有多少个数能被 3 整除？"),
        WrittenProblem(problem="从 1 到 100 的整数中，有多少个能被 3 整除但不能被 9 整除？", answer="22"),
    ),
    (
        ASK_IMPROVEMENT.format(
            feedback="句子没有写完，而且缺少一个角的条件。", statement="在三角形 $ABC$ 中，$AB = 3$，$BC = 4$，求"
        ),
        WrittenProblem(
            problem="在三角形 $ABC$ 中，$AB = 3$，$BC = 4$，且 $\\angle B$ 是直角，求 $CA$ 的长。", answer="5"
        ),
    ),
)
VARIATIONS: dict[VariationKind, Example] = {
    "context_change": (
        ASK_VARIATION["context_change"].format(statement="求从 1 到 20 的所有整数之和。"),
        WrittenProblem(problem="平面上有 21 个点，每两点之间连一条线段，共有多少条线段？", answer="210"),
    ),
    "parameter_change": (
        ASK_VARIATION["parameter_change"].format(statement="一个长方形的宽为 3，长为 5，求它的对角线长。"),
        WrittenProblem(problem="一个长方形的宽为 6，长为 8，求它的对角线长。", answer="10"),
    ),
    "practical_application": (
        ASK_VARIATION["practical_application"].format(statement="求 12 和 18 的最小公倍数。"),
        WrittenProblem(
            problem="两辆公交车同时从车站出发，一辆每 12 分钟回到车站，另一辆每 18 分钟回到车站。"
            "至少经过多少分钟，它们再次同时回到车站？",
            answer="36",
        ),
    ),
}

FORM = "只回答一个 JSON 对象，不要写别的内容。其 JSON schema 为："
