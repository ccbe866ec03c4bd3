from softswitch.agent.history import MOST_CHARACTERS, History, ToolCall


def spoken(history, heard, *said, play_id="p"):
    if heard:
        history.hear(heard)
    for text in said:
        history.reply(play_id).text = text


def test_only_what_was_heard_remains_of_an_interrupted_turn():
    history = History("Be brief.")
    spoken(history, "Hi", "We open at nine. ", "And close at five.", play_id="a")
    history.interrupted("a", "We open at nine. And")
    assert history.messages() == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "We open at nine."},
        {"role": "assistant", "content": "And"},
    ]


def test_a_turn_of_which_nothing_was_heard_is_joined_with_the_next():
    history = History("")
    spoken(history, "I want", "Yes?", play_id="a")
    history.interrupted("a", "")
    history.hear("to buy a clock")
    assert history.messages()[1:] == [{"role": "user", "content": "I want to buy a clock"}]


def test_a_greeting_stays_before_what_is_said_next():
    history = History("")
    spoken(history, "", "Good day.")
    history.hear("Hi")
    assert [message["content"] for message in history.messages()[1:]] == ["Good day.", "Hi"]


def test_interruptions_of_other_playbacks_change_nothing():
    history = History("")
    spoken(history, "Hi", "Good day.", play_id="a")
    history.interrupted("hold-music", "")
    assert history.messages()[2]["content"] == "Good day."


def test_tools_are_told_with_their_results_and_not_before():
    history = History("")
    history.hear("When?")
    line = history.reply("p")
    line.text, line.calls = "Let me look.", [ToolCall("1", "look_up", "{}")]
    assert "tool_calls" not in history.messages()[-1]
    line.results = ["at nine"]
    asked, told = history.messages()[-2:]
    assert asked["content"] == "Let me look."
    assert asked["tool_calls"][0]["function"] == {"name": "look_up", "arguments": "{}"}
    assert told == {"role": "tool", "tool_call_id": "1", "content": "at nine"}


def test_old_turns_are_left_out_whole_and_the_last_one_never():
    history = History("prompt")
    for number in range(5):
        spoken(history, f"{number}", "x" * (MOST_CHARACTERS // 2), play_id=str(number))
    messages = history.messages()
    assert [m["content"] for m in messages if m["role"] == "user"] == ["4"]
    spoken(history, "huge", "x" * 2 * MOST_CHARACTERS)
    assert [m["content"] for m in history.messages() if m["role"] == "user"] == ["huge"]
