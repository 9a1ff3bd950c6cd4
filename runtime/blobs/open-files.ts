// A bounded set of files kept open for reading, so that serving block after block of a blob costs one
// open. A file in use is never closed under its reader: it is closed when the last one is done.
import type { FileHandle } from "node:fs/promises";

/** Files kept open: 64 blobs being served at once, far below the usual limit of 1,024 descriptors. */
const OPEN_FILES_MAX = 64;

interface OpenFile {
  readonly handle: Promise<FileHandle>;
  readers: number;
  dropped: boolean;
}

/** Open files by key, least recently used first. */
export class OpenFiles {
  readonly #open: (key: string) => Promise<FileHandle>;
  readonly #files = new Map<string, OpenFile>();
  #closing: Promise<unknown>[] = [];

  constructor(open: (key: string) => Promise<FileHandle>) {
    this.#open = open;
  }

  /** Descriptors kept; more may be open while more than OPEN_FILES_MAX are being read. */
  get size(): number {
    return this.#files.size;
  }

  /** Opens the key's file or takes the open one; `release` must be called once. */
  pin(key: string): { readonly handle: Promise<FileHandle>; readonly release: () => void } {
    const file = this.#files.get(key) ?? this.#start(key);
    // Set anew, it is the most recently used: a Map keeps insertion order.
    this.#files.delete(key);
    this.#files.set(key, file);
    file.readers += 1;
    this.#evict();
    const release = () => {
      file.readers -= 1;
      if (file.readers > 0) return;
      if (file.dropped) this.#close(file);
      else this.#evict();
    };
    return { handle: file.handle, release };
  }

  /** Forgets the key's file; who is reading it reads to the end. */
  drop(key: string): void {
    const file = this.#files.get(key);
    if (file === undefined) return;
    this.#files.delete(key);
    file.dropped = true;
    if (file.readers === 0) this.#close(file);
  }

  /** Forgets all, and waits until what nobody reads is closed. */
  async close(): Promise<void> {
    for (const key of [...this.#files.keys()]) this.drop(key);
    await Promise.all(this.#closing);
  }

  #start(key: string): OpenFile {
    const file: OpenFile = { handle: this.#open(key), readers: 0, dropped: false };
    file.handle.catch(() => {
      if (this.#files.get(key) === file) this.#files.delete(key);
    });
    return file;
  }

  #evict(): void {
    for (const [key, file] of this.#files) {
      if (this.#files.size <= OPEN_FILES_MAX) return;
      if (file.readers === 0) this.drop(key);
    }
  }

  #close(file: OpenFile): void {
    const closed = file.handle.then((handle) => handle.close()).catch(() => undefined);
    this.#closing.push(closed);
    void closed.then(() => {
      this.#closing = this.#closing.filter((other) => other !== closed);
    });
  }
}
