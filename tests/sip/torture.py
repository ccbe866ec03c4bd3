"""The 49 messages of RFC 4475 and what each deserves, floor by floor.

24 of them stand in `torture_messages` as the RFC prints them. The other 25 are written here after the RFC's
descriptions, each with its trait.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tests.sip.torture_messages import MESSAGES

SDP = (
    b"v=0\r\no=mhandley 29739 7272939 IN IP4 192.0.2.15\r\ns=-\r\nc=IN IP4 192.0.2.15\r\nt=0 0\r\n"
    b"m=audio 49217 RTP/AVP 0 12\r\nm=video 3227 RTP/AVP 31\r\na=rtpmap:31 LPC\r\n"
)


@dataclass(frozen=True)
class Torture:
    """One message.

    `refused` is what `message.parse` says: None where it reads the message, else a code. `answered` is how a
    switch that has the user called, and is the registrar, ends it: a code, "accept" where a call,
    registration or text is handed up to the application, "drop" for no answer at all.
    """

    name: str
    section: str
    answered: int | Literal["accept", "drop"]
    refused: int | None = None
    text: bytes = b""

    @property
    def data(self) -> bytes:
        """The message's bytes."""
        return self.text or MESSAGES[self.name]


def _message(start_line: str, *headers: str, body: bytes = b"", length: str | None = "") -> bytes:
    lines = [start_line, *headers]
    if length is not None:
        lines.append(f"Content-Length: {length or len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _request(
    start_line: str,
    name: str,
    *more: str,
    body: bytes = b"",
    without: Iterable[str] = (),
    length: str | None = "",
) -> bytes:
    """Write a plain request with the headers that every one has, those of `more` in their place."""
    method = start_line.partition(" ")[0]
    usual = {
        "Via": "SIP/2.0/UDP host5.example.net;branch=z9hG4bKkdjuw-" + name,
        "Max-Forwards": "70",
        "From": "<sip:caller@example.net>;tag=323-" + name,
        "To": "<sip:user@example.com>",
        "Call-ID": f"{name}.0ha0isnda977644900765@192.0.2.15",
        "CSeq": f"8 {method}",
    }
    if body:
        usual["Content-Type"] = "application/sdp"
    if method == "INVITE":
        usual["Contact"] = "<sip:caller@host5.example.net>"
    given = {line.partition(":")[0] for line in more}
    headers = [f"{key}: {value}" for key, value in usual.items() if key not in given and key not in without]
    return _message(start_line, *headers, *more, body=body, length=length)


_LONG = "amazinglylongcallername" + "extremely" * 20
_MULTIPART = (
    b"--7a9cbec02ceef655\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\nHello\r\n"
    b"--7a9cbec02ceef655\r\nContent-Type: application/octet-stream\r\n\r\n"
    + bytes(range(256))
    + b"\r\n\r\n--7a9cbec02ceef655--\r\n"
)

TORTURES = (
    # 3.1.1 valid messages
    Torture("wsinv", "3.1.1.1", 481),  # its To has a tag, and there is no such dialog
    Torture("intmeth", "3.1.1.2", 405),
    Torture(
        "esc01",
        "3.1.1.3",
        "accept",
        text=_request(
            "INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0",
            "esc01",
            "To: sip:%75se%72@example.com",
            "From: <sip:I%20have%20spaces@example.net>;tag=938",
            "Contact: <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>",
            body=SDP,
        ),
    ),
    Torture(
        "escnull",
        "3.1.1.4",
        "accept",
        text=_request(
            "REGISTER sip:example.com SIP/2.0",
            "escnull",
            "To: sip:null-%00-null@example.com",
            "From: sip:null-%00-null@example.com;tag=839923423",
            "Contact: <sip:%00@host5.example.com>",
            "Contact: <sip:%00%00@host5.example.com>",
        ),
    ),
    Torture("esc02", "3.1.1.5", 405),
    Torture(
        "lwsdisp",
        "3.1.1.6",
        200,
        text=_request(
            "OPTIONS sip:user@example.com SIP/2.0", "lwsdisp", "From: caller<sip:caller@example.com>;tag=323"
        ),
    ),
    Torture(
        "longreq",
        "3.1.1.7",
        "accept",
        text=_request(
            "INVITE sip:user@example.com SIP/2.0",
            "longreq",
            f'To: "A user name of {"extreme" * 20} proportion"<sip:user@example.com:6000;unknownparam1='
            f"very{'long' * 20}value;longparam{'name' * 25}=shortvalue;very{'long' * 25}ParamWithNoValue>",
            f"F: sip:{_LONG}@example.net;tag=12{'982424' * 50};unknownheaderparam{'name' * 20}="
            f"unknowheaderparam{'value' * 15};unknownValueless{'paramname' * 10}",
            f"Call-ID: longreq.one{'really' * 20}longcallid",
            f"Unknown-{'Long' * 20}-Name: unknown-{'long' * 20}-value; unknown-{'long' * 20}-name = "
            f"unknown-{'long' * 20}-parameter-value",
            "Via: SIP/2.0/TCP sip33.example.com",
            *(
                f"{'V' if hop % 2 else 'Via'}: SIP/2.0/TCP sip{hop}.example.com"
                + (f";branch=very{'long' * 50}branchvalue" if hop == 31 else "")
                for hop in range(32, 0, -1)
            ),
            f"Via: SIP/2.0/TCP host.example.com;received=192.0.2.5;branch=very{'long' * 50}branchvalue",
            f"Contact: <sip:{_LONG}@host5.example.net>",
            body=SDP,
            without=["From"],
        ),
    ),
    Torture("dblreq", "3.1.1.8", "accept"),
    Torture(
        "semiuri",
        "3.1.1.9",
        200,
        text=_request(
            "OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0",
            "semiuri",
            "To: sip:j_user@example.com",
            "Accept: application/sdp, application/pkcs7-mime, multipart/mixed, multipart/signed, message/sip",
        ),
    ),
    Torture(
        "transports",
        "3.1.1.10",
        200,
        text=_request(
            "OPTIONS sip:user@example.com SIP/2.0",
            "transports",
            "Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bKkdjuw",
            "Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf",
            "Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj",
            "Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en",
            "Via: SIP/2.0/TCP t5.example.com;branch=z9hG4bK0a9idfnee",
        ),
    ),
    Torture(
        "mpart01",
        "3.1.1.11",
        "accept",
        text=_request(
            "MESSAGE sip:kumiko@example.org SIP/2.0",
            "mpart01",
            "Route: <sip:127.0.0.1:5080>",
            f'Identity: "{"r5mwreLu" * 12}="',
            "Content-Type: multipart/mixed;boundary=7a9cbec02ceef655",
            body=_MULTIPART,
        ),
    ),
    Torture(
        "unreason",
        "3.1.1.12",
        "drop",
        text=_message(
            "SIP/2.0 200 = 2**3 * 5**2 \u043d\u043e \u0441\u0442\u043e",
            "Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923",
            "Call-ID: unreason.1234ksdfak3j2erwedfsASdf",
            "CSeq: 35 INVITE",
            "From: sip:user@example.com;tag=11141343",
            "To: sip:user@example.edu;tag=2229",
            "Content-Type: application/sdp",
            "Contact: <sip:user@host198.example.com>",
            body=SDP,
        ),
    ),
    Torture("noreason", "3.1.1.13", "drop"),
    # 3.1.2 invalid messages
    Torture("badinv01", "3.1.2.1", 400, 400),
    Torture(
        "clerr",
        "3.1.2.2",
        400,
        400,
        text=_request("INVITE sip:user@example.com SIP/2.0", "clerr", body=SDP, length="9999"),
    ),
    Torture(
        "ncl",
        "3.1.2.3",
        400,
        400,
        text=_request("INVITE sip:user@example.com SIP/2.0", "ncl", body=SDP, length="-999"),
    ),
    Torture("scalar02", "3.1.2.4", 400, 400),
    Torture(
        "scalarlg",
        "3.1.2.5",
        "drop",
        400,
        text=_message(
            "SIP/2.0 503 Service Unavailable",
            "Via: SIP/2.0/TCP host129.example.com;branch=z9hG4bKzzxdiwo34sw;received=192.0.2.129",
            "To: <sip:user@example.com>",
            "From: <sip:other@example.net>;tag=2easdjfejw",
            "CSeq: 9292394834772304023312 OPTIONS",
            "Call-ID: scalarlg.noase0of0234hn2qofoaf0232aewf2394r",
            "Retry-After: 949302838503028349304023988",
            'Warning: 1812 overture "In Progress"',
        ),
    ),
    Torture("quotbal", "3.1.2.6", 400, 400),
    Torture("ltgtruri", "3.1.2.7", 400, 400),
    Torture("lwsruri", "3.1.2.8", 400, 400),
    Torture(
        "lwsstart",
        "3.1.2.9",
        400,
        400,
        text=_request("INVITE  sip:user@example.com  SIP/2.0", "lwsstart", body=SDP),
    ),
    Torture("trws", "3.1.2.10", 400, 400),
    Torture("escruri", "3.1.2.11", 400, 400),
    Torture("baddate", "3.1.2.12", "accept"),  # nothing here asks for the date
    Torture("regbadct", "3.1.2.13", 400, 400),
    Torture("badaspec", "3.1.2.14", 400, 400),
    Torture(
        "baddn",
        "3.1.2.15",
        400,
        400,
        text=_request(
            "OPTIONS sip:t.watson@example.org SIP/2.0",
            "baddn",
            "From: Bell, Alexander <sip:a.g.bell@example.com>;tag=43",
            "To: Watson, Thomas <sip:t.watson@example.org>",
        ),
    ),
    Torture(
        "badvers",
        "3.1.2.16",
        505,
        505,
        text=_request(
            "OPTIONS sip:t.watson@example.org SIP/7.0",
            "badvers",
            "Via: SIP/7.0/UDP c.example.com;branch=z9hG4bKkdjuw",
        ),
    ),
    Torture(
        "mismatch01",
        "3.1.2.17",
        400,
        400,
        text=_request("OPTIONS sip:user@example.com SIP/2.0", "mismatch01", "CSeq: 8 INVITE"),
    ),
    Torture("mismatch02", "3.1.2.18", 400, 400),
    Torture("bigcode", "3.1.2.19", "drop", 400),
    # 3.2 transaction layer
    Torture(
        "badbranch",
        "3.2.1",
        200,
        text=_request(
            "OPTIONS sip:user@example.com SIP/2.0",
            "badbranch",
            "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK",
        ),
    ),
    # 3.3 application layer
    Torture(
        "insuf",
        "3.3.1",
        400,
        400,
        text=_request(
            "INVITE sip:user@example.com SIP/2.0",
            "insuf",
            "Via: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf",
            body=SDP,
            without=["From", "To", "Call-ID"],
        ),
    ),
    Torture(
        "unkscm",
        "3.3.2",
        416,
        text=_request("OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0", "unkscm"),
    ),
    Torture(
        "novelsc", "3.3.3", 416, text=_request("OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0", "novelsc")
    ),
    Torture("unksm2", "3.3.4", 404),  # no address of record of the agent has such a scheme
    Torture(
        "bext01",
        "3.3.5",
        420,
        text=_request(
            "OPTIONS sip:user@example.com SIP/2.0",
            "bext01",
            "Require: nothingSupportsThis, nothingSupportsThisEither",
            "Proxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis",
        ),
    ),
    Torture("invut", "3.3.6", 415),
    Torture(
        "regaut01",
        "3.3.7",
        401,
        text=_request(
            "REGISTER sip:example.com SIP/2.0",
            "regaut01",
            "Contact: sip:j.user@host.example.com",
            "Authorization: NoOneKnowsThisScheme opaque-data=here",
        ),
    ),
    Torture("multi01", "3.3.8", 400, 400),
    Torture("mcl01", "3.3.9", 400, 400),
    Torture("bcast", "3.3.10", "drop"),
    Torture(
        "zeromf",
        "3.3.11",
        200,
        text=_request("OPTIONS sip:user@example.com SIP/2.0", "zeromf", "Max-Forwards: 0"),
    ),
    Torture("cparam01", "3.3.12", "accept"),
    Torture(
        "cparam02",
        "3.3.13",
        "accept",
        text=_request(
            "REGISTER sip:example.com SIP/2.0",
            "cparam02",
            "Contact: <sip:+19725552222@gw1.example.net;unknownparam>",
        ),
    ),
    Torture(
        "regescrt",
        "3.3.14",
        "accept",
        text=_request(
            "REGISTER sip:example.com SIP/2.0",
            "regescrt",
            "Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>",
        ),
    ),
    Torture("sdp01", "3.3.15", 406),  # it offers SDP, and would read none
    # 3.4 backward compatibility
    Torture(
        "inv2543",
        "3.4.1",
        "accept",
        text=_request(
            "INVITE sip:UserB@example.com SIP/2.0",
            "inv2543",
            "Via: SIP/2.0/UDP iftgw.example.com",
            "From: <sip:+13035551111@ift.client.example.net;user=phone>",
            "Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>",
            "To: sip:+16505552222@ss1.example.net;user=phone",
            "Call-ID: inv2543.1717@ift.client.example.com",
            "CSeq: 56 INVITE",
            body=SDP,
            without=["Max-Forwards", "Contact"],
            length=None,
        ),
    ),
)
