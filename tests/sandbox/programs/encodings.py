"""Bytes, hashes, signatures, compression, base64, identifiers."""

import base64
import binascii
import hashlib
import hmac
import io
import uuid
import zlib


def sign(key, message):
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


def run(text: str, key: str):
    data = text.encode("utf-8")
    packed = zlib.compress(data * 50, 9)
    stream = io.BytesIO()
    for chunk in (data[:3], data[3:]):
        stream.write(chunk)
    stream.seek(0)
    buffer = bytearray(stream.read())
    buffer[0:1] = b"\x00"
    buffer += b"!"
    errors = []
    for bad in ("****", "a"):
        try:
            base64.b64decode(bad, validate=True)
        except binascii.Error as error:
            errors.append(type(error).__name__)
    try:
        b"\xff".decode("utf-8")
    except UnicodeDecodeError as error:
        errors.append([error.reason, error.start, error.encoding])
    signature = sign(key, text)
    return {
        "base64": base64.b64encode(data).decode("ascii"),
        "urlsafe": base64.urlsafe_b64encode(b"\xfb\xff").decode(),
        "back": base64.b64decode(base64.b64encode(data)).decode(),
        "hashes": [hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest(), hashlib.new("sha1", data).hexdigest()],
        "blake": hashlib.blake2b(data, digest_size=8).hexdigest(),
        "signature": signature,
        "valid": hmac.compare_digest(signature, sign(key, text)),
        "compressed": zlib.decompress(packed) == data * 50,
        "crc": zlib.crc32(data),
        "hex": data.hex(" "),
        "from_hex": bytes.fromhex("68 69").decode(),
        "buffer": list(buffer[:3]),
        "integers": [int.from_bytes(b"\x01\x00", "big"), (1000).to_bytes(2, "little").hex()],
        "uuid": [str(uuid.uuid5(uuid.NAMESPACE_URL, text)), uuid.uuid4().version, str(uuid.UUID(int=5))],
        "codecs": [text.encode("latin-1", "replace").hex(), "ü".encode("utf-16-le").hex(), "bücher".encode("idna").decode()],
        "errors": errors,
    }


EXAMPLES = [{"text": "Grüße €5", "key": "secret"}]
