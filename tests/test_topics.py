import pytest

from questions_gen.topics import OTHER_NAMES, TOPICS, classify_topic, keeps_topic


@pytest.mark.parametrize(
    ("statement", "topic"),
    [
        ("Find all primes $p$ such that $p^2+2$ is prime.", "number theory"),
        ("What is the remainder when $7^{100}$ is divided by 13?", "number theory"),
        ("In triangle $ABC$ the altitude from $A$ meets $BC$ at $D$. Find $AD$.", "geometry"),
        ("A chord of a circle with radius 5 has length 8. How far is it from the centre?", "geometry"),
        ("How many subsets of $\\{1,2,\\ldots,10\\}$ contain no two consecutive integers?", "combinatorics"),
        ("A fair die is rolled twice. What is the probability that the sum is 7?", "probability"),
        ("Find the derivative of $x^3$ at $x = 2$.", "calculus"),
        ("Evaluate $\\int_0^1 x^2\\,dx$.", "calculus"),
        ("The polynomial $x^3-9x^2+kx-24$ has three roots in arithmetic progression. Find $k$.", "algebra"),
        ("Solve the system of equations $x+y=3$, $xy=2$.", "algebra"),
        ("Let $x,y,z$ be positive reals with $x+y+z=6$. Find the maximum value of $xy+yz+zx$.", "inequalities"),
        (r"Suppose $x\leq y$ and $a\geq b$. Prove it.", "inequalities"),
        (r"Evaluate $x\sin x$.", "algebra"),
        ("已知函数f(x)=x^2+1，求f(2)。", "algebra"),
        ("What is your favourite colour?", "other"),
        ("", "other"),
    ],
)
def test_classify_topic(statement, topic):
    assert classify_topic(statement) == topic
    assert topic in TOPICS


def test_a_megabyte_is_no_trouble():
    assert classify_topic("prime " * 200_000) == "number theory"


@pytest.mark.parametrize(
    ("asked", "expected", "reason"),
    [
        ("number theory", True, "one of the classifier's own"),
        ("geometry", False, "another one"),
        ("sequence", False, "a name of CHAMP's, for algebra"),
        ("knots", None, "one that it doesn't know"),
        ("other", None, "nothing that could be kept"),
        (None, None, "none was asked for"),
    ],
)
def test_whether_a_statement_keeps_the_topic(asked, expected, reason):
    assert keeps_topic("Find all primes $p$ such that $p^2 + 2$ is prime.", asked) is expected, reason


def test_every_other_name_is_of_a_topic():
    assert set(OTHER_NAMES.values()) <= set(TOPICS)
    assert not set(OTHER_NAMES) & set(TOPICS)
