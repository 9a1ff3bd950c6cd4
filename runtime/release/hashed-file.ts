// A file that is written from front to back and known by the digest of its bytes. What is in it, and in
// which batches it comes, is its writer's business.
import { closeSync, openSync } from "node:fs";
import { Blake3Hasher } from "@napi-rs/blake-hash";
import { writeBytes } from "../file-bytes.ts";

export class HashedFile {
  readonly #file: number;
  readonly #hasher = new Blake3Hasher();
  #bytes = 0;

  /** Creates or empties the file at the path. */
  constructor(path: string) {
    this.#file = openSync(path, "w", 0o600);
  }

  append(bytes: Uint8Array): void {
    this.#hasher.update(bytes);
    writeBytes(this.#file, bytes);
    this.#bytes += bytes.length;
  }

  /** Closes the file. */
  finish(): { readonly digest: Uint8Array; readonly bytes: number } {
    this.close();
    return { digest: new Uint8Array(this.#hasher.digestBuffer()), bytes: this.#bytes };
  }

  /** Closes the file without finishing it. */
  close(): void {
    closeSync(this.#file);
  }
}
