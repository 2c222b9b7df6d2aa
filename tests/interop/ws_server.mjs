// A server on npm's `ws`. Each connection tells the same story, of its own number, and ends in its
// own way: the first is destroyed, the second closed with 1012, later ones stay. The port may be given.
import { WebSocketServer } from "ws";

const port = Number(process.argv[2] ?? 0);
const server = new WebSocketServer({ host: "127.0.0.1", port, perMessageDeflate: true });
server.on("listening", () => console.log(`port ${server.address().port}`));

let connections = 0;
server.on("connection", (socket) => {
    const n = ++connections;
    const say = (id, payload) => socket.send(JSON.stringify({ entity: "e", id, payload }));
    socket.on("error", (error) => console.error(String(error)));
    socket.on("message", (text, binary) => {
        if (binary || text.toString() !== "hello, Grüße") {
            socket.close(1008, "not the text that was agreed upon");
            return;
        }
        for (let id = 0; id < 200; id++) say(id, { n, id });
        socket.send(`{"entity":"e","id":"parts","payl`, { fin: false });
        socket.send(`oad":{"n":`, { fin: false });
        socket.send(`${n}}}`, { fin: true });
        say("big", { n, text: "ü".repeat(400_000) });
        socket.ping("p".repeat(125));
    });
    socket.on("pong", (payload) => {
        say("pong", { n, right: payload.toString() === "p".repeat(125) });
        say("done", { n });
        if (n === 1) socket.send("", () => socket.terminate());
        if (n === 2) socket.close(1012, "restart");
    });
});
