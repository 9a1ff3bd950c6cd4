// What becomes of a request: a block of a piece that is here is queued, and the offer that it answers is met; any
// other is refused. What its sender deserves for one that cannot be met is the machine's to say.
import type { Instant } from "../machine.ts";
import type { SwarmEffect } from "./facts.ts";
import type { Block, PeerId, RefuseReason } from "./message.ts";
import type { Neighbour } from "./neighbour.ts";
import type { Offers } from "./offers.ts";
import type { OwnPieces } from "./own-pieces.ts";
import type { Uploads } from "./uploads.ts";

export interface ServingOptions {
  readonly pieces: OwnPieces;
  readonly uploads: Uploads;
  readonly offers: Offers;
}

export class Serving {
  readonly #options: ServingOptions;

  constructor(options: ServingOptions) {
    this.#options = options;
  }

  /** Takes a request. Says whether it is well, tells nothing new (what it asks for is not here), or against the rules. */
  requested(
    now: Instant,
    neighbour: Neighbour,
    block: Block,
    effects: SwarmEffect[],
  ): "well" | "noise" | "violation" {
    const { pieces, uploads, offers } = this.#options;
    neighbour.usefulAt = now;
    const { piece, offset, bytes } = block;
    if (!pieces.have.has(piece)) {
      refuse(neighbour.peer, piece, "absent", effects);
      return "noise";
    }
    if (offset + bytes > pieces.bytesOf(piece)) return "violation";
    const answer = uploads.request(neighbour, block);
    offers.asked(now, neighbour, block);
    if (answer === "busy") refuse(neighbour.peer, piece, answer, effects);
    return "well";
  }

  /** A block that was to be sent could not be read. */
  unread(now: Instant, neighbour: Neighbour, piece: number, effects: SwarmEffect[]): void {
    const { pieces, uploads, offers } = this.#options;
    uploads.sent(now, neighbour);
    uploads.got(now, neighbour);
    uploads.refuse(neighbour, piece);
    offers.turn(neighbour);
    refuse(neighbour.peer, piece, pieces.have.has(piece) ? "busy" : "absent", effects);
  }
}

function refuse(to: PeerId, piece: number, reason: RefuseReason, effects: SwarmEffect[]): void {
  effects.push({ kind: "send", to, message: { kind: "refuse", piece, reason } });
}
