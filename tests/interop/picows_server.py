"""A server on PyPI's `picows`. Each connection tells the same story, of its own number, and ends in
its own way: the first is cut without a word, the second closed with 1012, later ones stay."""

import asyncio
import json

from picows import WSListener, WSMsgType, ws_create_server

connections = 0


class Story(WSListener):
    def on_ws_connected(self, transport):
        global connections
        connections += 1
        self.n = connections

    def say(self, transport, id, payload):
        event = {"entity": "e", "id": id, "payload": payload}
        text = json.dumps(event, ensure_ascii=False).encode()
        transport.send(WSMsgType.TEXT, text)

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.TEXT:
            self.begin(transport, frame.get_payload_as_utf8_text())
        elif frame.msg_type == WSMsgType.PONG:
            self.end(transport, frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def begin(self, transport, text):
        if text != "hello, Grüße":
            transport.send_close(1008, "not the text that was agreed upon")
            return
        n = self.n
        for id in range(200):
            self.say(transport, id, {"n": n, "id": id})
        transport.send(WSMsgType.TEXT, b'{"entity":"e","id":"parts","payl', fin=False)
        transport.send(WSMsgType.CONTINUATION, b'oad":{"n":', fin=False)
        transport.send(WSMsgType.CONTINUATION, f"{n}}}}}".encode())
        self.say(transport, "big", {"n": n, "text": "ü" * 400_000})
        transport.send_ping(b"p" * 125)

    def end(self, transport, pong):
        self.say(transport, "pong", {"n": self.n, "right": pong == b"p" * 125})
        self.say(transport, "done", {"n": self.n})
        if self.n == 1:
            transport.send(WSMsgType.TEXT, b"")
            transport.disconnect()
        elif self.n == 2:
            transport.send_close(1012, b"restart")


async def main():
    server = await ws_create_server(lambda request: Story(), "127.0.0.1", 0)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
