import pytest

from softswitch.speech.builtin.vocabulary import Vocabulary


def file(*pieces):
    return b"".join(bytes([len(piece)]) + piece for piece in pieces)


@pytest.fixture
def vocabulary():
    bytes_ = [bytes([number]) for number in range(256)]
    pieces = ["\u2581", "a", "b", "c", "\u2581a", "ab", "\u2581ab", "bc", "abc"]
    return Vocabulary(file(b"", b"<s>", b"</s>", *bytes_, *(piece.encode() for piece in pieces)))


def test_pairs_of_the_lowest_number_are_joined_first(vocabulary):
    assert [vocabulary.pieces[token].decode() for token in vocabulary.tokens("ab c")] == [
        "\u2581ab",
        "\u2581",
        "c",
    ]
    assert [vocabulary.pieces[token].decode() for token in vocabulary.tokens("bc")] == ["\u2581", "bc"]


def test_tokens_become_text_again(vocabulary):
    assert vocabulary.text(vocabulary.tokens("abc a")) == "abc a"
    assert vocabulary.text([1, 2]) == ""
    assert vocabulary.text([3 + 0xC3, 3 + 0xA4]) == "ä"


def test_signs_without_a_token_are_left_out(vocabulary):
    assert vocabulary.text(vocabulary.tokens("a?b")) == "ab"


def test_long_pieces_have_two_bytes_of_length():
    piece = b"x" * 300
    vocabulary = Vocabulary(bytes([300 - 2 * 128 + 128, 2]) + piece)
    assert vocabulary.pieces == [piece]


def test_a_list_that_is_cut_off_is_refused():
    with pytest.raises(ValueError, match="cut off"):
        Vocabulary(b"\x05ab")
