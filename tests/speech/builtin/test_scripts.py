# ruff: noqa: RUF001  (signs that look like others are meant)
import pytest

from softswitch.speech.builtin.scripts import ascii_of, language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Hello", ""),
        ("Schöne Grüße", ""),
        ("你好", "cmn"),
        ("漢字とかな", "ja"),
        ("안녕", "ko"),
        ("Привет", "ru"),
        ("שלום", "he"),
        ("مرحبا", "ar"),
        ("नमस्ते", "hi"),
        ("Γεια", "el"),
        ("123", ""),
    ],
)
def test_script_tells_the_language(text, language):
    assert language_of(text) == language


def test_ascii_keeps_what_can_be_said():
    assert ascii_of("Café “déjà vu” — it’s 5…") == 'Cafe "deja vu" ,  it\'s 5.'
    assert ascii_of("你好 ok") == " ok"
