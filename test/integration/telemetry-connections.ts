// Loaded into every program of a system (NODE_OPTIONS=--import): writes down each address that a program
// tries to connect to, and each port that one listens on, as lines of CONNECTIONS_FILE.
import { subscribe } from "node:diagnostics_channel";
import { appendFileSync } from "node:fs";
import type { AddressInfo, Server, Socket } from "node:net";

const path = process.env["CONNECTIONS_FILE"];
if (path === undefined) throw new Error("CONNECTIONS_FILE is not set");

subscribe("net.client.socket", (message) => {
  const { socket } = message as { socket: Socket };
  socket.on("connectionAttempt", (host, port) => appendFileSync(path, `to ${host}:${port}\n`));
});

subscribe("tracing:net.server.listen:asyncEnd", (message) => {
  const address = (message as { server: Server }).server.address() as AddressInfo | string | null;
  if (address === null || typeof address === "string") return;
  appendFileSync(path, `on ${address.address}:${address.port}\n`);
});
