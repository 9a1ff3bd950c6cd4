// Who a peer is: an id that ends with the hash of a public key. Whoever knows the id can tell by itself which
// key belongs to it, so nobody has to be believed about that, and nobody else can take the id.
import { blake3 } from "@napi-rs/blake-hash";
import type { PeerId } from "../../core/swarm/message.ts";
import { SigningKey } from "../signing-key.ts";

/**
 * Of the hash in an id. Who wants the id of any one of 100,000 peers has to try 2^111 keys with 16 bytes; with the 6 of
 * ids without a key it would be 2^31.
 */
const HASH_BYTES = 16;

/** An id and the key that proves it; ids that were made before there were keys have none. */
export interface PeerIdentity {
  readonly id: PeerId;
  readonly key?: SigningKey | undefined;
}

/** A new key with its id, "agent-" and 32 hex digits for the prefix "agent". */
export function newIdentity(prefix: string): Required<PeerIdentity> {
  const key = SigningKey.generate();
  return { id: idOf(prefix, key.publicKey), key };
}

/** The id of whom that public key belongs to. */
export function idOf(prefix: string, publicKey: Buffer): PeerId {
  return `${prefix}-${hashOf(publicKey)}`;
}

/** Whether the id was made of this public key. */
export function isIdOf(id: PeerId, publicKey: Buffer): boolean {
  return id.slice(id.lastIndexOf("-") + 1) === hashOf(publicKey);
}

function hashOf(publicKey: Buffer): string {
  return blake3(publicKey).toString("hex", 0, HASH_BYTES);
}
