"""The phone's side of adb, over TCP on loopback: enough of the protocol for the real client's shell, push and pull.

After the protocol's own description (Android's `adb/protocol.txt` and `SYNC.TXT`): 24-byte headers; CNXN, AUTH, OPEN,
OKAY, WRTE, CLSE; the services `shell:`, `shell,v2:` and `sync:` with STAT, LIST, SEND and RECV.
"""

from __future__ import annotations

import queue
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from phone import PhoneFolder

VERSION, MOST = 0x01000001, 256 * 1024
TOKEN, PUBLIC_KEY = 1, 3
STDOUT, EXIT = 1, 3

State = Literal["device", "unauthorized", "offline"]


class GoneError(Exception):
    """The host closed the stream, or the connection broke."""


class Stream:
    """One service that the host opened."""

    def __init__(self, connection: Connection, own: int, other: int) -> None:
        self.connection, self.own, self.other = connection, own, other
        self.inbox: queue.Queue[bytes | None] = queue.Queue()
        self.ready = threading.Semaphore(0)
        self._left = b""

    def write(self, data: bytes) -> None:
        """Send, and wait until the host takes the next piece."""
        for start in range(0, len(data), MOST):
            self.connection.send(b"WRTE", self.own, self.other, data[start : start + MOST])
            if not self.ready.acquire(timeout=30):
                raise GoneError

    def read(self, count: int) -> bytes:
        """Exactly so many bytes."""
        while len(self._left) < count:
            piece = self.inbox.get(timeout=60)
            if piece is None:
                raise GoneError
            self._left += piece
        found, self._left = self._left[:count], self._left[count:]
        return found

    def close(self) -> None:
        self.connection.send(b"CLSE", self.own, self.other)


class Connection:
    """A host's adb server that has connected."""

    def __init__(self, socket_: socket.socket, phone: PhoneFolder, state: State) -> None:
        self.socket, self.phone, self.state = socket_, phone, state
        self._streams: dict[int, Stream] = {}
        self._lock = threading.Lock()

    def send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        magic = struct.unpack("<I", command)[0] ^ 0xFFFFFFFF
        header = struct.pack("<4sIIIII", command, first, second, len(data), sum(data) & 0xFFFFFFFF, magic)
        try:
            with self._lock:
                self.socket.sendall(header + data)
        except OSError as error:
            raise GoneError from error

    def serve(self) -> None:
        """Answer until the host goes away."""
        try:
            while True:
                command, first, second, length, _, _ = struct.unpack("<4sIIIII", self._exactly(24))
                self._answer(command, first, second, self._exactly(length))
        except GoneError:
            for stream in self._streams.values():
                stream.inbox.put(None)
        finally:
            self.socket.close()

    def drop(self) -> None:
        """Break off, as a cable that is pulled."""
        with suppress(OSError):  # adb went first, and its thread here closed the socket
            self.socket.shutdown(socket.SHUT_RDWR)

    def _answer(self, command: bytes, first: int, second: int, data: bytes) -> None:
        if command in {b"CNXN", b"AUTH"} and self.state == "unauthorized":
            if first != PUBLIC_KEY:  # no signature is one of ours, and nobody accepts the key
                self.send(b"AUTH", TOKEN, 0, bytes(20))
        elif command == b"CNXN" and self.state == "device":
            features = b"shell_v2,cmd" if self.phone.shell_v2 else b"cmd"
            self.send(b"CNXN", VERSION, MOST, b"device::ro.product.model=Test;features=" + features)
        elif command == b"OPEN":
            stream = Stream(self, len(self._streams) + 1, first)
            self._streams[stream.own] = stream
            self.send(b"OKAY", stream.own, stream.other)
            service = data.rstrip(b"\0").decode()
            threading.Thread(target=self._run, args=(stream, service), daemon=True).start()
        elif command == b"OKAY" and second in self._streams:
            self._streams[second].ready.release()
        elif command == b"WRTE" and second in self._streams:
            self._streams[second].inbox.put(data)
            self.send(b"OKAY", second, first)
        elif command == b"CLSE" and second in self._streams:
            self._streams[second].inbox.put(None)

    def _run(self, stream: Stream, service: str) -> None:
        try:
            kind, _, text = service.partition(":")
            if kind == "sync":
                Sync(stream, self.phone).serve()
            else:
                code, output = self.phone.shell(text, self.drop)
                if kind.startswith("shell,v2"):
                    stream.write(_packet(STDOUT, output) + _packet(EXIT, bytes([code])))
                else:
                    stream.write(output.replace(b"\n", b"\r\n"))  # a terminal stands between
            stream.close()
        except GoneError:
            return

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            try:
                piece = self.socket.recv(count - len(found))
            except OSError as error:
                raise GoneError from error
            if not piece:
                raise GoneError
            found += piece
        return found


def _packet(kind: int, data: bytes) -> bytes:
    return struct.pack("<BI", kind, len(data)) + data


class Sync:
    """The file service."""

    def __init__(self, stream: Stream, phone: PhoneFolder) -> None:
        self.stream, self.phone = stream, phone

    def serve(self) -> None:
        """Requests until QUIT."""
        while True:
            request, length = self._header()
            name = self.stream.read(length).decode()
            if request == b"QUIT":
                return
            if request == b"STAT":
                self.stream.write(b"STAT" + self._stat(self.phone.place(name)))
            elif request == b"LIST":
                for path in sorted(self.phone.place(name).iterdir()):
                    stat = self._stat(path)
                    self.stream.write(b"DENT" + stat + struct.pack("<I", len(path.name)) + path.name.encode())
                self.stream.write(b"DONE" + bytes(16))
            elif request == b"RECV":
                data = self.phone.place(name).read_bytes()
                for start in range(0, len(data), 65536):
                    piece = data[start : start + 65536]
                    self.stream.write(b"DATA" + struct.pack("<I", len(piece)) + piece)
                self.stream.write(b"DONE" + bytes(4))
            elif request == b"SEND":
                self._receive(*name.rsplit(",", 1))

    def _receive(self, name: str, mode: str) -> None:
        path, pieces = self.phone.place(name), []
        self.phone.sent.append(name)
        if self.phone.vanishes_at(name):
            self.stream.connection.drop()
        while (header := self._header())[0] == b"DATA":
            pieces.append(self.stream.read(header[1]))
        data = b"".join(pieces)
        if len(data) > self.phone.free_bytes:
            path.write_bytes(data[: self.phone.free_bytes])
            said = b"write failed: No space left on device"
            self.stream.write(b"FAIL" + struct.pack("<I", len(said)) + said)
            return
        path.write_bytes(data)
        path.chmod(int(mode) & 0o666)  # adb sends no executables: who wants one says so
        self.stream.write(b"OKAY" + bytes(4))

    def _header(self) -> tuple[bytes, int]:
        request, length = struct.unpack("<4sI", self.stream.read(8))
        return request, length

    @staticmethod
    def _stat(path: Path) -> bytes:
        if not path.exists():
            return bytes(12)
        found = path.stat()
        return struct.pack("<III", found.st_mode, found.st_size, int(found.st_mtime))


class Adbd:
    """Listens on a port of its own until it is closed."""

    def __init__(self, phone: PhoneFolder, state: State = "device") -> None:
        self.phone, self.state = phone, state
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._connections: list[Connection] = []
        self.serial = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                socket_, _ = self._listening.accept()
            except OSError:  # closed
                return
            connection = Connection(socket_, self.phone, self.state)
            self._connections.append(connection)
            threading.Thread(target=connection.serve, daemon=True).start()

    def close(self) -> None:
        """Stop listening and break every connection off."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._connections:
            if connection.socket.fileno() >= 0:
                connection.drop()
