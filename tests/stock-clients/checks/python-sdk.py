"""Uses openclaw-sdk as its users do and prints, as JSON, what came of it.

python python-sdk.py <ws url> <token>
"""

import asyncio
import hashlib
import json
import sys
from collections import Counter
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from openclaw_sdk import OpenClawClient
from openclaw_sdk.core.config import ClientConfig
from openclaw_sdk.gateway.protocol import ProtocolGateway

SCOPES = ["operator.admin", "operator.approvals", "operator.pairing", "operator.read", "operator.write"]
CALLS = {
    "status": {},
    "system-presence": {},
    "models.list": {},
    "agents.list": {},
    "sessions.list": {"limit": 3},
    "cron.list": {},
    "node.list": {},
    "channels.status": {},
    "config.get": {},
    "chat.history": {"sessionKey": "main", "limit": 2},
    "nope.method": {},
}


def make_identity(token: str) -> None:
    """Writes the files that the package expects a login to have left behind."""
    key = Ed25519PrivateKey.generate()
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    folder = Path.home() / ".openclaw" / "identity"
    folder.mkdir(parents=True)
    pem = serialization.Encoding.PEM
    device = {
        "version": 1,
        "deviceId": hashlib.sha256(raw).hexdigest(),
        "publicKeyPem": key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo).decode(),
        "privateKeyPem": key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    }
    operator = {"token": token, "role": "operator", "scopes": SCOPES}
    (folder / "device.json").write_text(json.dumps(device))
    (folder / "device-auth.json").write_text(json.dumps({"version": 1, "tokens": {"operator": operator}}))


async def main(url: str, token: str) -> dict:
    make_identity(token)
    gateway = ProtocolGateway(url, token=token)
    await gateway.connect()
    said: dict = {"connected": True, "calls": {}}
    said["health"] = (await gateway.health()).model_dump(mode="json")
    for method, params in CALLS.items():
        try:
            result = await gateway.call(method, params)
            keys = list(result) if isinstance(result, dict) else [str(type(result).__name__)]
            said["calls"][method] = {"ok": True, "keys": keys}
        except Exception as error:  # noqa: BLE001 - whatever the package makes of a refusal is to be shown
            said["calls"][method] = {"ok": False, "error": str(error)}
    client = OpenClawClient(config=ClientConfig(gateway_ws_url=url), gateway=gateway)
    agent = client.get_agent("main")
    result = await agent.execute("hello from python")
    said["execute"] = {"success": result.success, "content": result.content}
    stream = await agent.execute_stream("SLOW stream for python")
    seen: Counter = Counter()
    async for event in stream:
        payload = event.data.get("payload", event.data)
        name = event.event_type.value if hasattr(event.event_type, "value") else str(event.event_type)
        seen[name] += 1
        if name == "chat" and payload.get("state") == "final":
            break
    said["stream"] = dict(seen)
    await gateway.close()
    return said


print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2]))))
