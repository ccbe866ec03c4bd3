import pytest

from softswitch.speech.builtin.spoken_english import (
    SAY_AS,
    cardinal,
    characters,
    clock,
    date,
    digits,
    ordinal,
    spoken,
    year_words,
)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Call 555-0123 now.", "Call five five five, zero one two three now."),
        ("+1 (415) 555-2671", "plus one, four one five, five five five, two six seven one"),
        ("(415) 555-2671", "four one five, five five five, two six seven one"),
        ("020 7946 0958", "zero two zero, seven nine four six, zero nine five eight"),
        ("The code is 0042.", "The code is zero zero four two."),
        ("Reference 1234567.", "Reference one two three, four five six seven."),
        ("On 2024-03-14.", "On March fourteenth, twenty twenty four."),
        ("At 14:05 or 9:00.", "At fourteen oh five or nine o'clock."),
    ],
)
def test_digits_that_are_no_number_are_said_one_by_one(written, said):
    assert spoken(written) == said


@pytest.mark.parametrize(
    "text",
    [
        "It costs $12.50.",
        "Room 12, floor 3.",
        "pages 120-150",
        "from 1990-2000",
        "1,250,000 people",
        "version 3.2.1 at 192.168.1.10",
        "on 3/14/2024 at 7:30 pm",
        "order 4729",
        "pi is 3.14159265",
        "no digits at all",
    ],
)
def test_numbers_that_the_voice_reads_well_are_left_alone(text):
    assert spoken(text) == text


def test_numbers_in_words():
    assert cardinal(0) == "zero"
    assert cardinal(21) == "twenty one"
    assert cardinal(1_234_567) == "one million two hundred thirty four thousand five hundred sixty seven"
    assert [ordinal(number) for number in (1, 2, 3, 8, 12, 20, 23, 100)] == [
        *("first", "second", "third", "eighth", "twelfth", "twentieth", "twenty third", "one hundredth")
    ]
    assert [year_words(year) for year in (1900, 1905, 1984, 2000, 2005, 2010, 2024)] == [
        *(
            "nineteen hundred",
            "nineteen oh five",
            "nineteen eighty four",
            "two thousand",
            "two thousand five",
        ),
        *("twenty ten", "twenty twenty four"),
    ]
    assert digits("4729") == "four seven two nine"
    assert digits("1234567890") == "one two three, four five six, seven eight nine zero"
    assert characters("AB-12") == "A, B, one, two"
    assert clock(17, 0) == "seventeen hundred hours"
    assert date(None, 12, 3) == "December third"
    assert date(2024, 13, 1) == "two thousand twenty four thirteen one"


@pytest.mark.parametrize(
    ("how", "text", "order", "said"),
    [
        ("digits", "1234", "", "one two three four"),
        ("characters", "x1", "", "X, one"),
        ("cardinal", "12,345", "", "twelve thousand three hundred forty five"),
        ("ordinal", "3rd", "", "third"),
        ("ordinal", "0", "", "0"),
        ("telephone", "555-0123", "", "five five five, zero one two three"),
        ("date", "14.03.2024", "dmy", "March fourteenth, twenty twenty four"),
        ("date", "2024-03-14", "", "March fourteenth, twenty twenty four"),
        ("date", "soon", "", "soon"),
        ("time", "7:30pm", "", "seven thirty P M"),
        ("time", "soon", "", "soon"),
        ("cardinal", "many", "", "many"),
    ],
)
def test_say_as(how, text, order, said):
    assert SAY_AS[how](text, order) == said
