import inspect

from softswitch import errors


def test_tree_in_the_docstring_is_the_tree_of_the_code():
    assert errors.__doc__ is not None
    for name, found in inspect.getmembers(errors, inspect.isclass):
        assert name in errors.__doc__
        assert issubclass(found, errors.SoftswitchError)


def test_errors_carry_what_the_catcher_needs():
    assert errors.SettingsError("no", section="http", key="port").key == "port"
    assert errors.MalformedError("no", field="option.codec").field == "option.codec"
    assert errors.NotNowError("full", retry_after_s=3).retry_after_s == 3
    assert errors.ForbiddenError("no").code == 403
