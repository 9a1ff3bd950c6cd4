// A TCP port that nobody listens on now. Somebody may take it before the service does; then the
// service fails its check and is started again with another.
import { createServer } from "node:net";

/** Asks the kernel for one. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" ? (address?.port ?? 0) : 0;
      server.close(() => resolve(port));
    });
  });
}
