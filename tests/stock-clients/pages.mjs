// Serves the built files of a Control UI as any web server would, and passes its WebSocket on.

import { createReadStream, existsSync, statSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import path from "node:path";

const TYPES = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
  ".woff2": "font/woff2",
};

/** Starts it on a port of its own; what asks for a WebSocket goes to `port`. */
export async function servePages({ folder, port }) {
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const found = fileOf(folder, pathname);
    response.writeHead(200, { "content-type": TYPES[path.extname(found)] ?? "application/octet-stream" });
    createReadStream(found).pipe(response);
  });
  server.on("upgrade", (request, socket, head) => {
    const gateway = net.connect(port, "127.0.0.1");
    const lines = [`${request.method} ${request.url} HTTP/1.1`];
    for (let at = 0; at < request.rawHeaders.length; at += 2) {
      lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
    }
    gateway.write(`${lines.join("\r\n")}\r\n\r\n`);
    gateway.write(head);
    gateway.pipe(socket).pipe(gateway);
    for (const [one, other] of [[socket, gateway], [gateway, socket]]) one.on("error", () => other.destroy());
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** The page knows its own paths and loads its files from below them: what is no file is the page itself. */
function fileOf(folder, pathname) {
  const parts = path.posix.normalize(pathname).split("/").filter(Boolean);
  const files = parts.map((_, begin) => path.join(folder, ...parts.slice(begin)));
  return files.find((file) => existsSync(file) && statSync(file).isFile()) ?? path.join(folder, "index.html");
}
