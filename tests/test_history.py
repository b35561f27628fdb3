import pytest

from questions_gen.history import History


def statement(number: int) -> str:
    names = ("Anna", "Boris", "Clara", "David", "Emma", "Felix", "Greta", "Henry", "Irene", "Jakob", "Klara", "Louis")
    return (
        f"{names[number % 12]} walks {number} miles along road {number // 12}. How long does {names[number % 12]} need?"
    )


def test_an_empty_history_has_no_neighbour():
    assert History(3).nearest(["Find x."]) == [(0.0, None)]


def test_keeps_the_last_ones_in_order():
    history = History(3)
    for number in range(20):
        history.add([statement(number)])
    assert history.statements == [statement(17), statement(18), statement(19)]
    assert len(history) == 3


def test_forgotten_statements_are_no_neighbours():
    history = History(2)
    history.add(["Find all primes below 50.", statement(1), statement(2)])
    nearest = history.nearest(["Find all primes below 50."])[0]
    assert nearest.similarity < 0.5
    assert nearest.statement in history.statements


def test_nearest_names_the_statement():
    history = History(100)
    history.add(statement(n) for n in range(50))
    nearest = history.nearest([statement(31)])[0]
    assert nearest.similarity == pytest.approx(1.0)
    assert nearest.statement == statement(31)


def test_rows_bring_the_same_history_back():
    history = History(4)
    history.add(statement(n) for n in range(9))
    again = History.from_rows(4, history.rows())
    assert again.statements == history.statements
    assert again.nearest([statement(7)]) == history.nearest([statement(7)])


def test_refuses_a_size_that_keeps_nothing():
    with pytest.raises(ValueError, match="size"):
        History(0)
