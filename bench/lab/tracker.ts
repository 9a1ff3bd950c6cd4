// A tracker of one torrent, run as a process on the seed's host: tells everybody about everybody.
import { createServer } from "node:http";

const PORT = 6969;
/** Seconds between announces. */
const INTERVAL_S = 2;

const [host = ""] = process.argv.slice(2);
const peers = new Map<string, Buffer>();

const server = createServer((request, response) => {
  const port = Number(new URL(request.url ?? "/", "http://tracker").searchParams.get("port"));
  const address = request.socket.remoteAddress ?? "";
  peers.set(`${address}:${port}`, compact(address, port));
  const all = Buffer.concat([...peers.values()]);
  const times = `8:intervali${INTERVAL_S}e12:min intervali${INTERVAL_S}e`;
  response.end(
    Buffer.concat([Buffer.from(`d${times}5:peers${all.length}:`), all, Buffer.from("e")]),
  );
});
server.listen(PORT, host, () => console.log("ready"));

function compact(address: string, port: number): Buffer {
  return Buffer.from([...address.split(".").map(Number), port >> 8, port & 0xff]);
}
