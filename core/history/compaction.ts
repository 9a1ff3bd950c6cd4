// Which revision of the store may be forgotten: one that was the newest a while ago, so that whoever was away for
// less finds the changes since.

interface Note {
  readonly revision: number;
  readonly at: number;
}

/** Remembers revisions for one leader; times are monotonic milliseconds. */
export class Compaction {
  readonly #keptMs: number;
  #notes: Note[] = [];

  /** History of `keptMs` is to be left. */
  constructor(keptMs: number) {
    this.#keptMs = keptMs;
  }

  /** Notes the newest revision now; the one to compact to, undefined: none is old enough yet, or new. */
  note(now: number, revision: number): number | undefined {
    this.#notes.push({ revision, at: now });
    const isOld = ({ at }: Note): boolean => at <= now - this.#keptMs;
    const last = this.#notes.findLastIndex(isOld);
    if (last < 0) return undefined;
    const due = this.#notes[last] as Note;
    this.#notes = this.#notes.slice(last + 1);
    return due.revision;
  }
}
