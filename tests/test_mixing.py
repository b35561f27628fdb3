from collections import Counter
from pathlib import Path

import pytest

from questions_gen import files, mixing
from questions_gen.answers import split_answer, split_thinking
from questions_gen.errors import UserError
from questions_gen.mixing import Item, Source
from questions_gen.schema import Conversation, Message, Problem

OPENMATH_SAMPLE = Path("../shared/data/openmathreasoning_mini_schema_sample.jsonl")
TASKS = {"problem": 0.75, "solve": 0.25}


def champ(**values) -> dict:
    row = {
        "identifier": "P_1",
        "category": "Number-Theory",
        "problem": "Find the last digit of $7^{100}$.",
        "answer": "1",
    }
    return {
        **row,
        "solution_steps": ["Work modulo 10.", "It is 1."],
        "concepts": ["modulo"],
        "hints": ["$7^4$?"],
        **values,
    }


def openmath(**values) -> dict:
    row = {
        "expected_answer": "$4$",
        "problem_type": "has_answer_extracted",
        "problem_source": "aops",
        "problem": "2 + 2 = ?",
    }
    solution = "<think>\nIt is \\boxed{5}? No.\n</think>\n\nIt is \\boxed{4}."
    extra = {
        "generation_model": "m",
        "pass_rate_72b_tir": "0.75",
        "generated_solution": solution,
        "inference_mode": "cot",
    }
    return {**row, **extra, **values}


def sharegpt(*turns: tuple[str, object]) -> dict:
    return {
        "conversations": [{"from": speaker, "value": value} for speaker, value in turns],
        "source": "s",
        "score": 5.0,
    }


def read(row: dict, schema: str):
    return mixing.read_problem(row, schema, "corpus", "MIT")


def problem_item(statement: str, number: int = 1) -> Item:
    problem = Problem(id=f"p{number}", statement=statement, source="corpus", licence="MIT")
    conversation = mixing.problem_conversation(problem, "problem")
    return Item(f"problems/corpus:{number}", "problems/corpus", conversation, problem)


def chat_item(*texts: str, number: int = 1) -> Item:
    roles = ("user", "assistant") * (len(texts) // 2)
    messages = tuple(Message(role=role, content=text) for role, text in zip(roles, texts, strict=True))
    conversation = Conversation(id=f"chat-{number}", task="chat", messages=messages, source_id="".join(texts))
    return Item(f"chat/talk:{number}", "chat/talk", conversation)


# Rows to problems


def test_champ_row():
    problem = read(champ(), "champ")
    assert (problem.topic, problem.concepts, problem.difficulty) == ("number theory", ("modulo",), 2.0)
    assert (problem.answer, problem.solution) == ("1", "Work modulo 10.\nIt is 1.")
    assert (problem.source, problem.licence) == ("corpus", "MIT")


def test_openmathreasoning_row():
    problem = read(openmath(), "openmathreasoning")
    assert (problem.answer, problem.difficulty, problem.concepts) == ("4", 0.25, ())
    assert problem.topic
    assert problem.solution.startswith("<think>")


def test_problems_row_keeps_what_it_says():
    row = {"id": "x", "statement": "Find $x$.", "answer": "1", "topic": "algebra", "difficulty": 3.0}
    problem = read({**row, "source": "elsewhere", "licence": "MIT", "concepts": ["roots"]}, "problems")
    assert (problem.statement, problem.topic, problem.difficulty) == ("Find $x$.", "algebra", 3.0)
    assert (problem.source, problem.concepts) == ("corpus", ("roots",))
    short = read({"statement": "Find $x$.", "answer": "1", "colour": "red"}, "problems")
    assert (short.statement, short.answer) == ("Find $x$.", "1"), "mix names the row, and other columns are no harm"


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ("C(10, 5), or equivalently 252", "C(10, 5)"),
        ("5/14, or approximately 35.7%", "5/14"),
        ("$x^2$", "x^2"),
        ("$x$ for all $n$", "$x$ for all $n$"),
        ("", None),
        (None, None),
    ],
)
def test_answers_fit_into_a_box(answer, kept):
    assert read(champ(answer=answer), "champ").answer == kept


@pytest.mark.parametrize(
    ("row", "schema", "reason"),
    [
        (champ(problem=" "), "champ", "no_statement"),
        (champ(problem=None), "champ", "no_statement"),
        (champ(problem=7), "champ", "malformed"),
        ({"problem": "Find $x$."}, "champ", "malformed"),
        (champ(answer="{1"), "champ", "broken_answer"),
        (champ(answer="1}"), "champ", "broken_answer"),
        ({key: value for key, value in openmath().items() if key != "problem"}, "openmathreasoning", "no_statement"),
        (openmath(problem="<think>what shall I ask"), "openmathreasoning", "no_statement"),
        (openmath(pass_rate_72b_tir="many"), "openmathreasoning", "malformed"),
        (openmath(pass_rate_72b_tir="1.5"), "openmathreasoning", "malformed"),
        ({"id": "x", "source": "s", "licence": "MIT"}, "problems", "no_statement"),
        ({"statement": "Find $x$.", "concepts": 1}, "problems", "malformed"),
    ],
)
def test_rows_that_are_no_problem_have_a_reason(row, schema, reason):
    assert read(row, schema) == reason


def test_rate_that_is_not_known_is_no_label():
    assert read(openmath(pass_rate_72b_tir="n/a"), "openmathreasoning").difficulty is None


def test_statement_stands_after_any_thinking():
    problem = read(openmath(problem="<think>hm</think> What is 2 + 2?"), "openmathreasoning")
    assert problem.statement == "What is 2 + 2?"


def test_rows_of_the_real_schema():
    if not OPENMATH_SAMPLE.exists():
        pytest.skip(f"{OPENMATH_SAMPLE} is not here")
    problems = [read(row, "openmathreasoning") for row in files.read_rows(OPENMATH_SAMPLE)]
    assert len(problems) == 64
    assert all(isinstance(problem, Problem) and problem.answer for problem in problems)


# Rows to dialogues


def test_dialogue_with_a_system_turn():
    row = sharegpt(("system", "Be brief."), ("human", "Hi "), ("gpt", "Hello."), ("human", "Bye"), ("gpt", "Bye."))
    assert [(m.role, m.content) for m in mixing.read_dialogue(row)][:2] == [("system", "Be brief."), ("user", "Hi")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({}, "empty_dialogue"),
        (sharegpt(), "empty_dialogue"),
        (sharegpt(("human", "Hi"), ("gpt", " ")), "empty_dialogue"),
        (sharegpt(("human", "Hi")), "broken_dialogue"),
        (sharegpt(("gpt", "Hi"), ("human", "Hi")), "broken_dialogue"),
        (sharegpt(("human", "Hi"), ("human", "Hi"), ("gpt", "Yes?")), "broken_dialogue"),
        (sharegpt(("human", "Hi"), ("tool", "x"), ("gpt", "Yes?")), "broken_dialogue"),
        (sharegpt(("system", "Be brief.")), "broken_dialogue"),
        (sharegpt(("human", 3), ("gpt", "Yes?")), "malformed"),
        ({"conversations": "Hi"}, "malformed"),
        ({"conversations": 7}, "malformed"),
    ],
)
def test_rows_that_are_no_dialogue_have_a_reason(row, reason):
    assert mixing.read_dialogue(row) == reason


def test_an_empty_system_turn_is_left_out():
    row = sharegpt(("system", ""), ("human", "Hi"), ("gpt", "Hello."))
    assert [message.role for message in mixing.read_dialogue(row)] == ["user", "assistant"]


# Tasks


def test_problem_task_ends_with_statement_and_answer_outside_of_any_thinking():
    conversation = mixing.problem_conversation(read(openmath(), "openmathreasoning"), "problem")
    target = conversation.messages[-1].content
    assert split_thinking(target) == (None, target)
    assert split_answer(target) == ("2 + 2 = ?", "4")
    assert "Concepts" not in conversation.messages[0].content


def test_solve_task_keeps_the_thinking_of_the_source():
    conversation = mixing.problem_conversation(read(openmath(), "openmathreasoning"), "solve")
    assert "2 + 2 = ?" in conversation.messages[0].content
    assert split_thinking(conversation.messages[-1].content) == ("It is \\boxed{5}? No.", "It is \\boxed{4}.")


def test_solve_task_boxes_the_answer_where_the_solution_does_not():
    conversation = mixing.problem_conversation(read(champ(), "champ"), "solve")
    assert conversation.messages[-1].content == "Work modulo 10.\nIt is 1.\nAnswer: \\boxed{1}"


@pytest.mark.parametrize(
    "solution", ["<think>\nWell", "<think>\nWell</think>\n"], ids=["never ends", "nothing after it"]
)
def test_thinking_without_a_solution_is_dropped_from_solving_only(solution):
    problem = read(openmath(generated_solution=solution), "openmathreasoning")
    assert mixing.problem_conversation(problem, "solve") == "unfinished_solution"
    assert mixing.problem_conversation(problem, "problem").task == "problem"


def test_problem_without_a_solution_is_one_to_write():
    assert mixing.problem_conversation(read(champ(solution_steps=[]), "champ"), "solve").task == "problem"


def test_tasks_are_drawn_by_their_shares():
    assert Counter(mixing.draw_tasks(240, {"problem": 3, "solve": 1}, seed=1)) == {"problem": 180, "solve": 60}
    assert set(Counter(mixing.draw_tasks(10, {"problem": 1, "solve": 1, "chat": 1}, seed=1)).values()) == {3, 4}
    assert mixing.draw_tasks(0, TASKS, seed=1) == []
    assert mixing.draw_tasks(50, TASKS, seed=1) == mixing.draw_tasks(50, TASKS, seed=1)
    assert mixing.draw_tasks(50, TASKS, seed=1) != mixing.draw_tasks(50, TASKS, seed=2)
    assert set(mixing.draw_tasks(50, {"problem": 0.0, "solve": 1.0}, seed=1)) == {"solve"}


# The mixture


@pytest.mark.parametrize(
    ("problems", "share", "wanted"),
    [
        (19_252, 0.25, 6_417),
        (240, 0.25, 80),
        (3, 0.25, 1),
        (2, 0.25, 0),
        (9, 0.1, 1),
        (21, 0.3, 9),
        (100, 0.0, 0),
        (7, 0.5, 7),
    ],
)
def test_dialogues_wanted(problems, share, wanted):
    assert mixing.dialogues_wanted(problems, share) == wanted


def talk(rows: list[dict]) -> Source:
    return Source("chat", "talk", "sharegpt", "MIT", rows)


def math(count: int) -> Source:
    return Source("problems", "math", "champ", "MIT", [champ(problem=f"Find {i}.") for i in range(count)])


def dialogues(count: int) -> list[dict]:
    return [sharegpt(("human", f"Say {i}"), ("gpt", str(i))) for i in range(count)]


def big_sources() -> tuple[Source, Source]:
    problems = [openmath(problem=f"What is {i} + {i}?", expected_answer=str(2 * i)) for i in range(19_252)]
    return Source("problems", "math", "openmathreasoning", "CC-BY-4.0", problems), talk(dialogues(100_000))


def test_mixture_of_the_real_row_counts():
    problems, chat = big_sources()
    items = mixing.mixture([problems], [chat], tasks=TASKS, chat_share=0.25, chat_seed=2407, seed=3407)
    assert len(items) == 25_669
    assert Counter(item.source for item in items) == {"problems/math": 19_252, "chat/talk": 6_417}
    assert len({item.id for item in items}) == 25_669
    tasks = Counter(item.conversation.task for item in items)
    assert tasks == {"problem": 14_439, "solve": 4_813, "chat": 6_417}
    firsts = [item.source for item in items[:200]]
    assert 20 < firsts.count("chat/talk") < 80, "not shuffled"


def test_mixture_is_decided_by_its_seeds():
    problems, chat = math(30), talk(dialogues(90))

    def ids(chat_seed: int, seed: int) -> list[str]:
        items = mixing.mixture([problems], [chat], tasks=TASKS, chat_share=0.25, chat_seed=chat_seed, seed=seed)
        return [item.id for item in items]

    assert ids(1, 2) == ids(1, 2)
    assert sorted(ids(1, 2)) == sorted(ids(1, 3))
    assert ids(1, 2) != ids(1, 3)
    assert sorted(ids(1, 2)) != sorted(ids(2, 2))


def test_too_few_dialogues_are_all_taken():
    items = mixing.mixture([math(30)], [talk(dialogues(4))], tasks=TASKS, chat_share=0.25, chat_seed=1, seed=2)
    assert Counter(item.source for item in items) == {"problems/math": 30, "chat/talk": 4}


def test_sample_is_that_of_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"place": range(1000)})
    assert mixing.sample(1000, 60, 2407) == frame.sample(60, random_state=2407)["place"].tolist()


# Drops

QUESTION = (
    "Let $n$ be a positive integer with exactly twelve divisors. How many divisors can the number $n^2$ have at most?"
)
OTHER = "A triangle has sides 13, 14 and 15. What is the radius of the circle through its three vertices?"


def test_unusable_rows_give_their_reason():
    items = [Item("problems/corpus:1", "problems/corpus", "no_statement"), problem_item(QUESTION)]
    assert mixing.unusable(items) == ["no_statement", None]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (problem_item(QUESTION), "contaminated"),
        (problem_item(f"Warm-up. {QUESTION.replace('at most', 'in total')}"), "contaminated"),
        (problem_item(OTHER), None),
        (chat_item("Hi", "Hello.", "Help me.", f"Sure: {QUESTION}"), "contaminated"),
        (chat_item("Hi", "Hello."), None),
    ],
    ids=["a copy", "words in a row", "another problem", "inside a dialogue", "a dialogue"],
)
def test_contamination(item, reason):
    evaluation = [Problem(id="e", statement=QUESTION, source="held-out", licence="MIT")]
    assert mixing.Contamination(evaluation, 8, 0.9).reasons([item]) == [reason]


def test_a_renamed_evaluation_problem_is_found_without_words_in_a_row():
    evaluation = [Problem(id="e", statement=QUESTION, source="held-out", licence="MIT")]
    item = problem_item(QUESTION.replace("$n", "$k"))
    assert mixing.Contamination(evaluation, 99, 0.9).reasons([item, problem_item(OTHER)]) == ["contaminated", None]


def test_a_short_evaluation_problem_is_found_too():
    evaluation = [Problem(id="e", statement="What is $7^{100}$?", source="held-out", licence="MIT")]
    assert mixing.Contamination(evaluation, 8, 0.9).reasons([problem_item("What is $7^{100}$?")]) == ["contaminated"]


def test_nothing_to_be_contaminated_with():
    assert mixing.Contamination([], 8, 0.9).reasons([problem_item(QUESTION)]) == [None]


def test_exact_duplicates_have_one_identity():
    items = [problem_item(QUESTION, 1), problem_item(f" {QUESTION.upper()}", 2), problem_item(OTHER, 3)]
    items += [chat_item("Hi", "Hello.", number=n) for n in (4, 5)] + [chat_item("Hi", "Hello!", number=6)]
    names = [mixing.identity(item) for item in items]
    assert names[0] == names[1]
    assert names[3] == names[4]
    assert len(set(names)) == 4


def test_reasons_are_counted_in_their_order():
    assert mixing.count_reasons(["too_long", "malformed", "too_long"]) == {"malformed": 1, "too_long": 2}


def test_a_source_of_which_nothing_is_left_is_an_error_with_its_counts():
    lost = [("chat/talk:1", "too_long"), ("chat/talk:2", "malformed")]
    with pytest.raises(UserError, match=r"chat/talk: all 2 rows .* \(malformed 1, too_long 1\)"):
        mixing.check_kept({"problems/corpus"}, lost)
    mixing.check_kept({"problems/corpus", "chat/talk"}, lost)


def test_evaluation_sets():
    rows = [champ(), champ(problem=""), champ(identifier="again"), champ(problem="Find the next prime after 89.")]
    problems, dropped = mixing.read_evaluation([Source("evaluation", "held-out", "champ", "MIT", rows)])
    assert len(problems) == 2
    assert dropped == [("evaluation/held-out:2", "no_statement"), ("evaluation/held-out:3", "exact_duplicate")]
    with pytest.raises(UserError, match=r"evaluation/held-out: all 1 rows .* \(no_statement 1\)"):
        mixing.read_evaluation([Source("evaluation", "held-out", "champ", "MIT", rows[1:2])])


def test_summary_counts_each_source_and_the_share_of_chat():
    sources = [
        Source("problems", "corpus", "champ", "MIT", [{}] * 3),
        Source("chat", "talk", "sharegpt", "MIT", [{}] * 9),
        Source("evaluation", "held-out", "champ", "MIT", [{}] * 2),
    ]
    taken = Counter({"problems/corpus": 3, "chat/talk": 1})
    dropped = [("problems/corpus:3", "exact_duplicate"), ("evaluation/held-out:1", "malformed")]
    kept = Counter({"problems/corpus": 2, "chat/talk": 1})
    assert mixing.summary(sources, taken, kept, dropped) == {
        "sources": {
            "problems/corpus": {"rows": 3, "taken": 3, "kept": 2, "dropped": {"exact_duplicate": 1}},
            "chat/talk": {"rows": 9, "taken": 1, "kept": 1, "dropped": {}},
            "evaluation/held-out": {"rows": 2, "kept": 1, "dropped": {"malformed": 1}},
        },
        "dropped": {"malformed": 1, "exact_duplicate": 1},
    }
    chat = {"share_asked": 0.5, "wanted": 3, "taken": 1, "missing": 2, "share_taken": 0.25, "share_kept": 1 / 3}
    assert mixing.chat_summary(taken, kept, 0.5) == chat


# The split


def names(count: int, kind: str) -> list[str]:
    return [f"{kind}-{number}" for number in range(count)]


def test_validation_has_its_share_of_problems_and_of_dialogues():
    held_out = mixing.held_out(names(40, "chat"), names(100, "problem"), 0.1, seed=1)
    assert Counter(name.partition("-")[0] for name in held_out) == {"problem": 10, "chat": 4}


def test_split_goes_by_the_seed_and_not_by_the_order():
    problems = names(100, "problem")
    held_out = mixing.held_out([], problems, 0.1, seed=1)
    assert held_out == mixing.held_out([], problems[::-1], 0.1, seed=1)
    assert held_out != mixing.held_out([], problems, 0.1, seed=2)


def test_a_small_corpus_has_a_validation_row_and_a_single_problem_stays_in_training():
    assert len(mixing.held_out([], names(3, "problem"), 0.1, seed=1)) == 1
    assert mixing.held_out([], names(1, "problem"), 0.1, seed=1) == set()
