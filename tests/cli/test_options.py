import argparse

from softswitch.cli.options import FLAGS, add_settings, load_settings
from softswitch.settings import Settings


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_settings(parser)
    return parser.parse_args(words)


def test_flags_stand_for_settings_that_exist():
    for section, key, _ in FLAGS.values():
        assert hasattr(getattr(Settings(), section), key)


def test_flags_win_over_environment_and_file(tmp_path):
    config = tmp_path / "a.toml"
    config.write_text("[http]\nport = 1\nhost = '127.0.0.2'\n")
    settings = load_settings(
        parse("--config", str(config), "--port", "3"),
        {"SOFTSWITCH_HTTP_PORT": "2", "SOFTSWITCH_LOG_LEVEL": "error"},
    )
    assert (settings.http.port, settings.http.host, settings.log.level) == (3, "127.0.0.2", "error")


def test_file_may_be_named_by_the_environment(tmp_path):
    config = tmp_path / "a.toml"
    config.write_text("[http]\nport = 1\n")
    assert load_settings(parse(), {"SOFTSWITCH_CONFIG": str(config)}).http.port == 1
