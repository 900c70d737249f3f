/* A real WebSocket server on loopback, just large enough to speak kvcast's frames to the client under test. */

import { createHash } from "node:crypto";
import { createServer } from "node:http";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

// Below what a system gives out by itself: a server that goes and comes back finds its port as it left it.
let nextPort = 20_000 + (process.pid % 250) * 50;

async function listen(server, port) {
  for (;;) {
    const error = await new Promise((done) => {
      server.once("error", done);
      server.listen(port || nextPort++, "127.0.0.1", () => {
        server.off("error", done);
        done(null);
      });
    });
    if (!error) return;
    if (port || error.code !== "EADDRINUSE") throw error;
  }
}

function textFrame(text) {
  const payload = Buffer.from(text);
  const head = payload.length < 126 ? Buffer.from([0x81, payload.length]) : Buffer.from([0x81, 126, payload.length >> 8, payload.length & 255]);
  return Buffer.concat([head, payload]);
}

/** The first frame in `data` as [opcode, payload, rest]; null while it is not whole. Clients mask. */
function cut(data) {
  if (data.length < 6) return null;
  let size = data[1] & 127;
  let at = 2;
  if (size === 126) {
    size = data.readUInt16BE(2);
    at = 4;
  }
  if (data.length < at + 4 + size) return null;
  const mask = data.subarray(at, at + 4);
  const payload = Buffer.from(data.subarray(at + 4, at + 4 + size)).map((byte, i) => byte ^ mask[i % 4]);
  return [data[0] & 15, payload, data.subarray(at + 4 + size)];
}

/**
 * onText(peer, object): what a client sent; peer.send(text), peer.close(code), peer.vanish(), peer.stall() to hear
 * nothing any more; accepts(): whether a handshake is let through; onRequest(request, response): other HTTP.
 */
export async function serve({ onOpen, onText, onClose = () => {}, accepts = () => true, onRequest }, port = 0) {
  const peers = new Set();
  const server = createServer(onRequest);
  server.on("upgrade", (request, socket) => {
    if (!accepts()) return socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    const accept = createHash("sha1").update(request.headers["sec-websocket-key"] + GUID).digest("base64");
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    const peer = {
      send: (text) => socket.write(textFrame(text)),
      close: (code) => socket.end(Buffer.from([0x88, 2, code >> 8, code & 255])),
      vanish: () => socket.destroy(),
      stall: () => socket.pause(),
    };
    peers.add(peer);
    let data = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.on("close", () => {
      peers.delete(peer);
      onClose(peer);
    });
    socket.on("data", (chunk) => {
      data = Buffer.concat([data, chunk]);
      for (let frame = cut(data); frame; frame = cut(data)) {
        data = frame[2];
        if (frame[0] === 1) onText(peer, JSON.parse(frame[1]));
        if (frame[0] === 8) socket.end();
      }
    });
    return onOpen(peer);
  });
  await listen(server, port);
  const stop = () => {
    for (const peer of peers) peer.vanish();
    server.closeAllConnections();
    return new Promise((done) => server.close(done));
  };
  return { url: `ws://127.0.0.1:${server.address().port}/ws`, port: server.address().port, peers, stop };
}
