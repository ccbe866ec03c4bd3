"""The e-mail of a message."""

from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP

from softswitch.switch.voicemail.letter import letter
from softswitch.switch.voicemail.mailboxes import VoiceMessage


def made(caller: str, sound: bytes | None = None, page: str = "") -> EmailMessage:
    message = VoiceMessage("id", "anna", caller, "", 1_700_000_000_000, 83_000, False, "id.wav")
    data = letter(
        message, sender="pbx@home.test", recipient="anna@home.test", sound=sound, page=page, now_ms=0
    )
    assert b"\n" not in data.replace(b"\r\n", b"")
    found = BytesParser(EmailMessage, policy=SMTP).parsebytes(data)
    assert isinstance(found, EmailMessage)
    return found


def test_caller_time_and_length_are_told():
    found = made("+4930123")
    assert found["Subject"] == "Voice message from +4930123 (1:23)"
    assert (found["To"], found["Auto-Submitted"]) == ("anna@home.test", "auto-generated")
    assert "on 2023-11-14 at 22:13 UTC" in found.get_content()


def test_caller_adds_no_headers_and_may_have_any_letters():
    found = made("Zoë 张\r\nBcc: all@home.test")
    assert found["Bcc"] is None
    assert "Zoë 张Bcc: all@home.test" in found["Subject"]
    assert made("")["Subject"] == "Voice message from an unknown number (1:23)"


def test_sound_is_attached_beside_the_link():
    found = made("1", b"RIFF" + bytes(range(256)), "https://calls.home.test/")
    body, sound = found.iter_parts()
    assert "https://calls.home.test/" in body.get_content()
    assert sound.get_payload(decode=True) == b"RIFF" + bytes(range(256))
    assert sound.get_filename() == "voice-2023-11-14-2213.wav"
