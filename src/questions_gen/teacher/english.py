"""What the teacher is asked in English; chinese.py has the same names."""

from questions_gen.schema import VariationKind
from questions_gen.teacher.answers import Comparison, Evaluation, TeacherAnswer, WrittenProblem

Example = tuple[str, TeacherAnswer]
"""A question and its answer."""

SYSTEM_EVALUATE = (
    "You judge problems for mathematics competitions. Say in one or two sentences what is wrong, missing or unclear "
    "and how to improve it. Then score from 1 (poor) to 5 (excellent): rigor (conditions complete, answer determined), "
    "difficulty (several ideas needed), innovation (a new idea), clarity, educational_value (teaches something)."
)
ASK_EVALUATION = "Judge: {statement}"

SYSTEM_COMPARE = (
    "You compare two problems for mathematics competitions. Say in one or two sentences what tells them apart: whether "
    "conditions are complete and the answer is determined, how many ideas are needed, whether one is new. Then say "
    "which is better, first or second, whatever their order and length."
)
ASK_COMPARISON = "First: {first}\n\nSecond: {second}"

SYSTEM_WRITE = (
    "You write problems for mathematics competitions. Each is complete, ends with what is asked, and has one short "
    "answer, or null if it asks for a proof. Write the problem without its solution."
)
ASK_IMPROVEMENT = "Feedback: {feedback}\n\nImprove: {statement}"
ASK_VARIATION: dict[VariationKind, str] = {
    "context_change": "Change context (another mathematical setting, the same idea): {statement}",
    "parameter_change": "Change parameters (other numbers, the same structure): {statement}",
    "practical_application": "Change to an application (the same in a real situation): {statement}",
}

EVALUATIONS: tuple[Example, ...] = (
    (
        ASK_EVALUATION.format(statement="How many numbers are divisible by 3?"),
        Evaluation(
            feedback="It isn't said which numbers are counted, so there is no answer. Give a range.",
            rigor=1,
            difficulty=1,
            innovation=1,
            clarity=2,
            educational_value=2,
        ),
    ),
    (
        ASK_EVALUATION.format(statement="For how many positive integers $n$ is $n^2 + 20$ divisible by $n + 4$?"),
        Evaluation(
            feedback="Complete and clear, but its idea is well known. Ask for the sum of all such $n$ under one more "
            "condition.",
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
            first="How many numbers are divisible by 3?",
            second="How many integers from 1 to 100 are divisible by 3 but not by 9?",
        ),
        Comparison(
            feedback="The first doesn't say which numbers are counted; the second is complete.", better="second"
        ),
    ),
    (
        ASK_COMPARISON.format(
            first="For how many positive integers $n$ is $n^2 + 20$ divisible by $n + 4$?",
            second="For how many positive integers $n$ is $4n$ divisible by $4$?",
        ),
        Comparison(feedback="The first needs an idea; the second holds for all integers.", better="first"),
    ),
)
IMPROVEMENTS: tuple[Example, ...] = (
    (
        ASK_IMPROVEMENT.format(
            feedback="It isn't said which numbers are counted.", statement="How many numbers are divisible by 3?"
        ),
        WrittenProblem(problem="How many integers from 1 to 100 are divisible by 3 but not by 9?", answer="22"),
    ),
    (
        ASK_IMPROVEMENT.format(
            feedback="The sentence breaks off, and an angle is missing.",
            statement="In triangle $ABC$, $AB = 3$ and $BC = 4$. Find the length of",
        ),
        WrittenProblem(
            problem="In triangle $ABC$, $AB = 3$, $BC = 4$ and the angle at $B$ is right. What is the length of $CA$?",
            answer="5",
        ),
    ),
)
VARIATIONS: dict[VariationKind, Example] = {
    "context_change": (
        ASK_VARIATION["context_change"].format(statement="What is the sum of the integers from 1 to 20?"),
        WrittenProblem(
            problem="Each two of 21 points in the plane are joined by a segment. How many segments are there?",
            answer="210",
        ),
    ),
    "parameter_change": (
        ASK_VARIATION["parameter_change"].format(
            statement="A rectangle has width 3 and length 5. What is the length of its diagonal?"
        ),
        WrittenProblem(
            problem="A rectangle has width 6 and length 8. What is the length of its diagonal?", answer="10"
        ),
    ),
    "practical_application": (
        ASK_VARIATION["practical_application"].format(statement="Find the least common multiple of 12 and 18."),
        WrittenProblem(
            problem="Two buses leave a station together. One returns every 12 minutes, the other every 18 minutes. "
            "After how many minutes do they meet there again?",
            answer="36",
        ),
    ),
}
"""Examples that stand before each question: without them a small model doesn't write a problem at all."""

FORM = "Answer with one JSON object and nothing else. Its JSON schema:"
"""Where the endpoint takes no schema; the schema follows."""
