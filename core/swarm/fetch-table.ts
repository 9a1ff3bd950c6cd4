// The fetches under way and the missing pieces that wait for a source: who is the source of what, and
// how a piece gets from one source to another. It makes no choice and knows no time.
import type { Instant } from "../machine.ts";
import { Bitfield } from "./bitfield.ts";
import type { SwarmEffect } from "./facts.ts";
import { begin, type Fetch, isAsked, isAtRest, newFetch, nextBlock, restart } from "./fetch.ts";
import type { Block, PeerId } from "./message.ts";
import { giveUp, type Neighbour } from "./neighbour.ts";
import type { OwnPieces } from "./own-pieces.ts";
import { take, takeAt } from "./short-list.ts";

export interface FetchTableOptions {
  readonly neighbours: ReadonlyMap<PeerId, Neighbour>;
  readonly pieces: OwnPieces;
}

/** Every missing piece is waiting, or has a source, or rests until a write or comparison ends. */
export class FetchTable {
  readonly #neighbours: ReadonlyMap<PeerId, Neighbour>;
  readonly #own: OwnPieces;
  /** Those under way, and their pieces in the same order. */
  readonly #fetches: Fetch[] = [];
  readonly #pieces: number[] = [];
  /** To be used again. */
  readonly #spare: Fetch[] = [];
  readonly #waiting = new Bitfield();
  readonly #orphans: number[] = [];
  /** Pieces that came corrupt from several givers. */
  readonly #suspects = new Set<number>();
  readonly #sources: Neighbour[] = [];
  #outstanding = 0;
  #unasked = 0;

  constructor(options: FetchTableOptions) {
    this.#neighbours = options.neighbours;
    this.#own = options.pieces;
  }

  /** Blocks asked and not answered, of all neighbours. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** Neighbours that are the source of something. */
  get sources(): readonly Neighbour[] {
    return this.#sources;
  }

  /** Fetches with a source that are not asked to their end. */
  get unasked(): number {
    return this.#unasked;
  }

  /** Missing pieces without a source, begun or not. */
  get waiting(): Bitfield {
    return this.#waiting;
  }

  /** Those of the waiting that are begun. */
  get orphans(): readonly number[] {
    return this.#orphans;
  }

  get(piece: number): Fetch | undefined {
    const at = this.#pieces.indexOf(piece);
    return at < 0 ? undefined : this.#fetches[at];
  }

  all(): Iterable<Fetch> {
    return this.#fetches;
  }

  /** Makes missing pieces wait for a source. */
  miss(pieces: readonly number[]): void {
    for (const piece of pieces) if (!this.#pieces.includes(piece)) this.#wait(piece);
  }

  /** Makes a neighbour the source of a waiting piece. */
  assign(piece: number, source: Neighbour, effects: SwarmEffect[]): Fetch {
    const fetch = this.get(piece) ?? this.#begin(piece);
    const isMixed = fetch.others !== undefined || fetch.giver !== source.peer;
    if (fetch.isSuspect && fetch.stored > 0 && isMixed) {
      restart(fetch);
      effects.push({ kind: "discard", piece });
    }
    fetch.source = source.peer;
    if (source.fetching.length === 0) this.#sources.push(source);
    source.fetching.push(fetch);
    if (!isAsked(fetch)) this.#countUnasked(source, 1);
    this.#waiting.remove(piece);
    if (this.#orphans.length > 0) take(this.#orphans, piece);
    return fetch;
  }

  /** Takes the next block to ask a source for; undefined when all that it gives is asked. */
  ask(source: Neighbour, bytesMax: number, now: Instant): Block | undefined {
    if (source.unasked === 0) return undefined;
    const fetch = firstUnasked(source);
    if (fetch === undefined) return undefined;
    const block = nextBlock(fetch, bytesMax);
    const { piece, offset, bytes } = block;
    if (isAsked(fetch)) this.#countUnasked(source, -1);
    source.requests.push(piece, offset, bytes, now);
    this.#outstanding += 1;
    return block;
  }

  /** Notes that a request was answered. */
  answered(): void {
    this.#outstanding -= 1;
  }

  /** Takes a fetch from its source, and lets it wait for another once what arrived is stored. */
  orphan(fetch: Fetch, effects?: SwarmEffect[]): void {
    this.#release(fetch, effects);
    this.await(fetch);
  }

  /** Gives a fetch at rest to a neighbour that has sent the next block of it, though it was to give it no more. */
  handOver(fetch: Fetch, source: Neighbour, sent: Block, effects: SwarmEffect[]): void {
    this.orphan(fetch, effects);
    fetch.asked = sent.offset + sent.bytes;
    this.assign(fetch.piece, source, effects);
  }

  /** Takes all fetches from a neighbour; without `effects` it is gone, and is told nothing. */
  orphanAllOf(neighbour: Neighbour, effects?: SwarmEffect[]): void {
    for (const fetch of [...neighbour.fetching]) this.orphan(fetch, effects);
  }

  /** Lets a fetch without source wait for one, if nothing of it is being written or compared. */
  await(fetch: Fetch): void {
    if (fetch.source !== undefined || !isAtRest(fetch)) return;
    this.#wait(fetch.piece);
    if (!this.#orphans.includes(fetch.piece)) this.#orphans.push(fetch.piece);
  }

  /** All of a piece is stored: its source is free, and nobody is asked until it is compared. */
  finish(fetch: Fetch): void {
    this.#release(fetch);
    fetch.isFinishing = true;
  }

  /** A piece was corrupt: it waits to be fetched from its start. */
  again(fetch: Fetch): void {
    if (fetch.others !== undefined) this.#suspects.add(fetch.piece);
    const { piece } = fetch;
    this.#forget(piece);
    this.#wait(piece);
  }

  /** A piece is whole: nothing of it is needed any more. */
  end(piece: number, effects: SwarmEffect[]): void {
    const fetch = this.get(piece);
    if (fetch !== undefined) this.#release(fetch, effects);
    this.#forget(piece);
    this.#waiting.remove(piece);
    if (this.#orphans.length > 0) take(this.#orphans, piece);
    if (this.#suspects.size > 0) this.#suspects.delete(piece);
  }

  /** Whoever had nothing to be asked for may have this. */
  #wait(piece: number): void {
    this.#waiting.add(piece);
    for (const neighbour of this.#neighbours.values()) neighbour.isDry = false;
  }

  #begin(piece: number): Fetch {
    const bytes = this.#own.bytesOf(piece);
    const isSuspect = this.#suspects.size > 0 && this.#suspects.has(piece);
    const fetch = this.#spare.pop() ?? newFetch();
    begin(fetch, piece, bytes, isSuspect);
    this.#fetches.push(fetch);
    this.#pieces.push(piece);
    return fetch;
  }

  #forget(piece: number): void {
    const at = this.#pieces.indexOf(piece);
    if (at < 0) return;
    this.#spare.push(this.#fetches[at] as Fetch);
    takeAt(this.#fetches, at);
    takeAt(this.#pieces, at);
  }

  #countUnasked(source: Neighbour, change: 1 | -1): void {
    source.unasked += change;
    this.#unasked += change;
  }

  #release(fetch: Fetch, effects?: SwarmEffect[]): void {
    const source = fetch.source === undefined ? undefined : this.#neighbours.get(fetch.source);
    const isAllAsked = isAsked(fetch);
    fetch.source = undefined;
    fetch.asked = fetch.arrived;
    if (source === undefined) return;
    take(source.fetching, fetch);
    if (!isAllAsked) this.#countUnasked(source, -1);
    if (source.fetching.length === 0) take(this.#sources, source);
    const givenUp = giveUp(source, fetch.piece);
    this.#outstanding -= givenUp;
    // A source waits for what it was not asked for yet of a piece.
    if (givenUp === 0 && isAllAsked) return;
    const message = { kind: "cancel", piece: fetch.piece } as const;
    effects?.push({ kind: "send", to: source.peer, message });
  }
}

function firstUnasked({ fetching }: Neighbour): Fetch | undefined {
  for (const fetch of fetching) if (!isAsked(fetch)) return fetch;
  return undefined;
}
