"""Settings come from the environment and say what is wrong without showing it."""

import pytest

from postern_common.settings import ServiceSettings, load_settings

GOOD = {
    "POSTERN_DATABASE_URL": "postgresql://u:canary-password@h/db",
    "POSTERN_AMQP_URL": "amqp://u:canary-password@h/",
    "POSTERN_PORT": "8080",
    "POSTERN_SERVICE_TOKEN_KEY": "k" * 32,
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


def test_the_environment_is_read_and_secrets_do_not_show() -> None:
    settings = load_settings(ServiceSettings)
    assert settings.port == 8080
    assert settings.host == "127.0.0.1"
    assert "canary" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POSTERN_DATABASE_URL", "mysql://canary-password@h/db"),
        ("POSTERN_AMQP_URL", "http://canary-password"),
        ("POSTERN_PORT", "canary-password"),
        ("POSTERN_SERVICE_TOKEN_KEY", "canary-password"),
        ("POSTERN_LOG_LEVEL", "canary-password"),
    ],
)
def test_a_wrong_value_is_named_and_never_shown(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        load_settings(ServiceSettings)
    assert caught.value.code == 2
    written = capsys.readouterr().err
    assert written.startswith(f"{name}: ")
    assert "canary" not in written


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("POSTERN_AMQP_URL")
    with pytest.raises(SystemExit):
        load_settings(ServiceSettings)
    assert "POSTERN_AMQP_URL: " in capsys.readouterr().err
