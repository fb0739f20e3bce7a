"""The keys are those of RFC 7515, appendices A.1 and A.2, including their published private parts."""

import base64
import hashlib
import hmac
import itertools
import json
import time
from dataclasses import replace
from typing import Any

import jws
import pytest

from pwasm.testing import SILENCE, Answer, World

A1 = {
    "kty": "oct",
    "kid": "shared",
    "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
}
A2 = {
    "kty": "RSA",
    "kid": "public",
    "e": "AQAB",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SF"
    "d2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2"
    "R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9g"
    "b54h4FRWyuXpoQ",
}
A2_PRIVATE = (
    "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pW"
    "J1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2Qv"
    "Xt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRu"
    "OopznQ"
)
PAYLOAD = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
A1_TOKEN = f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{PAYLOAD}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
A2_TOKEN = (
    f"eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t"
    "1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12j"
    "zDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQ"
    "Ge77Rw"
)
NOW = time.time()  # when the tests are collected; the time goes on until they run
LATER = NOW + 86_400
CLAIMS = {"iss": "joe", "aud": "api", "exp": LATER, "sub": "ann"}
PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")

CONFIGURATION = {"issuer": "joe", "audience": "api", "claim_headers": {"sub": "x-user", "roles": "x-roles"}}


def encode(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


N, D = (int.from_bytes(decode(text)) for text in (A2["n"], A2_PRIVATE))


def rsa(block: bytes) -> bytes:
    """The result of the private key's operation on a block of 256 bytes."""
    return pow(int.from_bytes(block), D, N).to_bytes(256)


def padded(tail: bytes) -> bytes:
    return b"\0\1" + b"\xff" * (256 - 3 - len(tail)) + b"\0" + tail


def token(claims: Any = None, secret: bytes | None = None, **header: Any) -> str:
    """A token, valid unless the arguments say otherwise."""
    algorithm = header.setdefault("alg", "RS256")
    header.setdefault("kid", "public" if algorithm == "RS256" else "shared")
    text = f"{encode(header)}.{encode(CLAIMS if claims is None else claims)}"
    if algorithm == "RS256" and secret is None:
        signature = rsa(padded(PREFIX + hashlib.sha256(text.encode()).digest()))
    else:
        signature = hmac.digest(decode(A1["k"]) if secret is None else secret, text.encode(), "sha256")
    return f"{text}.{encode(signature)}"


def published(*keys: Any) -> Answer:
    return Answer(body=json.dumps({"keys": [{"kty": "EC", "crv": "P-256"}, 7, *keys]}))


def ask(world: World, bearer: str, *more: tuple[str, str]) -> tuple[int | None, str]:
    response = world.request("GET", "/", [("authorization", f"Bearer {bearer}"), *more])
    return response.status, response.text


pytestmark = pytest.mark.pwasm(configuration=CONFIGURATION, clusters={"jwks": published(A1, A2)})


def test_the_vectors_of_rfc_7515() -> None:
    keys = jws.keys_of(json.dumps({"keys": [A1, A2]}).encode())
    for vector, name in ((A1_TOKEN, ("HS256", "shared")), (A2_TOKEN, ("RS256", "public"))):
        assert jws.header_of(vector) == (name[0], "")
        claims = {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}
        assert jws.claims_of(vector, keys[name]) == claims


@pytest.mark.parametrize("vector", [A1_TOKEN, A2_TOKEN], ids=["HS256", "RS256"])
def test_the_vectors_again(pwasm_world: World, vector: str) -> None:
    """They have no audience, which is checked after the signature."""
    assert ask(pwasm_world, vector) == (401, "the token is for another audience\n")
    for changed in (vector[:-8] + "AAAA" + vector[-4:], vector.replace(PAYLOAD, "")):
        assert ask(pwasm_world, changed)[0] == 401


@pytest.mark.parametrize("algorithm", ["RS256", "HS256"])
def test_a_good_token_is_let_through(pwasm_world: World, algorithm: str) -> None:
    claims = {**CLAIMS, "aud": ["web", "api"], "nbf": NOW - 5, "roles": ["é", 1]}
    assert ask(pwasm_world, token(claims, alg=algorithm), ("x-user", "root"))[0] == 200

    received = pwasm_world.upstream.requests[0].headers
    assert (received.get_all("x-user"), received["x-roles"]) == (["ann"], '["\\u00e9", 1]')
    assert "authorization" not in received


def test_what_clients_say_of_themselves_is_removed(pwasm_world: World) -> None:
    claims = {name: value for name, value in CLAIMS.items() if name != "sub"}
    assert ask(pwasm_world, token(claims), ("x-user", "root"), ("X-Roles", "admin"))[0] == 200
    received = pwasm_world.upstream.requests[0].headers
    assert (received.get("x-user"), received.get("x-roles")) == (None, None)


def public_key_as_secret() -> dict[str, bytes]:
    der = bytes.fromhex("30820122300d06092a864886f70d01010105000382010f003082010a0282010100") + N.to_bytes(256)
    der += bytes.fromhex("0203010001")
    pem = b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(der) + b"-----END PUBLIC KEY-----\n"
    return {"DER": der, "PEM": pem, "n": N.to_bytes(256), "JWK": A2["n"].encode(), "nothing": b""}


def beyond_n() -> str:
    """A token with a valid signature plus n, which is congruent to it."""
    for number in itertools.count():
        text, _, signature = token({**CLAIMS, "jti": number}).rpartition(".")
        larger = int.from_bytes(decode(signature)) + N
        if larger < 2**2048:
            return f"{text}.{encode(larger.to_bytes(256))}"
    raise AssertionError


GOOD = token()
UNSIGNED, _, SIGNATURE = GOOD.rpartition(".")
DIGEST = PREFIX + hashlib.sha256(UNSIGNED.encode()).digest()
SIGNATURES = {
    "no signature": b"",
    "short padding": rsa(b"\0\1" + b"\xff" * 8 + b"\0" + DIGEST + bytes(194)),
    "a digest alone": rsa(padded(DIGEST[19:])),
    "padding of type 2": rsa(b"\0\2" + padded(DIGEST)[2:]),
    "a longer signature": b"\0" + decode(SIGNATURE),
    "a signature of 1": (1).to_bytes(256),
    "a signature beyond n": b"\xff" * 256,
}
MALFORMED = ("", "a", "a.b", "a.b.c", "..", "a.b.c.d", GOOD + "=", GOOD + " x", "\u00e9.b.c")
TIMES: list[object] = [None, True, "2100", -1, float("inf"), float("nan"), []]
REFUSED = {
    **{
        f"alg {alg}": (token(alg=alg, kid=kid).rpartition(".")[0] + "." + end, "algorithm")
        for alg, kid, end in (
            ("none", "public", ""),
            ("none", "public", SIGNATURE),
            ("None", "shared", ""),
            ("HS512", "shared", SIGNATURE),
            ("hs256", "shared", SIGNATURE),
        )
    },
    **{
        f"confusion, {name}": (token(alg="HS256", kid="public", secret=secret), "no key")
        for name, secret in public_key_as_secret().items()
    },
    **{
        f"confusion without kid, {name}": (token(alg="HS256", kid="", secret=secret), "signature")
        for name, secret in public_key_as_secret().items()
    },
    "an HMAC that says RS256": (token(secret=decode(A1["k"])), "signature"),
    **{name: (f"{UNSIGNED}.{encode(signature)}", "signature") for name, signature in SIGNATURES.items()},
    "a signature plus n": (beyond_n(), "signature"),
    "another spelling": (f"{GOOD[:-1]}{chr(ord(GOOD[-1]) + 1)}", "malformed"),
    "other claims": (f"{UNSIGNED.partition('.')[0]}.{encode({**CLAIMS, 'sub': 'x'})}.{SIGNATURE}", "signature"),
    "expired": (token({**CLAIMS, "exp": NOW - 31}), "expired"),
    "not yet": (token({**CLAIMS, "nbf": LATER}), "not valid yet"),
    "another issuer": (token({**CLAIMS, "iss": "eve"}), "issuer"),
    "another audience": (token({**CLAIMS, "aud": ["web", "apis"]}), "audience"),
    "no audience": (token({**CLAIMS, "aud": None}), "audience"),
    **{f"exp {exp}": (token({**CLAIMS, "exp": exp}), "no usable exp") for exp in TIMES},
    "exp 1e999": (token(json.dumps(CLAIMS | {"exp": 0}).replace('"exp": 0', '"exp": 1e999').encode()), "no usable exp"),
    "a claim with a line break": (token({**CLAIMS, "sub": "ann\r\nx-admin: 1"}), "header"),
    "a claim that is half a character": (token({**CLAIMS, "sub": "\ud800"}), "header"),
    "claims that are no object": (token([CLAIMS]), "not a JSON object"),
    "another kid": (token(kid="../public"), "no key"),
    "a kid that is no text": (token(kid=["public"]), "algorithm"),
    "an extension": (token(crit=["b64"], b64=False), "critical"),
    "a key of its own": (token(kid="mine", jwk={"kty": "oct", "k": "AAAA"}, jku="http://evil/"), "no key"),
    "too long": (token({**CLAIMS, "more": "x" * 8192}), "limited size"),
    "deep": (f"{encode(b'[' * 6000)}.e30.AAAA", "not a JSON object"),
    "not UTF-8": (f"{encode(bytes([255]))}.e30.AAAA", "not a JSON object"),
    **{
        repr(text): (text, "")
        for text in ("", "a", "a.b", "a.b.c", "..", "a.b.c.d", GOOD + "=", GOOD + " x", "\u00e9.b.c")
    },
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_tokens_are_refused(pwasm_world: World, name: str) -> None:
    bearer, why = REFUSED[name]
    status, text = ask(pwasm_world, bearer)
    assert (status, why in text) == (401, True), text
    assert pwasm_world.upstream.requests == []


@pytest.mark.parametrize(
    ("given", "challenge"),
    [([], "Bearer"), ([f"Basic {GOOD}"], "invalid_token"), ([f"Bearer {GOOD}", f"Bearer {GOOD}"], "invalid_token")],
)
def test_requests_without_one_token(pwasm_world: World, given: list[str], challenge: str) -> None:
    response = pwasm_world.request("GET", "/", [("authorization", value) for value in given])
    assert (response.status, challenge in response.headers["www-authenticate"]) == (401, True)


@pytest.mark.pwasm(configuration=CONFIGURATION | {"keys": {"retry_seconds": 3600}})
def test_the_service_is_asked_once_whatever_clients_send(pwasm_world: World) -> None:
    pwasm_world.clusters["jwks"].handler = replace(published(A1, A2), delay=0.2)
    pending = [pwasm_world.send("GET", "/", {"authorization": f"Bearer {GOOD}"}) for _ in range(8)]
    assert {one.response().status for one in pending} == {200}
    for number in range(8):
        assert ask(pwasm_world, token(kid=f"{number}")) == (401, "no key for the token\n")
    assert len(pwasm_world.clusters["jwks"].requests) == 1


@pytest.mark.pwasm(configuration=CONFIGURATION | {"keys": {"retry_seconds": 1, "timeout_ms": 300}})
def test_a_service_that_comes_back_and_changes_its_keys(pwasm_world: World) -> None:
    service = pwasm_world.clusters["jwks"]
    for broken in (SILENCE, Answer(500), Answer(body="{"), published({**A2, "n": "AQAB"}, {**A1, "k": "AAAA"})):
        service.handler = broken
        assert [ask(pwasm_world, GOOD)[0] for _ in range(3)] == [503] * 3
        pwasm_world.advance(1.1)
    if pwasm_world.tier != "envoy":  # there a second may pass between two requests
        assert len(service.requests) == 4
    service.handler = published(A2)
    assert ask(pwasm_world, GOOD)[0] == 200
    pwasm_world.advance(1.1)
    service.handler = published({**A2, "kid": "new"})
    assert ask(pwasm_world, token(kid="new"))[0] == 200
    assert ask(pwasm_world, GOOD)[0] == 401


@pytest.mark.pwasm(configuration={"issuer": "joe"}, starts=False)
def test_a_configuration_that_says_too_little(pwasm_world: World) -> None:
    pwasm_world.eventually(lambda: any("$.audience: missing" in text for text in pwasm_world.logs()), "the reason")
