"""Connections that several threads use."""

import socket
import ssl
import threading
from collections import Counter
from pathlib import Path

from sandbox.kubernetes.apiserver.http_server import server_tls
from sandbox.kubernetes.apiserver.transports import SharedConnection
from sandbox.runtime.certificate_authority import CertificateAuthority

_MESSAGE, _MESSAGES, _WRITERS = 40_000, 50, 4


def test_threads_write_whole_messages_while_another_reads(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    (tmp_path / "pem").write_bytes(b"".join(authority.issue("server", ["server"])))
    ours, theirs = socket.socketpair()
    client_tls = ssl.create_default_context(cafile=str(authority.certificate))
    client_sockets = list[ssl.SSLSocket]()

    def connect() -> None:
        client_sockets.append(client_tls.wrap_socket(theirs, server_hostname="server"))

    handshake = threading.Thread(target=connect)
    handshake.start()
    server = server_tls(str(tmp_path / "pem"), str(tmp_path / "pem"))
    connection = SharedConnection(server.wrap_socket(ours, server_side=True))
    handshake.join(10)
    (client,) = client_sockets
    client.settimeout(30)

    def write(letter: bytes) -> None:
        for _ in range(_MESSAGES):
            connection.sendall(letter * _MESSAGE)

    received = list[int]()

    def read() -> None:
        while data := connection.recv(65536):
            received.append(len(data))

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(bytes([65 + i]),)) for i in range(_WRITERS)]
    for thread in (reader, *writers):
        thread.start()
    messages: Counter[bytes] = Counter()
    for _ in range(_WRITERS * _MESSAGES):
        message = b""
        while len(message) < _MESSAGE:
            message += client.recv(_MESSAGE - len(message))
            client.sendall(b"x" * 100)
        assert message == message[:1] * _MESSAGE
        messages[message[:1]] += 1
    client.close()
    reader.join(10)
    assert set(messages.values()) == {_MESSAGES}
    assert sum(received) % 100 == 0
    assert sum(received) >= 100 * _WRITERS * _MESSAGES
