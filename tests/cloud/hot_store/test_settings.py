"""`[hot_store]` of cloud.toml: what goes together, and what a password is kept out of."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud.config import load_cloud_config
from cloud.hot_store.settings import lifetimes, open_redis
from heat.errors import ConfigError, SinkUnavailable
from tests.certificates import Authority
from tests.cloud.hot_store.filling import key
from tests.servers import RedisServer


def _config(directory: Path, section: str) -> Path:
    path = directory / "cloud.toml"
    path.write_text(f'[kafka]\nbootstrap = "kafka:9092"\n\n[hot_store]\n{section}\n')
    return path


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ('kind = "redis"', 'hot_store.kind = "redis" needs hot_store.url'),
        ('url = "http://redis:6379"', "hot_store.url is not redis://"),
        ('url = "redis://redis"', "hot_store.url is not redis://"),
        ('url = "redis://redis:6379/x"', "hot_store.url is not redis://"),
        ('url = "rediss://redis:6379/0"', "hot_store.url and tls disagree"),
        ('url = "redis://redis:6379/0"\ntls = true', "hot_store.url and tls disagree"),
        ('url = "redis://redis:6379/0"\nca = "ca.pem"', "hot_store.ca has no use without TLS"),
        ('url = "redis://redis:6379/0"\nusername = "picante"', "hot_store.username needs hot_store.password_file"),
        ("session_hours = 0", "hot_store.session_hours"),
    ],
)
def test_keys_that_do_not_go_together_are_named_with_their_line(tmp_path: Path, section: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_cloud_config(_config(tmp_path, section))
    assert complaint in str(caught.value)
    assert "cloud.toml:" in str(caught.value)


def test_a_password_in_the_url_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="password_file") as caught:
        load_cloud_config(_config(tmp_path, 'kind = "redis"\nurl = "redis://picante:sesame-word@redis:6379/0"'))
    assert "sesame" not in str(caught.value)


def test_lifetimes_and_kinds_are_as_configured(tmp_path: Path) -> None:
    config = load_cloud_config(_config(tmp_path, "session_hours = 2\ncustomer_days = 3"))
    assert (lifetimes(config).of("s-bar-00000001-7"), lifetimes(config).of(key(1).subject)) == (7_200_000, 259_200_000)
    with pytest.raises(ConfigError, match=r'kind = "redis"'):
        open_redis(config)
    store = open_redis(load_cloud_config(_config(tmp_path, 'kind = "redis"\nurl = "redis://[::1]:6379"')))
    store.close()


def test_redis_behind_tls_and_a_login_is_reached_with_the_files_that_are_named(tmp_path: Path) -> None:
    brand, stranger = Authority(tmp_path / "brand", "brand"), Authority(tmp_path / "stranger", "stranger")
    pair = brand.sign("redis")
    word = tmp_path / "word"
    word.write_text("sesame\n")
    word.chmod(0o600)
    with RedisServer(
        tmp_path / "redis", password="sesame", tls=(brand.certificate, pair.certificate, pair.key)
    ) as server:
        trusted = f'kind = "redis"\nurl = "{server.url}"\ntls = true\npassword_file = "word"\n'
        for login in ("", 'username = "default"\n'):
            store = open_redis(load_cloud_config(_config(tmp_path, f'{trusted}{login}ca = "{brand.certificate}"')))
            assert store.get_many([key(1)]) == [None]
            store.close()
        store = open_redis(load_cloud_config(_config(tmp_path, f'{trusted}ca = "{stranger.certificate}"')))
        with pytest.raises(SinkUnavailable, match="certificate"):
            store.get_many([key(1)])
        store.close()
        word.chmod(0o644)
        store = open_redis(load_cloud_config(_config(tmp_path, f'{trusted}ca = "{brand.certificate}"')))
        with pytest.raises(ConfigError, match="chmod 600"):
            store.get_many([key(1)])
        store.close()
