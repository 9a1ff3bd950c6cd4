// The example's service: answers on PORT, and says under /healthz whether it is well.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const { version, healthy } = JSON.parse(readFileSync(new URL("version.json", import.meta.url)));

const server = createServer((request, response) => {
  if (request.url === "/healthz") {
    response.writeHead(healthy ? 200 : 500).end(healthy ? "ok\n" : "this version is broken\n");
    return;
  }
  const release = process.env.MILLRACE_RELEASE?.slice(0, 12) ?? "no release";
  response.end(`hello from ${version} (${release})\n`);
});

server.listen(Number(process.env.PORT ?? 8080), "127.0.0.1");
process.on("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
