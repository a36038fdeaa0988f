"""Settings: what the environment says, and what an operator is told when it says it wrong."""

import os
import subprocess
import sys
from collections.abc import Mapping

import jwt
import pytest

from sandbox.limits import Limits
from service.secret_keys import parse_secret_keys
from service.settings import Settings, SettingsError, documented, read_settings

SHOW = """
import json
from service.settings import SettingsError, read_settings
try:
    settings = read_settings()
    print(settings.model_dump_json())
    print(json.dumps(list(settings.warnings())))
except SettingsError as error:
    print("refused:", error)
"""
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def api_key(**claims: str) -> str:
    """A legacy API key, which is a token."""
    return jwt.encode({"iss": "supabase", "ref": "abc", **claims}, "s" * 32, algorithm="HS256")


PUBLISHABLE = "sb_publishable_ACJWlzQHlZjBrEguHvfOxg_3BJgxAaH"
ANON = api_key(role="anon")


def read_with(environment: Mapping[str, str]) -> str:
    """What another process reads from exactly this environment."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def test_nothing_set_is_local_mode_with_the_defaults() -> None:
    settings = Settings()
    assert settings.local_mode
    assert (settings.host, settings.port, str(settings.data_dir)) == ("127.0.0.1", 8000, ".agenthost")
    assert settings.sandbox_limits() == Limits()


def test_a_database_or_a_project_ends_local_mode() -> None:
    assert not Settings.model_validate({"DATABASE_URL": "postgresql://api@db/x"}).local_mode
    assert not Settings.model_validate({"SUPABASE_URL": "https://x.supabase.co"}).local_mode


def test_new_names_win_over_old_ones() -> None:
    said = read_with(
        {
            "SUPABASE_PUBLISHABLE_KEY": PUBLISHABLE,
            "SUPABASE_ANON_KEY": ANON,
            "SUPABASE_DB_URL": "postgresql://old/db",
            "AGENTHOST_PORT": "9000",
        }
    )
    assert '"port":9000' in said
    settings = Settings.model_validate({"SUPABASE_PUBLISHABLE_KEY": PUBLISHABLE, "SUPABASE_ANON_KEY": ANON})
    assert settings.supabase_publishable_key is not None
    assert settings.supabase_publishable_key.get_secret_value() == PUBLISHABLE
    old = Settings.model_validate({"SUPABASE_DB_URL": "postgresql://old/db"})
    assert old.database_url is not None
    assert old.database_url.get_secret_value() == "postgresql://old/db"


def test_the_keys_stand_at_the_project_unless_said_otherwise() -> None:
    settings = Settings.model_validate({"SUPABASE_URL": "https://x.supabase.co/"})
    assert settings.jwks_url == "https://x.supabase.co/auth/v1/.well-known/jwks.json"
    other = Settings.model_validate(
        {"SUPABASE_URL": "https://x.supabase.co", "SUPABASE_JWKS_URL": "https://keys.example.com/set"}
    )
    assert other.jwks_url == "https://keys.example.com/set"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AGENTHOST_PORT", "eighty", "should be a valid integer"),
        ("AGENTHOST_PORT", "70000", "less than or equal to 65535"),
        ("AGENTHOST_LIMIT_WALL_SECONDS", "0", "greater than or equal to 0.05"),
        ("AGENTHOST_LIMIT_WALL_SECONDS", "nan", "finite"),
        ("AGENTHOST_LIMIT_MEMORY_BYTES", "256MB", "should be a valid integer"),
        ("AGENTHOST_ALLOW_ANONYMOUS", "perhaps", "should be a valid boolean"),
        ("SUPABASE_URL", "x.supabase.co", "begins with https://"),
        ("SUPABASE_URL", "https://ada:sekret@x.supabase.co", "without a user and a password"),
        ("SUPABASE_DB_URL", "mysql://sekret@db", "begins with postgresql://"),
        ("SUPABASE_JWT_SECRET", "sekret", "at least 32 bytes"),
        ("AGENTHOST_SECRET_KEYS", "a:sekret!", "not base64"),
        ("OPENAI_API_KEY", "sekret\n", "without spaces or line ends"),
        ("OPENAI_BASE_URL", "api.example.com/v1", "begins with https://"),
        ("AGENTHOST_LIMIT_FRAME_BYTES", "65536", "larger than the limits of input"),
    ],
)
def test_a_bad_value_is_told_in_one_line_without_repeating_it(name: str, value: str, said: str) -> None:
    line = read_with({name: value})
    assert line.count("\n") == 1
    assert line.startswith(f"refused: {name}: ")
    assert said in line
    assert "sekret" not in line


POWERFUL = "a key with power over the project"
NO_KEY = "should be the project's publishable key"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("sb_secret_N7UND0UgjKTVK-Uodkm0Hg_xSvEMPvz", POWERFUL),
        ("sbp_0123456789abcdef0123456789abcdef01234567", POWERFUL),
        (api_key(role="service_role"), POWERFUL),
        (api_key(role="supabase_admin"), POWERFUL),
        (api_key(role="authenticated", sub="ada"), POWERFUL),
        (api_key(), NO_KEY),
        ("sb_publishable_ACJWlz.BrEguHvfOxg", NO_KEY),
        (f'"{PUBLISHABLE}"', NO_KEY),
        (f"{PUBLISHABLE}\nX-Header: 1", NO_KEY),
        (f"{ANON}\nX-Header: 1", NO_KEY),
        ("whatever", NO_KEY),
        ("a.b.c", NO_KEY),
    ],
)
def test_only_a_key_without_power_is_taken_as_the_publishable_one(key: str, said: str) -> None:
    for name in ("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY"):
        line = read_with({name: key})
        assert line.startswith(f"refused: {name}: ")
        assert line.count("\n") == 1
        assert said in line
        assert key not in line
        assert key[-12:] not in line


@pytest.mark.parametrize("key", [PUBLISHABLE, ANON])
def test_publishable_and_anon_keys_are_taken(key: str) -> None:
    settings = Settings.model_validate({"SUPABASE_ANON_KEY": key})
    assert settings.supabase_publishable_key is not None
    assert settings.supabase_publishable_key.get_secret_value() == key


def test_what_weakens_the_check_of_tokens_or_changes_nothing_is_a_warning() -> None:
    def warned(**environment: str) -> str:
        return " ".join(Settings.model_validate(environment).warnings())

    assert "plain http" in warned(SUPABASE_URL="http://kong:8000")
    assert "sent on" in warned(SUPABASE_URL="http://kong:8000")
    assert "sent on" not in warned(SUPABASE_URL="http://kong:8000", DATABASE_URL="postgresql://x")
    assert "SUPABASE_PUBLISHABLE_KEY changes nothing" in warned(SUPABASE_PUBLISHABLE_KEY="sb_publishable_x")
    assert warned(SUPABASE_URL="http://127.0.0.1:54321") == warned(SUPABASE_URL="https://x.supabase.co") == ""
    both = {"SUPABASE_JWT_SECRET": "s" * 32, "SUPABASE_JWKS_URL": "https://x.example/keys"}
    assert "SUPABASE_JWKS_URL changes nothing" in warned(**both)
    keys = {"SUPABASE_JWKS_URL": "https://x.example/keys"}
    assert "SUPABASE_JWT_ISSUER is not set" in warned(**keys)
    assert warned(**keys, SUPABASE_JWT_ISSUER="https://x.example") == ""


def test_an_empty_variable_counts_as_not_set() -> None:
    assert '"database_url":null' in read_with({"DATABASE_URL": "", "AGENTHOST_PORT": ""})


def test_a_powerful_key_and_a_misspelt_name_are_warnings_that_tell_no_secret() -> None:
    said = read_with({"SUPABASE_SERVICE_ROLE_KEY": "sekret", "SUPABASE_SECRET_KEY": "sekret", "AGENTHOST_PROT": "1"})
    for name in ("SUPABASE_SERVICE_ROLE_KEY is set", "SUPABASE_SECRET_KEY is set", "AGENTHOST_PROT is not a setting"):
        assert name in said
    assert "sekret" not in said


def test_secrets_do_not_show() -> None:
    settings = Settings.model_validate(
        {
            "DATABASE_URL": "postgresql://api:sekret@db/x",
            "SUPABASE_JWT_SECRET": "sekret" * 8,
            "AGENTHOST_SECRET_KEYS": f"a:{KEY}",
        }
    )
    assert "sekret" not in repr(settings)
    assert "sekret" not in settings.model_dump_json()
    assert KEY not in repr(settings)
    assert "0123" not in repr(parse_secret_keys(f"a:{KEY}"))


def test_secret_keys_are_read_newest_first() -> None:
    keys = parse_secret_keys(f"new:{KEY}, old:{KEY}")
    assert [key.key_id for key in keys] == ["new", "old"]
    assert len(keys[0].secret) == 32


@pytest.mark.parametrize("text", ["", "a", f"a:{KEY},a:{KEY}", "a:c2hvcnQ=", f"a b:{KEY}"])
def test_senseless_secret_keys_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"should be|fewer than|same id"):
        parse_secret_keys(text)


def test_every_setting_is_documented_under_a_known_prefix() -> None:
    rows = list(documented())
    assert len(rows) > 30
    for names, _, description in rows:
        assert description.endswith((".", "json", "co", "database", "...", ":465", ".org")), names
        others = ("SUPABASE_", "DATABASE_URL", "OPENAI_", "SMTP_URL", "DOCKER_")
        assert all(name.startswith(("AGENTHOST_", *others)) for name in names)


def test_changes_of_the_command_line_win(tmp_path: object) -> None:
    with pytest.raises(SettingsError, match="port"):
        read_settings(port=99999)
    assert read_settings(port=1).port == 1
    assert "PATH" in os.environ


@pytest.mark.parametrize(
    ("address", "certificates", "fits"),
    [
        ("unix:///var/run/docker.sock", None, True),
        ("tcp://127.0.0.1:2375", None, True),
        ("tcp://[::1]:2375", None, True),
        ("tcp://localhost:2375", None, True),
        ("tcp://docker.example:2376", "certificates", True),
        ("tcp://docker.example:2375", None, False),
        ("tcp://10.0.0.7:2375", None, False),
        ("tcp://0.0.0.0:2375", None, False),
        ("tcp://localhost.example:2375", None, False),
        ("tcp://docker.example", "certificates", False),
        ("http://127.0.0.1:2375", None, False),
        ("ssh://root@docker.example", None, False),
        ("unix://relative.sock", None, False),
    ],
)
def test_a_docker_daemon_is_spoken_to_safely_or_not_at_all(address: str, certificates: str | None, fits: bool) -> None:
    settings = {"DOCKER_HOST": address, "DOCKER_CERT_PATH": certificates}
    assert Settings.model_validate(settings).docker_host == address, "without a pool it is another program's"
    if fits:
        Settings.model_validate({**settings, "AGENTHOST_CONTAINER_POOL": 1})
    else:
        with pytest.raises(ValueError, match="DOCKER_"):
            Settings.model_validate({**settings, "AGENTHOST_CONTAINER_POOL": 1})
