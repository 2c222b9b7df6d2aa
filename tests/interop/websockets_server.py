"""A server on PyPI's `websockets`. Each connection tells the same story, of its own number, and ends
in its own way: the first is aborted, the second closed with 1012, later ones stay."""

import asyncio
import json

from websockets.asyncio.server import serve

connections = 0


async def handle(socket):
    global connections
    connections += 1
    n = connections

    async def say(id, payload):
        event = {"entity": "e", "id": id, "payload": payload}
        await socket.send(json.dumps(event, ensure_ascii=False))

    if await socket.recv() != "hello, Grüße":
        await socket.close(1008, "not the text that was agreed upon")
        return
    for id in range(200):
        await say(id, {"n": n, "id": id})
    await socket.send(['{"entity":"e","id":"parts","payl', 'oad":{"n":', f"{n}}}}}"])
    await say("big", {"n": n, "text": "ü" * 400_000})
    pong = await socket.ping("p" * 125)
    await pong
    await say("pong", {"n": n, "right": True})
    await say("done", {"n": n})
    if n == 1:
        await socket.send("")
        socket.transport.abort()
    elif n == 2:
        await socket.close(1012, "restart")
    else:
        await socket.wait_closed()


async def main():
    async with serve(handle, "127.0.0.1", 0, ping_interval=0.05) as server:
        print("port", server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
